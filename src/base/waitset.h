/* SPDX-License-Identifier: ISC */
/*
 * One wait for several shared futex words and one epoll descriptor.
 *
 * Three ways, chosen at the first wait that has a descriptor and kept from then on:
 *   WAY_FUTEX   no descriptor so far: futex_waitv (Linux 5.16), one system call a wait, nothing
 *               stays armed
 *   WAY_URING   io_uring with futex waits (Linux 6.7): a FUTEX_WAIT a word and a POLL_ADD, which
 *               stay armed from call to call while the words and their expected values stay the
 *               same; one system call a wait
 *   WAY_HELPER  a thread sleeps in futex_waitv and pokes an eventfd, polled with the descriptor
 *
 * No wake-up is lost: the kernel compares each word with its expected value when it arms a wait,
 * and waitset_wait compares again what an earlier call armed. So a caller who publishes "I sleep"
 * and then waits, and a waker who changes the word and then looks for sleepers, cannot miss each
 * other if their stores and the waker's load are seq_cst (Dekker; the loads here are).
 *
 * What stays armed between calls may take the one wake that the kernel sends for a dead owner of a
 * robust futex, or that somebody sends with futex_wake(word, 1); the next waitset_wait reports it.
 * Before the same thread waits for such a word by other means it calls waitset_disarm.
 *
 * A waitset belongs to the thread that waits on it, and does not survive fork: the child must not
 * touch it.
 */
#ifndef HEIR_BASE_WAITSET_H
#define HEIR_BASE_WAITSET_H

#include <stddef.h>
#include <stdint.h>

#include "base/atom.h"

#define WAITSET_WORDS_MAX 24u

/* Flag of waitset_init; the environment variable of this name, set to anything, does the same. */
#define WAITSET_NO_URING 1u

enum { WAIT_WORD = 1, WAIT_FD = 2 };
enum waitset_way { WAY_FUTEX, WAY_URING, WAY_HELPER };

struct wait_word {
	atom32 *word;
	uint32_t expected;
};

struct waitset_uring;
struct waitset_helper;

struct waitset {
	enum waitset_way way;
	unsigned flags;
	int woken; /* WAIT_WORD: a wake that waitset_disarm came across, for the next wait */
	struct waitset_uring *uring;
	struct waitset_helper *helper;
};

/* Opens nothing: that is left to the first wait that has a descriptor. 0. */
int waitset_init(struct waitset *w, unsigned flags);
/* Ends every armed wait before it returns. A zeroed waitset, or a second call, is allowed. */
void waitset_finish(struct waitset *w);

/*
 * Waits until a word differs from its expected value or was woken (WAIT_WORD), epoll_fd is readable
 * (WAIT_FD; -1: none), or the deadline (CLOCK_MONOTONIC ns, -1: none) has passed: 0. Words and
 * descriptor are both looked at in every call, so that neither starves the other. Both may be
 * reported when nothing happened; a signal does not end the wait. With a deadline in the past it
 * looks only.
 *
 * -EINVAL (too many words; neither a word nor a descriptor), -EBADF, -EFAULT, -ENOSYS (no
 * futex_waitv), -ENOMEM, -EMFILE. Close a descriptor after waitset_disarm or waitset_finish only:
 * its number may come again.
 */
int waitset_wait(struct waitset *w, const struct wait_word *words, unsigned n, int epoll_fd,
		 int64_t deadline);

/*
 * Looks at the words, and does not sleep, for at most so many ns and until the deadline: whether one differs from its
 * expected value. For who waits for what comes soon, and has a processor for it.
 */
bool wait_spin(const struct wait_word *words, unsigned n, int64_t ns, int64_t deadline);

/* Ends every armed wait before it returns: this waitset takes no wake until the next wait. */
void waitset_disarm(struct waitset *w);

#endif
