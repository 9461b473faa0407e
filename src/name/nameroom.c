/* SPDX-License-Identifier: ISC */
/* Cells for the name table: see nameroom.h, and names.c for the orders. */
#include "name/nameroom.h"

#include "base/testpoint.h"
#include "heir.h"
#include "name/names.h"

uint32_t names_cells_of(size_t length)
{
	return 1 + name_extras((uint32_t)length);
}

uint32_t names_cells_for(uint32_t names, uint32_t bytes, uint32_t slots)
{
	uint64_t cells;

	if (names < 1 || names > SHM_NAMES_MAX || bytes < 1 || bytes > SHM_NAME_MAX || slots < 1 ||
	    slots > SHM_SLOTS_MAX)
		return 0;
	cells = (uint64_t)names * names_cells_of(bytes);
	return (uint32_t)(1 + cells + cells / 3 + 2 * NAME_SLOT_ROOM * slots);
}

uint32_t names_buckets_for(uint32_t names)
{
	uint32_t buckets = 64;

	while (buckets < names && buckets < SHM_NAMES_MAX)
		buckets *= 2;
	return buckets;
}

uint32_t names_capacity(const struct shm *shm)
{
	uint32_t cells = shm->limits.name_cells - 1;
	uint32_t reserve = NAME_SLOT_ROOM * shm->limits.slots + cells / NAME_RESERVE_PART;

	return cells > reserve ? cells - reserve : 0;
}

uint64_t names_used(const struct shm *shm)
{
	return atom_load_relaxed(name_hint(shm, NAME_HINT_USED));
}

void name_room_init(struct name_room *room, struct shm *shm, uint32_t slot, uint32_t bucket,
		    uint32_t fresh)
{
	uint32_t cells = shm->limits.name_cells - 1, dense = name_first_cells(shm);

	room->shm = shm;
	room->slot = slot;
	room->fresh = fresh;
	room->cursor = room->extra_cursor = name_place(shm, bucket);
	if (dense < cells)
		room->extra_cursor = 1 + dense + name_spread(shm, bucket, cells - dense);
	room->have = 0;
	room->freed = 0;
}

/* The next free cell becomes mine. */
static bool name_take(struct name_room *room)
{
	bool extra = room->have > 0 && room->have < room->fresh;
	uint32_t *cursor = extra ? &room->extra_cursor : &room->cursor;

	for (uint32_t n = 1; n < room->shm->limits.name_cells; n++) {
		uint32_t index = *cursor;
		atom64 *state = &room->shm->name_cells[index].words[0];
		uint64_t word = atom_load_relaxed(state), mine;

		*cursor = index + 1 < room->shm->limits.name_cells ? index + 1 : 1;
		if (namecell_state(word) != NAMECELL_FREE)
			continue;
		mine = namecell_word(namecell_generation(word), room->slot, 0, NAMECELL_OWNED);
		/* Acquire: the head that this cell was taken out of; pairs with name_let_go(). */
		if (!atom_cas(state, &word, mine))
			continue;
		room->mine[room->have].cell = index;
		room->mine[room->have++].word = mine;
		TESTPOINT("names: cell owned");
		/* That head before my stores to the cell; pairs with the readers' acquire fence. */
		fence_release();
		return true;
	}
	return false;
}

void name_let_go(struct name_room *room, const struct name_ref *ref)
{
	atom64 *state = &room->shm->name_cells[ref->cell].words[0];
	uint64_t word = ref->word, linked = namecell_linked(ref->word);
	/* Release: the CAS on the head before the cell's next life; pairs with name_take(). */
	bool done = atom_cas(state, &word, namecell_freed(ref->word));

	if (!done && word == linked)
		done = atom_cas(state, &word, namecell_freed(linked));
	room->freed += done;
	TESTPOINT("names: cell freed");
}

void name_returned(struct shm *shm, uint64_t cells)
{
	atom_add_relaxed(name_hint(shm, NAME_HINT_USED), -cells);
	TESTPOINT("names: room returned");
	atom_add_relaxed(name_hint(shm, NAME_HINT_FREED), cells);
	TESTPOINT("names: room announced");
}

/* The hints say that `more` cells do not fit: free what is garbage, and count. */
static bool make_room(struct shm *shm, uint64_t more)
{
	atom64 *used = name_hint(shm, NAME_HINT_USED);
	uint64_t freed = atom_load_relaxed(name_hint(shm, NAME_HINT_FREED));
	uint64_t before, now;
	uint32_t collected;

	if (atom_load_relaxed(name_hint(shm, NAME_HINT_FULL)) == freed + 1)
		return false;
	before = atom_load_relaxed(used);
	now = name_collect(shm, &collected);
	if (!atom_cas(used, &before, now))
		atom_add_relaxed(used, -(uint64_t)collected);
	else if (now + more > names_capacity(shm) && collected == 0)
		atom_store_relaxed(name_hint(shm, NAME_HINT_FULL), freed + 1);
	TESTPOINT("names: room counted");
	if (collected)
		atom_add_relaxed(name_hint(shm, NAME_HINT_FREED), collected);
	return now + more <= names_capacity(shm);
}

int name_gather(struct name_room *room, uint32_t need, bool limited)
{
	atom64 *used = name_hint(room->shm, NAME_HINT_USED);
	uint32_t more = need > room->have ? need - room->have : 0;

	if (limited && atom_load_relaxed(used) + more > names_capacity(room->shm) &&
	    !make_room(room->shm, more))
		return HEIR_EFULL;
	if (more == 0)
		return 0;
	atom_add_relaxed(used, more);
	TESTPOINT("names: room taken");
	while (room->have < need) {
		if (name_take(room))
			continue;
		names_sweep(room->shm);
		if (name_take(room))
			continue;
		name_returned(room->shm, need - room->have);
		return HEIR_EFULL;
	}
	return 0;
}

void name_room_finish(struct name_room *room)
{
	for (uint32_t i = 0; i < room->have; i++)
		name_let_go(room, &room->mine[i]);
	if (room->freed)
		name_returned(room->shm, room->freed);
}
