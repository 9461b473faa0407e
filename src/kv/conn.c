/* SPDX-License-Identifier: ISC */
#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define IN_SIZE (2 * RESP_BULK_MAX)
#define OUT_SIZE (4 * RESP_BULK_MAX)
#define CALLS_MAX 16                  /* forwarded and not yet answered */
#define BATCH_MAX 64                  /* commands in one transaction */
#define BATCH_MARKED_MAX (256 * 1024) /* bytes; far from what an undo log holds */
#define ACCEPT_MAX 64                 /* connections at a time */
#define RETRY_NS 1000000              /* after "no room": nothing tells when there is some again */

enum phase {
	OPEN,
	DRAINING, /* nothing more is read; the commands that were read are answered */
	ENDING,   /* no more commands are taken; the replies leave */
};

struct conn {
	struct conns *conns;
	struct conn *next, *previous;
	int fd;
	enum phase phase;
	uint32_t watched;
	bool is_stalled;              /* a command could not be sent for want of room */
	size_t in_start, in_end, out_start, out_end;
	unsigned calls, first_call;
	struct heir_ticket call[CALLS_MAX];
	char in[IN_SIZE], out[OUT_SIZE];
};

struct conns {
	struct kv *kv;
	int listener, timer;
	bool is_accepting;
	size_t count;
	struct conn *first, *unused;
};

_Static_assert(IN_SIZE > RESP_BULK_MAX && OUT_SIZE > RESP_BULK_MAX, "a command and a reply fit");

static void serve(struct conn *c);

static size_t room(struct conn *c)
{
	if (c->out_start > 0) {
		memmove(c->out, c->out + c->out_start, c->out_end - c->out_start);
		c->out_end -= c->out_start;
		c->out_start = 0;
	}
	return OUT_SIZE - c->out_end;
}

static struct resp_out reply_to(struct conn *c)
{
	size_t size = room(c);
	return (struct resp_out){ .data = c->out + c->out_end, .room = size };
}

static void retry_later(struct conns *conns)
{
	struct itimerspec soon = { .it_value.tv_nsec = RETRY_NS };
	timerfd_settime(conns->timer, 0, &soon, NULL);
}

