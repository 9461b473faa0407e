/* SPDX-License-Identifier: ISC */
/* The name table by itself: results of each call, sizes and limits, an obvious model, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "heir.h"
#include "name/nameroom.h"
#include "name/names.h"
#include "support/shm_fixture.h"

#define ME 1u
#define A handle_make(1, 7)
#define B handle_make(2, 8)

static uint64_t lookup(const struct shm *shm, const char *name)
{
	uint64_t binding = 0;
	int r = names_lookup(shm, name, strlen(name), &binding, NULL);

	assert_true(r == 0 || r == HEIR_ENOENT);
	return binding;
}

static bool not_a(uint64_t binding, void *arg)
{
	(void)arg;
	return binding != A;
}

static void test_calls(void **state)
{
	struct shm shm;
	uint64_t old = 1, binding = 1;
	struct name_seen seen;

	(void)state;
	shm_fixture_init(&shm, 4, 1, 400);
	assert_int_equal(names_lookup(&shm, "a", 1, &binding, &seen), HEIR_ENOENT);
	assert_int_equal(binding, 1);
	assert_int_equal(names_register(&shm, ME, "a", 1, A, NULL, NULL), 0);
	assert_int_equal(names_register(&shm, ME, "a", 1, B, NULL, NULL), HEIR_EEXIST);
	assert_true(lookup(&shm, "a") == A);
	assert_int_equal(names_re_register(&shm, ME, "a", 1, 0, B, NULL, NULL, &old), 0);
	assert_true(old == A && lookup(&shm, "a") == B);
	assert_int_equal(names_re_register(&shm, ME, "b", 1, 0, A, NULL, NULL, &old), 0);
	assert_true(old == 0 && lookup(&shm, "b") == A && lookup(&shm, "a") == B);
	assert_int_equal(names_re_register(&shm, ME, "a", 1, A, A, NULL, NULL, &old), HEIR_EPERM);
	assert_int_equal(names_re_register(&shm, ME, "c", 1, A, A, NULL, NULL, &old), HEIR_ENOENT);
	assert_int_equal(names_re_register(&shm, ME, "a", 1, B, A, NULL, NULL, &old), 0);
	assert_true(old == B && lookup(&shm, "a") == A);
	assert_int_equal(names_unregister(&shm, ME, "a", 1, B, NULL, NULL), HEIR_EPERM);
	assert_int_equal(names_unregister(&shm, ME, "c", 1, 0, NULL, NULL), HEIR_ENOENT);
	assert_int_equal(names_unregister(&shm, ME, "a", 1, A, NULL, NULL), 0);
	assert_true(lookup(&shm, "a") == 0 && lookup(&shm, "b") == A);
	assert_int_equal(names_unregister(&shm, ME, "b", 1, 0, NULL, NULL), 0);
	assert_int_equal(names_check(&shm), 0);
	assert_int_equal(names_sweep(&shm), 0);
	assert_int_equal(names_used(&shm), 0);
	shm_fixture_finish(&shm);
}

static void test_dead_bindings_are_absent(void **state)
{
	struct shm shm;
	uint64_t old = 1;

	(void)state;
	shm_fixture_init(&shm, 4, 1, 400);
	assert_int_equal(names_register(&shm, ME, "a", 1, A, NULL, NULL), 0);
	assert_int_equal(names_unregister(&shm, ME, "a", 1, A, not_a, NULL), HEIR_ENOENT);
	assert_int_equal(names_re_register(&shm, ME, "a", 1, A, B, not_a, NULL, &old), HEIR_ENOENT);
	assert_int_equal(names_register(&shm, ME, "a", 1, B, not_a, NULL), 0);
	assert_int_equal(names_register(&shm, ME, "a", 1, B, not_a, NULL), HEIR_EEXIST);
	assert_true(lookup(&shm, "a") == B);
	assert_int_equal(names_register(&shm, ME, "b", 1, A, NULL, NULL), 0);
	assert_int_equal(names_re_register(&shm, ME, "b", 1, 0, B, not_a, NULL, &old), 0);
	assert_int_equal(old, 0);
	assert_int_equal(names_sweep(&shm), 2);
	shm_fixture_finish(&shm);
}

static void test_bad_arguments(void **state)
{
	struct shm shm, observer;
	char name[SHM_NAME_MAX + 1];
	uint64_t binding;
	struct name_seen seen;

	(void)state;
	memset(name, 'x', sizeof(name));
	shm_fixture_init(&shm, 4, 4, 400);
	assert_int_equal(names_register(&shm, ME, "", 0, A, NULL, NULL), HEIR_EINVAL);
	assert_int_equal(names_register(&shm, ME, name, SHM_NAME_MAX + 1, A, NULL, NULL),
			 HEIR_EINVAL);
	assert_int_equal(names_register(&shm, ME, "a\0b", 3, A, NULL, NULL), HEIR_EINVAL);
	assert_int_equal(names_register(&shm, ME, "a", 1, 0, NULL, NULL), HEIR_EINVAL);
	assert_int_equal(names_register(&shm, 0, "a", 1, A, NULL, NULL), HEIR_EINVAL);
	assert_int_equal(names_register(&shm, 4, "a", 1, A, NULL, NULL), HEIR_EINVAL);
	assert_int_equal(names_drop_binding(&shm, ME, 0), HEIR_EINVAL);
	assert_int_equal(names_lookup(&shm, "", 0, NULL, NULL), HEIR_EINVAL);
	assert_int_equal(names_lookup(&shm, name, SHM_NAME_MAX + 1, NULL, NULL), HEIR_EINVAL);
	assert_int_equal(names_register(&shm, ME, "a", 1, A, NULL, NULL), 0);
	observer = shm;
	observer.writable = 0;
	assert_int_equal(mprotect(shm.base, shm.size, PROT_READ), 0);
	assert_int_equal(names_register(&observer, ME, "b", 1, A, NULL, NULL), HEIR_EPERM);
	assert_int_equal(names_re_register(&observer, ME, "a", 1, 0, B, NULL, NULL, NULL),
			 HEIR_EPERM);
	assert_int_equal(names_unregister(&observer, ME, "a", 1, 0, NULL, NULL), HEIR_EPERM);
	assert_int_equal(names_drop_binding(&observer, ME, A), HEIR_EPERM);
	assert_int_equal(names_lookup(&observer, "a", 1, &binding, &seen), 0);
	assert_true(names_unchanged(seen));
	assert_int_equal(names_check(&observer), 0);
	shm_fixture_finish(&shm);
}

static void test_bindings(void **state)
{
	uint64_t role = name_binding_role(0x7abc, 0xfedc);

	(void)state;
	assert_true(name_binding_is_role(role) && !name_binding_is_role(A));
	assert_int_equal(name_binding_app(role), 0x7abc);
	assert_int_equal(name_binding_role_of(role), 0xfedc);
	assert_int_equal((uint32_t)role, 0);
}

static void test_version_shows_changes(void **state)
{
	struct shm shm;
	struct name_seen seen;

	(void)state;
	shm_fixture_init(&shm, 4, 1, 400);
	assert_int_equal(names_register(&shm, ME, "a", 1, A, NULL, NULL), 0);
	assert_int_equal(names_lookup(&shm, "a", 1, NULL, &seen), 0);
	assert_true(names_unchanged(seen));
	assert_int_equal(names_re_register(&shm, ME, "a", 1, 0, A, NULL, NULL, NULL), 0);
	assert_false(names_unchanged(seen));
	shm_fixture_finish(&shm);
}

static void test_every_length(void **state)
{
	struct shm shm;
	char name[SHM_NAME_MAX];
	uint32_t cells = 0;

	(void)state;
	shm_fixture_init(&shm, 4, 8, names_cells_for(SHM_NAME_MAX, SHM_NAME_MAX, 4));
	for (size_t n = 0; n < sizeof(name); n++)
		name[n] = (char)('!' + n % 90);
	for (size_t length = 1; length <= SHM_NAME_MAX; length++) {
		assert_int_equal(names_register(&shm, ME, name, length, length, NULL, NULL), 0);
		cells += names_cells_of(length);
	}
	assert_int_equal(names_check(&shm), 0);
	assert_int_equal(names_sweep(&shm), cells);
	for (size_t length = 1; length <= SHM_NAME_MAX; length++) {
		uint64_t binding;

		assert_int_equal(names_lookup(&shm, name, length, &binding, NULL), 0);
		assert_int_equal(binding, length);
		name[length - 1] ^= 1;
		assert_int_equal(names_lookup(&shm, name, length, &binding, NULL), HEIR_ENOENT);
		name[length - 1] ^= 1;
		assert_int_equal(
			names_re_register(&shm, ME, name, length, 0, A, NULL, NULL, &binding), 0);
		assert_int_equal(binding, length);
	}
	assert_int_equal(names_drop_binding(&shm, ME, A), 0);
	assert_int_equal(names_sweep(&shm), 0);
	assert_int_equal(names_used(&shm), 0);
	shm_fixture_finish(&shm);
}

static void test_sizes_keep_their_promise(void **state)
{
	static const uint32_t names[] = {1, 2, 3, 16, 100, 1000, 65536, 1u << 20, SHM_NAMES_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (uint32_t bytes = 1; bytes <= SHM_NAME_MAX; bytes += 3)
			for (uint32_t slots = 1; slots <= SHM_SLOTS_MAX; slots = slots * 3 + 1) {
				struct shm shm = {.limits.slots = slots};

				shm.limits.name_cells = names_cells_for(names[i], bytes, slots);
				assert_true(shm.limits.name_cells <= 16 * SHM_NAMES_MAX);
				assert_true(names_capacity(&shm) >=
					    names[i] * names_cells_of(bytes) + 13 * slots);
			}
	assert_int_equal(names_cells_for(0, 40, 4), 0);
	assert_int_equal(names_cells_for(SHM_NAMES_MAX + 1, 40, 4), 0);
	assert_int_equal(names_cells_for(1, SHM_NAME_MAX + 1, 4), 0);
	assert_int_equal(names_cells_for(1, 40, SHM_SLOTS_MAX + 1), 0);
	assert_int_equal(names_buckets_for(1), 64);
	assert_int_equal(names_buckets_for(65536), 65536);
	assert_int_equal(names_buckets_for(65537), 131072);
	assert_int_equal(names_buckets_for(SHM_NAMES_MAX), SHM_NAMES_MAX);
}

static size_t number_name(char name[SHM_NAME_MAX + 1], uint64_t number, size_t length)
{
	int n = snprintf(name, SHM_NAME_MAX + 1, "%llu", (unsigned long long)number);

	if ((size_t)n < length)
		memset(name + n, '.', length - (size_t)n);
	return (size_t)n < length ? length : (size_t)n;
}

/* Fill to the last cell: nothing is lost, changes of what exists go on, and all comes back. */
static void fill_up(size_t length)
{
	struct shm shm;
	char name[SHM_NAME_MAX + 1];
	uint32_t count = 0, promised = 3000;

	shm_fixture_init(&shm, 4, names_buckets_for(promised),
			 names_cells_for(promised, (uint32_t)length, 4));
	while (names_register(&shm, ME, name, number_name(name, count, length), A, NULL, NULL) == 0)
		count++;
	assert_true(count >= promised);
	for (int again = 0; again < 3; again++) {
		number_name(name, count, length);
		assert_int_equal(names_register(&shm, ME, name, length, A, NULL, NULL), HEIR_EFULL);
		assert_int_equal(names_re_register(&shm, ME, name, length, 0, A, NULL, NULL, NULL),
				 HEIR_EFULL);
		assert_int_equal(names_check(&shm), 0);
	}
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(names_re_register(&shm, ME, name, number_name(name, i, length), A,
						   B, NULL, NULL, NULL),
				 0);
		assert_int_equal(names_used(&shm), (uint64_t)count * names_cells_of(length));
	}
	assert_int_equal(
		names_register(&shm, ME, name, number_name(name, count, length), A, NULL, NULL),
		HEIR_EFULL);
	for (uint32_t i = 0; i < count; i += 2) {
		assert_int_equal(names_unregister(&shm, ME, name, number_name(name, i, length), B,
						  NULL, NULL),
				 0);
		assert_int_equal(names_register(&shm, ME, name,
						number_name(name, count + i, length), B, NULL,
						NULL),
				 0);
	}
	assert_int_equal(
		names_register(&shm, ME, name, number_name(name, 0, length), A, NULL, NULL),
		HEIR_EFULL);
	assert_int_equal(names_drop_binding(&shm, ME, B), 0);
	assert_int_equal(names_sweep(&shm), 0);
	assert_int_equal(names_used(&shm), 0);
	shm_fixture_finish(&shm);
}

