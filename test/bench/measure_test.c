/* SPDX-License-Identifier: ISC */
#include "bench/measure.h"

#include "bench/barelimit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_no_samples(void **state)
{
	struct samples samples;
	struct spread spread, other = {.count = 1, .p50 = 5};

	(void)state;
	samples_init(&samples);
	spread = samples_spread(&samples);
	assert_int_equal(spread.count + (size_t)(spread.p50 + spread.p99 + spread.max), 0);
	assert_true(spread_ratio(&spread, &other) == 0 && spread_ratio(&other, &spread) == 0);
	samples_finish(&samples);
}

static void test_nearest_rank(void **state)
{
	struct samples samples;
	struct spread spread;

	(void)state;
	samples_init(&samples);
	for (int64_t i = 200; i > 0; i--)
		assert_int_equal(samples_add(&samples, i), 0);
	spread = samples_spread(&samples);
	assert_int_equal(spread.count, 200);
	assert_int_equal(spread.p50, 100);
	assert_int_equal(spread.p90, 180);
	assert_int_equal(spread.p99, 198);
	assert_int_equal(spread.max, 200);
	samples_finish(&samples);

	samples_add(&samples, 7);
	spread = samples_spread(&samples);
	assert_true(spread.p50 == 7 && spread.p99 == 7 && spread.max == 7);
	samples_finish(&samples);
}

/* Every percentile of the histogram is that of the samples, to 1/32 above it. */
static void test_histogram(void **state)
{
	static struct histogram histogram, sum;
	struct samples samples;
	struct spread exact, kept;
	uint64_t value = 88172645463325252;

	(void)state;
	samples_init(&samples);
	for (int i = 0; i < 10000; i++) {
		value ^= value << 13;
		value ^= value >> 7;
		value ^= value << 17;
		samples_add(&samples, (int64_t)(value >> (value % 60 + 3)));
		histogram_add(&histogram, (int64_t)(value >> (value % 60 + 3)));
	}
	histogram_merge(&sum, &histogram);
	exact = samples_spread(&samples);
	kept = histogram_spread(&sum);
	assert_int_equal(kept.count, exact.count);
	assert_int_equal(kept.max, exact.max);
	assert_in_range(kept.p50, exact.p50, exact.p50 + exact.p50 / 32);
	assert_in_range(kept.p90, exact.p90, exact.p90 + exact.p90 / 32);
	assert_in_range(kept.p99, exact.p99, exact.p99 + exact.p99 / 32);
	samples_finish(&samples);
}

static void test_histogram_ends(void **state)
{
	static struct histogram histogram;

	(void)state;
	histogram_add(&histogram, -1);
	histogram_add(&histogram, 0);
	histogram_add(&histogram, 63);
	histogram_add(&histogram, 64);
	histogram_add(&histogram, INT64_MAX);
	assert_int_equal(histogram_spread(&histogram).count, 5);
	assert_int_equal(histogram_spread(&histogram).p50, 63);
	assert_true(histogram_spread(&histogram).max == INT64_MAX);
}

static void test_machine(void **state)
{
	struct machine machine;
	char line[512];

	(void)state;
	machine_read(&machine);
	machine_line(&machine, line, sizeof(line));
	assert_true(machine.cores > 0);
	assert_non_null(strstr(line, machine.kernel));
	assert_true(machine.idle[0] && machine.virtual[0] && machine.processor[0]);
}

static void test_bare_limits(void **state)
{
	struct barevictim victim = barelimit_size_of(getpid());
	struct barelimit *limit;
	int64_t ns = 0;

	(void)state;
	assert_true(victim.own > 0);
	assert_int_equal(barelimit_create(&limit), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(barelimit_planned(limit, &ns), 0);
		assert_true(ns > 0);
		victim = (struct barevictim){.own = (size_t)i << 16, .shared = (size_t)i << 17};
		assert_int_equal(barelimit_crash(limit, victim, &ns), 0);
		assert_true(ns > 0);
	}
	barelimit_destroy(limit);
	barelimit_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_samples),
		cmocka_unit_test(test_nearest_rank),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_histogram_ends),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_bare_limits),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
