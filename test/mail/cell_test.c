/* SPDX-License-Identifier: ISC */
/* Cells: packing, allocation, limits, and that nothing stale moves or frees one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "heir.h"
#include "mail/mailfix.h"

#define CELLS	10u
#define MESSAGE 128u

static struct shm shm;

static int setup(void **state)
{
	(void)state;
	alarm(30);
	mailfix_init(&shm, CELLS, MESSAGE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mailfix_finish(&shm);
	alarm(0);
	return 0;
}

static void assert_word(struct cell_word a, struct cell_word b)
{
	assert_int_equal(a.generation, b.generation);
	assert_int_equal(a.slot, b.slot);
	assert_int_equal(a.deliveries, b.deliveries);
	assert_int_equal(a.flags, b.flags);
	assert_int_equal(a.state, b.state);
}

static void test_packing(void **state)
{
	static const uint32_t generations[] = {0, 1, 0x80000000, UINT32_MAX},
			      slots[] = {0, 1, 0xfff}, deliveries[] = {0, 1, 0xff},
			      flags[] = {0, CELL_CALL, 0xf};
	(void)state;

	for (unsigned i = 0; i < 4 * 3 * 3 * 3 * 6; i++) {
		struct cell_word w = {generations[i % 4], slots[i / 4 % 3], deliveries[i / 12 % 3],
				      flags[i / 36 % 3], (enum cell_state)(i / 108)};

		assert_word(cell_unpack(cell_pack(w)), w);
	}
	/* A segment of zeros is a pool of free cells. */
	assert_word(cell_unpack(0), (struct cell_word){.state = CELL_FREE});
}

static void test_alloc(void **state)
{
	bool seen[CELLS + 1] = {false};
	struct cell_ref ref, extra = {77, 78};
	uint32_t hint = 5;
	(void)state;

	for (uint32_t i = 0; i < CELLS; i++) {
		assert_int_equal(cell_alloc(&shm, 1 + i % 7, CELL_CALL, &hint, &ref), 0);
		assert_in_range(ref.cell, 1, CELLS);
		assert_false(seen[ref.cell]);
		seen[ref.cell] = true;
		assert_int_equal(hint, ref.cell);
		assert_word(mailfix_word(&shm, ref.cell),
			    (struct cell_word){0, 1 + i % 7, 0, CELL_CALL, CELL_OWNED});
	}
	/* Invariant 12: the limit has a clear error, and what is there stays. */
	assert_int_equal(cell_alloc(&shm, 1, 0, &hint, &extra), HEIR_EFULL);
	assert_int_equal(extra.cell, 77);
	assert_int_equal(mailfix_free_cells(&shm), 0);
}

static void test_free_raises_generation(void **state)
{
	struct cell_ref first = mailfix_cell(&shm, 1, CELL_CALL, 0, 0, 1), second;
	uint64_t w, later;
	(void)state;

	assert_int_equal(cell_load(&shm, first, &w), 0);
	cell_free(&shm, first.cell, w);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
	second = mailfix_cell(&shm, 2, 0, 0, 0, 2);
	assert_int_equal(second.cell, first.cell);
	assert_int_equal(second.generation, first.generation + 1);
	assert_word(mailfix_word(&shm, second.cell), (struct cell_word){1, 2, 0, 0, CELL_OWNED});

	/* Invariant 3: whoever was stopped with the old word or the old reference changes nothing.
	 */
	assert_int_equal(cell_load(&shm, first, &later), HEIR_ENOENT);
	cell_free(&shm, first.cell, w);
	assert_int_equal(cell_move(&shm, first.cell, w, (struct cell_word){.state = CELL_DONE}),
			 HEIR_EAGAIN);
	assert_int_equal(cell_load(&shm, second, &later), 0);
	assert_int_equal(cell_unpack(later).state, CELL_OWNED);
}

