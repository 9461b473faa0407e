/* SPDX-License-Identifier: ISC */
#include "conf_impl.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE 8192

struct conf_chunk {
	struct conf_chunk *next;
	size_t used;
	size_t size;
	alignas(max_align_t) unsigned char bytes[];
};

void *conf_arena_alloc(struct conf_arena *arena, size_t size)
{
	if (size > CONF_MEMORY_MAX) {
		errno = EFBIG;
		return NULL;
	}
	size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	struct conf_chunk *chunk = arena->chunks;
	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
		if (room > CONF_MEMORY_MAX - arena->total) {
			errno = EFBIG;
			return NULL;
		}
		chunk = calloc(1, sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->size = room;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->total += room;
	}
	void *bytes = chunk->bytes + chunk->used;
	chunk->used += size;
	return bytes;
}

void conf_arena_finish(struct conf_arena *arena)
{
	while (arena->chunks) {
		struct conf_chunk *next = arena->chunks->next;
		free(arena->chunks);
		arena->chunks = next;
	}
	arena->total = 0;
}

static void *alloc_from(struct conf_ctx *c, struct conf_arena *arena, size_t size)
{
	void *bytes = c->failure ? NULL : conf_arena_alloc(arena, size);
	if (!bytes && !c->failure)
		c->failure = errno == EFBIG ? -EFBIG : -ENOMEM;
	return bytes;
}

void *conf_alloc(struct conf_ctx *c, size_t size)
{
	return alloc_from(c, &c->conf->store->arena, size);
}

void *conf_scratch(struct conf_ctx *c, size_t size)
{
	return alloc_from(c, &c->scratch, size);
}

const char *conf_copy(struct conf_ctx *c, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = conf_alloc(c, size);
	return copy ? memcpy(copy, text, size) : NULL;
}

struct conf_place *conf_place_add(
	struct conf_ctx *c, struct conf_places *places, const struct conf_yaml *node)
{
	struct conf_place *place = conf_scratch(c, sizeof(*place));
	if (!place)
		return NULL;
	place->node = node;
	place->application = c->application;
	if (places->last)
		places->last->next = place;
	else
		places->first = place;
	places->last = place;
	places->count++;
	return place;
}
