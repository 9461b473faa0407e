/* SPDX-License-Identifier: ISC */
/*
 * The table and its heap in a plain array: against a slow obvious model; that every change was
 * marked, by undoing it; that space is found again; that no bytes in the region can lead outside of
 * it.
 */
#include "kv/table.h"

#include <errno.h>
#include <heir.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE ((size_t)256 * 1024)
#define LOG_MAX 4096

static unsigned char *region;
static struct table table;

static struct {
	struct { void *start; size_t size; unsigned char *old; } entry[LOG_MAX];
	size_t count, bytes, bytes_max;
} undo;

static int mark(void *arg, const void *start, size_t size)
{
	const unsigned char *p = start;
	(void)arg;
	if (p < region || p > region + SIZE || size > (size_t)(region + SIZE - p))
		abort();
	if (undo.count == LOG_MAX || undo.bytes + size > undo.bytes_max)
		return HEIR_ETOOBIG;
	undo.entry[undo.count].start = (void *)(uintptr_t)start;
	undo.entry[undo.count].size = size;
	undo.entry[undo.count].old = malloc(size);
	memcpy(undo.entry[undo.count].old, start, size);
	undo.count++;
	undo.bytes += size;
	return 0;
}

static void end(bool is_undone)
{
	while (undo.count > 0) {
		undo.count--;
		if (is_undone)
			memcpy(undo.entry[undo.count].start, undo.entry[undo.count].old,
			       undo.entry[undo.count].size);
		free(undo.entry[undo.count].old);
	}
	undo.bytes = 0;
}

static struct slice word(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

static int open_fresh(void **state)
{
	(void)state;
	alarm(120);
	free(region);
	region = aligned_alloc(4096, SIZE);
	if (!region)
		return -1;
	memset(region, 0, SIZE);
	table = (struct table){ .heap.mark = mark };
	undo.bytes_max = 1 << 20;
	int error = table_open(&table, region, SIZE, 42);
	end(false);
	return error;
}

static int finish(void **state)
{
	(void)state;
	end(false);
	free(region);
	region = NULL;
	return 0;
}

static void expect_at(const char *key, const char *value)
{
	struct slice got;
	int found = table_get(&table, word(key), &got);
	assert_int_equal(found, value != NULL);
	if (value) {
		assert_int_equal(got.size, strlen(value));
		assert_memory_equal(got.data, value, got.size);
	}
}

static void set_get_delete(void **state)
{
	(void)state;
	expect_at("a", NULL);
	assert_int_equal(table_set(&table, word("a"), word("1")), 0);
	assert_int_equal(table_set(&table, word(""), word("empty")), 0);
	assert_int_equal(table_set(&table, word("b"), word("")), 0);
	expect_at("a", "1");
	expect_at("", "empty");
	expect_at("b", "");
	assert_int_equal(table_set(&table, word("a"), word("a much longer value than before")), 0);
	expect_at("a", "a much longer value than before");
	assert_int_equal(table_set(&table, word("a"), word("2")), 0);
	expect_at("a", "2");
	assert_int_equal(table_count(&table), 3);
	assert_int_equal(table_delete(&table, word("a")), 1);
	assert_int_equal(table_delete(&table, word("a")), 0);
	expect_at("a", NULL);
	expect_at("b", "");
	assert_int_equal(table_count(&table), 2);
}

static void another_process_goes_on_with_it(void **state)
{
	struct table other = { .heap.mark = mark };
	(void)state;
	assert_int_equal(table_set(&table, word("a"), word("1")), 0);
	assert_int_equal(table_open(&other, region, SIZE, 7), 0);
	table = other;
	expect_at("a", "1");
	assert_int_equal(table_open(&other, region, SIZE / 2, 7), HEIR_ECORRUPT);
	assert_int_equal(table_open(&other, region, TABLE_SIZE_MIN - 1, 7), HEIR_EINVAL);
	assert_int_equal(table_open(&other, NULL, 0, 7), HEIR_EINVAL);
	region[0] ^= 1;
	assert_int_equal(table_open(&other, region, SIZE, 7), HEIR_ECORRUPT);
}

/* A slow obvious table. */
#define KEYS 300

static struct { char *data; size_t size; } model[KEYS];

static size_t model_count(void)
{
	size_t n = 0;
	for (size_t k = 0; k < KEYS; k++)
		n += model[k].data != NULL;
	return n;
}

static struct slice model_key(size_t k, char text[32])
{
	snprintf(text, 32, "key:%0*zu", (int)(k % 20), k);
	return word(text);
}

static void model_check(void)
{
	assert_int_equal(table_count(&table), model_count());
	for (size_t k = 0; k < KEYS; k++) {
		char text[32];
		struct slice value;
		int found = table_get(&table, model_key(k, text), &value);
		assert_int_equal(found, model[k].data != NULL);
		if (!found)
			continue;
		assert_int_equal(value.size, model[k].size);
		assert_memory_equal(value.data, model[k].data, value.size);
	}
}

static void model_drop(size_t k)
{
	free(model[k].data);
	model[k].data = NULL;
}

static size_t some_size(void)
{
	static const size_t most[] = { 4, 40, 400, 4000 };
	return (size_t)rand() % most[rand() % 4];
}

/* One random change. When is_undone, the region must afterwards be what it was, to the byte. */
static void change(bool is_undone)
{
	static unsigned char before[SIZE];
	size_t k = (size_t)rand() % KEYS, size = some_size();
	int what = rand() % 1000;
	char text[32], *data = malloc(size + 1);
	struct slice key = model_key(k, text);
	if (is_undone)
		memcpy(before, region, SIZE);
	memset(data, rand(), size);
	int result = what == 0 ? table_clear(&table)
		   : what < 300 ? table_delete(&table, key)
		   : table_set(&table, key, (struct slice){ data, size });
	bool is_full = what >= 300 && result == -ENOMEM;
	assert_true(result >= 0 || is_full);
	end(is_undone || is_full);
	if (is_undone) {
		assert_memory_equal(before, region, SIZE);
		free(data);
		return;
	}
	if (what == 0) {
		for (size_t i = 0; i < KEYS; i++)
			model_drop(i);
	} else if (what < 300) {
		assert_int_equal(result, model[k].data != NULL);
		model_drop(k);
	} else if (!is_full) {
		model_drop(k);
		model[k].data = data;
		model[k].size = size;
		return;
	}
	free(data);
}

static void random_changes_against_a_model(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 60000; round++) {
		change(round % 16 == 0);
		if (round % 500 == 0)
			model_check();
	}
	model_check();
	for (size_t k = 0; k < KEYS; k++) {
		char text[32];
		assert_int_equal(table_delete(&table, model_key(k, text)), model[k].data != NULL);
		end(false);
		model_drop(k);
	}
	assert_int_equal(table_count(&table), 0);
	assert_int_equal(table_used(&table), 0);
}

