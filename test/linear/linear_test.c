/* SPDX-License-Identifier: ISC */
/*
 * The checker on histories made by hand, of a register that is written, read, and compared and set: it finds an
 * order where there is one, and none where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linear.h"

struct call {
	char what; /* w write, r read, c compare and set */
	uint64_t value, other;
	bool no; /* a compare and set that failed */
};

static void begin(void *state)
{
	memset(state, 0, sizeof(uint64_t));
}

static bool happen(void *state, const struct operation *op)
{
	const struct call *c = op->what;
	uint64_t is;

	memcpy(&is, state, sizeof(is));
	if (c->what == 'r')
		return op->died || c->value == is;
	if (c->what == 'c') {
		if (op->died ? is != c->other : (is != c->other) != c->no)
			return false;
		if (is != c->other)
			return true;
	}
	memcpy(state, &c->value, sizeof(c->value));
	return true;
}

static const struct specification spec = {sizeof(uint64_t), begin, happen};
static struct linear_report report;

#define CHECK(...)                                                                                             \
	__extension__({                                                                                        \
		const struct operation ops_[] = {__VA_ARGS__};                                                 \
		linear_check(&spec, ops_, sizeof(ops_) / sizeof(ops_[0]), &report);                            \
	})
#define OP(from, to, ...)                                                                                      \
	{                                                                                                      \
		.called = (from), .returned = (to), .what = &(const struct call)                               \
		{                                                                                              \
			__VA_ARGS__                                                                            \
		}                                                                                              \
	}
#define DIED(from, to, ...)                                                                                    \
	{                                                                                                      \
		.called = (from), .returned = (to), .died = true, .what = &(const struct call)                 \
		{                                                                                              \
			__VA_ARGS__                                                                            \
		}                                                                                              \
	}

static void test_one_after_the_other(void **state)
{
	(void)state;
	assert_int_equal(CHECK(OP(1, 2, 'w', 5), OP(3, 4, 'r', 5)), LINEAR);
	assert_int_equal(CHECK(OP(1, 2, 'r', 0)), LINEAR);
	assert_int_equal(CHECK(OP(1, 2, 'r', 5)), NOT_LINEAR);
	assert_int_equal(CHECK(OP(1, 2, 'w', 5), OP(3, 4, 'w', 6), OP(5, 6, 'r', 5)), NOT_LINEAR);
	assert_int_equal(report.stuck, 2);
	assert_int_equal(CHECK(OP(1, 2, 'w', 5), OP(3, 4, 'r', 0)), NOT_LINEAR);
}

static void test_overlap(void **state)
{
	(void)state;
	/* Either order of what overlaps, but one order for all. */
	assert_int_equal(CHECK(OP(1, 9, 'w', 5), OP(2, 3, 'r', 0), OP(4, 5, 'r', 5)), LINEAR);
	assert_int_equal(CHECK(OP(1, 9, 'w', 5), OP(2, 3, 'r', 5), OP(4, 5, 'r', 0)), NOT_LINEAR);
	assert_int_equal(CHECK(OP(1, 9, 'w', 5), OP(2, 8, 'w', 6), OP(10, 11, 'r', 5)), LINEAR);
	assert_int_equal(CHECK(OP(1, 9, 'w', 5), OP(2, 8, 'w', 6), OP(10, 11, 'r', 5), OP(12, 13, 'r', 6)),
			 NOT_LINEAR);
	assert_int_equal(CHECK(OP(1, 9, 'w', 5), OP(2, 8, 'w', 6), OP(3, 4, 'r', 6), OP(5, 6, 'r', 5),
			       OP(10, 11, 'r', 5)),
			 LINEAR);
	assert_int_equal(CHECK(OP(1, 9, 'w', 5), OP(2, 8, 'w', 6), OP(3, 4, 'r', 6), OP(5, 6, 'r', 5),
			       OP(10, 11, 'r', 6)),
			 NOT_LINEAR);
	/* At the same instant: they overlap. */
	assert_int_equal(CHECK(OP(1, 3, 'w', 5), OP(3, 4, 'r', 0)), LINEAR);
	/* Two may not both have set it. */
	assert_int_equal(CHECK(OP(1, 9, 'c', 5, 0), OP(2, 8, 'c', 6, 0)), NOT_LINEAR);
	assert_int_equal(CHECK(OP(1, 9, 'c', 5, 0), OP(2, 8, 'c', 6, 0, true)), LINEAR);
	assert_int_equal(CHECK(OP(1, 9, 'c', 5, 6), OP(2, 8, 'c', 6, 0)), LINEAR);
}

static void test_deaths(void **state)
{
	(void)state;
	/* Done or not, at any time until then, but once. */
	assert_int_equal(CHECK(DIED(1, 20, 'w', 5), OP(2, 3, 'r', 0), OP(30, 31, 'r', 0)), LINEAR);
	assert_int_equal(CHECK(DIED(1, 20, 'w', 5), OP(2, 3, 'r', 0), OP(30, 31, 'r', 5)), LINEAR);
	assert_int_equal(CHECK(DIED(1, 20, 'w', 5), OP(2, 3, 'r', 5), OP(30, 31, 'r', 0)), NOT_LINEAR);
	assert_int_equal(CHECK(DIED(1, 20, 'w', 5), OP(21, 22, 'r', 0), OP(30, 31, 'r', 5)), NOT_LINEAR);
	assert_int_equal(CHECK(DIED(1, 20, 'c', 5, 0), DIED(2, 20, 'c', 6, 5), OP(30, 31, 'r', 6)), LINEAR);
	assert_int_equal(CHECK(DIED(1, 20, 'c', 5, 1), DIED(2, 20, 'c', 6, 5), OP(30, 31, 'r', 6)), NOT_LINEAR);
	assert_int_equal(CHECK(DIED(1, 5, 'r', 7), OP(2, 3, 'w', 5), OP(6, 7, 'r', 5)), LINEAR);
}

/* As many at a time as there are places; one more is told, not dropped. */
static void test_many(void **state)
{
	static struct call call[LINEAR_UNDER_WAY + 1];
	struct operation ops[LINEAR_UNDER_WAY + 1];
	(void)state;

	for (size_t i = 0; i <= LINEAR_UNDER_WAY; i++) {
		call[i] = (struct call){'c', i + 1, i, false};
		ops[i] = (struct operation){.called = (int64_t)i, .returned = 1000, .what = &call[i]};
	}
	assert_int_equal(linear_check(&spec, ops, LINEAR_UNDER_WAY, &report), LINEAR);
	call[7].other = 3;
	assert_int_equal(linear_check(&spec, ops, LINEAR_UNDER_WAY, &report), NOT_LINEAR);
	assert_int_equal(linear_check(&spec, ops, LINEAR_UNDER_WAY + 1, &report), LINEAR_TOO_LARGE);
	/* Writes whose order nobody sees: more than can be kept. */
	for (size_t i = 0; i < 40; i++)
		call[i].what = 'w';
	assert_int_equal(linear_check(&spec, ops, 40, &report), LINEAR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
