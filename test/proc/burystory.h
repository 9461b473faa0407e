/* SPDX-License-Identifier: ISC */
/*
 * What processes do with the library, as stories that a test can cut off anywhere: in a domain
 * whose application is owned by the test's own process.
 */
#ifndef HEIR_TEST_BURYSTORY_H
#define HEIR_TEST_BURYSTORY_H

#include "support/domain.h"

#define SECOND INT64_C(1000000000)
#define CELLS  64u
#define SLOTS  10u

extern struct domain d;
extern heir_t *server; /* the owner */

void begin_domain(uint32_t slots);
void end_domain(void); /* if there is one */
int burystory_setup(void **state);
int burystory_teardown(void **state);

unsigned free_cells(void);
unsigned free_slots(void);
void bury_the_dead(void);
/* All mail that waits for the application is answered by what it says. */
void serve(void);
int echo(heir_t *h, const struct heir_message *m, void *arg);

/* In a child */
heir_t *client(void);
heir_t *worker_of_box(int node); /* of the second role */
void ready(void); /* stops, until it is told to go on */
/* A call of that name that waits for ever: what came of it. */
enum { ANSWERED = 0, WAS_DEAD = 10, UNKNOWN = 11 };
int call_for_ever(void *name);

/* Each stops once when it is ready, and wherever something is to be done for it: then the owner
 * serves. */
#define STORIES		 10u
#define STORY_DO_NOTHING 7u
#define STORY_NAMES	 9u
extern const struct story {
	const char *name;
	void (*act)(void);
	const char *called; /* by a caller, when the actor is ready */
} stories[STORIES];

#endif
