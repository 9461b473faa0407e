/* SPDX-License-Identifier: ISC */
/*
 * What is done with a story (an operation in a situation): its actor dies at every access; who recovers from that
 * dies too, and is recovered from; its actor stops at every access while others go on.
 */
#ifndef HEIR_TEST_SWEEP_H
#define HEIR_TEST_SWEEP_H

#include "access/world.h"

#define ACTOR	   1u
#define MEANWHILES 9u
#define RIVALS	   3u

struct meanwhile {
	const char *name;
	void (*run)(long arg); /* by the test, or by actors 2 and 3 */
};

/* Another that runs at the same time: the two stop once each, anywhere. */
struct rival {
	const char *name;
	unsigned actor;
	actor_body *body;
};

struct story {
	const char *name;
	long arg;
	void (*prepare)(long arg); /* the test: everybody else joins */
	actor_body *enter;	   /* the actor, not counted */
	void (*after)(long arg);   /* the test again; may be NULL */
	actor_body *body;	   /* the actor: what is swept */
	actor_body *recover;	   /* actors 2, 3 (and 4), one after the other's death */
	void (*check)(
		long arg); /* the test: the actor has ended or is dead; puts the rest in order, and looks */
	struct meanwhile meanwhile[MEANWHILES];
	struct rival rival[RIVALS];
	bool simulated; /* not for processes: somebody else dies, or it is as another story */
};

struct swept {
	long operations, accesses, stores, deaths, nested, stops, pairs, real;
};

struct sweep_options {
	bool real;    /* deaths of processes as well */
	int depth;    /* deaths of recoverers, one within the other */
	long nth;     /* of the stops every n-th */
	long pairs;   /* of a story and a rival, about so many; 0: all */
	bool verbose; /* a line a story */
};

void sweep(const struct story *story, const struct sweep_options *options, struct swept *total);
void sweep_lay(const struct story *story); /* up to where its actor begins */
void sweep_print(const char *name, const struct swept *s);

/* Random schedules. */
uint64_t random_next(void);
uint64_t random_below(uint64_t n);
void random_seed(uint64_t seed);

struct plan {
	unsigned kills;			/* at most so many deaths */
	void (*died)(unsigned actor);	/* all its life words are marked */
	void (*quiet)(void);		/* all sleep, and nobody has died; may be NULL */
	bool (*stuck)(void);		/* all sleep without a deadline: true: somebody was woken or started */
	bool (*mortal)(unsigned actor); /* NULL: all are */
};
/* Until all actors have ended or are dead. */
void schedule(const struct plan *plan);
extern unsigned long schedule_turns, schedule_deaths; /* so far: from one actor to another, and at random */

#endif
