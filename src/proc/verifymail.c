/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes and messages. Heads and tails only rise, so each entry of a ring is judged by itself, between those
 * loaded before it and those loaded after it: no instant is needed at which a whole ring stands still.
 */
#include <stddef.h>

#include "mail/cell.h"
#include "proc/slot.h"
#include "proc/verify_impl.h"

static const char *look_mailbox(struct verify *v, uint32_t i)
{
	struct shm_mailbox *m = shm_mailbox(v->shm, i);
	uint64_t tail = atom_load_acquire(&m->tail), head = atom_load_acquire(&m->head);

	if (tail > head && tail - head > v->shm->ring_entries)
		return "its tail is further from its head than its ring is long";
	return head > atom_load_acquire(&m->tail) ? "its head has passed its tail" : NULL;
}

static atom64 *place_of(const struct verify *v, uint64_t stands)
{
	return &v->shm->rings[stands - 1];
}

/* Two entries with the same cell, both seen at one instant: tickets do not come back. */
static bool stands_twice(struct verify *v, uint32_t cell, uint64_t here, uint64_t entry)
{
	uint64_t there = v->stands[cell], other;

	if (there == 0 || there == here)
		return false;
	other = atom_load_acquire(place_of(v, there));
	return (uint32_t)other == cell && atom_load_acquire(place_of(v, here)) == entry &&
	       atom_load_acquire(place_of(v, there)) == other;
}

/* tail was loaded before the entry. */
static const char *look_full(struct verify *v, uint64_t here, uint64_t entry, uint32_t tail)
{
	uint32_t cell = (uint32_t)entry, ticket = (uint32_t)(entry >> 32), mailbox;
	struct shm_cell *c = shm_cell(v->shm, cell);
	struct cell_word w;

	if (!c)
		return "an entry of its ring has a message that does not exist";
	w = cell_unpack(atom_load_acquire(&c->word));
	mailbox = atom_load_relaxed(&c->mailbox);
	fence_acquire(); /* the cell before the entry: of the use that stands here */
	if (atom_load_relaxed(place_of(v, here)) != entry)
		return verify_changing;
	if (w.state == CELL_OWNED ? (int32_t)(ticket - tail) < 0
				  : w.state != CELL_PUBLISHED && w.state != CELL_TAKEN &&
					    !(w.state == CELL_DONE && (w.flags & CELL_ABANDONED)))
		return "a message in its ring was let go, or is not marked";
	if (mailbox != v->mailbox)
		return "a message in its ring is meant for another mailbox";
	if (stands_twice(v, cell, here, entry))
		return "a message stands in two places";
	v->stands[cell] = here;
	return NULL;
}

static const char *look_entry(struct verify *v, uint32_t i)
{
	struct shm_mailbox *m = shm_mailbox(v->shm, v->mailbox);
	uint64_t here = (uint64_t)v->mailbox * v->shm->ring_entries + i + 1, entry;
	uint32_t tail = (uint32_t)atom_load_acquire(&m->tail), head = (uint32_t)atom_load_acquire(&m->head),
		 ticket;

	entry = atom_load_acquire(place_of(v, here));
	ticket = (uint32_t)(entry >> 32);
	if ((ticket & (v->shm->ring_entries - 1)) != i)
		return "an entry of its ring has a ticket of another entry";
	if ((uint32_t)entry == 0) {
		if ((int32_t)(ticket - tail) < 0)
			return "an entry of its ring is empty where a message was accepted";
		head = (uint32_t)atom_load_acquire(&m->head);
		return (int32_t)(head + v->shm->ring_entries - ticket) < 0
			       ? "an entry of its ring waits for a ticket that is too far away"
			       : NULL;
	}
	if ((int32_t)(ticket - head) < 0)
		return "an entry of its ring that was passed still has its message";
	if ((int32_t)((uint32_t)atom_load_acquire(&m->tail) - ticket) < 0)
		return "an entry of its ring is filled beyond its tail";
	return look_full(v, here, entry, tail);
}

static const char *look_contents(struct verify *v, struct shm_cell *c, enum cell_state state)
{
	if (state == CELL_FREE || state == CELL_OWNED)
		return NULL;
	if (atom_load_relaxed(&c->kind) > CELL_CONTROL)
		return "it is of no kind";
	if (!shm_mailbox(v->shm, atom_load_relaxed(&c->mailbox)))
		return "it was sent to no mailbox";
	if (atom_load_relaxed(&c->name_size) > SHM_NAME_MAX ||
	    atom_load_relaxed(&c->size) > v->shm->limits.message)
		return "its name or its request is longer than there is room";
	if (state == CELL_DONE && atom_load_relaxed(&c->reply_size) > v->shm->limits.message)
		return "its reply is longer than there is room";
	return NULL;
}

static const char *look_cell(struct verify *v, uint32_t i)
{
	struct shm_cell *c = shm_cell(v->shm, i);
	uint64_t word = atom_load_acquire(&c->word);
	struct cell_word w = cell_unpack(word);
	struct shm_slot *s = shm_slot(v->shm, w.slot);
	bool buried = s && slot_unpack(atom_load_acquire(&s->word)).state == SLOT_FREE;
	const char *contents = look_contents(v, c, w.state);

	if (w.state > CELL_ASIDE)
		return "it is in no state";
	if (w.state == CELL_FREE && (w.slot || w.deliveries || w.flags))
		return "it is free, and says more";
	if (w.slot && !s)
		return "its sender's slot does not exist";
	if (w.state == CELL_OWNED && !w.slot && !(w.flags & CELL_FORWARDED))
		return "it is being filled by nobody";
	fence_acquire(); /* slot and contents before the word: of this use */
	if (atom_load_relaxed(&c->word) != word)
		return verify_changing;
	return buried ? "its sender is buried" : contents;
}

void verify_mail(struct verify *v)
{
	for (v->mailbox = 0; v->mailbox < shm_mailbox_count(v->shm) && !v->end; v->mailbox++) {
		verify_judge(v, "mailbox", v->mailbox, look_mailbox, v->mailbox);
		for (uint32_t i = 0; i < v->shm->ring_entries && !v->end; i++)
			verify_judge(v, "mailbox", v->mailbox, look_entry, i);
	}
	for (uint32_t i = 1; i < v->shm->limits.cells && !v->end; i++)
		verify_judge(v, "message", i, look_cell, i);
}

static bool is_buried(const struct verify *v, uint32_t slot)
{
	struct shm_slot *s = shm_slot(v->shm, slot);

	return !s || slot_unpack(atom_load_acquire(&s->word)).state == SLOT_FREE;
}

/*
 * Accepted, in no ring, and no burial will look at it: sender, reader and addressee are nobody. A direct message
 * that is not taken yet goes back with whoever is buried next.
 */
static const char *look_lost(struct verify *v, uint32_t i)
{
	struct shm_cell *c = shm_cell(v->shm, i);
	struct cell_word w = cell_unpack(atom_load_acquire(&c->word));
	uint64_t target = atom_load_relaxed(&c->target);

	if ((w.state != CELL_TAKEN && w.state != CELL_PUBLISHED) || v->stands[i] || w.slot || !verify_still(v))
		return NULL;
	if (!is_buried(v, atom_load_relaxed(&c->holder)) || (target && w.state == CELL_PUBLISHED) ||
	    !is_buried(v, handle_slot(target)))
		return NULL;
	return "it was accepted, and stands in no ring: nobody will ever handle it";
}

void verify_lost_mail(struct verify *v)
{
	for (uint32_t i = 1; i < v->shm->limits.cells && !v->end && verify_still(v); i++)
		verify_judge(v, "message", i, look_lost, i);
}