static void test_limit(void **state)
{
	(void)state;
	fill_up(20);
	fill_up(80);
	fill_up(SHM_NAME_MAX);
}

static void test_ever_new_names_do_not_fill_it(void **state)
{
	struct shm shm;
	char name[SHM_NAME_MAX + 1];
	uint64_t rounds = 300000;

	(void)state;
	shm_fixture_init(&shm, 2, names_buckets_for(100), names_cells_for(100, 80, 2));
	for (uint64_t i = 0; i < rounds; i++) {
		assert_int_equal(names_register(&shm, ME, name, number_name(name, i, 1 + i % 100),
						A, NULL, NULL),
				 0);
		if (i >= 60)
			assert_int_equal(
				names_unregister(&shm, ME, name,
						 number_name(name, i - 60, 1 + (i - 60) % 100), A,
						 NULL, NULL),
				0);
	}
	assert_int_equal(names_drop_binding(&shm, ME, A), 0);
	assert_int_equal(names_sweep(&shm), 0);
	shm_fixture_finish(&shm);
}

/* Names chosen to share a bucket fill that bucket, not the table, and lookups stay bounded. */
static void test_longest_chain(void **state)
{
	struct shm shm;
	char name[SHM_NAME_MAX + 1];

	(void)state;
	shm_fixture_init(&shm, 2, 1, 2000);
	for (uint32_t i = 0; i < NAME_CHAIN_MAX; i++)
		assert_int_equal(
			names_register(&shm, ME, name, number_name(name, i, 100), A, NULL, NULL),
			0);
	assert_int_equal(names_register(&shm, ME, name, number_name(name, 64, 100), A, NULL, NULL),
			 HEIR_EFULL);
	assert_int_equal(names_check(&shm), 0);
	for (uint32_t i = 0; i < NAME_CHAIN_MAX; i++)
		assert_int_equal(names_re_register(&shm, ME, name, number_name(name, i, 100), A, B,
						   NULL, NULL, NULL),
				 0);
	for (uint32_t i = 0; i < NAME_CHAIN_MAX; i += 3)
		assert_int_equal(
			names_unregister(&shm, ME, name, number_name(name, i, 100), B, NULL, NULL),
			0);
	assert_int_equal(names_register(&shm, ME, name, number_name(name, 64, 100), A, NULL, NULL),
			 0);
	assert_int_equal(names_check(&shm), 0);
	assert_int_equal(names_sweep(&shm), 3 * (NAME_CHAIN_MAX - 22 + 1));
	shm_fixture_finish(&shm);
}

