/* SPDX-License-Identifier: ISC */
/* Which workers are restarted together, and when supervisors give up: a tree of two levels, one
 * line a death. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/apptree.h"

#define SECOND INT64_C(1000000000)

static int64_t times[3][8];
static struct tree_supervisor supervisors[3];
static struct tree_worker workers[6];
static struct tree tree;

/* top: worker 0, supervisor 1 (workers 1 2 3), worker 4, supervisor 2 (worker 5) */
static int setup(void **state)
{
	static const uint32_t above[6] = {0, 1, 1, 1, 0, 2}, first[3] = {0, 1, 5},
			      end[3] = {6, 4, 6};

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		supervisors[i] = (struct tree_supervisor){.above = i ? 0 : -1,
		                                          .intensity = 2,
		                                          .period = 5 * SECOND,
		                                          .first = first[i],
		                                          .end = end[i],
		                                          .times = times[i]};
	for (uint32_t i = 0; i < 6; i++)
		workers[i] = (struct tree_worker){.above = above[i]};
	tree = (struct tree){supervisors, workers, 3, 6};
	return 0;
}

static void expect(uint32_t worker, bool normally, int64_t now, enum tree_verdict verdict,
                   uint32_t first, uint32_t end)
{
	uint32_t got_first = 99, got_end = 99;

	assert_int_equal(tree_died(&tree, worker, normally, now, &got_first, &got_end), verdict);
	if (verdict == TREE_RESTART) {
		assert_int_equal(got_first, first);
		assert_int_equal(got_end, end);
	} else {
		assert_int_equal(got_first, 99);
	}
}

static void test_strategies(void **state)
{
	(void)state;
	expect(2, false, 0, TREE_RESTART, 2, 3);
	supervisors[1].strategy = TREE_REST_FOR_ONE;
	expect(2, false, 10 * SECOND, TREE_RESTART, 2, 4);
	supervisors[1].strategy = TREE_ONE_FOR_ALL;
	expect(2, false, 20 * SECOND, TREE_RESTART, 1, 4);
	supervisors[0].strategy = TREE_REST_FOR_ONE;
	expect(4, false, 30 * SECOND, TREE_RESTART, 4, 6);
	expect(0, false, 40 * SECOND, TREE_RESTART, 0, 6);
}

static void test_restart_kinds(void **state)
{
	(void)state;
	workers[0].restart = TREE_TRANSIENT;
	workers[4].restart = TREE_TEMPORARY;
	expect(0, true, 0, TREE_LEAVE, 0, 0);
	expect(0, false, 0, TREE_RESTART, 0, 1);
	expect(4, true, 0, TREE_LEAVE, 0, 0);
	expect(4, false, 0, TREE_LEAVE, 0, 0);
	expect(2, true, 0, TREE_RESTART, 2, 3);
}

static void test_intensity(void **state)
{
	(void)state;
	/* as OTP: intensity within the period, the ends of it included; one more gives up */
	expect(2, false, 0, TREE_RESTART, 2, 3);
	expect(3, false, SECOND, TREE_RESTART, 3, 4);
	expect(1, false, 5 * SECOND + 1, TREE_RESTART, 1, 2);
	expect(1, false, 6 * SECOND, TREE_RESTART, 1,
	       4); /* the inner one gives up: the top restarts all of it */
	expect(1, false, 6 * SECOND, TREE_RESTART, 1, 2); /* which begins anew */
	expect(5, false, 6 * SECOND, TREE_RESTART, 5, 6);
	expect(0, false, 7 * SECOND, TREE_RESTART, 0, 1);
	expect(4, false, 8 * SECOND, TREE_GIVE_UP, 0, 0);
	tree_forget(&tree);
	expect(4, false, 8 * SECOND, TREE_RESTART, 4, 5);
}

static void test_none_allowed(void **state)
{
	(void)state;
	supervisors[0].intensity = supervisors[1].intensity = 0;
	expect(2, false, 0, TREE_GIVE_UP, 0, 0);
	supervisors[0].intensity = 1;
	supervisors[1].restart = TREE_TEMPORARY;
	expect(2, false, 0, TREE_GIVE_UP, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_strategies, setup),
		cmocka_unit_test_setup(test_restart_kinds, setup),
		cmocka_unit_test_setup(test_intensity, setup),
		cmocka_unit_test_setup(test_none_allowed, setup),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
