/* SPDX-License-Identifier: ISC */
#include "conn.h"

#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define ACCEPT_MAX 64    /* connections at a time */
#define RETRY_NS 1000000 /* after "no room": nothing tells when there is some again */

struct conn {
	struct conns *conns;
	struct conn *next, *previous;
	int fd;
	uint32_t watched;
	struct exchange exchange;
};

struct conns {
	struct kv *kv;
	int listener, timer;
	bool is_accepting;
	size_t count;
	struct conn *first, *unused;
};

static void retry_later(struct conns *conns)
{
	struct itimerspec soon = { .it_value.tv_nsec = RETRY_NS };
	timerfd_settime(conns->timer, 0, &soon, NULL);
}

static void conn_close(struct conn *c)
{
	struct conns *conns = c->conns;
	while (c->exchange.calls > 0)
		exchange_wait(&c->exchange, 0);
	heir_unwatch(conns->kv->h, c->fd);
	/* Bytes left unread would make close() reset the connection, the last replies with it. */
	shutdown(c->fd, SHUT_WR);
	for (int i = 0; i < 64; i++)
		if (recv(c->fd, c->exchange.in, sizeof(c->exchange.in), MSG_DONTWAIT) <= 0)
			break;
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
	struct exchange *x = &c->exchange;
	while (x->out_start < x->out_end) {
		size_t size = x->out_end - x->out_start;
		ssize_t n = send(c->fd, x->out + x->out_start, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		x->out_start += (size_t)n;
	}
	x->out_start = x->out_end = 0;
	return true;
}

static void ready(heir_t *h, int fd, uint32_t events, void *arg);

/* After anything happened: take, write, and wait for what must happen next. May close c. */
static void serve(struct conn *c)
{
	struct exchange *x = &c->exchange;
	do {
		if (!flush(c)) {
			conn_close(c);
			return;
		}
	} while (exchange_take(x) > 0);

	if (x->is_stalled)
		retry_later(c->conns);
	if (x->phase != OPEN && x->calls == 0 && x->out_end == 0 && !x->is_stalled) {
		conn_close(c);
		return;
	}
	uint32_t events = x->out_end > 0 ? EPOLLOUT : 0;
	if (x->phase == OPEN && x->in_end - x->in_start < sizeof(x->in))
		events |= EPOLLIN;
	if (events == c->watched)
		return;
	if (heir_watch(c->conns->kv->h, c->fd, events, ready, c))
		conn_close(c);
	else
		c->watched = events;
}

static void read_some(struct conn *c)
{
	struct exchange *x = &c->exchange;
	size_t room;
	char *to = exchange_input(x, &room);
	if (x->phase != OPEN || room == 0)
		return;
	ssize_t n = recv(c->fd, to, room, 0);
	if (n > 0)
		x->in_end += (size_t)n;
	else if (n == 0)
		x->phase = DRAINING;
	else if (errno != EAGAIN && errno != EINTR)
		x->phase = ENDING;
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
	if (events & EPOLLIN)
		read_some(c);
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
	c->conns = conns;
	c->fd = fd;
	c->watched = 0;
	c->previous = NULL;
	c->next = conns->first;
	if (c->next)
		c->next->previous = c;
	conns->first = c;
	conns->count++;
	exchange_init(&c->exchange, conns->kv);
	serve(c);
}

static void accept_ready(heir_t *h, int fd, uint32_t events, void *arg);

static int watch_listener(struct conns *conns, uint32_t events)
{
	return heir_watch(conns->kv->h, conns->listener, events, accept_ready, conns);
}

static void accept_ready(heir_t *h, int fd, uint32_t events, void *arg)
{
	struct conns *conns = arg;
	(void)h, (void)events;
	for (int i = 0; i < ACCEPT_MAX && conns->is_accepting; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			add(conns, client);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			watch_listener(conns, 0); /* else it is reported again and again */
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
		if (c->exchange.calls > 0 || c->exchange.is_stalled)
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
	(void)h, (void)events;
	if (read(fd, &expirations, sizeof(expirations)) < 0)
		return;
	if (conns->is_accepting && watch_listener(conns, EPOLLIN))
		retry_later(conns);
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
	if (!error && listener >= 0) /* for nothing yet: to change it later is the faster call */
		error = watch_listener(conns, 0);
	if (error) {
		heir_unwatch(kv->h, conns->timer);
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
	if (conns->listener < 0)
		return 0;
	int error = watch_listener(conns, on ? EPOLLIN : 0);
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
		read_some(c); /* what has come by now is answered */
		if (c->exchange.phase == OPEN)
			c->exchange.phase = DRAINING;
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

/*
 * Answer what was taken, and wait until it has left. While this instance is the owner nobody else
 * answers what it has sent by mail, so that is not waited for.
 */
static void finish(struct conn *c, int64_t deadline)
{
	struct exchange *x = &c->exchange;
	heir_t *h = x->kv->h;
	struct pollfd writable = { .fd = c->fd, .events = POLLOUT };
	while (flush(c) && now() < deadline) {
		if (x->calls > 0)
			exchange_wait(x, heir_is_owner(h) ? 0 : until(deadline));
		else if (x->out_end > 0)
			poll(&writable, 1, (int)(until(deadline) / 1000000));
		else if (exchange_take(x) == 0)
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
	if (conns->listener >= 0)
		heir_unwatch(conns->kv->h, conns->listener);
	heir_unwatch(conns->kv->h, conns->timer);
	close(conns->timer);
	free(conns);
}
