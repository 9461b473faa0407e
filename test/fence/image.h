/* SPDX-License-Identifier: ISC */
/*
 * All bytes of a segment and of its application's state, kept, so that what a process has changed since can be
 * told: nothing, but in what is its own.
 */
#ifndef HEIR_TEST_IMAGE_H
#define HEIR_TEST_IMAGE_H

#include "shm/segment.h"
#include "state/state.h"

struct image {
	unsigned char *segment, *state;
};

void image_take(struct image *i, const struct shm *shm, const struct state *state);
/*
 * Fails the test where a byte differs that a process in that slot may not have changed. Its own are: its slot but for
 * the word, its trace, cells that were and are free or owned by it. Besides, everybody may raise the words that
 * others sleep on. Slot 0: nothing is its own.
 */
void image_compare(const struct image *i, const struct shm *shm, const struct state *state, uint32_t slot,
		   const char *when);
void image_drop(struct image *i);

#endif
