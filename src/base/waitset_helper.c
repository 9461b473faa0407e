/* SPDX-License-Identifier: ISC */
/*
 * The waitset's way by a helper thread, where the kernel's io_uring has no futex waits or is
 * forbidden: the thread sleeps on the words and on one of its own (kick), and writes to an eventfd
 * that the waiter polls with its descriptor.
 *
 * A set is handed over by raising `set` under the lock, then kicking. The thread copies it under
 * the lock (set_taken) and arms it in one futex_waitv, which compares the words; a wake or change
 * of a word between the two is seen there. Once fired, it sleeps on the kick alone.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/futex.h"
#include "base/waitset_impl.h"

#define STACK_SIZE ((size_t)256 << 10)

struct waitset_helper {
	pthread_t thread;
	int event;   /* eventfd: readable when woken or error is set */
	atom32 kick; /* futex of the thread: +1 under the lock */
	pthread_mutex_t lock; /* over all below */
	pthread_cond_t taken;
	uint32_t set, set_taken; /* number of the set that is wanted, and that the thread has */
	int wanted;              /* words of that set are to be slept on: it has not fired yet */
	int woken, error, stop;
	unsigned n;
	struct wait_word words[WAITSET_WORDS_MAX];
};

/*
 * With the lock held. Returns how many words; at[0] is the kick. It is first since the kernel names
 * the last one of several that were woken: so a kick never hides another word's wake.
 */
static unsigned take_set(struct waitset_helper *h, struct futex_waitv *at)
{
	unsigned n = h->wanted ? h->n : 0;

	at[0] = futex_word(&h->kick, atom_load_relaxed(&h->kick));
	for (unsigned i = 0; i < n; i++)
		at[i + 1] = futex_word(h->words[i].word, h->words[i].expected);
	h->set_taken = h->set;
	pthread_cond_signal(&h->taken);
	return n + 1;
}

static int sleep_on(struct waitset_helper *h, struct futex_waitv *at, unsigned n)
{
	if (n > 1)
		return futex_waitv(at, n, DEADLINE_NEVER);
	(void)futex_wait(&h->kick, (uint32_t)at[0].val, DEADLINE_NEVER);
	return 0;
}

static void *helper_main(void *arg)
{
	struct waitset_helper *h = arg;
	struct futex_waitv at[WAITSET_WORDS_MAX + 1];

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		unsigned n = take_set(h, at);
		int rc;

		pthread_mutex_unlock(&h->lock);
		rc = sleep_on(h, at, n);
		pthread_mutex_lock(&h->lock);
		if (rc == 0 || rc == -EINTR || (rc == -EAGAIN && h->set != h->set_taken))
			continue;
		if (rc > 0 || rc == -EAGAIN)
			h->woken = 1;
		else
			h->error = rc;
		if (h->set == h->set_taken)
			h->wanted = 0;
		eventfd_write(h->event, 1);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static int start_thread(struct waitset_helper *h)
{
	pthread_attr_t attr;
	sigset_t all;
	int rc;

	sigfillset(&all);
	rc = pthread_attr_init(&attr);
	if (rc)
		return -rc;
	rc = pthread_attr_setsigmask_np(&attr, &all);
	if (!rc)
		rc = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (!rc)
		rc = pthread_create(&h->thread, &attr, helper_main, h);
	pthread_attr_destroy(&attr);
	return -rc;
}

int helper_create(struct waitset_helper **ret)
{
	struct waitset_helper *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->event < 0) {
		rc = -errno;
		goto fail_event;
	}
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->taken, NULL);
	rc = start_thread(h);
	if (rc)
		goto fail_thread;
	*ret = h;
	return 0;
fail_thread:
	pthread_cond_destroy(&h->taken);
	pthread_mutex_destroy(&h->lock);
	close(h->event);
fail_event:
	free(h);
	return rc;
}

/* With the lock held. */
static void kick(struct waitset_helper *h)
{
	h->set++;
	atom_add_relaxed(&h->kick, 1);
	futex_wake(&h->kick, 1);
}

void helper_destroy(struct waitset_helper *h)
{
	pthread_mutex_lock(&h->lock);
	h->stop = 1;
	kick(h);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_cond_destroy(&h->taken);
	pthread_mutex_destroy(&h->lock);
	close(h->event);
	free(h);
}

static void hand_over(struct waitset_helper *h, const struct wait_word *words, unsigned n)
{
	int same;

	pthread_mutex_lock(&h->lock);
	same = h->wanted && h->n == n;
	for (unsigned i = 0; same && i < n; i++)
		same = wait_word_same(words[i], h->words[i]);
	if (!same) {
		if (n)
			memcpy(h->words, words, n * sizeof(words[0]));
		h->n = n;
		h->wanted = 1;
		kick(h);
	}
	pthread_mutex_unlock(&h->lock);
}

static int take_fired(struct waitset_helper *h)
{
	eventfd_t count;
	int rc;

	eventfd_read(h->event, &count);
	pthread_mutex_lock(&h->lock);
	rc = h->error ? h->error : h->woken ? WAIT_WORD : 0;
	h->error = h->woken = 0;
	pthread_mutex_unlock(&h->lock);
	return rc;
}

int helper_wait(struct waitset_helper *h, const struct wait_word *words, unsigned n, int fd,
		int64_t deadline, int seen)
{
	struct pollfd at[2] = {{.fd = fd, .events = POLLIN}, {.fd = h->event, .events = POLLIN}};

	for (;;) {
		int64_t left = seen ? 0 : deadline_left(deadline);
		struct timespec ts;
		int rc;

		if (left)
			hand_over(h, words, n);
		if (left > WAIT_RELATIVE_MAX)
			left = WAIT_RELATIVE_MAX;
		rc = ppoll(at, 2, deadline_timespec(left, &ts), NULL);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return -errno;
		if (at[0].revents & POLLNVAL)
			return -EBADF;
		if (at[0].revents)
			seen |= WAIT_FD;
		rc = at[1].revents ? take_fired(h) : 0;
		if (rc < 0)
			return rc;
		seen |= rc;
		if (seen || left == 0)
			return seen;
	}
}

int helper_disarm(struct waitset_helper *h)
{
	int rc;

	pthread_mutex_lock(&h->lock);
	h->wanted = 0;
	kick(h);
	while (h->set != h->set_taken)
		pthread_cond_wait(&h->taken, &h->lock);
	pthread_mutex_unlock(&h->lock);
	rc = take_fired(h);
	return rc > 0 ? rc : 0;
}