/* A transaction may fail at any mark, of several changes; undone, it never was. */
static void every_mark_may_fail(void **state)
{
	static unsigned char before[SIZE];
	static char big[3000];
	(void)state;
	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 40; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		struct slice value = { big, (size_t)i * 50 };
		assert_int_equal(table_set(&table, word(key), value), 0);
	}
	end(false);
	memcpy(before, region, SIZE);
	bool is_whole = false;
	for (size_t room = 0; !is_whole; room++) {
		undo.bytes_max = room;
		int error = table_set(&table, word("k3"), (struct slice){ big, sizeof(big) });
		if (error >= 0)
			error = table_delete(&table, word("k7"));
		if (error >= 0)
			error = table_set(&table, word("k7"), word("again"));
		if (error >= 0)
			error = table_set(&table, word("k8"), word("short"));
		if (error >= 0)
			error = table_clear(&table);
		assert_true(error >= 0 || error == HEIR_ETOOBIG);
		is_whole = error >= 0;
		end(true);
		assert_memory_equal(before, region, SIZE);
	}
}

static uint64_t fill(size_t value_size)
{
	static char value[8192];
	for (uint64_t n = 0;; n++) {
		char key[32];
		snprintf(key, sizeof(key), "%zu/%llu", value_size, (unsigned long long)n);
		int error = table_set(&table, word(key), (struct slice){ value, value_size });
		end(error != 0);
		if (error) {
			assert_int_equal(error, -ENOMEM);
			return n;
		}
	}
}

static void freed_space_serves_any_other_size(void **state)
{
	static const size_t sizes[] = { 3, 4000, 100, 900, 3 };
	uint64_t first = 0, last = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		last = fill(sizes[i]);
		if (i == 0)
			first = last;
		assert_true(table_used(&table) >= table_room(&table) * 9 / 10);
		for (uint64_t n = 0; n < last; n++) {
			char key[32];
			snprintf(key, sizeof(key), "%zu/%llu", sizes[i], (unsigned long long)n);
			assert_int_equal(table_delete(&table, word(key)), 1);
			end(false);
		}
		assert_int_equal(table_used(&table), 0);
	}
	assert_int_equal(last, first);
}

/* Three quarters of the room in values of ever changing sizes: none is refused, however long. */
static void sizes_that_change_for_ever(void **state)
{
	static char value[2000];
	(void)state;
	srand(3);
	uint64_t refused = 0;
	for (int round = 0; round < 100000; round++) {
		char key[16];
		snprintf(key, sizeof(key), "%d", rand() % 160);
		struct slice s = { value, (size_t)rand() % sizeof(value) };
		int error = table_set(&table, word(key), s);
		end(error != 0);
		refused += error != 0;
	}
	assert_int_equal(refused, 0);
	assert_int_equal(table_count(&table), 160);
}

