/* SPDX-License-Identifier: ISC */
#include "heap.h"

#include <errno.h>
#include <heir.h>
#include <stdbool.h>

#define IN_USE UINT32_C(0x80000000)
#define EXACT 16                /* below, each number of granules is a class of its own */
#define SPLIT_MIN 2             /* a smaller rest would serve nobody */

struct block {
	uint32_t size;          /* granules, and IN_USE */
	uint32_t before;        /* the block that ends where this one begins */
	uint32_t next, previous; /* in its list, while it is free; else the first of its bytes */
};

#define BLOCK_HEAD offsetof(struct block, next)

_Static_assert(sizeof(struct block) == HEAP_GRANULE, "a block's head is a granule");

static struct block *at(const struct heap *heap, uint32_t ref)
{
	return (struct block *)(heap->base + (size_t)ref * HEAP_GRANULE);
}

static int mark(const struct heap *heap, const void *start, size_t size)
{
	return heap->mark(heap->arg, start, size);
}

/* The block at ref and its size, if there can be one. */
static struct block *look(const struct heap *heap, uint32_t ref, bool in_use, uint32_t *ret_size)
{
	if (ref < heap->first || ref >= heap->end)
		return NULL;
	struct block *b = at(heap, ref);
	uint32_t word = b->size, size = word & ~IN_USE;
	if (size == 0 || size > heap->end - ref || ((word & IN_USE) != 0) != in_use)
		return NULL;
	*ret_size = size;
	return b;
}

static bool is_free(const struct heap *heap, uint32_t ref)
{
	return ref >= heap->first && ref < heap->end && !(at(heap, ref)->size & IN_USE);
}

/* The class whose blocks have at least its first size and less than the next one's. */
static unsigned class_of(uint32_t size)
{
	if (size < EXACT)
		return size;
	unsigned doubling = 31 - (unsigned)__builtin_clz(size);
	unsigned class = EXACT + (doubling - 4) * 4 + ((size >> (doubling - 2)) & 3);
	return class < HEAP_CLASSES ? class : HEAP_CLASSES - 1;
}

static uint32_t round_up(uint32_t size)
{
	if (size < EXACT)
		return size < SPLIT_MIN ? SPLIT_MIN : size;
	uint32_t step = UINT32_C(1) << (31 - __builtin_clz(size) - 2);
	return (size + step - 1) & ~(step - 1);
}

static int list_add(const struct heap *heap, struct heap_head *head, uint32_t ref)
{
	struct block *b = at(heap, ref), *next;
	unsigned class = class_of(b->size);
	uint32_t first = head->first[class], size;
	if (first) {
		next = look(heap, first, false, &size);
		if (!next)
			return HEIR_ECORRUPT;
		int error = mark(heap, &next->previous, sizeof(next->previous));
		if (error)
			return error;
		next->previous = ref;
	}
	b->next = first;
	b->previous = 0;
	head->first[class] = ref;
	head->lists |= UINT64_C(1) << class;
	return 0;
}

static int list_remove(const struct heap *heap, struct heap_head *head, uint32_t ref)
{
	struct block *b = at(heap, ref);
	uint32_t next = b->next, previous = b->previous, size;
	unsigned class = class_of(b->size);
	int error;
	if (previous == 0 && head->first[class] != ref)
		return HEIR_ECORRUPT;
	if (next) {
		struct block *n = look(heap, next, false, &size);
		if (!n || n->previous != ref)
			return HEIR_ECORRUPT;
		error = mark(heap, &n->previous, sizeof(n->previous));
		if (error)
			return error;
		n->previous = previous;
	}
	if (previous) {
		struct block *p = look(heap, previous, false, &size);
		if (!p || p->next != ref)
			return HEIR_ECORRUPT;
		error = mark(heap, &p->next, sizeof(p->next));
		if (error)
			return error;
		p->next = next;
	} else {
		head->first[class] = next;
		if (!next)
			head->lists &= ~(UINT64_C(1) << class);
	}
	return 0;
}

/* Make a free block of that size at ref, and tell the block behind it. */
static int put_free(const struct heap *heap, struct heap_head *head, uint32_t ref, uint32_t size,
		    uint32_t before)
{
	struct block *b = at(heap, ref), *behind = at(heap, ref + size);
	int error = mark(heap, b, sizeof(*b));
	if (!error)
		error = mark(heap, &behind->before, sizeof(behind->before));
	if (error)
		return error;
	b->size = size;
	b->before = before;
	behind->before = ref;
	return list_add(heap, head, ref);
}

int heap_format(const struct heap *heap, struct heap_head *head)
{
	struct block *end = at(heap, heap->end);
	int error = mark(heap, end, sizeof(*end));
	if (error)
		return error;
	*end = (struct block){ .size = 1 | IN_USE };
	*head = (struct heap_head){ 0 };
	return put_free(heap, head, heap->first, heap->end - heap->first, 0);
}

int heap_allocate(const struct heap *heap, struct heap_head *head, size_t size, uint32_t *ret)
{
	if (size > HEAP_BLOCK_MAX)
		return -ENOMEM;
	uint32_t need = round_up((uint32_t)((size + BLOCK_HEAD + HEAP_GRANULE - 1) / HEAP_GRANULE));
	uint64_t lists = head->lists & (~UINT64_C(0) << class_of(need));
	if (!lists)
		return -ENOMEM;
	uint32_t ref = head->first[__builtin_ctzll(lists)], have;
	struct block *b = look(heap, ref, false, &have);
	if (!b || have < need)
		return HEIR_ECORRUPT;
	int error = list_remove(heap, head, ref);
	if (!error)
		error = mark(heap, b, BLOCK_HEAD);
	if (!error && have - need >= SPLIT_MIN) {
		error = put_free(heap, head, ref + need, have - need, ref);
		have = need;
	}
	if (error)
		return error;
	b->size = have | IN_USE;
	head->used += have;
	*ret = ref;
	return 0;
}

int heap_free(const struct heap *heap, struct heap_head *head, uint32_t ref)
{
	uint32_t size, near;
	struct block *b = look(heap, ref, true, &size);
	if (!b || head->used < size)
		return HEIR_ECORRUPT;
	head->used -= size;
	int error = 0;
	uint32_t behind = ref + size, before = b->before;
	if (is_free(heap, behind)) {
		if (!look(heap, behind, false, &near))
			return HEIR_ECORRUPT;
		error = list_remove(heap, head, behind);
		size += near;
	}
	if (!error && before && is_free(heap, before)) {
		struct block *p = look(heap, before, false, &near);
		if (!p || before + near != ref)
			return HEIR_ECORRUPT;
		error = list_remove(heap, head, before);
		size += near;
		ref = before;
		before = p->before;
	}
	return error ? error : put_free(heap, head, ref, size, before);
}

void *heap_bytes(const struct heap *heap, uint32_t ref, size_t *ret_size)
{
	uint32_t size;
	struct block *b = look(heap, ref, true, &size);
	if (!b)
		return NULL;
	*ret_size = (size_t)size * HEAP_GRANULE - BLOCK_HEAD;
	return (unsigned char *)b + BLOCK_HEAD;
}
