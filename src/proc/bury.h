/* SPDX-License-Identifier: ISC */
/*
 * What a dead process left behind, put in order by anyone, any number of times, also by several at once:
 * candidate cells, its node, its direct names, its cells and mailbox, doorbells it may not have rung; last, the
 * slot becomes FREE.
 */
#ifndef HEIR_PROC_BURY_H
#define HEIR_PROC_BURY_H

#include "proc/slot.h"

/*
 * me: the caller's slot, or 0 while it has none (a dead process's direct names are left to others then). 1 if
 * the slot is free now, 0 if it has to wait (its application's next owner has not yet redone what it
 * committed).
 */
int bury(const struct shm *shm, uint32_t me, uint64_t handle);
/* Find and bury all that are dead. Returns how many were. Cheap: a few loads a slot. */
unsigned bury_all(const struct shm *shm, uint32_t me);
/* Whether somebody is dead and not buried. As cheap. */
bool bury_pending(const struct shm *shm);

#endif