/* Versions and generations go round. */
static void test_counters_wrap(void **state)
{
	struct shm shm;
	char name[SHM_NAME_MAX + 1];

	(void)state;
	shm_fixture_init(&shm, 2, 4, 256);
	for (uint32_t i = 0; i < 4; i++)
		atom_store_relaxed(&shm.buckets[i].head, (uint64_t)(UINT32_MAX - i) << 32);
	for (uint32_t i = 1; i < 256; i++)
		atom_store_relaxed(&shm.name_cells[i].words[0],
				   namecell_word(UINT32_MAX - i % 3, 0, 0, NAMECELL_FREE));
	for (uint32_t round = 0; round < 8; round++) {
		for (uint32_t i = 0; i < 20; i++)
			assert_int_equal(names_register(&shm, ME, name, number_name(name, i, i * 7),
							A, NULL, NULL),
					 0);
		assert_int_equal(names_check(&shm), 0);
		for (uint32_t i = 0; i < 20; i++)
			assert_int_equal(names_unregister(&shm, ME, name,
							  number_name(name, i, i * 7), A, NULL,
							  NULL),
					 0);
	}
	assert_int_equal(names_sweep(&shm), 0);
	assert_int_equal(names_used(&shm), 0);
	shm_fixture_finish(&shm);
}

