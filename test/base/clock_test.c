/* SPDX-License-Identifier: ISC */
/* The arithmetic of deadlines, at its edges. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static void test_deadlines(void **state)
{
	struct timespec ts;

	(void)state;
	assert_true(deadline_from(5, -1) == DEADLINE_NEVER);
	assert_true(deadline_from(5, INT64_MIN) == DEADLINE_NEVER);
	assert_true(deadline_from(5, 0) == 5);
	assert_true(deadline_from(-1, INT64_MAX) == INT64_MAX - 1); /* a clock that bytes of the segment say */
	assert_true(deadline_from(5, INT64_MAX) == INT64_MAX);
	assert_true(deadline_from(5, INT64_MAX - 5) == INT64_MAX);
	assert_true(deadline_from(5, INT64_MAX - 6) == INT64_MAX - 1);
	assert_true(deadline_after(-1) == DEADLINE_NEVER);
	assert_true(deadline_after(INT64_MAX) == INT64_MAX);
	assert_true(deadline_after(0) <= clock_ns());
	assert_true(deadline_left_at(DEADLINE_NEVER, 7) == -1);
	assert_true(deadline_left_at(7, 7) == 0);
	assert_true(deadline_left_at(6, 7) == 0);
	assert_true(deadline_left_at(9, 7) == 2);
	assert_true(deadline_left(DEADLINE_NEVER) == -1);
	assert_true(deadline_left(INT64_MAX) > 0);
	assert_false(deadline_passed(DEADLINE_NEVER));
	assert_false(deadline_passed(INT64_MAX));
	assert_true(deadline_passed(0));
	assert_true(deadline_min(-1, 3) == 3);
	assert_true(deadline_min(3, -1) == 3);
	assert_true(deadline_min(4, 3) == 3);
	assert_true(deadline_min(-1, -1) == -1);
	assert_null(deadline_timespec(-1, &ts));
	assert_non_null(deadline_timespec(INT64_MAX, &ts));
	assert_int_equal(ts.tv_sec, INT64_MAX / NS_PER_SECOND);
	assert_int_equal(ts.tv_nsec, INT64_MAX % NS_PER_SECOND);
	assert_true(clock_real_ns() > clock_ns());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlines),
	};

	alarm(10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
