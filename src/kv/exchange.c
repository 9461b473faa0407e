/* SPDX-License-Identifier: ISC */
#include "exchange.h"

#include <stdio.h>
#include <string.h>

#define BATCH_MAX 64                  /* commands in one transaction */
#define BATCH_MARKED_MAX (256 * 1024) /* bytes; far from what an undo log holds */

_Static_assert(EXCHANGE_IN_SIZE > RESP_BULK_MAX, "a whole command fits");
_Static_assert(EXCHANGE_OUT_SIZE > RESP_BULK_MAX, "a whole reply fits");

void exchange_init(struct exchange *x, struct kv *kv)
{
	memset(x, 0, offsetof(struct exchange, in));
	x->kv = kv;
}

char *exchange_input(struct exchange *x, size_t *ret_room)
{
	if (x->in_start > 0) {
		memmove(x->in, x->in + x->in_start, x->in_end - x->in_start);
		x->in_end -= x->in_start;
		x->in_start = 0;
	}
	*ret_room = EXCHANGE_IN_SIZE - x->in_end;
	return x->in + x->in_end;
}

static size_t room(struct exchange *x)
{
	if (x->out_start > 0) {
		memmove(x->out, x->out + x->out_start, x->out_end - x->out_start);
		x->out_end -= x->out_start;
		x->out_start = 0;
	}
	return EXCHANGE_OUT_SIZE - x->out_end;
}

static struct resp_out reply_to(struct exchange *x)
{
	size_t size = room(x);
	return (struct resp_out){ .data = x->out + x->out_end, .room = size };
}

/* One command of that many bytes is done with. */
static void pass(struct exchange *x, ssize_t size, const struct resp_out *reply)
{
	x->in_start += (size_t)size;
	x->out_end += reply->used;
}

/* The next command, as resp_parse() returns it. */
static ssize_t next(struct exchange *x)
{
	struct resp_command *command = &x->kv->command;
	size_t size = x->in_end - x->in_start;
	ssize_t n = resp_parse(command, x->in + x->in_start, size);
	if (n == 0 && size == EXCHANGE_IN_SIZE) {
		snprintf(command->error, sizeof(command->error), "too big request");
		n = -1;
	}
	return n;
}

/* Is it answered without the table? Then the answer is the same here and everywhere. */
static bool is_plain(const struct kv *kv, ssize_t n)
{
	return n < 0 || kv->command.argc == 0 || kv->command.size > kv->env.limit ||
	       command_is_quit(&kv->command);
}

static void answer_plain(struct exchange *x, ssize_t n)
{
	struct kv *kv = x->kv;
	struct resp_out out = reply_to(x);
	if (n < 0) {
		resp_error(&out, "ERR Protocol error: %s", kv->command.error);
		x->phase = ENDING;
		n = 0;
	} else if (kv->command.argc > 0 && kv->command.size > kv->env.limit) {
		command_too_large(&kv->env, &out);
	} else if (kv->command.argc > 0) {
		resp_simple(&out, "OK");
		x->phase = ENDING;
	}
	pass(x, n, &out);
}

/* Run the next command in the open transaction: 1; 0 where none is whole; negative: undo all. */
static int step(struct exchange *x)
{
	struct kv *kv = x->kv;
	ssize_t n = next(x);
	if (n == 0)
		return 0;
	if (is_plain(kv, n)) {
		answer_plain(x, n);
		return 1;
	}
	struct resp_out out = reply_to(x);
	int error = command_run(&kv->env, &kv->command, &out);
	if (error)
		return error;
	pass(x, n, &out);
	return 1;
}

/* Answer the next command, which failed by itself. */
static void refuse(struct exchange *x, int error)
{
	struct resp_out out = reply_to(x);
	ssize_t n = next(x);
	command_failed(error, &out);
	pass(x, n, &out);
}

/*
 * At most so many commands in one transaction: how many, or why none could begin or be committed.
 */
static int run_batch(struct exchange *x, int most)
{
	struct kv *kv = x->kv;
	if (x->phase == ENDING || x->in_start == x->in_end || room(x) < kv->env.limit)
		return 0;
	size_t in_start = x->in_start, out_end = x->out_end;
	enum phase phase = x->phase;
	int done = 0, error = heir_begin(kv->h);
	if (error)
		return error;
	kv->marked = 0;
	while (done < most && kv->marked < BATCH_MARKED_MAX && x->phase != ENDING &&
	       room(x) >= kv->env.limit) {
		error = step(x);
		if (error <= 0)
			break;
		done++;
	}
	bool is_undone = error < 0;
	if (is_undone)
		heir_abort(kv->h);
	else
		error = heir_commit(kv->h);
	if (error == 0)
		return done;
	x->in_start = in_start;
	x->out_end = out_end;
	x->phase = phase;
	if (!is_undone)
		return error;
	if (done > 0) /* those before the one that failed */
		return run_batch(x, done);
	refuse(x, error);
	return 1;
}

static int send_call(struct exchange *x, ssize_t n)
{
	struct kv *kv = x->kv;
	static char array[RESP_BULK_MAX];
	struct slice body = { x->in + x->in_start, (size_t)n };
	if (body.data[0] != '*') {
		struct resp_out out = { .data = array, .room = sizeof(array) };
		resp_command(&out, &kv->command);
		body = (struct slice){ array, out.used };
	}
	struct heir_ticket *ticket = &x->call[(x->first_call + x->calls) % EXCHANGE_CALLS_MAX];
	return heir_call_start(kv->h, kv->name, body.data, body.size, ticket);
}

/* Send commands to the role by mail: how many. Room is kept for all the replies that may come. */
static int forward(struct exchange *x)
{
	struct kv *kv = x->kv;
	int done = 0;
	while (x->phase != ENDING && x->calls < EXCHANGE_CALLS_MAX &&
	       room(x) >= (x->calls + 1) * kv->env.limit) {
		ssize_t n = next(x);
		bool is_sent = n != 0 && !is_plain(kv, n);
		if (n == 0 || (!is_sent && x->calls > 0))
			break;
		int error = is_sent ? send_call(x, n) : 0;
		x->is_stalled = error == HEIR_EAGAIN || error == HEIR_EFULL;
		if (x->is_stalled || (error && x->calls > 0))
			break;
		if (error) {
			refuse(x, error);
		} else if (!is_sent) {
			answer_plain(x, n);
		} else {
			x->in_start += (size_t)n;
			x->calls++;
		}
		done++;
	}
	return done;
}

void exchange_wait(struct exchange *x, int64_t timeout)
{
	struct kv *kv = x->kv;
	struct resp_out out = reply_to(x);
	size_t size = kv->env.limit;
	int error = heir_call_finish(kv->h, x->call[x->first_call], out.data, &size, timeout);
	if (error)
		command_failed(error, &out);
	else
		out.used = size;
	x->out_end += out.used;
	x->first_call = (x->first_call + 1) % EXCHANGE_CALLS_MAX;
	x->calls--;
}

int exchange_take(struct exchange *x)
{
	heir_t *h = x->kv->h;
	int total = 0, n;
	x->is_stalled = false;
	for (; x->calls > 0 && heir_call_ready(h, x->call[x->first_call]); total++)
		exchange_wait(x, 0);
	do {
		if (x->calls > 0)
			n = heir_is_owner(h) ? 0 : HEIR_ESTALE;
		else
			n = run_batch(x, BATCH_MAX);
		if (n < 0)
			n = forward(x);
		total += n;
	} while (n > 0);
	return total;
}