/* Deaths leave the hints too high, damage leaves anything in them: the cells decide. */
static void test_wrong_hints(void **state)
{
	struct shm shm;
	char name[SHM_NAME_MAX + 1];

	(void)state;
	shm_fixture_init(&shm, 2, 64, 400);
	for (uint32_t i = 0; i < 2 * names_capacity(&shm); i++) {
		uint32_t count = i % 100;

		atom_add_relaxed(name_hint(&shm, NAME_HINT_USED), i % 3 ? 5000 : UINT64_MAX - 30);
		for (uint32_t n = 0; n < count; n++)
			assert_int_equal(names_register(&shm, ME, name, number_name(name, n, 1), A,
							NULL, NULL),
					 0);
		for (uint32_t n = 0; n < count; n++)
			assert_int_equal(names_unregister(&shm, ME, name, number_name(name, n, 1),
							  A, NULL, NULL),
					 0);
	}
	assert_int_equal(names_sweep(&shm), 0);
	shm_fixture_finish(&shm);
}

/* The model: an array. Its limit is exact, since one process leaves nothing half-done. */
struct model {
	uint32_t count, cells, capacity;
	struct {
		uint32_t number;
		size_t length;
		uint64_t binding;
	} name[512];
};

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static uint32_t model_find(const struct model *m, uint32_t number)
{
	uint32_t i = 0;

	while (i < m->count && m->name[i].number != number)
		i++;
	return i;
}

