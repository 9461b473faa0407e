/* SPDX-License-Identifier: ISC */
#include "fake_heir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FDS_MAX 4096
#define MESSAGE_ROOM 65536

enum call_state { FREE, QUEUED, ANSWERED };

struct call {
	enum call_state state;
	int error;
	char *data, *reply;
	size_t size, reply_size;
};

struct undo {
	void *start;
	size_t size;
	char *old;
};

struct heir {
	int epoll;
	struct { heir_ready_fn *ready; void *arg; } watch[FDS_MAX];
	void (*replied)(heir_t *h, void *arg);
	void *replied_arg;
	bool is_open, is_in_handler, is_answered;
	struct undo *undo;
	size_t undos, log_used;
	struct call call[FAKE_CALLS_MAX];
	unsigned queue[FAKE_CALLS_MAX], head, tail; /* of call numbers */
	char reply[MESSAGE_ROOM + 1];
	size_t reply_size;
};

struct fake fake;
static struct heir the;
static void *state;

void fake_reset(size_t state_size, int listener)
{
	fake_finish();
	fake = (struct fake){
		.state_size = state_size,
		.log_room = 1 << 20,
		.message_max = 4096,
		.listener = listener,
		.is_owner = true,
		.start_type = HEIR_TAKEOVER,
	};
	memset(&the, 0, sizeof(the));
	the.epoll = epoll_create1(EPOLL_CLOEXEC);
	state = aligned_alloc(4096, (state_size + 4095) & ~(size_t)4095);
	memset(state, 0, state_size);
}

void fake_finish(void)
{
	if (!state)
		return;
	for (size_t i = 0; i < FAKE_CALLS_MAX; i++) {
		free(the.call[i].data);
		free(the.call[i].reply);
	}
	while (the.undos > 0)
		free(the.undo[--the.undos].old);
	free(the.undo);
	close(the.epoll);
	free(state);
	state = NULL;
}

void *fake_state(void)
{
	return state;
}

const char *heir_strerror(int error)
{
	static char text[40];
	if (error == HEIR_ETOOBIG)
		return "over its limit";
	snprintf(text, sizeof(text), "error %d", error);
	return text;
}

int heir_worker_open(const struct heir_worker *worker, void *arg, heir_t **ret)
{
	struct heir_start start = { fake.start_type, "", 1 };
	if (!fake.scenario)
		return HEIR_ENOTWORKER;
	fake.worker = worker;
	fake.arg = arg;
	int error = worker->init(&the, arg);
	if (!error)
		error = worker->start(&the, &start, arg);
	fake.begun_in_start = fake.begun;
	if (!error && start.type == HEIR_TAKEOVER)
		error = worker->start_phase(&the, "takeover", &start, arg);
	if (!error && start.type != HEIR_LOCAL)
		error = worker->start_phase(&the, "go", &start, arg);
	if (!error)
		*ret = &the;
	return error;
}

int heir_serve(heir_t *h)
{
	fake.scenario(h);
	return 0;
}

void heir_close(heir_t *h)
{
	(void)h;
}

size_t heir_message_max(const heir_t *h)
{
	(void)h;
	return fake.message_max;
}

const char *heir_node(const heir_t *h)
{
	(void)h;
	return "a";
}

int heir_listen_fd(const char *name)
{
	return strcmp(name, "resp") || fake.listener < 0 ? HEIR_ENOENT : fake.listener;
}

int heir_is_owner(const heir_t *h)
{
	(void)h;
	return fake.is_owner;
}

void *heir_state(heir_t *h, size_t *size)
{
	(void)h;
	*size = fake.state_size;
	return fake.state_size ? state : NULL;
}

int heir_begin(heir_t *h)
{
	if (h->is_open)
		return HEIR_EOPEN;
	if (!fake.is_owner)
		return HEIR_ESTALE;
	if (fake.is_wanted)
		return HEIR_EWANTED;
	h->is_open = true;
	fake.begun++;
	return 0;
}

int heir_mark(heir_t *h, const void *start, size_t size)
{
	const char *p = start, *base = state;
	if (!h->is_open)
		return HEIR_EOPEN;
	if (p < base || p > base + fake.state_size || size > (size_t)(base + fake.state_size - p))
		abort();
	if (size > fake.log_room - h->log_used)
		return HEIR_ETOOBIG;
	if (h->undos % 64 == 0)
		h->undo = realloc(h->undo, (h->undos + 64) * sizeof(*h->undo));
	struct undo *u = &h->undo[h->undos++];
	*u = (struct undo){ (void *)(uintptr_t)start, size, malloc(size + 1) };
	memcpy(u->old, start, size);
	h->log_used += size;
	return 0;
}

static void end(heir_t *h, bool is_undone)
{
	while (h->undos > 0) {
		struct undo *u = &h->undo[--h->undos];
		if (is_undone)
			memcpy(u->start, u->old, u->size);
		free(u->old);
	}
	h->log_used = 0;
	h->is_open = false;
}

int heir_commit(heir_t *h)
{
	if (!h->is_open)
		return HEIR_EOPEN;
	bool is_refused = fake.is_commit_refused;
	end(h, is_refused);
	if (is_refused) {
		fake.is_commit_refused = false;
		fake.is_owner = false;
	}
	return is_refused ? HEIR_ESTALE : 0;
}

