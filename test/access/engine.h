/* SPDX-License-Identifier: ISC */
/*
 * Actors that stop before any access to shared memory, and may die there.
 *
 * Simulated: an actor is a fibre of this process. It runs for so many accesses, then stands still; the test decides
 * who goes on, and who dies: then the simulated kernel marks its life words, and it never goes on. A run is
 * repeatable to the last access.
 * Real: an actor is a forked process over the same mapping, which kills itself by SIGKILL before its n-th access.
 *
 * Accesses of the test itself (no actor is current) are made as usual and not counted.
 */
#ifndef HEIR_TEST_ENGINE_H
#define HEIR_TEST_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "access/simkernel.h"

#define STEPS_MAX  200000u /* accesses of an actor in one run: beyond it, it does not end */
#define STACK_SIZE (192u * 1024)

enum access_kind { ACCESS_READ, ACCESS_WRITE, ACCESS_CALL }; /* a system call that others notice */
enum actor_state { ACTOR_NONE, ACTOR_READY, ACTOR_BLOCKED, ACTOR_DONE, ACTOR_DEAD };

typedef void actor_body(unsigned self, long arg);

/* From the hooks. */
void engine_access(enum access_kind kind, const void *address, void *pc);
/* Memory that counts as shared. */
void engine_watch(const void *base, size_t size);
void engine_unwatch(const void *base);

/* The actor whose access this is; 0: the test. */
unsigned engine_current(void);
bool engine_in_fibre(void);
/* The test does something in an actor's name (its process, no points). */
void engine_as(unsigned actor);

void engine_reset(void); /* no actor */
void actor_start(unsigned actor, actor_body *body, long arg);
/* Until it has made so many accesses more, is blocked, has ended or has died. */
enum actor_state actor_run(unsigned actor, uint64_t accesses);
/*
 * To its end. Where it sleeps, time goes on to its deadline; where it sleeps without one, nobody else is running who
 * could wake it, and the test fails.
 */
enum actor_state actor_finish(unsigned actor);
void actor_kill(unsigned actor); /* at once, with all its life words */
void actor_die(unsigned actor);	 /* its life words are left to sim_exit_walk() */
void actor_exit(void);		 /* by itself: as the end of its process */
enum actor_state actor_state(unsigned actor);
uint64_t actor_steps(unsigned actor);
/* Kinds of the accesses that it made since it was started. */
const uint8_t *actor_kinds(unsigned actor);
/* From the simulated kernel, in an actor: it sleeps (or dies) here. */
void engine_yield(enum actor_state state);
void engine_wake(unsigned actor);

/* Real: in the forked child, from here on; it dies before access n (from 0). */
void engine_arm(unsigned actor, uint64_t n);
void engine_disarm(void);

/* What the test is at: said where it fails. */
struct engine_at {
	const char *group, *story;
	long point, nested, deeper; /* -1: none */
	long seed;
	const char *what;
	long id; /* of a message */
};
extern struct engine_at engine_at;
extern uint64_t engine_points; /* accesses made by actors, in all */

#define MUST(what)                                                                                             \
	do {                                                                                                   \
		if (!(what))                                                                                   \
			access_fail(__FILE__, __LINE__, #what);                                                \
	} while (0)
#define MUST_BE(got, want)                                                                                     \
	do {                                                                                                   \
		long long got_ = (long long)(got), want_ = (long long)(want);                                  \
		if (got_ != want_)                                                                             \
			access_differs(__FILE__, __LINE__, #got, got_, want_);                                 \
	} while (0)
_Noreturn void access_fail(const char *file, int line, const char *what);
_Noreturn void access_differs(const char *file, int line, const char *what, long long got, long long want);

#endif
