/* SPDX-License-Identifier: ISC */
/*
 * Blocks of bytes inside a region that outlives its process: only offsets, and every change is told
 * to mark() first.
 *
 * A ref counts granules of 16 bytes from the start of the region; 0 is none. Blocks lie side by
 * side; each knows its size and where the block before it begins, so that a freed one is joined
 * with free neighbours at once: when all is freed, one block is left. Free blocks stand in lists by
 * size, four classes to each doubling. A request is rounded up to the first size of a class, so the
 * first block of its list, or else of the next list that has one (one instruction on a bit map),
 * fits, and what is too much of it is split off. Nothing is searched: allocating and freeing touch
 * a handful of blocks. The rounding wastes at most a fifth of a block, and freed space serves any
 * later size.
 *
 * What is in the region is input: every ref, size and link is checked before it is followed;
 * HEIR_ECORRUPT where they contradict each other. The head is the caller's, who marks it whole.
 */
#ifndef HEIR_KV_HEAP_H
#define HEIR_KV_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define HEAP_GRANULE 16
#define HEAP_CLASSES 64
#define HEAP_BLOCK_MAX (256 * 1024) /* bytes; the largest that can be asked for */

struct heap_head {
	uint64_t lists;              /* bit c: class c has a free block */
	uint32_t first[HEAP_CLASSES];
	uint64_t used;               /* granules */
};

struct heap {
	unsigned char *base;         /* of the region, aligned to a granule */
	uint32_t first, end;         /* refs: the first block; the last granule, a mark */
	int (*mark)(void *arg, const void *start, size_t size);
	void *arg;
};

/* One free block, whatever was there before. */
int heap_format(const struct heap *heap, struct heap_head *head);
/* 0, -ENOMEM (then nothing is changed), HEIR_ECORRUPT, or what mark returned. */
int heap_allocate(const struct heap *heap, struct heap_head *head, size_t size, uint32_t *ret);
int heap_free(const struct heap *heap, struct heap_head *head, uint32_t ref);
/*
 * The bytes of a block in use and how many there are, at least as many as were asked for. NULL: not
 * such a block.
 */
void *heap_bytes(const struct heap *heap, uint32_t ref, size_t *ret_size);

#endif
