/* SPDX-License-Identifier: ISC */
/*
 * The futex system calls, for words in memory that processes share: never FUTEX_PRIVATE_FLAG, so
 * that a waiter meets a waker, and the kernel's notice of a dead owner, through another mapping.
 * Deadlines are CLOCK_MONOTONIC ns, -1: none.
 */
#ifndef HEIR_BASE_FUTEX_H
#define HEIR_BASE_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atom.h"
#include "base/clock.h"

/* Wakes up to n (INT_MAX: all). How many were woken, or -errno. */
static inline int futex_wake(atom32 *word, int n)
{
	long rc = syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);

	return rc < 0 ? -errno : (int)rc;
}

/*
 * Sleeps while *word == expected. 0: woken; -EAGAIN: it differs; -ETIMEDOUT; -EINTR. A read-only
 * mapping of a file will do.
 */
static inline int futex_wait(atom32 *word, uint32_t expected, int64_t deadline)
{
	const int op = FUTEX_WAIT_BITSET; /* the one whose timeout is absolute */
	struct timespec ts, *until = deadline_timespec(deadline, &ts);

	if (syscall(SYS_futex, word, op, expected, until, NULL, FUTEX_BITSET_MATCH_ANY) < 0)
		return -errno;
	return 0;
}

static inline struct futex_waitv futex_word(atom32 *word, uint32_t expected)
{
	return (struct futex_waitv){
		.val = expected,
		.uaddr = (uintptr_t)word,
		.flags = FUTEX_32,
	};
}

/*
 * Sleeps while every word (1 to FUTEX_WAITV_MAX of them) has its expected value; Linux 5.16. Which
 * one was woken, 0 to n - 1, of several the last; -EAGAIN: one differs; -ETIMEDOUT; -EINTR;
 * -ENOSYS.
 */
static inline int futex_waitv(struct futex_waitv *words, unsigned n, int64_t deadline)
{
	struct timespec ts, *until = deadline_timespec(deadline, &ts);
	long rc = syscall(SYS_futex_waitv, words, n, 0, until, CLOCK_MONOTONIC);

	return rc < 0 ? -errno : (int)rc;
}

#endif
