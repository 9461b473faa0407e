/* SPDX-License-Identifier: ISC */
/* Calls that nobody answers, in a segment that may be damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "mail/cell.h"
#include "support/domain.h"

#define MS INT64_C(1000000)

static struct domain d;
static heir_t *h;
static struct heir_ticket ticket;

static int setup(void **state)
{
	(void)state;
	domain_init(&d, NULL);
	return heir_open(d.name, 0, &h) || heir_call_start(h, "app", "x", 1, &ticket);
}

static int teardown(void **state)
{
	(void)state;
	heir_close(h);
	domain_finish(&d);
	return 0;
}

static int finish(void)
{
	size_t size = 0;

	return heir_call_finish(h, ticket, NULL, &size, MS);
}

static void damage(enum cell_state state)
{
	atom64 *word = &shm_cell(&d.shm, ticket.cell)->word;
	struct cell_word w = cell_unpack(atom_load_seq(word));

	w.state = state;
	atom_store_seq(word, cell_pack(w));
}

static void test_unanswered(void **state)
{
	(void)state;
	assert_int_equal(heir_call_ready(h, ticket), 0);
	assert_int_equal(finish(), HEIR_ETIMEDOUT);
}

/* It is given up, and never again looked for: with no time limit it would be slept for. */
static void test_freed_by_damage(void **state)
{
	(void)state;
	damage(CELL_FREE);
	assert_int_equal(finish(), HEIR_ECORRUPT);
}

static void test_taken_by_damage(void **state)
{
	(void)state;
	damage(CELL_OWNED);
	assert_int_equal(finish(), HEIR_EUNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unanswered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_by_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_by_damage, setup, teardown),
	};

	alarm(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
