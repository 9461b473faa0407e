/* SPDX-License-Identifier: ISC */
/* Who puts a configuration into force: shm/policy.h has the protocol and its argument. */
#ifndef HEIR_PROC_INFORCE_H
#define HEIR_PROC_INFORCE_H

#include "shm/policy.h"

/*
 * The area that is not in force, for me alone: until inforce_publish() or inforce_abandon(), or the end of its
 * thread. 0 and *ret_area; HEIR_EBUSY and *ret_other, the handle of whoever fills it; HEIR_EGENERATION: too many
 * so far.
 */
int inforce_claim(const struct shm *shm, uint64_t me, unsigned *ret_area, uint64_t *ret_other);
/* What was filled in is in force for everybody. HEIR_ESTALE: me has not claimed it. */
int inforce_publish(const struct shm *shm, uint64_t me);
/* Nothing was changed. */
void inforce_abandon(const struct shm *shm, uint64_t me);

#endif
