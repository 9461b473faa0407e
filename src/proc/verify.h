/* SPDX-License-Identifier: ISC */
/*
 * What holds of a segment as a whole, looked at from outside: by a reader that stores nothing, takes no lock and
 * whom nobody waits for, while the processes of the domain work, stop and die, or when all of them are dead. The
 * bytes may be anything.
 *
 * Two words cannot be loaded at one instant. So each invariant over several is put so that it is either wrong at an
 * instant that certainly was, or not said to be:
 *   - what only rises (a head, a tail, a generation, an incarnation) is loaded on the side of the other word on
 *     which it errs in favour of the segment;
 *   - what carries a generation or a ticket is loaded again behind the other word: unchanged, it held in between.
 * What still seems wrong is looked at again, VERIFY_LOOKS times, and is wrong only if no look finds it right: a
 * sleeping writer's half-done work is none of it, since it is either in private or finished by one CAS. What changes at
 * each look is counted as unjudged.
 *
 * What a dead process leaves is a leftover, not damage: whoever joins, claims or buries next sees to it. Whether
 * something is lost for good can only be told when nobody is there who may have it in hand, so that is looked for
 * when all are dead; one who joins meanwhile ends that.
 *
 * Time: each part is walked once, a look is bounded, a finding costs VERIFY_LOOKS looks, between which the CPU is
 * given up VERIFY_YIELDS times in all, and beyond HEIR_FINDINGS_MAX findings it ends. A process that dies or stops in
 * here has changed nothing.
 */
#ifndef HEIR_PROC_VERIFY_H
#define HEIR_PROC_VERIFY_H

#include "heir.h"
#include "shm/segment.h"

#define VERIFY_LOOKS 16u
#define VERIFY_YIELDS 64u /* of the CPU, between looks, in all: beside a busy process each may take milliseconds */

typedef int verify_found(const struct heir_finding *finding, void *arg);

/* The files of state as well, by the segment's path. */
enum { VERIFY_STATE = 1 };

/* 0 and *ret; what found() (may be NULL) returned if that was not 0; -ENOMEM. */
int verify(const struct shm *shm, unsigned flags, verify_found *found, void *arg, struct heir_check *ret);

#endif
