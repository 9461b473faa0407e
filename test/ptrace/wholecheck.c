/* SPDX-License-Identifier: ISC */
/*
 * The invariants of slots, control words, rings, cells and names, read from a segment that stands still
 * (wholecheck.h).
 */
#include "wholecheck.h"

#include <stddef.h>

#include "mail/record.h"
#include "name/names.h"
#include "proc/move.h"
#include "proc/recover.h"
#include "proc/slot.h"
#include "state/control.h"

#define MUST_HOLD(what, why)                                                                                   \
	do {                                                                                                   \
		if (!(what))                                                                                   \
			return why;                                                                            \
	} while (0)
#define PASS_ON(check)                                                                                         \
	do {                                                                                                   \
		const char *wrong_ = (check);                                                                  \
                                                                                                               \
		if (wrong_)                                                                                    \
			return wrong_;                                                                         \
	} while (0)

static struct slot_word slot_of(const struct shm *s, uint32_t slot)
{
	return slot_unpack(atom_load_relaxed(&s->slots[slot].word));
}

static struct cell_word cell_of(const struct shm *s, uint32_t cell)
{
	return cell_unpack(atom_load_relaxed(&shm_cell(s, cell)->word));
}

static bool in_use(const struct shm *s, uint32_t slot)
{
	return slot > 0 && slot < s->limits.slots && slot_of(s, slot).state != SLOT_FREE;
}

/* Who is buried is named nowhere. */
static bool handle_valid(const struct shm *s, uint64_t handle)
{
	uint32_t slot = handle_slot(handle);

	if (handle == 0)
		return true;
	if (slot == 0 || slot >= s->limits.slots || slot_of(s, slot).incarnation < handle_incarnation(handle))
		return false;
	return slot_of(s, slot).incarnation > handle_incarnation(handle) || in_use(s, slot);
}

static const char *check_slots(const struct shm *s)
{
	for (uint32_t i = 1; i < s->limits.slots; i++) {
		struct slot_word w = slot_of(s, i);

		MUST_HOLD(w.state <= SLOT_DEAD, "a slot in no state");
	}
	for (uint32_t n = 0; n < s->limits.nodes; n++) {
		MUST_HOLD(handle_valid(s, atom_load_relaxed(&s->nodes[n].leader)), "a leader that is buried");
		for (uint32_t r = 0; r < s->limits.roles; r++)
			MUST_HOLD(handle_valid(s, atom_load_relaxed(&s->roles[r].candidate[n])),
				  "a candidate that is buried");
	}
	return NULL;
}

static const char *check_record(const struct shm *s, const struct shm_record *record)
{
	struct mail_record r;

	MUST_HOLD(atom_load_relaxed(&((struct shm_record *)(uintptr_t)record)->outbox) <= SHM_OUTBOX_MAX,
		  "a commit record with too many messages");
	record_load(&r, record);
	MUST_HOLD(r.outcome <= MAIL_ASIDE, "a commit record with no such outcome");
	MUST_HOLD(r.outcome == MAIL_NONE || r.ref.cell == 0 ||
			  (shm_cell(s, r.ref.cell) && shm_mailbox(s, r.mailbox)),
		  "a commit record of no cell or mailbox");
	for (unsigned i = 0; i < r.sent; i++)
		MUST_HOLD(shm_cell(s, r.outbox[i].ref.cell) && shm_mailbox(s, r.outbox[i].mailbox),
			  "a commit record that sends no cell, or nowhere");
	return NULL;
}

static const char *check_apps(const struct shm *s)
{
	for (uint32_t i = 0; i < s->limits.apps; i++) {
		struct shm_app *a = &s->apps[i];
		struct control c = control_unpack(atom_load_relaxed(&a->control));
		struct move_word m = move_unpack(atom_load_relaxed(&a->move));

		MUST_HOLD(c.phase <= PHASE_RECOVERING, "a control word in no phase");
		MUST_HOLD((c.phase == PHASE_DOWN) == (c.owner == 0), "no owner, or one while DOWN");
		MUST_HOLD(c.owner == 0 || in_use(s, c.owner), "an owner that is buried");
		MUST_HOLD(c.heir == 0 || in_use(s, c.heir), "an heir that is buried");
		MUST_HOLD(c.phase != PHASE_RECOVERING || c.open, "RECOVERING and not open");
		MUST_HOLD(c.phase != PHASE_DOWN || !c.open, "DOWN and open");
		MUST_HOLD(atom_load_relaxed(&a->redone) <= c.generation, "redone is ahead of the generation");
		MUST_HOLD(m.slot == 0 || in_use(s, m.slot), "a driver that is buried");
		PASS_ON(check_record(s, &a->record[c.parity]));
	}
	return NULL;
}

