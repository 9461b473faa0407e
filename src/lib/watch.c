/* SPDX-License-Identifier: ISC */
/* Descriptors that a worker watches: an epoll set of its own, dispatched between messages. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/worker.h"

struct watch {
	struct watch *next;
	int fd; /* -1: gone, freed after the dispatch */
	uint32_t events;
	heir_ready_fn *ready;
	void *arg;
};

static struct watch *find(heir_t *h, int fd)
{
	for (struct watch *w = h->watches; w; w = w->next)
		if (w->fd == fd)
			return w;
	return NULL;
}

int heir_watch(heir_t *h, int fd, uint32_t events, heir_ready_fn *ready, void *arg)
{
	struct epoll_event e = {.events = events};
	struct watch *w = find(h, fd);
	int known = w != NULL;

	if (!ready || fd < 0)
		return HEIR_EINVAL;
	if (h->epoll < 0 && (h->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		return -errno;
	if (!w && !(w = calloc(1, sizeof(*w))))
		return -ENOMEM;
	e.data.ptr = w;
	if (epoll_ctl(h->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) < 0) {
		int rc = -errno;

		if (!known)
			free(w);
		return rc;
	}
	w->fd = fd;
	w->ready = ready;
	w->arg = arg;
	if (!known) {
		w->next = h->watches;
		h->watches = w;
	}
	h->watched += (events != 0) - (w->events != 0);
	w->events = events;
	return 0;
}

int heir_unwatch(heir_t *h, int fd)
{
	struct watch *w = find(h, fd);

	if (!w)
		return HEIR_ENOENT;
	(void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, NULL);
	w->fd = -1;
	h->watches_gone = 1;
	h->watched -= w->events != 0;
	w->events = 0;
	return 0;
}

static void sweep(heir_t *h)
{
	struct watch **at = &h->watches, *w;

	while ((w = *at)) {
		if (w->fd >= 0) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
	h->watches_gone = 0;
}

int watch_dispatch(heir_t *h)
{
	struct epoll_event e[64];
	int n;

	if (h->watched == 0)
		return 0;
	n = epoll_wait(h->epoll, e, 64, 0);
	for (int i = 0; i < n; i++) {
		struct watch *w = e[i].data.ptr;

		if (w->fd >= 0)
			w->ready(h, w->fd, e[i].events, w->arg);
	}
	if (h->watches_gone)
		sweep(h);
	return n < 0 ? 0 : n;
}

void watch_finish(heir_t *h)
{
	for (struct watch *w = h->watches; w; w = w->next)
		w->fd = -1;
	sweep(h);
}