static void overwriting_needs_no_room(void **state)
{
	(void)state;
	uint64_t n = fill(100);
	char key[32], value[100];
	memset(value, 'y', sizeof(value));
	for (uint64_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "100/%llu", (unsigned long long)i);
		assert_int_equal(table_set(&table, word(key), (struct slice){ value, i % 101 }), 0);
		end(false);
	}
	assert_int_equal(table_set(&table, word("100/0"), (struct slice){ value, HEAP_BLOCK_MAX }),
			 -ENOMEM);
}

static void clearing_marks_little(void **state)
{
	(void)state;
	fill(10);
	assert_int_equal(table_clear(&table), 0);
	assert_true(undo.bytes < 1024);
	end(false);
	assert_int_equal(table_count(&table), 0);
	assert_int_equal(table_used(&table), 0);
	expect_at("10/0", NULL);
	assert_true(fill(10) > 1000);
}

/* The generation's number comes round again: what was there in the first one must not. */
static void the_generation_wraps(void **state)
{
	uint32_t *generation = (uint32_t *)(region + 32);
	(void)state;
	assert_int_equal(*generation, 1);
	assert_int_equal(table_set(&table, word("a"), word("1")), 0);
	for (uint32_t i = 0; i < table.buckets; i++) {
		assert_int_equal(table_clear(&table), 0);
		end(false);
	}
	assert_int_equal(*generation, 1 + table.buckets);
	*generation = UINT32_MAX;
	assert_int_equal(table_clear(&table), 0);
	assert_int_equal(*generation, 1);
	expect_at("a", NULL);
	assert_int_equal(table_set(&table, word("a"), word("2")), 0);
	expect_at("a", "2");
}

/* Any bytes may be in the region: every call returns, and neither reads nor writes outside. */
static void corrupt_bytes(void **state)
{
	static unsigned char before[SIZE];
	static char value[3000];
	uint64_t noticed = 0;
	(void)state;
	srand(5);
	for (int i = 0; i < 200; i++) {
		char text[32];
		struct slice s = { value, some_size() % sizeof(value) };
		assert_int_equal(table_set(&table, model_key((size_t)i, text), s), 0);
		end(false);
	}
	memcpy(before, region, SIZE);
	for (int round = 0; round < 20000; round++) {
		uint32_t *words = (uint32_t *)region;
		for (int i = 0; i < 8; i++) {
			size_t at = rand() % 4 ? (size_t)rand() % 90 : (size_t)rand() % (SIZE / 4);
			uint32_t any = (uint32_t)rand();
			words[at] = rand() % 3 ? any % (SIZE / 16 + 2) : any << 1;
		}
		for (int i = 0; i < 8; i++) {
			char text[32];
			struct slice key = model_key((size_t)rand() % KEYS, text), got;
			struct slice s = { value, some_size() % sizeof(value) };
			int what = rand() % 4;
			int result = what == 0 ? table_get(&table, key, &got)
				   : what == 1 ? table_delete(&table, key)
				   : table_set(&table, key, s);
			if (result > 0 && what == 0 && got.size > 0)
				value[0] ^= (char)(got.data[0] ^ got.data[got.size - 1]);
			noticed += result == HEIR_ECORRUPT;
			end(rand() % 2);
		}
		memcpy(region, before, SIZE);
	}
	assert_true(noticed > 1000);
}

/* A chain that bites its tail ends, whatever number of entries the table is said to have. */
static void endless_chain(void **state)
{
	struct slice got;
	(void)state;
	assert_int_equal(table_set(&table, word("a"), word("1")), 0);
	end(false);
	assert_int_equal(table_get(&table, word("a"), &got), 1);
	uint64_t count = UINT64_MAX, *bucket = (uint64_t *)(void *)region;
	size_t counted = 3 * sizeof(count); /* as table.c has it: magic, size, seed, count */
	assert_int_equal(bucket[3], 1);
	memcpy(region + counted, &count, sizeof(count));
	size_t buckets = SIZE / 128, first = 320 / sizeof(*bucket);
	uint64_t found = 0; /* {generation, ref} of the one entry */
	for (size_t i = 0; i < buckets; i++)
		found |= bucket[first + i];
	assert_int_equal((uint32_t)found, 1);
	for (size_t i = 0; i < buckets; i++)
		bucket[first + i] = found;
	uint32_t ref = (uint32_t)(found >> 32);
	memcpy((char *)(uintptr_t)got.data - 1 - 16, &ref, sizeof(ref)); /* next, before key and sizes */
	alarm(20);
	assert_int_equal(table_get(&table, word("another"), &got), HEIR_ECORRUPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fresh, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(set_get_delete),
		TEST(another_process_goes_on_with_it),
		TEST(random_changes_against_a_model),
		TEST(every_mark_may_fail),
		TEST(freed_space_serves_any_other_size),
		TEST(sizes_that_change_for_ever),
		TEST(overwriting_needs_no_room),
		TEST(clearing_marks_little),
		TEST(the_generation_wraps),
		TEST(corrupt_bytes),
		TEST(endless_chain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