static int model_put(struct model *m, uint32_t number, size_t length, uint64_t binding)
{
	uint32_t i = model_find(m, number);

	if (i == m->count) {
		if (m->cells + names_cells_of(length) > m->capacity)
			return HEIR_EFULL;
		m->cells += names_cells_of(length);
		m->count++;
	}
	m->name[i].number = number;
	m->name[i].length = length;
	m->name[i].binding = binding;
	return 0;
}

static void model_remove(struct model *m, uint32_t i)
{
	m->cells -= names_cells_of(m->name[i].length);
	m->name[i] = m->name[--m->count];
}

static bool model_lives(uint64_t binding, void *arg) { return binding != *(uint64_t *)arg; }

static void model_step(struct shm *shm, struct model *m)
{
	uint32_t number = draw(400), i = model_find(m, number), what = draw(16);
	uint64_t binding = 1 + draw(9), expected = draw(3) ? 0 : 1 + draw(9),
		 dead = draw(4) ? 0 : 1 + draw(9), got = 0;
	uint64_t had = i < m->count && m->name[i].binding != dead ? m->name[i].binding : 0;
	char name[SHM_NAME_MAX + 1];
	size_t length = number_name(name, number, 1 + number * 7 % 250);
	int want, r;

	if (what < 6) {
		want = had ? HEIR_EEXIST : model_put(m, number, length, binding);
		r = names_register(shm, ME, name, length, binding, model_lives, &dead);
	} else if (what < 9) {
		want = !had && expected			    ? HEIR_ENOENT
		       : had && expected && expected != had ? HEIR_EPERM
							    : 0;
		if (want == 0)
			want = model_put(m, number, length, binding);
		r = names_re_register(shm, ME, name, length, expected, binding, model_lives, &dead,
				      &got);
		assert_true(r != 0 || got == had);
	} else if (what < 14) {
		want = !had ? HEIR_ENOENT : expected && expected != had ? HEIR_EPERM : 0;
		if (want == 0)
			model_remove(m, i);
		r = names_unregister(shm, ME, name, length, expected, model_lives, &dead);
	} else if (what < 15 || draw(100)) {
		want = i < m->count ? 0 : HEIR_ENOENT;
		r = names_lookup(shm, name, length, &got, NULL);
		assert_true(r != 0 || got == m->name[i].binding);
	} else {
		for (i = m->count; i-- > 0;)
			if (m->name[i].binding == binding)
				model_remove(m, i);
		want = 0;
		r = names_drop_binding(shm, ME, binding);
	}
	assert_int_equal(r, want);
	assert_int_equal(names_used(shm), m->cells);
}

static int model_visit(const char *name, size_t length, uint64_t binding, void *arg)
{
	struct model *m = arg;
	char text[SHM_NAME_MAX + 1] = "";
	uint32_t i;

	memcpy(text, name, length);
	i = model_find(m, (uint32_t)strtoul(text, NULL, 10));
	assert_true(i < m->count && m->name[i].length == length && m->name[i].binding == binding);
	model_remove(m, i);
	return 0;
}

static void model_run(uint32_t buckets, uint32_t cells, uint32_t steps)
{
	struct model m = {0}, copy;
	struct shm shm;

	shm_fixture_init(&shm, 2, buckets, cells);
	m.capacity = names_capacity(&shm);
	for (uint32_t i = 0; i < steps; i++) {
		model_step(&shm, &m);
		if (i % 256)
			continue;
		assert_int_equal(names_check(&shm), 0);
		assert_int_equal(names_sweep(&shm), m.cells);
		copy = m;
		assert_int_equal(names_each(&shm, model_visit, &copy), 0);
		assert_int_equal(copy.count, 0);
	}
	shm_fixture_finish(&shm);
}

static void test_model(void **state)
{
	(void)state;
	for (seed = 1; seed < 1000;) {
		uint32_t s = seed;

		model_run(8, 2000, 20000);
		model_run(64, 400, 20000);
		model_run(512, 120, 20000);
		seed = s + 97;
	}
}

static int stop_at_second(const char *name, size_t length, uint64_t binding, void *arg)
{
	(void)name;
	(void)length;
	(void)binding;
	return ++*(int *)arg == 2 ? 17 : 0;
}

