/* SPDX-License-Identifier: ISC */
/*
 * Nanoseconds and deadlines. A timeout is relative, a deadline absolute on CLOCK_MONOTONIC (the
 * same in every process of the host); -1 as either means for ever. Sums saturate, never wrap.
 */
#ifndef HEIR_BASE_CLOCK_H
#define HEIR_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND INT64_C(1000000000)
#define DEADLINE_NEVER INT64_C(-1)

static inline int64_t clock_read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static inline int64_t clock_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

static inline int64_t clock_real_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

/* The deadline `timeout` after `now`; any negative timeout is for ever. */
static inline int64_t deadline_from(int64_t now, int64_t timeout)
{
	if (timeout < 0)
		return DEADLINE_NEVER;
	return now > 0 && timeout > INT64_MAX - now ? INT64_MAX : now + timeout;
}

static inline int64_t deadline_after(int64_t timeout)
{
	return timeout < 0 ? DEADLINE_NEVER : deadline_from(clock_ns(), timeout);
}

/* What is left of a deadline at `now`: 0 once it has passed, -1 for one that never does. */
static inline int64_t deadline_left_at(int64_t deadline, int64_t now)
{
	if (deadline < 0)
		return -1;
	return deadline > now ? deadline - now : 0;
}

static inline int64_t deadline_left(int64_t deadline)
{
	return deadline < 0 ? -1 : deadline_left_at(deadline, clock_ns());
}

static inline int deadline_passed(int64_t deadline)
{
	return deadline >= 0 && deadline_left(deadline) == 0;
}

/* The earlier of two deadlines. */
static inline int64_t deadline_min(int64_t a, int64_t b)
{
	if (a < 0)
		return b;
	return b < 0 || a < b ? a : b;
}

/* For system calls that take an absolute or relative timespec: NULL for ever. */
static inline struct timespec *deadline_timespec(int64_t ns, struct timespec *ts)
{
	if (ns < 0)
		return NULL;
	ts->tv_sec = (time_t)(ns / NS_PER_SECOND);
	ts->tv_nsec = (long)(ns % NS_PER_SECOND);
	return ts;
}

#endif
