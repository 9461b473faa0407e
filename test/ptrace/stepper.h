/* SPDX-License-Identifier: ISC */
/*
 * One operation, done by a child one instruction at a time under ptrace, and the domain as it would be left if the
 * child died there: after each instruction that changed it, or changed what the kernel would do to it.
 */
#ifndef HEIR_TEST_STEPPER_H
#define HEIR_TEST_STEPPER_H

#include "stage.h"

/* In the child: ready() up to the first marker, act() from there to the second. In the first process: help(). */
struct actor {
	void (*ready)(void);
	void (*act)(void);
	void (*help)(int what); /* what ready() asked for by stepper_ask(); may be NULL */
};

/*
 * What is there after `step` instructions, by the instruction at `at` (from the start of the program, 0: a
 * library).
 */
struct snapshot {
	unsigned long step;
	uint64_t at;
	unsigned char *image; /* the actor is dead in it */
	int found;	      /* for the caller */
};

struct steps {
	unsigned long count; /* instructions between the markers */
	size_t snapshots;
	struct snapshot
		*snapshot; /* the first one: before the first instruction; the last one: it had returned */
};

/*
 * From the domain as it is now; afterwards it is to be restored. The child is killed when there are `most` snapshots,
 * or when it has returned: what the kernel has made of the domain then has to be the last snapshot. False: it is not,
 * or the child could not be stepped through. *ret is to be freed by stepper_free().
 */
bool stepper_run(const struct actor *actor, size_t most, struct steps *ret);
void stepper_free(struct steps *steps);

/* In ready(): the first process calls help(what), then ready() goes on. */
void stepper_ask(int what);
/* In ready(): what segment it is that the operation changes. */
void stepper_mapped(const struct shm *shm);
/* Whether this machine lets a process trace its child, and this program knows how. */
bool stepper_allowed(void);

#endif
