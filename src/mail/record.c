/* SPDX-License-Identifier: ISC */
/* Commit records, their redo, and what the dead left in the mail (record.h has the argument). */
#include "mail/record.h"

#include <limits.h>

#include "base/futex.h"
#include "base/testpoint.h"
#include "heir.h"

static uint64_t ref_pack(struct cell_ref r)
{
	return (uint64_t)r.generation << 32 | r.cell;
}

static struct cell_ref ref_unpack(uint64_t w)
{
	return (struct cell_ref){(uint32_t)w, (uint32_t)(w >> 32)};
}

void record_store(struct shm_record *to, const struct mail_record *from)
{
	atom_store_relaxed(&to->cell, ref_pack(from->ref));
	atom_store_relaxed(&to->ticket, (uint64_t)from->outcome << 56 | (uint64_t)from->mailbox << 32 | from->ticket);
	for (unsigned i = 0; i < from->sent; i++) {
		atom_store_relaxed(&to->sent[i].cell, ref_pack(from->outbox[i].ref));
		atom_store_relaxed(&to->sent[i].mailbox, from->outbox[i].mailbox);
	}
	atom_store_relaxed(&to->outbox, from->sent);
}

void record_load(struct mail_record *to, const struct shm_record *from)
{
	struct shm_record *f = (struct shm_record *)(uintptr_t)from;
	uint64_t t = atom_load_relaxed(&f->ticket);

	*to = (struct mail_record){.ref = ref_unpack(atom_load_relaxed(&f->cell)), .ticket = (uint32_t)t,
	                           .mailbox = (uint32_t)(t >> 32) & 0xffffff, .outcome = (enum mail_outcome)(t >> 56)};
	to->sent = atom_load_relaxed(&f->outbox);
	if (to->sent > SHM_OUTBOX_MAX)
		to->sent = 0;
	for (unsigned i = 0; i < to->sent; i++) {
		to->outbox[i].ref = ref_unpack(atom_load_relaxed(&f->sent[i].cell));
		to->outbox[i].mailbox = (uint32_t)atom_load_relaxed(&f->sent[i].mailbox);
	}
}

static void wake_caller(const struct shm *shm, uint32_t slot)
{
	struct shm_slot *s = shm_slot(shm, slot);

	if (!s)
		return;
	atom_add_release(&s->replies, 1);
	futex_wake(&s->replies, INT_MAX);
}

/* TAKEN -> DONE for a caller that waits, FREE where nobody does, ASIDE for poison. Whatever it is already stays. */
static void let_go(const struct shm *shm, struct cell_ref ref, enum mail_outcome outcome)
{
	uint64_t w;

	while (cell_load(shm, ref, &w) == 0) {
		struct cell_word cw = cell_unpack(w), next = cw;
		bool waits = (cw.flags & CELL_CALL) && !(cw.flags & CELL_ABANDONED);

		if (cw.state == CELL_DONE || cw.state == CELL_ASIDE) {
			wake_caller(shm, cw.slot);
			return;
		}
		if (cw.state != CELL_TAKEN)
			return;
		if (outcome == MAIL_ASIDE) {
			next.state = CELL_ASIDE;
		} else if (waits) {
			next.state = CELL_DONE;
		} else {
			next = (struct cell_word){.generation = cw.generation + 1, .state = CELL_FREE};
		}
		if (cell_move(shm, ref.cell, w, next) == 0) {
			TESTPOINT("mail: let go");
			if (waits)
				wake_caller(shm, cw.slot);
			return;
		}
	}
}

void record_redo(const struct shm *shm, const struct mail_record *r)
{
	for (unsigned i = 0; i < r->sent; i++) {
		if (!shm_mailbox(shm, r->outbox[i].mailbox))
			continue;
		(void)mailbox_publish(shm, r->outbox[i].mailbox, r->outbox[i].ref);
		mailbox_ring(shm, r->outbox[i].mailbox);
	}
	TESTPOINT("redo: outbox published");
	if (r->outcome == MAIL_NONE || !shm_mailbox(shm, r->mailbox))
		return;
	mailbox_pass(shm, r->mailbox, r->ticket, r->ref.cell);
	TESTPOINT("redo: passed");
	let_go(shm, r->ref, r->outcome);
}

