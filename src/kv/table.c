/* SPDX-License-Identifier: ISC */
#include "table.h"

#include <errno.h>
#include <heir.h>
#include <stdbool.h>
#include <string.h>

#define MAGIC UINT64_C(0x6865697220766b31) /* "heir vk1": raise it with the layout */
#define BYTES_PER_BUCKET 128

struct head {
	uint64_t magic;
	uint64_t size;          /* of the region */
	uint64_t seed;
	uint64_t count;
	uint32_t generation;    /* never 0 */
	uint32_t reserved[3];
	struct heap_head heap;
};

struct bucket {
	uint32_t generation;
	uint32_t first;
};

struct entry {
	uint32_t next;
	uint32_t hash;
	uint32_t key_size;
	uint32_t value_size;
	char bytes[];           /* the key, then the value */
};

/* Where an entry is, and the word that refers to it. */
struct place {
	uint32_t *link;
	uint32_t ref;
	struct entry *entry;
	size_t room;
};

_Static_assert(sizeof(struct head) % HEAP_GRANULE == 0, "buckets are aligned");

static struct head *head_of(const struct table *table)
{
	return (struct head *)table->heap.base;
}

static struct bucket *bucket_at(const struct table *table, uint32_t number)
{
	return (struct bucket *)(table->heap.base + sizeof(struct head)) + number;
}

static int mark(const struct table *table, const void *start, size_t size)
{
	return table->heap.mark(table->heap.arg, start, size);
}

static int mark_head(const struct table *table)
{
	return mark(table, head_of(table), sizeof(struct head));
}

static uint32_t hash_of(uint64_t seed, struct slice key)
{
	const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t h = seed ^ (key.size * factor), word;
	const char *p = key.data;
	size_t rest = key.size;
	for (; rest >= sizeof(word); p += sizeof(word), rest -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = (h ^ word) * factor;
		h ^= h >> 32;
	}
	for (word = 0; rest > 0; rest--)
		word = word << 8 | (unsigned char)p[rest - 1];
	h = (h ^ word) * factor;
	h = (h ^ (h >> 29)) * factor;
	return (uint32_t)(h >> 32);
}

static int entry_at(const struct table *table, uint32_t ref, struct place *place)
{
	struct entry *e = heap_bytes(&table->heap, ref, &place->room);
	if (!e || place->room < sizeof(*e))
		return HEIR_ECORRUPT;
	size_t room = place->room - sizeof(*e);
	if (e->key_size > room || e->value_size > room - e->key_size)
		return HEIR_ECORRUPT;
	place->ref = ref;
	place->entry = e;
	return 0;
}

/* 1 and where the entry is, 0 where there is none, negative. */
static int find(const struct table *table, struct slice key, uint32_t hash, struct place *ret)
{
	const struct head *head = head_of(table);
	struct bucket *bucket = bucket_at(table, hash & (table->buckets - 1));
	struct place place = { .link = &bucket->first };
	uint32_t ref = bucket->generation == head->generation ? bucket->first : 0;
	uint64_t left = head->count < table->heap.end ? head->count : table->heap.end;
	for (; ref; left--) {
		if (left == 0 || entry_at(table, ref, &place))
			return HEIR_ECORRUPT;
		struct entry *e = place.entry;
		if (e->hash == hash && e->key_size == key.size &&
		    !memcmp(e->bytes, key.data, key.size)) {
			*ret = place;
			return 1;
		}
		place.link = &e->next;
		ref = e->next;
	}
	return 0;
}

static int format(struct table *table, uint64_t seed)
{
	struct head *head = head_of(table);
	int error = mark_head(table);
	if (error)
		return error;
	*head = (struct head){
		.magic = MAGIC,
		.size = table->size,
		.seed = seed,
		.generation = 1,
	};
	return heap_format(&table->heap, &head->heap);
}

int table_open(struct table *table, void *region, size_t size, uint64_t seed)
{
	if (!region || size < TABLE_SIZE_MIN || size > TABLE_SIZE_MAX)
		return HEIR_EINVAL;
	uint32_t buckets = 1;
	while (buckets <= size / BYTES_PER_BUCKET / 2)
		buckets *= 2;
	size_t first = sizeof(struct head) + buckets * sizeof(struct bucket);
	table->heap.base = region;
	table->heap.first = (uint32_t)(first / HEAP_GRANULE);
	table->heap.end = (uint32_t)(size / HEAP_GRANULE - 1);
	table->size = size;
	table->buckets = buckets;

	const struct head *head = head_of(table);
	if (head->magic == 0 && head->generation == 0)
		return format(table, seed);
	if (head->magic != MAGIC || head->size != size || head->generation == 0)
		return HEIR_ECORRUPT;
	return 0;
}

