/* SPDX-License-Identifier: ISC */
/*
 * The name table: what is done after a death. I1 to I5 and the orders are at the head of names.c.
 * Each step here is one CAS from a word that was loaded before the look that justifies it, so that
 * it may be repeated, run twice at once, or be cut off anywhere.
 */
#include "base/testpoint.h"
#include "name/nameroom.h"
#include "name/names.h"

static bool leads_to(const struct shm *shm, struct shm_name_cell *cell, uint32_t target)
{
	uint32_t extras = name_extras(namecell_length(atom_load_relaxed(&cell->words[0])));
	uint32_t next = extras ? (uint32_t)atom_load_relaxed(&cell->words[7]) : 0;

	for (uint32_t i = 0; i < extras; i++) {
		struct shm_name_cell *extra = shm_name_cell(shm, next);

		if (next == target || !extra)
			return true;
		next = name_link_next(atom_load_relaxed(&extra->words[1]));
	}
	return false;
}

/*
 * Can the cell be reached from that bucket's present head? Where the bucket is damaged: yes, so
 * that nothing is freed.
 */
static bool reachable(const struct shm *shm, uint32_t target, uint32_t hash)
{
	atom64 *head = &shm_bucket(shm, hash)->head;
	uint64_t seen;
	bool found;

	do {
		uint32_t next;

		seen = atom_load_acquire(head); /* pairs with publish()'s CAS */
		next = name_head_first(seen);
		found = false;
		for (uint32_t n = 0; next && !found; n++) {
			struct shm_name_cell *cell = shm_name_cell(shm, next);

			found = next == target || !cell || n == NAME_CHAIN_MAX ||
				leads_to(shm, cell, target);
			if (!found)
				next = name_link_next(atom_load_relaxed(&cell->words[1]));
		}
		fence_acquire(); /* cells before head; pairs with name_take()'s fence */
	} while (atom_load_relaxed(head) != seen);
	return found;
}

uint32_t name_collect(struct shm *shm, uint32_t *ret_freed)
{
	uint32_t used = 0, freed = 0;

	for (uint32_t i = 1; i < shm->limits.name_cells; i++) {
		struct shm_name_cell *cell = &shm->name_cells[i];
		/* Acquire: LINKED shows the head that linked it, or newer; pairs with settle(). */
		uint64_t word = atom_load_acquire(&cell->words[0]);

		if (namecell_state(word) == NAMECELL_FREE)
			continue;
		used++;
		if (namecell_state(word) != NAMECELL_LINKED ||
		    reachable(shm, i, name_link_hash(atom_load_relaxed(&cell->words[1]))))
			continue;
		/* Release: that head before the cell's next life; pairs with name_take(). */
		if (atom_cas(&cell->words[0], &word, namecell_freed(word))) {
			used--;
			freed++;
		}
		TESTPOINT("names: garbage freed");
	}
	*ret_freed = freed;
	return used;
}

uint32_t names_sweep(struct shm *shm)
{
	uint32_t freed, used = name_collect(shm, &freed);

	if (freed)
		name_returned(shm, freed);
	return used;
}

void names_bury(struct shm *shm, uint32_t dead_slot, names_still_dead *still_dead, void *arg)
{
	uint64_t freed = 0;

	for (uint32_t i = 1; i < shm->limits.name_cells; i++) {
		struct shm_name_cell *cell = &shm->name_cells[i];
		/* Acquire, before still_dead()'s load: a successor's word shows the successor. */
		uint64_t word = atom_load_acquire(&cell->words[0]), settled;

		if (namecell_state(word) != NAMECELL_OWNED || namecell_slot(word) != dead_slot)
			continue;
		if (reachable(shm, i, name_link_hash(atom_load_relaxed(&cell->words[1]))))
			settled = namecell_linked(word);
		else
			settled = namecell_freed(word);
		if (!still_dead(arg))
			break;
		TESTPOINT("names: body found");
		/* Release: the head that was seen; pairs with name_take() and name_collect(). */
		if (atom_cas(&cell->words[0], &word, settled) &&
		    namecell_state(settled) == NAMECELL_FREE)
			freed++;
		TESTPOINT("names: body settled");
	}
	name_returned(shm, freed);
	/* It may have died between freeing and saying so: who finds the table full counts anew. */
	atom_add_relaxed(name_hint(shm, NAME_HINT_FREED), 1);
}