static void test_each_stops(void **state)
{
	struct shm shm;
	int visits = 0;

	(void)state;
	shm_fixture_init(&shm, 2, 4, 400);
	assert_int_equal(names_register(&shm, ME, "a", 1, A, NULL, NULL), 0);
	assert_int_equal(names_register(&shm, ME, "b", 1, A, NULL, NULL), 0);
	assert_int_equal(names_register(&shm, ME, "c", 1, A, NULL, NULL), 0);
	assert_int_equal(names_each(&shm, stop_at_second, &visits), 17);
	assert_int_equal(visits, 2);
	shm_fixture_finish(&shm);
}

static int visit_any(const char *name, size_t length, uint64_t binding, void *arg)
{
	(void)name;
	(void)binding;
	(void)arg;
	assert_in_range(length, 1, SHM_NAME_MAX);
	return 0;
}

static bool dead(void *arg)
{
	(void)arg;
	return true;
}

/* Every call on a table with damaged words ends, and touches nothing outside. */
static void test_damaged_bytes(void **state)
{
	char name[SHM_NAME_MAX + 1];

	(void)state;
	for (seed = 1; seed < 4000;) {
		uint32_t s = seed, found = 0;
		struct shm shm;

		shm_fixture_init(&shm, 2, 4, 256);
		for (uint32_t i = 0; i < 30; i++)
			names_register(&shm, ME, name, number_name(name, i, 1 + i * 5), A, NULL,
				       NULL);
		for (uint32_t n = 1 + draw(6); n > 0; n--) {
			atom64 *words = draw(3) ? &shm.name_cells[draw(256)].words[0]
						: (atom64 *)shm.buckets;
			atom64 *word = &words[draw(words == (atom64 *)shm.buckets ? 4 : 8)];
			uint64_t value = draw(2) ? *word ^ (uint64_t)1 << draw(64)
						 : (uint64_t)draw(300) << 32 | draw(300);

			atom_store_relaxed(word, value);
		}
		for (uint32_t i = 0; i < 30; i++) {
			size_t length = number_name(name, i, 1 + i * 5);

			found += names_lookup(&shm, name, length, NULL, NULL) == HEIR_ECORRUPT;
			names_re_register(&shm, ME, name, length, 0, B, NULL, NULL, NULL);
			names_register(&shm, ME, name, number_name(name, i + 100, 1 + i * 5), A,
				       NULL, NULL);
			names_unregister(&shm, ME, name, length, 0, NULL, NULL);
		}
		names_each(&shm, visit_any, NULL);
		names_drop_binding(&shm, ME, B);
		names_sweep(&shm);
		names_bury(&shm, 1, dead, NULL);
		if (found)
			assert_int_equal(names_check(&shm), HEIR_ECORRUPT);
		shm_fixture_finish(&shm);
		seed = s + 1;
	}
}

static void test_loop_is_corrupt(void **state)
{
	struct shm shm;
	uint32_t first, hash = (uint32_t)hash_bytes("a", 1);

	(void)state;
	shm_fixture_init(&shm, 2, 1, 400);
	assert_int_equal(names_register(&shm, ME, "a", 1, A, NULL, NULL), 0);
	first = name_head_first(shm.buckets[0].head);
	atom_store_relaxed(&shm.name_cells[first].words[1], name_link(hash, first));
	assert_int_equal(names_lookup(&shm, "b", 1, NULL, NULL), HEIR_ECORRUPT);
	assert_int_equal(names_register(&shm, ME, "b", 1, A, NULL, NULL), HEIR_ECORRUPT);
	assert_int_equal(names_each(&shm, visit_any, NULL), HEIR_ECORRUPT);
	assert_int_equal(names_check(&shm), HEIR_ECORRUPT);
	atom_store_relaxed(&shm.name_cells[first].words[1], name_link(hash, 400));
	assert_int_equal(names_lookup(&shm, "b", 1, NULL, NULL), HEIR_ECORRUPT);
	assert_int_equal(names_check(&shm), HEIR_ECORRUPT);
	shm_fixture_finish(&shm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_dead_bindings_are_absent),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_bindings),
		cmocka_unit_test(test_version_shows_changes),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_sizes_keep_their_promise),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_ever_new_names_do_not_fill_it),
		cmocka_unit_test(test_longest_chain),
		cmocka_unit_test(test_counters_wrap),
		cmocka_unit_test(test_wrong_hints),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_each_stops),
		cmocka_unit_test(test_damaged_bytes),
		cmocka_unit_test(test_loop_is_corrupt),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