/* The next command, as resp_parse() returns it. */
static ssize_t next(struct conn *c)
{
	struct resp_command *command = &c->conns->kv->command;
	size_t size = c->in_end - c->in_start;
	ssize_t n = resp_parse(command, c->in + c->in_start, size);
	if (n == 0 && size == IN_SIZE) {
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

static void answer_plain(struct conn *c, ssize_t n)
{
	struct kv *kv = c->conns->kv;
	struct resp_out out = reply_to(c);
	if (n < 0) {
		resp_error(&out, "ERR Protocol error: %s", kv->command.error);
		c->phase = ENDING;
		n = 0;
	} else if (kv->command.argc > 0 && kv->command.size > kv->env.limit) {
		command_too_large(&kv->env, &out);
	} else if (kv->command.argc > 0) {
		resp_simple(&out, "OK");
		c->phase = ENDING;
	}
	c->in_start += (size_t)n;
	c->out_end += out.used;
}

/*
 * Run the next command within the open transaction: 1; 0 where none is whole; negative where the
 * transaction must be undone.
 */
static int step(struct conn *c)
{
	struct kv *kv = c->conns->kv;
	ssize_t n = next(c);
	if (n == 0)
		return 0;
	if (is_plain(kv, n)) {
		answer_plain(c, n);
		return 1;
	}
	struct resp_out out = reply_to(c);
	int error = command_run(&kv->env, &kv->command, &out);
	if (error)
		return error;
	c->in_start += (size_t)n;
	c->out_end += out.used;
	return 1;
}

/* The reply to a command that failed alone, in a transaction of its own. */
static void refuse(struct conn *c, int error)
{
	struct resp_out out = reply_to(c);
	ssize_t n = next(c);
	command_failed(error, &out);
	c->in_start += (size_t)n;
	c->out_end += out.used;
}

/* At most `most` commands in one transaction: how many, or why none could begin or be committed. */
static int run_batch(struct conn *c, int most)
{
	struct kv *kv = c->conns->kv;
	if (c->phase == ENDING || c->in_start == c->in_end || room(c) < kv->env.limit)
		return 0;
	size_t in_start = c->in_start, out_end = c->out_end;
	enum phase phase = c->phase;
	int done = 0, error = heir_begin(kv->h);
	if (error)
		return error;
	kv->marked = 0;
	while (done < most && kv->marked < BATCH_MARKED_MAX && c->phase != ENDING &&
	       room(c) >= kv->env.limit) {
		error = step(c);
		if (error <= 0)
			break;
		done++;
	}
	bool is_undone = error < 0;
	error = is_undone ? error : heir_commit(kv->h);
	if (is_undone)
		heir_abort(kv->h);
	else if (!error)
		return done;
	c->in_start = in_start;
	c->out_end = out_end;
	c->phase = phase;
	if (!is_undone)
		return error;
	if (done > 0)
		return run_batch(c, done);
	refuse(c, error);
	return 1;
}

static int send_call(struct conn *c, ssize_t n)
{
	struct kv *kv = c->conns->kv;
	static char array[RESP_BULK_MAX];
	struct slice body = { c->in + c->in_start, (size_t)n };
	if (body.data[0] != '*') {
		struct resp_out out = { .data = array, .room = sizeof(array) };
		resp_command(&out, &kv->command);
		body = (struct slice){ array, out.used };
	}
	struct heir_ticket *ticket = &c->call[(c->first_call + c->calls) % CALLS_MAX];
	return heir_call_start(kv->h, kv->name, body.data, body.size, ticket);
}

/* Send commands to the role by mail: how many. Room is kept for all the replies that may come. */
static int forward(struct conn *c)
{
	struct kv *kv = c->conns->kv;
	int done = 0;
	while (c->phase != ENDING && c->calls < CALLS_MAX &&
	       room(c) >= (c->calls + 1) * kv->env.limit) {
		ssize_t n = next(c);
		if (n == 0)
			break;
		if (is_plain(kv, n)) {
			if (c->calls > 0)
				break;
			answer_plain(c, n);
			done++;
			continue;
		}
		int error = send_call(c, n);
		if (error == HEIR_EAGAIN || error == HEIR_EFULL) {
			c->is_stalled = true;
			retry_later(c->conns);
			break;
		}
		if (error && c->calls > 0)
			break;
		if (error) {
			refuse(c, error);
		} else {
			c->in_start += (size_t)n;
			c->calls++;
		}
		done++;
	}
	return done;
}

/* Take the reply of the oldest call, waiting for it that long. */
static void collect_one(struct conn *c, int64_t timeout)
{
	struct kv *kv = c->conns->kv;
	struct resp_out out = reply_to(c);
	size_t size = kv->env.limit;
	int error = heir_call_finish(kv->h, c->call[c->first_call], out.data, &size, timeout);
	if (error)
		command_failed(error, &out);
	else
		out.used = size;
	c->out_end += out.used;
	c->first_call = (c->first_call + 1) % CALLS_MAX;
	c->calls--;
}

/*
 * Take the replies that have come, and commands until there is none that can be taken now. How
 * many.
 */
static int take(struct conn *c)
{
	heir_t *h = c->conns->kv->h;
	int total = 0, n;
	c->is_stalled = false;
	for (; c->calls > 0 && heir_call_ready(h, c->call[c->first_call]); total++)
		collect_one(c, 0);
	do {
		if (c->calls > 0)
			n = heir_is_owner(h) ? 0 : HEIR_ESTALE;
		else
			n = run_batch(c, BATCH_MAX);
		if (n < 0)
			n = forward(c);
		total += n;
	} while (n > 0);
	if (c->in_start == c->in_end)
		c->in_start = c->in_end = 0;
	return total;
}

static void conn_close(struct conn *c)
{
	struct conns *conns = c->conns;
	while (c->calls > 0)
		collect_one(c, 0);
	heir_unwatch(conns->kv->h, c->fd);
	/*
	 * Bytes that were never read would make close() reset the connection, and the last replies
	 * with it.
	 */
	shutdown(c->fd, SHUT_WR);
	for (int i = 0; i < 64 && recv(c->fd, c->in, IN_SIZE, MSG_DONTWAIT) > 0; i++)
		continue;
	close(c->fd);
	c->fd = -1;
	*(c->previous ? &c->previous->next : &conns->first) = c->next;
	if (c->next)
		c->next->previous = c->previous;
	c->next = conns->unused;
	conns->unused = c;
	conns->count--;
}

/* Write what can be written. False: the connection is broken. */
static bool flush(struct conn *c)
{
	while (c->out_start < c->out_end) {
		size_t size = c->out_end - c->out_start;
		ssize_t n = send(c->fd, c->out + c->out_start, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		c->out_start += (size_t)n;
	}
	c->out_start = c->out_end = 0;
	return true;
}

static void ready(heir_t *h, int fd, uint32_t events, void *arg);

/* After anything happened: take, write, and wait for what must happen next. May close c. */
static void serve(struct conn *c)
{
	do {
		if (!flush(c)) {
			conn_close(c);
			return;
		}
	} while (take(c) > 0);

	bool has_work = c->calls > 0 || c->out_end > 0 || c->is_stalled;
	if (c->phase != OPEN && !has_work) {
		conn_close(c);
		return;
	}
	uint32_t events = c->out_end > 0 ? EPOLLOUT : 0;
	if (c->phase == OPEN && c->in_end - c->in_start < IN_SIZE)
		events |= EPOLLIN;
	if (events == c->watched)
		return;
	if (heir_watch(c->conns->kv->h, c->fd, events, ready, c))
		conn_close(c);
	else
		c->watched = events;
}

static void ready(heir_t *h, int fd, uint32_t events, void *arg)
{
	struct conn *c = arg;
	(void)h;
	if (c->fd != fd) /* closed since the event was reported */
		return;
	if (events & (EPOLLERR | EPOLLHUP)) {
		conn_close(c);
		return;
	}
	if (events & EPOLLIN && c->phase == OPEN && c->in_end - c->in_start < IN_SIZE) {
		if (c->in_start > 0) {
			memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
			c->in_end -= c->in_start;
			c->in_start = 0;
		}
		ssize_t n = recv(fd, c->in + c->in_end, IN_SIZE - c->in_end, 0);
		if (n > 0)
			c->in_end += (size_t)n;
		else if (n == 0)
			c->phase = DRAINING;
		else if (errno != EAGAIN && errno != EINTR)
			c->phase = ENDING;
	}
	serve(c);
}

static void add(struct conns *conns, int fd)
{
	static const char full[] = "-ERR max number of clients reached\r\n";
	struct conn *c = conns->unused;
	if (conns->count == CONNS_MAX || (!c && !(c = malloc(sizeof(*c))))) {
		(void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
		close(fd);
		return;
	}
	if (c == conns->unused)
		conns->unused = c->next;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	memset(c, 0, offsetof(struct conn, in));
	c->conns = conns;
	c->fd = fd;
	c->next = conns->first;
	if (c->next)
		c->next->previous = c;
	conns->first = c;
	conns->count++;
	serve(c);
}

static void accept_ready(heir_t *h, int fd, uint32_t events, void *arg)
{
	struct conns *conns = arg;
	(void)events;
	for (int i = 0; i < ACCEPT_MAX && conns->is_accepting; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			add(conns, client);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			heir_unwatch(h, fd); /* else it is reported again and again */
			retry_later(conns);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

static void serve_waiting(struct conns *conns)
{
	struct conn *following;
	for (struct conn *c = conns->first; c; c = following) {
		following = c->next;
		if (c->calls > 0 || c->is_stalled)
			serve(c);
	}
}

static void replied(heir_t *h, void *arg)
{
	struct kv *kv = arg;
	(void)h;
	serve_waiting(kv->conns);
}

static void retry(heir_t *h, int fd, uint32_t events, void *arg)
{
	struct conns *conns = arg;
	uint64_t expirations;
	(void)events;
	if (read(fd, &expirations, sizeof(expirations)) < 0)
		return;
	if (conns->is_accepting)
		heir_watch(h, conns->listener, EPOLLIN, accept_ready, conns);
	serve_waiting(conns);
}

int conns_create(struct kv *kv, int listener, struct conns **ret)
{
	struct conns *conns = calloc(1, sizeof(*conns));
	if (!conns)
		return -errno;
	conns->kv = kv;
	conns->listener = listener;
	conns->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int error = conns->timer < 0 ? -errno : 0;
	if (!error && listener >= 0 &&
	    fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK))
		error = -errno;
	if (!error)
		error = heir_watch(kv->h, conns->timer, EPOLLIN, retry, conns);
	if (error) {
		if (conns->timer >= 0)
			close(conns->timer);
		free(conns);
		return error;
	}
	heir_on_replies(kv->h, replied, kv);
	*ret = conns;
	return 0;
}

int conns_accept(struct conns *conns, bool on)
{
	int error = 0;
	if (conns->listener < 0 || conns->is_accepting == on)
		return 0;
	if (on)
		error = heir_watch(conns->kv->h, conns->listener, EPOLLIN, accept_ready, conns);
	else
		heir_unwatch(conns->kv->h, conns->listener);
	if (!error)
		conns->is_accepting = on;
	return error;
}

void conns_drain(struct conns *conns)
{
	struct conn *following;
	conns_accept(conns, false);
	for (struct conn *c = conns->first; c; c = following) {
		following = c->next;
		if (c->phase == OPEN)
			c->phase = DRAINING;
		serve(c);
	}
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t until(int64_t deadline)
{
	int64_t left = deadline - now();
	return left > 0 ? left : 0;
}

/* Answer what was taken, and wait until it has left. */
static void finish(struct conn *c, int64_t deadline)
{
	struct pollfd writable = { .fd = c->fd, .events = POLLOUT };
	while (flush(c) && now() < deadline) {
		if (c->calls > 0)
			collect_one(c, until(deadline));
		else if (c->out_end > 0)
			poll(&writable, 1, (int)(until(deadline) / 1000000));
		else if (take(c) == 0)
			break;
	}
}

void conns_destroy(struct conns *conns, int64_t timeout)
{
	if (!conns)
		return;
	int64_t deadline = now() + timeout;
	conns_drain(conns);
	for (struct conn *c; (c = conns->first); conn_close(c))
		finish(c, deadline);
	for (struct conn *c; (c = conns->unused); free(c))
		conns->unused = c->next;
	heir_on_replies(conns->kv->h, NULL, NULL);
	heir_unwatch(conns->kv->h, conns->timer);
	close(conns->timer);
	free(conns);
}
