/* SPDX-License-Identifier: ISC */
/*
 * A hash table of byte strings inside a region that outlives its process. Pure but for mark(),
 * which is told of each range before it changes; what mark refuses is returned, and the caller then
 * undoes what was marked.
 *
 *   head | buckets, a power of two, fixed by the region's size | heap of entries (heap.h)
 *
 * A bucket is the ref of its first entry and the generation of the table that it belongs to.
 * table_clear raises the generation, so that all buckets are stale, which reads as empty, and gives
 * the heap one free block: it marks the same few bytes whatever the size. It also empties one
 * bucket for good, the next one each time, so that none is still stale when its generation's number
 * comes round again.
 *
 * What is in the region is input: refs and sizes are checked, a chain has at most as many entries
 * as the table.
 */
#ifndef HEIR_KV_TABLE_H
#define HEIR_KV_TABLE_H

#include "heap.h"
#include "slice.h"

#include <stddef.h>
#include <stdint.h>

#define TABLE_SIZE_MIN ((size_t)64 * 1024)
#define TABLE_SIZE_MAX ((size_t)16 << 30)

struct table {
	struct heap heap;
	size_t size;
	uint32_t buckets;
};

/*
 * Use the table in the region, or make an empty one in a region of zero bytes; seed is for the
 * latter's hash. mark and arg must be set in table->heap. HEIR_EINVAL: the region is too small or
 * too large. HEIR_ECORRUPT: it holds something else.
 */
int table_open(struct table *table, void *region, size_t size, uint64_t seed);

/* 1 and the value, which is valid until the next change; 0 where there is none; negative. */
int table_get(const struct table *table, struct slice key, struct slice *ret);
/* 0, -ENOMEM, negative. */
int table_set(struct table *table, struct slice key, struct slice value);
/* 1, 0 where there was none, negative. */
int table_delete(struct table *table, struct slice key);
int table_clear(struct table *table);

uint64_t table_count(const struct table *table);
uint64_t table_used(const struct table *table); /* bytes of the heap */
uint64_t table_room(const struct table *table); /* of table_used at most */

#endif
