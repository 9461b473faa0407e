/* SPDX-License-Identifier: ISC */
/* The ring of a mailbox: publish, help, peek, take, pass (mailbox.h has the argument). */
#include "mail/mailbox.h"

#include <limits.h>

#include "base/futex.h"
#include "base/testpoint.h"
#include "heir.h"

static inline uint64_t entry_pack(uint32_t ticket, uint32_t cell)
{
	return (uint64_t)ticket << 32 | cell;
}

static inline atom64 *entry_at(const struct shm *shm, uint32_t mailbox, uint64_t ticket)
{
	return shm_ring(shm, mailbox) + (ticket & (shm->ring_entries - 1));
}

bool mailbox_has_room(const struct shm *shm, uint32_t mailbox)
{
	struct shm_mailbox *m = shm_mailbox(shm, mailbox);
	uint64_t limit = shm->limits.cells > 64 ? (shm->limits.cells - 1) / 4 * 3 : shm->limits.cells - 1;
	/* The tail first: a head that has passed it meanwhile means room. */
	uint64_t tail = atom_load_acquire(&m->tail), head = atom_load_relaxed(&m->head);

	return head >= tail || tail - head < limit;
}

/*
 * Mark the cell of generation g that stands at the tail, then advance. 1: the tail's entry is empty; 0: helped;
 * ECORRUPT.
 */
static int help(const struct shm *shm, uint32_t mailbox, uint64_t *tail)
{
	struct shm_mailbox *m = shm_mailbox(shm, mailbox);
	uint64_t t = atom_load_acquire(&m->tail), entry = atom_load_acquire(entry_at(shm, mailbox, t));
	struct shm_cell *c;
	uint64_t w;

	*tail = t;
	if ((uint32_t)(entry >> 32) != (uint32_t)t) {
		/* Taken and passed already (the tail moved on), or a ring that was never laid. */
		return atom_load_acquire(&m->tail) != t ? 0 : HEIR_ECORRUPT;
	}
	if ((uint32_t)entry == 0)
		return 1;
	c = shm_cell(shm, (uint32_t)entry);
	if (!c)
		return HEIR_ECORRUPT;
	/*
	 * While this is the tail, the cell has not been let go since it was put here (the reader does not pass
	 * the tail), and an OWNED word is of the use that was put here. Its flags may change under us (its
	 * caller gives up): again then.
	 */
	do {
		w = atom_load_acquire(&c->word);
		if (atom_load_acquire(&m->tail) != t)
			return 0;
		if (cell_unpack(w).state != CELL_OWNED)
			break;
		struct cell_word next = cell_unpack(w);

		next.state = CELL_PUBLISHED;
		if (cell_move(shm, (uint32_t)entry, w, next) == 0) {
			TESTPOINT("mail: marked published");
			break;
		}
	} while (1);
	(void)atom_cas(&m->tail, &t, t + 1);
	return 0;
}

void mailbox_settle(const struct shm *shm, uint32_t mailbox)
{
	uint64_t tail;

	for (uint32_t i = 0; i <= shm->ring_entries; i++)
		if (help(shm, mailbox, &tail) != 0)
			return;
}

/* OWNED, and meant for this mailbox: not one that its reader passes on to another already. */
static bool waits_for(const struct shm *shm, uint32_t mailbox, struct cell_ref ref)
{
	struct shm_cell *c = shm_cell(shm, ref.cell);
	uint64_t w;
	uint32_t to;

	do {
		if (cell_load(shm, ref, &w) || cell_unpack(w).state != CELL_OWNED)
			return false;
		to = atom_load_relaxed(&c->mailbox);
		fence_acquire(); /* the mailbox before the word: both of one use */
	} while (atom_load_relaxed(&c->word) != w);
	return to == mailbox;
}

int mailbox_publish(const struct shm *shm, uint32_t mailbox, struct cell_ref ref)
{
	if (!shm_mailbox(shm, mailbox))
		return HEIR_ECORRUPT;
	for (;;) {
		uint64_t tail, entry;
		int rc = help(shm, mailbox, &tail);

		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		/* The tail was loaded by help(); now the state, then the CAS: in this order (mailbox.h). */
		if (!waits_for(shm, mailbox, ref))
			return 0;
		entry = entry_pack((uint32_t)tail, 0);
		TESTPOINT("mail: publishing");
		/* seq_cst: before the control word says whom to ring; pairs with a new reader's peek (doorbell.h) */
		if (atom_cas_seq(entry_at(shm, mailbox, tail), &entry, entry_pack((uint32_t)tail, ref.cell))) {
			TESTPOINT("mail: in the ring");
			(void)help(shm, mailbox, &tail);
			return 0;
		}
	}
}