int heir_abort(heir_t *h)
{
	if (!h->is_open)
		return HEIR_EOPEN;
	end(h, true);
	return 0;
}

int heir_reply(heir_t *h, const void *data, size_t size)
{
	if (!h->is_in_handler)
		return HEIR_EOPEN;
	if (h->is_answered)
		return HEIR_EALREADY;
	if (size > fake.message_max)
		return HEIR_ETOOBIG;
	memcpy(h->reply, data, size);
	h->reply[size] = '\0';
	h->reply_size = size;
	h->is_answered = true;
	return 0;
}

int heir_forward(heir_t *h, const char *name)
{
	if (!h->is_in_handler || h->is_answered)
		return h->is_answered ? HEIR_EALREADY : HEIR_EOPEN;
	snprintf(fake.last_name, sizeof(fake.last_name), "%s", name);
	fake.forwarded++;
	h->is_answered = true;
	return 0;
}

static int handle(heir_t *h, const void *data, size_t size, bool direct)
{
	char *copy = malloc(size > 0 ? size : 1); /* exact: a sanitizer sees what is read beyond */
	struct heir_message message = { "kv", memcpy(copy, data, size), size, 1, direct };
	h->is_in_handler = true;
	h->is_answered = false;
	h->reply_size = 0;
	h->is_open = !direct;
	int error = fake.worker->handle(h, &message, fake.arg);
	if (!direct)
		end(h, error < 0);
	h->is_in_handler = false;
	free(copy);
	return error;
}

int fake_message(heir_t *h, const char *text, bool direct, const char **reply)
{
	int error = handle(h, text, strlen(text), direct);
	h->reply[h->reply_size] = '\0';
	*reply = h->reply;
	return error;
}

int heir_call_start(heir_t *h, const char *name, const void *data, size_t size,
		    struct heir_ticket *ret)
{
	if (h->is_open)
		return HEIR_EOPEN;
	if (size > fake.message_max)
		return HEIR_ETOOBIG;
	if (fake.is_mailbox_full)
		return HEIR_EAGAIN;
	snprintf(fake.last_name, sizeof(fake.last_name), "%s", name);
	for (unsigned i = 0; i < FAKE_CALLS_MAX; i++) {
		struct call *c = &h->call[i];
		if (c->state != FREE)
			continue;
		*c = (struct call){ .state = QUEUED, .size = size, .data = malloc(size + 1) };
		memcpy(c->data, data, size);
		h->queue[h->tail++ % FAKE_CALLS_MAX] = i;
		ret->cell = i;
		fake.sent++;
		return 0;
	}
	return HEIR_EFULL;
}

int fake_deliver(heir_t *h, int most)
{
	int done = 0;
	for (; done < most && h->head != h->tail; h->head++) {
		struct call *c = &h->call[h->queue[h->head % FAKE_CALLS_MAX]];
		if (c->state != QUEUED)
			continue;
		c->error = handle(h, c->data, c->size, false);
		c->reply_size = h->reply_size;
		c->reply = malloc(h->reply_size + 1);
		memcpy(c->reply, h->reply, h->reply_size);
		c->state = ANSWERED;
		done++;
	}
	if (done > 0 && h->replied)
		h->replied(h, h->replied_arg);
	return done;
}

int heir_call_ready(heir_t *h, struct heir_ticket ticket)
{
	return h->call[ticket.cell].state == ANSWERED;
}

int heir_call_finish(heir_t *h, struct heir_ticket ticket, void *reply, size_t *size,
		     int64_t timeout)
{
	struct call *c = &h->call[ticket.cell];
	void (*replied)(heir_t *h, void *arg) = h->replied;
	h->replied = NULL;
	while (timeout > 0 && c->state == QUEUED && fake_deliver(h, 1) > 0)
		continue;
	h->replied = replied;
	int error = c->state == ANSWERED ? c->error : HEIR_EUNKNOWN;
	if (c->state != ANSWERED)
		fake.given_up++;
	if (!error && c->reply_size > *size)
		error = -ENOSPC;
	if (!error) {
		memcpy(reply, c->reply, c->reply_size);
		*size = c->reply_size;
	}
	free(c->data);
	free(c->reply);
	*c = (struct call){ 0 };
	return error;
}

void heir_on_replies(heir_t *h, void (*replied)(heir_t *h, void *arg), void *arg)
{
	h->replied = replied;
	h->replied_arg = arg;
}

int heir_watch(heir_t *h, int fd, uint32_t events, heir_ready_fn *ready, void *arg)
{
	struct epoll_event event = { .events = events, .data.fd = fd };
	if (fd >= FDS_MAX)
		return -EMFILE;
	h->watch[fd].ready = ready;
	h->watch[fd].arg = arg;
	if (!epoll_ctl(h->epoll, EPOLL_CTL_MOD, fd, &event))
		return 0;
	return epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int heir_unwatch(heir_t *h, int fd)
{
	h->watch[fd].ready = NULL;
	return epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, NULL) ? -errno : 0;
}

int heir_poll(heir_t *h, int64_t timeout)
{
	struct epoll_event event[64];
	int n = epoll_wait(h->epoll, event, 64, timeout < 0 ? -1 : (int)(timeout / 1000000));
	for (int i = 0; i < n; i++) {
		int fd = event[i].data.fd;
		if (h->watch[fd].ready)
			h->watch[fd].ready(h, fd, event[i].events, h->watch[fd].arg);
	}
	return 1;
}
