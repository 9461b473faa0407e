/* SPDX-License-Identifier: ISC */
/*
 * A segment of names alone, for tests: buckets and name cells in an anonymous shared mapping, which
 * forked children keep.
 */
#ifndef HEIR_TEST_SHM_FIXTURE_H
#define HEIR_TEST_SHM_FIXTURE_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shm/segment.h"

static inline void shm_fixture_init(struct shm *shm, uint32_t slots, uint32_t buckets,
				    uint32_t name_cells)
{
	size_t at = ((size_t)buckets * sizeof(struct shm_bucket) + 4095) & ~(size_t)4095;
	size_t size =
		(at + (size_t)name_cells * sizeof(struct shm_name_cell) + 4095) & ~(size_t)4095;
	unsigned char *base =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		abort();
	memset(shm, 0, sizeof(*shm));
	shm->base = base;
	shm->size = size;
	shm->writable = 1;
	shm->limits.slots = slots;
	shm->limits.buckets = buckets;
	shm->limits.name_cells = name_cells;
	shm->buckets = (void *)base;
	shm->name_cells = (void *)(base + at);
}

static inline void shm_fixture_finish(struct shm *shm) { munmap(shm->base, shm->size); }

#endif
