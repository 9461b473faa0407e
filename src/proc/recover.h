/* SPDX-License-Identifier: ISC */
/*
 * Taking what a dead or switched-away owner left: wait for a writer, fence it, undo, redo. One function for
 * workers and leaders, for every way in which ownership is taken.
 */
#ifndef HEIR_PROC_RECOVER_H
#define HEIR_PROC_RECOVER_H

#include "proc/slot.h"

enum acquire_how {
	/* only if the owner is dead, or there is none: a failover, a start, a restart in place */
	ACQUIRE_CLAIM,
	ACQUIRE_SWITCH, /* planned: at rest at once; open: want, wait yield_timeout, then fence */
};

struct acquired {
	uint64_t old_word;      /* the control word that was replaced */
	uint64_t previous;      /* handle of the owner before, 0: none */
	uint32_t generation;    /* now */
	int forced;             /* a writer had to be fenced */
	int undone;             /* an open transaction was undone */
	int wanted;             /* want was set on the way */
};

/*
 * Make `me` (a handle of the caller) the owner of app, phase MOVING, state undone to the last commit, last
 * record redone. state may be NULL where the application has none, or when the caller has not mapped it (then
 * it is mapped for the undo). HEIR_EAGAIN: the owner lives (ACQUIRE_CLAIM), or another was quicker: look again.
 * HEIR_ETIMEDOUT: a writer cannot be fenced; nothing changed but want, retry. EGENERATION, ECORRUPT, -errno.
 */
struct state;
int app_acquire(const struct shm *shm, uint32_t app, uint64_t me, enum acquire_how how, struct state *state,
                struct acquired *ret);
/*
 * The rest of the claim after its CAS (undo, recovered, redo), also when RECOVERING or MOVING was found with
 * owner me.
 */
int app_recover(const struct shm *shm, uint32_t app, uint64_t me, struct state *state);
/* Owner dead and nobody is to run it: claim, recover, release to DOWN. */
int app_release(const struct shm *shm, uint32_t app, uint64_t me);
/*
 * Tell leaders and watchers that something about the application changed (control word or readiness). Two
 * wakes.
 */
void app_changed(const struct shm *shm, uint32_t app);
/*
 * Its candidates look again, also those that are just going to sleep: for what changes neither the control word
 * nor a life word.
 */
void app_nudge(const struct shm *shm, uint32_t app);

/*
 * Who drives a move: CAS none or dead -> me. The word: {slot:12 | step:8 | type:4 | from+1:5 | to+1:5 | 0:6 |
 * sequence:24}.
 */
struct move_word { uint32_t slot, step, type, from, to, sequence; };
struct move_word move_unpack(uint64_t w);
uint64_t move_pack(struct move_word m);
/* 0; HEIR_EBUSY with *ret_winner. A driver that is dead is replaced. */
int move_begin(const struct shm *shm, uint32_t app, uint64_t me, uint32_t type, uint32_t from,
               uint32_t to, struct move_word *ret_winner);
void move_step(const struct shm *shm, uint32_t app, uint64_t me, uint32_t step, int64_t deadline);
/* When the present step has to be over (monotonic ns), or -1: it says nothing of it (yet). */
int64_t move_deadline(const struct shm *shm, uint32_t app);
void move_end(const struct shm *shm, uint32_t app, uint64_t me);
bool move_driver_alive(const struct shm *shm, uint32_t app); /* false as well when there is none */

/* One more failover: 0, or HEIR_EFAILED beyond the application's intensity (then nothing is counted). */
/* Whether there may be no more just now. */
bool failover_exhausted(const struct shm *shm, uint32_t app, int64_t now_ns);
int failover_count(const struct shm *shm, uint32_t app, int64_t now_ns);

#endif