void mail_answer(const struct shm *shm, struct cell_ref ref)
{
	let_go(shm, ref, MAIL_ANSWERED);
}

void mail_refuse(const struct shm *shm, struct cell_ref ref)
{
	uint64_t w;

	while (cell_load(shm, ref, &w) == 0) {
		struct cell_word cw = cell_unpack(w), next = cw;

		if (cw.state == CELL_FREE || cw.state == CELL_DONE || cw.state == CELL_ASIDE)
			return;
		next.state = CELL_DONE;
		next.flags |= CELL_REFUSED;
		if (!(cw.flags & CELL_CALL) || (cw.flags & CELL_ABANDONED))
			next = (struct cell_word){.generation = cw.generation + 1, .state = CELL_FREE};
		if (cell_move(shm, ref.cell, w, next) == 0) {
			wake_caller(shm, cw.slot);
			return;
		}
	}
}

/* A cell that the dead party sent: nobody waits for its answer any more. */
static void bury_sent(const struct shm *shm, uint32_t cell, uint64_t w)
{
	struct cell_word cw = cell_unpack(w), next;
	struct cell_ref ref = {cell, cw.generation};
	uint32_t mailbox = atom_load_relaxed(&shm_cell(shm, cell)->mailbox);

	if (cw.state == CELL_OWNED && !(cw.flags & CELL_FORWARDED) && shm_mailbox(shm, mailbox)) {
		mailbox_settle(shm, mailbox);
		if (cell_load(shm, ref, &w))
			return;
		cw = cell_unpack(w);
	}
	next = cw;
	if (cw.state == CELL_DONE || (cw.state == CELL_OWNED && !(cw.flags & CELL_FORWARDED))) {
		cell_free(shm, cell, w);
		return;
	}
	next.slot = 0;
	if (cw.flags & CELL_CALL)
		next.flags |= CELL_ABANDONED;
	(void)cell_move(shm, cell, w, next);
}

/* Direct mail that the dead party had in hand, waiting, or was passing on: its caller is told. */
static void bury_held(const struct shm *shm, uint64_t handle, uint32_t cell, uint64_t w)
{
	struct shm_cell *c = shm_cell(shm, cell);
	struct cell_word cw = cell_unpack(w);
	struct cell_ref ref = {cell, cw.generation};
	uint32_t mailbox = atom_load_relaxed(&c->mailbox);

	if (cw.state == CELL_OWNED && (cw.flags & CELL_FORWARDED) &&
	    atom_load_relaxed(&c->holder) == handle_slot(handle)) {
		if (shm_mailbox(shm, mailbox))
			mailbox_settle(shm, mailbox);
		if (cell_load(shm, ref, &w) == 0 && cell_unpack(w).state == CELL_OWNED)
			mail_refuse(shm, ref);
	} else if ((cw.state == CELL_TAKEN || cw.state == CELL_PUBLISHED) && atom_load_relaxed(&c->target) == handle) {
		mail_refuse(shm, ref);
	}
}

void mail_bury(const struct shm *shm, uint64_t handle, bool (*still_dead)(void *arg), void *arg)
{
	uint32_t slot = handle_slot(handle), own = shm_slot_mailbox(shm, slot);
	struct mail_head head;

	/* Out of the ring first, so that no let-go cell stands in it. */
	for (uint32_t i = 0; i <= shm->ring_entries && mailbox_peek(shm, own, &head) == 1; i++) {
		if (!still_dead(arg))
			return;
		mailbox_pass(shm, own, head.ticket, head.ref.cell);
	}
	for (uint32_t i = 1; i < shm->limits.cells; i++) {
		uint64_t w = atom_load_acquire(&shm_cell(shm, i)->word);

		if (cell_unpack(w).state == CELL_FREE)
			continue;
		if (!still_dead(arg))
			return;
		bury_held(shm, handle, i, w);
		w = atom_load_acquire(&shm_cell(shm, i)->word);
		if (cell_unpack(w).slot != slot || cell_unpack(w).state == CELL_FREE)
			continue;
		if (!still_dead(arg))
			return;
		bury_sent(shm, i, w);
	}
}
