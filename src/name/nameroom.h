/* SPDX-License-Identifier: ISC */
/*
 * Cells for the name table: taking them, giving them back, and the limit.
 *
 * What is free is in the cells' words alone. First cells of names are looked for from the bucket's
 * own place onward, so that a bucket's cells lie close together, those of different writers apart,
 * and lookups can fetch ahead; extra cells likewise behind them, where the table is large enough.
 * At three quarters full that is a walk over 8 or 9 neighbouring cells.
 *
 * Three hints in cell 0 keep a full table cheap, and a reserve free:
 *   used    raised before cells are taken, lowered after they are freed. With deaths in between it
 *           is too high, until it says full: then name_collect() frees the garbage and counts, and
 *           the count corrects it.
 *   freed   goes up with each return of cells and each burial.
 *   full    freed + 1 at a count that found no room: HEIR_EFULL at once until freed changes.
 * A hint that is wrong costs time, or reserve, and nothing else.
 *
 * New names stop at names_capacity(). Copies go beyond it, so that to change or remove a name that
 * exists needs no luck: it borrows cells for the copies and returns as many or more. Each slot may
 * stand still with NAME_SLOT_ROOM cells in hand and may borrow as many; longer paths than that, in
 * every slot at once, eat into the sixteenth of the table that is kept as well.
 */
#ifndef HEIR_NAME_NAMEROOM_H
#define HEIR_NAME_NAMEROOM_H

#include "name/namecell.h"

#define NAME_SLOT_ROOM 16u
#define NAME_RESERVE_PART 16u

struct name_ref {
	uint32_t cell;
	uint64_t word; /* the state word that was seen */
};

/* The cells of a change under way. */
struct name_room {
	struct shm *shm;
	uint32_t slot;
	uint32_t fresh;                /* cells of the new name: mine[0] and its extra cells */
	uint32_t cursor, extra_cursor; /* where to look next */
	uint32_t have;
	uint64_t freed;
	struct name_ref mine[1 + NAME_EXTRAS_MAX + NAME_CHAIN_MAX]; /* `have` of them are valid */
};

void name_room_init(struct name_room *room, struct shm *shm, uint32_t slot, uint32_t bucket,
		    uint32_t fresh);
/* Have `need` cells, or HEIR_EFULL. limited: for a new name. */
int name_gather(struct name_room *room, uint32_t need, bool limited);
/* A cell that was taken out, or never linked, becomes free, from the word seen or from its mark. */
void name_let_go(struct name_room *room, const struct name_ref *ref);
/* What is still in hand goes back. */
void name_room_finish(struct name_room *room);

void name_returned(struct shm *shm, uint64_t cells);

/* Hints in cell 0: the index of their word. */
enum { NAME_HINT_USED = 1, NAME_HINT_FREED = 2, NAME_HINT_FULL = 3 };
static inline atom64 *name_hint(const struct shm *shm, unsigned which)
{
	return &shm->name_cells[0].words[which];
}

/* First cells have the first so many cells for their places; all, where little would be left. */
static inline uint32_t name_first_cells(const struct shm *shm)
{
	uint32_t cells = shm->limits.name_cells - 1;
	uint32_t dense = shm->limits.buckets + shm->limits.buckets / 2;

	return dense < cells - cells / 4 ? dense : cells;
}

/* A bucket's place among `count` cells that are spread over the buckets in order. */
static inline uint32_t name_spread(const struct shm *shm, uint32_t bucket, uint32_t count)
{
	return (uint32_t)((uint64_t)count * bucket >> __builtin_ctz(shm->limits.buckets));
}
static inline uint32_t name_place(const struct shm *shm, uint32_t bucket)
{
	return 1 + name_spread(shm, bucket, name_first_cells(shm));
}

#endif
