/* SPDX-License-Identifier: ISC */
/* Which way a waitset waits, and the plain one. */
#include "base/waitset.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/waitset_impl.h"

int waitset_init(struct waitset *w, unsigned flags)
{
	*w = (struct waitset){.way = WAY_FUTEX, .flags = flags};
	if (getenv("WAITSET_NO_URING"))
		w->flags |= WAITSET_NO_URING;
	return 0;
}

void waitset_finish(struct waitset *w)
{
	if (w->uring)
		uring_destroy(w->uring);
	if (w->helper)
		helper_destroy(w->helper);
	*w = (struct waitset){.way = WAY_FUTEX, .flags = w->flags};
}

/* A ring that refuses to cancel is closed, which cancels too; the way is then chosen anew. */
void waitset_disarm(struct waitset *w)
{
	int rc = 0;

	if (w->way == WAY_URING)
		rc = uring_disarm(w->uring);
	if (w->way == WAY_HELPER)
		rc = helper_disarm(w->helper);
	if (rc < 0)
		waitset_finish(w);
	w->woken |= rc ? WAIT_WORD : 0;
}

static int choose_way(struct waitset *w)
{
	int rc;

	if (!(w->flags & WAITSET_NO_URING) && uring_create(&w->uring) == 0) {
		w->way = WAY_URING;
		return 0;
	}
	rc = helper_create(&w->helper);
	if (rc == 0)
		w->way = WAY_HELPER;
	return rc;
}

/* The kernel has no memory for the ring's work now. Without the ring then; both may have been missed with it. */
static int leave_ring(struct waitset *w)
{
	waitset_finish(w);
	w->flags |= WAITSET_NO_URING;
	return WAIT_WORD | WAIT_FD;
}

static int plain_wait(const struct wait_word *words, unsigned n, int64_t deadline)
{
	struct futex_waitv at[WAITSET_WORDS_MAX];
	int rc;

	for (unsigned i = 0; i < n; i++)
		at[i] = futex_word(words[i].word, words[i].expected);
	do {
		if (n == 1)
			rc = futex_wait(words[0].word, words[0].expected, deadline);
		else
			rc = futex_waitv(at, n, deadline);
	} while (rc == -EINTR);
	if (rc >= 0 || rc == -EAGAIN)
		return WAIT_WORD;
	return rc == -ETIMEDOUT ? 0 : rc;
}

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

bool wait_spin(const struct wait_word *words, unsigned n, int64_t ns, int64_t deadline)
{
	int64_t until = ns > 0 ? deadline_min(clock_ns() + ns, deadline) : 0;

	while (!words_changed(words, n)) {
		if (ns <= 0 || clock_ns() >= until)
			return false;
		relax();
	}
	return true;
}

int waitset_wait(struct waitset *w, const struct wait_word *words, unsigned n, int epoll_fd,
		 int64_t deadline)
{
	int rc, seen;

	if (n > WAITSET_WORDS_MAX || (n == 0 && epoll_fd < 0))
		return -EINVAL;
	if (w->way == WAY_FUTEX && epoll_fd >= 0) {
		rc = choose_way(w);
		if (rc)
			return rc;
	}
	seen = words_changed(words, n) | w->woken;
	w->woken = 0;
	if (w->way == WAY_URING) {
		rc = uring_wait(w->uring, words, n, epoll_fd, deadline, seen);
		return rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM ? leave_ring(w) : rc;
	}
	if (w->way == WAY_HELPER)
		return helper_wait(w->helper, words, n, epoll_fd, deadline, seen);
	return seen ? seen : plain_wait(words, n, deadline);
}