/*
 * From head to tail - 1 the ring is full, but for the head that may have been emptied already; at the tail it may
 * be filled; from there on it is empty.
 */
static const char *check_ring(const struct shm *s, uint32_t mailbox, uint32_t *seen)
{
	struct shm_mailbox *m = shm_mailbox(s, mailbox);
	uint64_t head = atom_load_relaxed(&m->head), tail = atom_load_relaxed(&m->tail);

	MUST_HOLD(head <= tail && tail - head <= s->ring_entries, "head and tail of a mailbox do not fit");
	for (uint64_t t = head; t < head + s->ring_entries; t++) {
		uint64_t entry = atom_load_relaxed(&shm_ring(s, mailbox)[t & (s->ring_entries - 1)]);
		uint32_t ticket = (uint32_t)(entry >> 32), cell = (uint32_t)entry;
		struct cell_word w;

		if (t == head && t < tail && ticket == (uint32_t)t + s->ring_entries && cell == 0)
			continue;
		MUST_HOLD(ticket == (uint32_t)t, "a ring entry with a wrong ticket");
		MUST_HOLD(t >= tail || cell != 0, "a hole in a ring");
		MUST_HOLD(t <= tail || cell == 0, "a ring entry beyond the tail");
		if (cell == 0)
			continue;
		MUST_HOLD(shm_cell(s, cell), "a ring entry of no cell");
		MUST_HOLD(seen[cell]++ == 0, "a cell that stands in a ring twice");
		w = cell_of(s, cell);
		MUST_HOLD(w.state == CELL_PUBLISHED || w.state == CELL_TAKEN ||
				  (w.state == CELL_OWNED && t == tail) ||
				  (w.state == CELL_DONE && (w.flags & CELL_ABANDONED)),
			  "a cell in a ring that was let go, or is not marked");
		MUST_HOLD(atom_load_relaxed(&shm_cell(s, cell)->mailbox) == mailbox,
			  "a cell in another's ring");
	}
	return NULL;
}

static const char *check_cells(const struct shm *s)
{
	for (uint32_t i = 1; i < s->limits.cells; i++) {
		struct cell_word w = cell_of(s, i);

		MUST_HOLD(w.state <= CELL_ASIDE, "a cell in no state");
		MUST_HOLD(w.state != CELL_FREE || (!w.slot && !w.deliveries && !w.flags),
			  "a free cell that says more");
		MUST_HOLD(w.slot == 0 || in_use(s, w.slot), "a cell of a slot that is buried");
		MUST_HOLD(w.state != CELL_OWNED || w.slot || (w.flags & CELL_FORWARDED),
			  "an OWNED cell of nobody");
	}
	return NULL;
}

const char *whole_check(const struct shm *s)
{
	uint32_t seen[256] = {0};

	MUST_HOLD(s->limits.cells <= sizeof(seen) / sizeof(seen[0]), "too large a segment for this check");
	PASS_ON(check_slots(s));
	PASS_ON(check_apps(s));
	for (uint32_t i = 0; i < shm_mailbox_count(s); i++)
		PASS_ON(check_ring(s, i, seen));
	PASS_ON(check_cells(s));
	MUST_HOLD(names_check(s) == 0, "the name table is corrupt");
	return NULL;
}

static int count_cells(const char *name, size_t length, uint64_t binding, void *arg)
{
	(void)name;
	(void)binding;
	*(uint32_t *)arg += names_cells_of(length);
	return 0;
}

const char *whole_rest(const struct shm *s)
{
	uint32_t cells = 0;

	PASS_ON(whole_check(s));
	for (uint32_t i = 1; i < s->limits.slots; i++)
		MUST_HOLD(!in_use(s, i) || handle_alive(s, slot_handle(s, i)),
			  "somebody is dead and not buried");
	for (uint32_t i = 0; i < shm_mailbox_count(s); i++)
		MUST_HOLD(atom_load_relaxed(&s->mailboxes[i].head) == atom_load_relaxed(&s->mailboxes[i].tail),
			  "mail that nobody reads");
	for (uint32_t i = 1; i < s->limits.cells; i++)
		MUST_HOLD(cell_of(s, i).state == CELL_FREE, "a cell is lost");
	for (uint32_t i = 0; i < s->limits.apps; i++) {
		struct control c = control_unpack(atom_load_relaxed(&s->apps[i].control));

		MUST_HOLD(!c.open && !c.want, "a control word left open, or wanted");
		MUST_HOLD(c.owner == 0 || handle_alive(s, slot_handle(s, c.owner)), "the owner is dead");
	}
	(void)names_each(s, count_cells, &cells);
	MUST_HOLD(names_sweep((struct shm *)(uintptr_t)s) == cells, "a name cell is lost");
	return NULL;
}