static void test_generation_wraps(void **state)
{
	uint64_t w = cell_pack((struct cell_word){.generation = UINT32_MAX, .state = CELL_FREE});
	struct cell_ref ref;
	uint32_t hint = 0;
	(void)state;

	atom_store_relaxed(&shm_cell(&shm, 1)->word, w);
	assert_int_equal(cell_alloc(&shm, 3, 0, &hint, &ref), 0);
	assert_int_equal(ref.generation, UINT32_MAX);
	assert_int_equal(cell_load(&shm, ref, &w), 0);
	cell_free(&shm, ref.cell, w);
	assert_word(mailfix_word(&shm, ref.cell),
		    (struct cell_word){.generation = 0, .state = CELL_FREE});
}

static void test_fill(void **state)
{
	char name[SHM_NAME_MAX + 1], data[MESSAGE + 1];
	struct cell_ref ref = mailfix_cell(&shm, 1, 0, 1, handle_make(2, 9), 1);
	struct shm_cell *c = shm_cell(&shm, ref.cell);
	(void)state;

	memset(name, 'n', sizeof(name));
	memset(data, 'd', sizeof(data));
	atom_store_relaxed(&c->status, 5);
	atom_store_relaxed(&c->reply_size, 6);
	atom_store_relaxed(&c->holder, 7);
	/* Refused before anything is written. */
	assert_int_equal(cell_fill(&shm, ref, CELL_USER, name, SHM_NAME_MAX + 1, data, 0),
			 HEIR_ETOOBIG);
	assert_int_equal(cell_fill(&shm, ref, CELL_USER, name, 1, data, MESSAGE + 1), HEIR_ETOOBIG);
	assert_int_equal(cell_fill(&shm, ref, CELL_USER, name, 1, data, SIZE_MAX), HEIR_ETOOBIG);
	assert_int_equal(atom_load_relaxed(&c->reply_size), 6);

	assert_int_equal(cell_fill(&shm, ref, CELL_CONTROL, name, SHM_NAME_MAX, data, MESSAGE), 0);
	assert_memory_equal(shm_cell_data(c), name, SHM_NAME_MAX);
	assert_memory_equal(shm_cell_data(c) + SHM_NAME_MAX, data, MESSAGE);
	assert_int_equal(atom_load_relaxed(&c->kind), CELL_CONTROL);
	assert_int_equal(atom_load_relaxed(&c->name_size), SHM_NAME_MAX);
	assert_int_equal(atom_load_relaxed(&c->size), MESSAGE);
	assert_int_equal(atom_load_relaxed(&c->status), 0);
	assert_int_equal(atom_load_relaxed(&c->reply_size), 0);
	assert_int_equal(atom_load_relaxed(&c->holder), 0);
	assert_int_equal(atom_load_relaxed(&c->target), 0);
	/* Name and request end before the reply, the reply before the next cell. */
	assert_true(shm_cell_data(c) + SHM_NAME_MAX + MESSAGE <= shm_cell_reply(&shm, c));
	assert_true(shm_cell_reply(&shm, c) + MESSAGE <=
		    (unsigned char *)shm_cell(&shm, 1) + ref.cell * shm.cell_stride);
	assert_int_equal(cell_fill(&shm, ref, CELL_USER, "", 0, NULL, 0), 0);
	assert_int_equal(atom_load_relaxed(&c->size), 0);
}

static void test_bad_reference(void **state)
{
	uint64_t w = 42;
	(void)state;

	/* Invariant 11: an index from the segment is checked. */
	assert_int_equal(cell_load(&shm, (struct cell_ref){0, 0}, &w), HEIR_ECORRUPT);
	assert_int_equal(cell_load(&shm, (struct cell_ref){CELLS + 1, 0}, &w), HEIR_ECORRUPT);
	assert_int_equal(cell_load(&shm, (struct cell_ref){UINT32_MAX, 0}, &w), HEIR_ECORRUPT);
	assert_int_equal(cell_load(&shm, (struct cell_ref){1, 1}, &w), HEIR_ENOENT);
	assert_int_equal(w, 42);
	assert_int_equal(cell_move(&shm, UINT32_MAX, 0, (struct cell_word){.state = CELL_OWNED}),
			 HEIR_EAGAIN);
	cell_free(&shm, UINT32_MAX, 0);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_packing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alloc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_raises_generation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generation_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_reference, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
