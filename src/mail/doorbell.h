/* SPDX-License-Identifier: ISC */
/*
 * Doorbells: how a process that sleeps is woken. Each slot has one, and its thread sleeps on that word whatever it
 * waits for: mail to its role or to itself, an answer, a change of its application. Who has something for it stores
 * that first, then rings.
 *
 *   sleeper                               ringer
 *   s1  seen = doorbell_seen()            r1  store (publish, answer, control word)
 *   s2  look for all it waits for         r2  doorbell + 1
 *   s3  doorbell_sleep(): asleep = 1      r3  wake if asleep
 *   s4  futex_wait(doorbell, seen)
 *   s5  doorbell_awake(): asleep = 0
 *
 * No wake is lost: s3, r2 and r3 are seq_cst, and the kernel compares behind a full barrier in s4. If r2 comes before
 * that, s4 does not sleep; else r3 comes behind s3, and wakes. What s2 has missed was stored after it, so its ring
 * comes after s1.
 *
 * Who reads the mailbox of a role is what the control word says: the owner, or the process of another role on the
 * owner's node. mailbox_ring() looks that up after the message stands in the ring; who becomes the reader looks into
 * the ring after that. Both are seq_cst on both words (control_apply() and the entry of the ring; for a process that
 * is new in its role, its cell among the candidates), so one of them sees the other: a message is either found by the
 * new reader, or the new reader is rung. Nobody is woken for a mailbox that is another's by now, nor a standby.
 *
 * Death and stop: a ringer that dies or is stopped behind r1 has not returned to its caller. If it is dead, whoever
 * buries it rings everybody (bury.c); what was committed, the next owner redoes, and rings. A sleeper that dies asleep
 * costs a needless wake until its slot has a successor, which says that it is awake.
 */
#ifndef HEIR_MAIL_DOORBELL_H
#define HEIR_MAIL_DOORBELL_H

#include "shm/segment.h"

/* The slot's own thread. */
static inline uint32_t doorbell_seen(const struct shm *shm, uint32_t slot)
{
	return atom_load_acquire(&shm->slots[slot].doorbell); /* pairs with doorbell_ring() */
}

static inline void doorbell_sleep(const struct shm *shm, uint32_t slot)
{
	atom_store_seq(&shm->slots[slot].asleep, 1);
}

static inline void doorbell_awake(const struct shm *shm, uint32_t slot)
{
	atom_store_relaxed(&shm->slots[slot].asleep, 0);
}

/* Anybody. The thread of that slot looks again; nothing where there is no such slot. */
void doorbell_ring(const struct shm *shm, uint32_t slot);
/* Whoever reads that mailbox now. */
void mailbox_ring(const struct shm *shm, uint32_t mailbox);

#endif