/*
 * A head that its caller gave up before anybody took it: DONE first, so that whoever buries this process finds
 * it.
 */
static void skip(const struct shm *shm, uint32_t mailbox, uint32_t ticket, uint32_t cell, uint64_t w)
{
	struct cell_word next = cell_unpack(w);

	if (next.state == CELL_PUBLISHED) {
		next.state = CELL_DONE;
		if (cell_move(shm, cell, w, next))
			return;
		w = cell_pack(next);
		TESTPOINT("mail: skipped");
	}
	mailbox_pass(shm, mailbox, ticket, cell);
	cell_free(shm, cell, w);
}

int mailbox_peek(const struct shm *shm, uint32_t mailbox, struct mail_head *ret)
{
	struct shm_mailbox *m = shm_mailbox(shm, mailbox);

	for (;;) {
		uint64_t h = atom_load_acquire(&m->head), entry = atom_load_seq(entry_at(shm, mailbox, h)), w,
			 tail;
		struct shm_cell *c;
		struct cell_word cw;

		if ((uint32_t)(entry >> 32) != (uint32_t)h) {
			/* A redo emptied the entry and died or stopped before it advanced the head: do that. */
			if ((uint32_t)(entry >> 32) == (uint32_t)h + shm->ring_entries)
				(void)atom_cas(&m->head, &h, h + 1);
			else if (atom_load_acquire(&m->head) == h)
				return HEIR_ECORRUPT;
			continue;
		}
		if ((uint32_t)entry == 0)
			return 0;
		c = shm_cell(shm, (uint32_t)entry);
		if (!c)
			return HEIR_ECORRUPT;
		TESTPOINT("mail: head seen");
		if (atom_load_acquire(&m->tail) == h)
			(void)help(shm, mailbox, &tail);
		w = atom_load_acquire(&c->word);
		/*
		 * As it is emptied before the cell is let go, an entry that stands still says that w is of this
		 * use.
		 */
		if (atom_load_relaxed(entry_at(shm, mailbox, h)) != entry)
			continue;
		cw = cell_unpack(w);
		if ((cw.state == CELL_PUBLISHED || cw.state == CELL_DONE) && (cw.flags & CELL_ABANDONED)) {
			skip(shm, mailbox, (uint32_t)h, (uint32_t)entry, w);
			continue;
		}
		if (cw.state != CELL_PUBLISHED && cw.state != CELL_TAKEN)
			return HEIR_ECORRUPT;
		*ret = (struct mail_head){(uint32_t)h, {(uint32_t)entry, cw.generation}, w};
		return 1;
	}
}

int mailbox_take(const struct shm *shm, uint32_t holder, struct mail_head *head)
{
	struct shm_cell *c = shm_cell(shm, head->ref.cell);
	struct cell_word next = cell_unpack(head->word);

	next.state = CELL_TAKEN;
	if (next.deliveries < 0xff)
		next.deliveries++;
	if (cell_move(shm, head->ref.cell, head->word, next))
		return HEIR_EAGAIN;
	head->word = cell_pack(next);
	TESTPOINT("mail: taking");
	/* Not before: a reader that was stopped would store into a cell that is another's by now. */
	atom_store_relaxed(&c->holder, holder);
	TESTPOINT("mail: taken");
	return 0;
}

void mailbox_pass(const struct shm *shm, uint32_t mailbox, uint32_t ticket, uint32_t cell)
{
	struct shm_mailbox *m = shm_mailbox(shm, mailbox);
	uint64_t entry = entry_pack(ticket, cell), h;

	(void)atom_cas(entry_at(shm, mailbox, ticket), &entry, entry_pack(ticket + shm->ring_entries, 0));
	TESTPOINT("mail: entry emptied");
	h = atom_load_acquire(&m->head);
	if ((uint32_t)h == ticket)
		(void)atom_cas(&m->head, &h, h + 1);
	if (atom_load_seq(&m->senders))
		futex_wake((atom32 *)(void *)&m->head, INT_MAX);
}
