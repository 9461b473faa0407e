/* SPDX-License-Identifier: ISC */
/*
 * Many senders, one reader, over a ring of {ticket:32 | cell:32}; an entry {t, 0} is empty and waits for ticket
 * t.
 *
 * Publish: load tail t, then see that the cell is still OWNED, then CAS ring[t mod n] from {t, 0} to {t, cell}.
 * That CAS is the acceptance: there is no reserved state in between for a dead or stopped sender to hold. Then
 * anyone helps: the cell at the tail is marked PUBLISHED, and only then is the tail advanced past it.
 *
 * Why a cell stands in the ring at most once, though several may publish the same one (a commit's outbox is
 * redone by every claimant, and by the old owner if it wakes): the tail is loaded before the cell's state. If
 * the cell is OWNED then, it stands at no ticket below that tail (all those are marked), and beyond it nothing
 * is filled; if the CAS from {t, 0} succeeds, it stood nowhere. If it stood at t or was put there meanwhile,
 * the CAS fails and helping marks it. A cell that its reader passes on is OWNED again: it names the mailbox that it
 * is for now, and a late redo of the commit that sent it to another leaves it alone.
 *
 * Take: the reader looks at ring[head]. The entry is emptied to {t + n, 0} and the head advanced before the
 * cell's word lets it go (DONE, FREE, ASIDE, OWNED by forwarding), so a ring has at most as many full entries
 * as there are cells, and as it has at least as many entries as there are cells, a publish never finds it full.
 * Fullness is a limit that senders check beforehand (mailbox_has_room), which what was accepted within a
 * transaction passes over.
 *
 * Orders: the publishing CAS is seq_cst: its release pairs with the reader's acquire load of the entry (the cell's
 * contents are seen); the rest is for the reader to be woken, or to find it by itself: doorbell.h.
 *
 * Progress: publish is lock-free (a failed CAS means that another was accepted); helping is wait-free. A sender
 * that dies or stops between publish and wake: it had not returned; later senders wake the reader for both, and
 * bury rings what the dead left.
 */
#ifndef HEIR_MAIL_MAILBOX_H
#define HEIR_MAIL_MAILBOX_H

#include "mail/cell.h"

struct mail_head {
	uint32_t ticket;
	struct cell_ref ref;
	uint64_t word;
};

bool mailbox_has_room(const struct shm *shm, uint32_t mailbox);
/*
 * 0 when the cell of that generation stands in the ring or did (published by whomever); HEIR_ECORRUPT.
 * Idempotent.
 */
int mailbox_publish(const struct shm *shm, uint32_t mailbox, struct cell_ref ref);
/* The message at the head: 1, 0 when empty, HEIR_ECORRUPT. */
int mailbox_peek(const struct shm *shm, uint32_t mailbox, struct mail_head *ret);
/*
 * Mark it taken by `holder`, which must be the mailbox's only reader. *ret->word is the new one. 0, HEIR_EAGAIN
 * (given up meanwhile).
 */
int mailbox_take(const struct shm *shm, uint32_t holder, struct mail_head *head);
/* Empty the entry and advance the head: idempotent by ticket. */
void mailbox_pass(const struct shm *shm, uint32_t mailbox, uint32_t ticket, uint32_t cell);
/* Mark what stands at the tail; afterwards every cell in the ring is PUBLISHED or further. */
void mailbox_settle(const struct shm *shm, uint32_t mailbox);

#endif
