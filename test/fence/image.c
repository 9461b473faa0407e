/* SPDX-License-Identifier: ISC */
#include "fence/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mail/cell.h"

static unsigned char *copy(const void *from, size_t size)
{
	unsigned char *to = malloc(size);

	assert_non_null(to);
	return memcpy(to, from, size);
}

void image_take(struct image *i, const struct shm *shm, const struct state *state)
{
	i->segment = copy(shm->base, shm->size);
	i->state = copy(state->base, state->mapped);
}

void image_drop(struct image *i)
{
	free(i->segment);
	free(i->state);
	*i = (struct image){0};
}

static void allow(unsigned char *mask, const struct shm *shm, const volatile void *what, size_t size)
{
	memset(mask + ((const unsigned char *)(uintptr_t)what - shm->base), 1, size);
}

/* Free, or owned by that slot: nobody else's. */
static bool is_its_own(uint64_t word, uint32_t slot)
{
	struct cell_word w = cell_unpack(word);

	return w.state == CELL_FREE || (slot && w.state == CELL_OWNED && w.slot == slot);
}

static void allow_cells(unsigned char *mask, const struct image *i, const struct shm *shm, uint32_t slot)
{
	for (uint32_t n = 1; n < shm->limits.cells; n++) {
		struct shm_cell *c = shm_cell(shm, n);
		uint64_t now = atom_load_seq(&c->word), was;

		memcpy(&was, i->segment + ((unsigned char *)(void *)&c->word - shm->base), sizeof(was));
		if (is_its_own(was, slot) && is_its_own(now, slot) && (now >> 32) >= (was >> 32))
			allow(mask, shm, c, shm->cell_stride);
	}
}

static const char *part_of(const struct shm *shm, size_t offset)
{
	const unsigned char *at = shm->base + offset;

	return at < (unsigned char *)shm->nodes	     ? "head"
	       : at < (unsigned char *)shm->apps      ? "nodes"
	       : at < (unsigned char *)shm->roles     ? "applications"
	       : at < (unsigned char *)shm->slots     ? "roles"
	       : at < (unsigned char *)shm->mailboxes ? "slots"
	       : at < (unsigned char *)shm->rings     ? "mailboxes"
	       : at < shm->cells		      ? "rings"
	       : at < (unsigned char *)shm->buckets   ? "cells"
	       : at < shm->traces		      ? "names"
						      : "traces";
}

void image_compare(const struct image *i, const struct shm *shm, const struct state *state, uint32_t slot,
		   const char *when)
{
	unsigned char *mask = calloc(1, shm->size);

	assert_non_null(mask);
	allow(mask, shm, &shm->head->changed, sizeof(atom32));
	for (uint32_t n = 1; n < shm->limits.slots; n++)
		allow(mask, shm, &shm->slots[n].doorbell, sizeof(atom32));
	allow_cells(mask, i, shm, slot);
	if (slot) {
		struct shm_slot *s = &shm->slots[slot];

		allow(mask, shm, &s->place, sizeof(*s) - offsetof(struct shm_slot, place));
		allow(mask, shm, shm_trace(shm, slot), shm->trace_stride);
	}
	for (size_t at = 0; at < shm->size; at++)
		if (shm->base[at] != i->segment[at] && !mask[at])
			fail_msg("%s: byte %zu of the segment, among its %s, was %#x and is %#x", when, at,
				 part_of(shm, at), i->segment[at], shm->base[at]);
	for (size_t at = 0; at < state->mapped; at++)
		if (state->base[at] != i->state[at])
			fail_msg("%s: byte %zu of the state was %#x and is %#x", when, at, i->state[at],
				 state->base[at]);
	free(mask);
}
