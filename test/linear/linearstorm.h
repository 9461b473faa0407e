/* SPDX-License-Identifier: ISC */
/*
 * Histories of real processes in a storm: workers do operations and write down each one's call and return, in
 * memory that outlives them. A timer meets them at any instruction: a worker is killed there by SIGKILL, stopped by
 * SIGSTOP until its parent lets it go on, or another one runs. One that was killed is reaped, buried by the test,
 * and replaced.
 *
 * What such a history does not show: what no schedule happened to meet; orders of stores and loads that this
 * processor keeps anyway (x86: all but a store before a later load).
 */
#ifndef HEIR_TEST_LINEARSTORM_H
#define HEIR_TEST_LINEARSTORM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/atom.h"
#include "linear.h"

#define HISTORY_PLACES 8u
#define HISTORY_EVENTS 16384u /* a place, in one round */

struct event {
	uint32_t what, key; /* which operation, on which object */
	uint64_t arg[2];
	int32_t result;		  /* 0, or an error */
	uint32_t by;		  /* who, as the test counts them */
	uint64_t got[2];	  /* what it returned */
	int64_t called, returned; /* returned 0: under way, or its process died in it */
};

struct history {
	atom32 stop; /* workers: come to an end */
	atom32 count[HISTORY_PLACES];
	struct event event[HISTORY_PLACES][HISTORY_EVENTS];
};

struct storm {
	unsigned workers;
	uint64_t seed;
	int64_t length;	 /* ns */
	unsigned spared; /* places from here on are stopped, never killed */
	/* In a new process; its exit status must be 0. */
	int (*work)(unsigned place, uint64_t seed);
	/* In the parent: the process of that place is dead and reaped. May be NULL. */
	void (*died)(unsigned place);
};

struct tally {
	unsigned long operations, kills, stops, undecided;
};

extern struct history *history;

/*
 * A worker: the next event, or NULL when the log is full. What it is about is to be filled in before
 * history_call().
 */
struct event *history_next(unsigned place);
void history_call(unsigned place, struct event *e);
void history_return(struct event *e);
/* It is as if it had not been done: only where that is so, whatever it returned. */
void history_forget(unsigned place);
bool history_goes_on(void);

/* Runs it from an empty history to its end, all workers gone. False: one of them failed. */
bool storm_run(const struct storm *storm, struct tally *tally);

/*
 * The operations of that key, in order, to be freed; those of the dead end when their process was known to be dead.
 * happens(e): whether it concerns that key.
 */
struct operation *history_operations(bool (*happens)(const struct event *e, uint32_t key), uint32_t key,
				     size_t *ret);
/* Of one object; where it is not linearizable, prints why. */
bool history_check(const struct specification *spec, const struct operation *ops, size_t count,
		   const char *object, void (*print)(const struct event *e), struct tally *tally);

/* xorshift64* */
static inline uint64_t draw(uint64_t *random, uint64_t below)
{
	*random ^= *random >> 12;
	*random ^= *random << 25;
	*random ^= *random >> 27;
	return (*random * UINT64_C(0x2545f4914f6cdd1d) >> 33) % below;
}

/* main(): rounds of another seed each until the time is over. SEED and SECONDS from the command line. */
int storm_main(int argc, char **argv, const char *name, bool (*round)(uint64_t seed, struct tally *tally));

#endif