int table_get(const struct table *table, struct slice key, struct slice *ret)
{
	struct place place;
	int found = find(table, key, hash_of(head_of(table)->seed, key), &place);
	if (found > 0)
		*ret = (struct slice){ place.entry->bytes + key.size, place.entry->value_size };
	return found;
}

static int overwrite(struct table *table, struct entry *e, struct slice value)
{
	size_t start = offsetof(struct entry, value_size);
	size_t end = sizeof(*e) + e->key_size + value.size;
	int error = mark(table, (char *)e + start, end - start);
	if (error)
		return error;
	e->value_size = (uint32_t)value.size;
	memcpy(e->bytes + e->key_size, value.data, value.size);
	return 0;
}

/* A new entry that nothing refers to yet. */
static int create(struct table *table, struct slice key, struct slice value, uint32_t hash,
		  struct place *ret)
{
	size_t size = sizeof(struct entry) + key.size + value.size;
	uint32_t ref;
	int error = heap_allocate(&table->heap, &head_of(table)->heap, size, &ref);
	if (error)
		return error;
	ret->entry = heap_bytes(&table->heap, ref, &ret->room);
	ret->ref = ref;
	if (!ret->entry || ret->room < size)
		return HEIR_ECORRUPT;
	error = mark(table, ret->entry, size);
	if (error)
		return error;
	*ret->entry = (struct entry){
		.hash = hash,
		.key_size = (uint32_t)key.size,
		.value_size = (uint32_t)value.size,
	};
	memcpy(ret->entry->bytes, key.data, key.size);
	memcpy(ret->entry->bytes + key.size, value.data, value.size);
	return 0;
}

static int replace(struct table *table, const struct place *old, const struct place *new)
{
	new->entry->next = old->entry->next;
	int error = mark(table, old->link, sizeof(*old->link));
	if (error)
		return error;
	*old->link = new->ref;
	return heap_free(&table->heap, &head_of(table)->heap, old->ref);
}

static int insert(struct table *table, const struct place *new)
{
	struct head *head = head_of(table);
	struct bucket *bucket = bucket_at(table, new->entry->hash & (table->buckets - 1));
	int error = mark(table, bucket, sizeof(*bucket));
	if (error)
		return error;
	new->entry->next = bucket->generation == head->generation ? bucket->first : 0;
	*bucket = (struct bucket){ head->generation, new->ref };
	head->count++;
	return 0;
}

int table_set(struct table *table, struct slice key, struct slice value)
{
	struct place old, new;
	if (key.size > HEAP_BLOCK_MAX || value.size > HEAP_BLOCK_MAX)
		return -ENOMEM;
	uint32_t hash = hash_of(head_of(table)->seed, key);
	size_t size = sizeof(struct entry) + key.size + value.size;
	int found = find(table, key, hash, &old);
	if (found < 0)
		return found;
	bool fits = found && size <= old.room;
	if (fits && size >= old.room / 4 * 3)
		return overwrite(table, old.entry, value);
	int error = mark_head(table);
	if (!error)
		error = create(table, key, value, hash, &new);
	if (error == -ENOMEM && fits)
		return overwrite(table, old.entry, value);
	if (error)
		return error;
	return found ? replace(table, &old, &new) : insert(table, &new);
}

int table_delete(struct table *table, struct slice key)
{
	struct head *head = head_of(table);
	struct place place;
	int found = find(table, key, hash_of(head->seed, key), &place);
	if (found <= 0)
		return found;
	int error = mark_head(table);
	if (!error)
		error = mark(table, place.link, sizeof(*place.link));
	if (error)
		return error;
	*place.link = place.entry->next;
	head->count--;
	error = heap_free(&table->heap, &head->heap, place.ref);
	return error ? error : 1;
}

int table_clear(struct table *table)
{
	struct head *head = head_of(table);
	int error = mark_head(table);
	if (error)
		return error;
	if (++head->generation == 0)
		head->generation = 1;
	head->count = 0;
	struct bucket *swept = bucket_at(table, head->generation & (table->buckets - 1));
	error = mark(table, swept, sizeof(*swept));
	if (error)
		return error;
	*swept = (struct bucket){ 0 };
	return heap_format(&table->heap, &head->heap);
}

uint64_t table_count(const struct table *table)
{
	return head_of(table)->count;
}

uint64_t table_used(const struct table *table)
{
	return head_of(table)->heap.used * HEAP_GRANULE;
}

uint64_t table_room(const struct table *table)
{
	return (uint64_t)(table->heap.end - table->heap.first) * HEAP_GRANULE;
}
