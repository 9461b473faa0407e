/* SPDX-License-Identifier: ISC */
/*
 * How long a process that may be stopped is waited for before others go on without it. All of these follow from
 * an application's configuration; what is added is the time to be woken, scheduled and done on a busy machine.
 * None of them decides what is safe: who is passed over and goes on later meets another word, and changes nothing.
 */
#ifndef HEIR_BASE_PATIENCE_H
#define HEIR_BASE_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_MS INT64_C(1000000)
#define PATIENCE_ACT (100 * PATIENCE_MS)        /* to act at once */
#define PATIENCE_LEADER (1000 * PATIENCE_MS)    /* of a leader, which has other applications as well */
#define PATIENCE_RESPAWN (5000 * PATIENCE_MS)   /* the longest delay between two restarts in place */
#define PATIENCE_LOOK (10 * PATIENCE_MS)        /* between two looks at what has no futex */
#define PATIENCE_SHUTDOWN (60000 * PATIENCE_MS) /* of a child whose shutdown time is infinite */

/* One who comes before others: the heir, a standby that claims by itself, a better candidate. */
static inline int64_t patience_first(int64_t claim_grace)
{
	return claim_grace + PATIENCE_ACT;
}

/* A driver, beyond the deadline of its step. Its own leader kills it before that, if it can. */
static inline int64_t patience_driver(int64_t claim_grace)
{
	return patience_first(claim_grace);
}

/* A target that has set `want` and is stopped: longer than it would wait for the commit. */
static inline int64_t patience_taker(int64_t yield_timeout)
{
	return 2 * yield_timeout + PATIENCE_LOOK;
}

/* The step `switch`: it may have to wait for a commit first. */
static inline int64_t patience_switch(int64_t step_timeout, int64_t yield_timeout)
{
	return step_timeout + yield_timeout;
}

/* The step `stop_old` ahead of the switch: the shutdown times of all children, and to confirm that they are gone. */
static inline int64_t patience_stop(int64_t stop_timeout, int64_t step_timeout)
{
	return stop_timeout + step_timeout;
}

/* A leader that has held, once the owner is dead: to stop what is left of it, or to start it again. */
static inline int64_t patience_held(int64_t stop_timeout, int64_t step_timeout, bool restarts)
{
	return restarts ? PATIENCE_RESPAWN + 2 * step_timeout : patience_stop(stop_timeout, step_timeout);
}

/* A better candidate's leader, to start what is down: each of its children, and then start(). */
static inline int64_t patience_start(int64_t step_timeout, uint32_t children)
{
	return (int64_t)(children + 1) * step_timeout + PATIENCE_LEADER;
}

#endif
