/* SPDX-License-Identifier: ISC */
/*
 * Taking what a dead or switched-away owner left: wait for a writer, fence it, undo, redo. One function for
 * workers and leaders, for every way in which ownership is taken.
 */
#ifndef HEIR_PROC_RECOVER_H
#define HEIR_PROC_RECOVER_H

#include "proc/move.h"

enum acquire_how {
	/* only if the owner is dead, or there is none: a failover, a start, a restart in place */
	ACQUIRE_CLAIM,
	/* by the driver of a move: at rest at once; open: want, wait yield_timeout, then fence */
	ACQUIRE_SWITCH,
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
 * HEIR_EBUSY: another drives by now (ACQUIRE_SWITCH). HEIR_ETIMEDOUT: a writer cannot be fenced; nothing changed but
 * want, retry. EGENERATION, ECORRUPT, -errno.
 */
struct state;
int app_acquire(const struct shm *shm, uint32_t app, uint64_t me, enum acquire_how how, struct state *state,
                struct acquired *ret);
/*
 * The rest of the claim after its CAS (undo, recovered, redo), also when RECOVERING or MOVING was found with
 * owner me.
 */
int app_recover(const struct shm *shm, uint32_t app, uint64_t me, struct state *state);
/*
 * Until the kernel has confirmed that all workers of the application that are dead are gone, with all that they held:
 * the owner, and those before it. Of an exclusive application they are not buried before. With `rivals` those that were
 * started on other nodes and live are fenced first, by whoever owns or drives. 0, HEIR_EBUSY (it does neither by now),
 * HEIR_ETIMEDOUT, -errno.
 */
int app_confirm(const struct shm *shm, uint32_t app, uint64_t me, bool rivals, int64_t deadline);
/* Owner dead and nobody is to run it: claim, recover, release to DOWN. */
int app_release(const struct shm *shm, uint32_t app, uint64_t me);
/*
 * The ends of a move, by the owner while MOVING: it serves, as having been started so; or the old owner does again, and
 * is told. What is noted for others is noted by CAS before the transition: one that is no owner any more changes
 * nothing of it. HEIR_ESTALE, EOPEN, EGENERATION.
 */
int app_serve(const struct shm *shm, uint32_t app, uint64_t me, uint32_t type, uint32_t from, uint32_t *ret_generation);
int app_give_back(const struct shm *shm, uint32_t app, uint64_t me, uint64_t to);
/* The other processes of this one's instance look again. */
void app_wake_instance(const struct shm *shm, uint32_t app, uint64_t me);
/* Its processes on all nodes, and who waits for its control word to change, look again. */
void app_wake(const struct shm *shm, uint32_t app);
/* Leaders as well: something about the application changed (control word, readiness, a leader's view of it). */
void app_changed(const struct shm *shm, uint32_t app);

/* Whether there may be no more failovers just now. */
bool failover_exhausted(const struct shm *shm, uint32_t app, int64_t now_ns);
/* One more failover: 0, or HEIR_EFAILED beyond the application's intensity (then nothing is counted). */
int failover_count(const struct shm *shm, uint32_t app, int64_t now_ns);

#endif
