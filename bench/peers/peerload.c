/* SPDX-License-Identifier: ISC */
#include "bench/peers/peerload.h"

#include "bench/peers/peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LINKS	   512		/* connections at a time: more requests than that under way have failed */
#define PATIENCE   (5 * SECOND) /* after the last was due */
#define REPLY_ROOM 1024

struct link {
	struct load_run *run;
	int fd; /* -1: free */
	bool is_busy, is_sent;
	int64_t due;
	size_t used;
	char reply[REPLY_ROOM];
};

struct load_run {
	const struct load *load;
	int epoll, timer;
	size_t busy;
	struct link link[LINKS];
};

static void close_link(struct link *l)
{
	const struct linger at_once = {.l_onoff = 1}; /* no port stays in TIME_WAIT */

	setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(l->fd);
	l->fd = -1;
}

static void finish(struct link *l, bool has_failed, bool is_usable)
{
	const struct load *load = l->run->load;

	if (l->is_busy) {
		load->done(load->arg, l->due, measure_now(), has_failed);
		l->is_busy = false;
		l->run->busy--;
	}
	if (!load->is_kept || !is_usable)
		close_link(l);
}

/* The size of what begins with an HTTP head: with the body that it announces. 0: not all of the head is there. */
static size_t http_size(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\ncontent-length:");

	if (!end)
		return 0;
	return (size_t)(end + 4 - text) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

/* The size of a bulk string. */
static size_t resp_size(const char *text)
{
	const char *end = strstr(text, "\r\n");

	return end ? (size_t)(end + 2 - text) + strtoul(text + 1, NULL, 10) + 2 : 0;
}

/* 1: the reply is whole; 0: not yet; -1: it is no good one. */
static int look(const struct link *l)
{
	const bool is_http = l->run->load->kind == REPLY_HTTP;
	const char *good = is_http ? "HTTP/1.1 200" : "$";
	size_t length = strlen(good), size;

	if (l->used < length)
		return strncmp(l->reply, good, l->used) ? -1 : 0;
	if (strncmp(l->reply, good, length) != 0)
		return -1;
	size = is_http ? http_size(l->reply) : resp_size(l->reply);
	if (size == 0 || l->used < size)
		return l->used == REPLY_ROOM - 1 ? -1 : 0;
	return l->used == size ? 1 : -1;
}

/* Its server says that this was the last reply on this connection. */
static bool is_last(const struct link *l)
{
	const char *end = strstr(l->reply, "\r\n\r\n"), *close = strcasestr(l->reply, "\r\nconnection: close");

	return l->run->load->kind == REPLY_HTTP && close && close < end;
}

static void receive(struct link *l)
{
	ssize_t n = recv(l->fd, l->reply + l->used, REPLY_ROOM - 1 - l->used, MSG_DONTWAIT);
	int whole;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		finish(l, true, false); /* closed: while nothing was asked, no request has failed */
		return;
	}
	l->used += (size_t)n;
	l->reply[l->used] = '\0';
	whole = look(l);
	if (whole)
		finish(l, whole<0, whole> 0 && !is_last(l));
}

/* The request is small: a socket whose buffer has no room for it is broken. */
static bool send_request(struct link *l)
{
	size_t size = strlen(l->run->load->request);

	if (l->is_sent)
		return true;
	l->is_sent = true;
	if (send(l->fd, l->run->load->request, size, MSG_NOSIGNAL) == (ssize_t)size)
		return true;
	finish(l, true, false);
	return false;
}

static bool watch(struct link *l, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = l};

	return epoll_ctl(l->run->epoll, operation, l->fd, &event) == 0;
}

static bool open_link(struct link *l)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(l->run->load->port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int yes = 1;

	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return false;
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if ((connect(l->fd, (const struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS) &&
	    watch(l, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT))
		return true;
	close_link(l);
	return false;
}

/* As clients look before they use a connection again: whether its server has closed it. */
static bool is_closed(const struct link *l)
{
	char one;

	return recv(l->fd, &one, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* One that is open and idle, else one that is free; NULL: none. */
static struct link *choose_link(struct load_run *run)
{
	struct link *unused = NULL;

	for (size_t i = 0; i < LINKS; i++) {
		struct link *l = &run->link[i];
		if (l->fd >= 0 && !l->is_busy) {
			if (!is_closed(l))
				return l;
			close_link(l);
		}
		if (l->fd < 0 && !unused)
			unused = l;
	}
	return unused;
}

static void begin_request(struct load_run *run, int64_t due)
{
	struct link *l = choose_link(run);
	bool is_open = l && l->fd >= 0;

	if (!l || (!is_open && !open_link(l))) {
		run->load->done(run->load->arg, due, measure_now(), true);
		return;
	}
	l->is_busy = true;
	l->due = due;
	l->is_sent = false;
	l->used = 0;
	run->busy++;
	if (is_open)
		send_request(l);
}

static void on_event(struct link *l, uint32_t events)
{
	if (l->fd < 0)
		return;
	if (!(events & (EPOLLERR | EPOLLHUP)) && (events & EPOLLOUT)) {
		watch(l, EPOLL_CTL_MOD, EPOLLIN);
		if (!send_request(l))
			return;
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		receive(l);
}

static void set_timer(struct load_run *run, int64_t when)
{
	struct itimerspec at = {.it_value = {.tv_sec = when / SECOND, .tv_nsec = when % SECOND}};

	timerfd_settime(run->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void run_requests(struct load_run *run)
{
	const struct load *load = run->load;
	const int64_t end = load->begin + load->duration;
	struct epoll_event event[64];
	int64_t due = load->begin, now;

	set_timer(run, due);
	while ((now = measure_now()) < end + PATIENCE && (due < end || run->busy)) {
		if (due < end && due <= now) {
			for (; due < end && due <= now; due += load->interval)
				begin_request(run, due);
			set_timer(run, due < end ? due : end + PATIENCE);
		}
		for (int i = 0, n = epoll_wait(run->epoll, event, 64, -1); i < n; i++)
			if (event[i].data.ptr)
				on_event(event[i].data.ptr, event[i].events);
	}
}

bool load_run(const struct load *load)
{
	struct load_run *run = calloc(1, sizeof(*run));
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	bool is_well;

	if (!run)
		return complain("no memory");
	run->load = load;
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	run->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	for (size_t i = 0; i < LINKS; i++)
		run->link[i] = (struct link){.run = run, .fd = -1};
	is_well = run->epoll >= 0 && run->timer >= 0 &&
		  epoll_ctl(run->epoll, EPOLL_CTL_ADD, run->timer, &event) == 0;
	if (is_well)
		run_requests(run);
	else
		complain("the load: %s", strerror(errno));
	for (size_t i = 0; i < LINKS; i++)
		if (run->link[i].fd >= 0)
			finish(&run->link[i], true, false);
	close(run->timer);
	close(run->epoll);
	free(run);
	return is_well;
}
