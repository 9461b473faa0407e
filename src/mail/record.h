/* SPDX-License-Identifier: ISC */
/*
 * The commit record: what one transaction decided about mail. Built in private, stored into record[!parity]
 * while open, made valid by the commit's CAS, then redone: by the owner from its private copy, and by every
 * claimant from record[parity].
 *
 * Redo is idempotent: each part is a CAS that carries a generation or a ticket, so any number of processes may
 * do it, in any interleaving, any part of it again, late as they like. In order: publish what was sent; empty
 * the ring entry and advance the head; let the cell go; wake the caller, always (whoever committed may have
 * died before its wake).
 */
#ifndef HEIR_MAIL_RECORD_H
#define HEIR_MAIL_RECORD_H

#include "mail/mailbox.h"

enum mail_outcome { MAIL_NONE, MAIL_ANSWERED, MAIL_ASIDE };

struct mail_record {
	struct cell_ref ref; /* cell 0: no message */
	uint32_t mailbox, ticket;
	enum mail_outcome outcome;
	unsigned sent;
	struct { struct cell_ref ref; uint32_t mailbox; } outbox[SHM_OUTBOX_MAX];
};

void record_store(struct shm_record *to, const struct mail_record *from);
/* bounded; indices are checked in redo */
void record_load(struct mail_record *to, const struct shm_record *from);
void record_redo(const struct shm *shm, const struct mail_record *record);
/*
 * The answer of a message that is TAKEN outside a transaction (direct mail): DONE or FREE, and the caller
 * woken.
 */
void mail_answer(const struct shm *shm, struct cell_ref ref);
/* A direct message that this reader does not handle (meant for another incarnation): its caller gets EDEAD. */
void mail_refuse(const struct shm *shm, struct cell_ref ref);
/*
 * After a publish to a process's own mailbox: if that process is buried by now, nobody reads there, so what was
 * sent to it comes back, EDEAD to its callers.
 */
void mail_return(const struct shm *shm, uint64_t handle);
/* What a dead process left behind in cells and mailboxes; still_dead is asked before each CAS. */
void mail_bury(const struct shm *shm, uint64_t handle, bool (*still_dead)(void *arg), void *arg);
/*
 * Only the direct mail that it cannot answer any more. That owes nothing to what it committed, so it is refused even
 * while the rest has to wait for its application's next owner, who may be waiting for such an answer.
 */
void mail_bury_direct(const struct shm *shm, uint64_t handle, bool (*still_dead)(void *arg), void *arg);

#endif
