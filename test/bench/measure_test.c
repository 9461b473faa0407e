/* SPDX-License-Identifier: ISC */
#include "bench/measure.h"

#include "bench/barelimit.h"
#include "bench/barepair.h"
#include "bench/bareswitch.h"

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
	struct samples samples, copy;
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
	assert_int_equal(spread.p999, 200);
	assert_int_equal(spread.max, 200);
	samples_init(&copy);
	assert_int_equal(samples_copy(&copy, &samples), 0);
	assert_int_equal(samples_spread(&copy).p90, 180);
	samples_finish(&copy);
	for (int64_t i = 201; i <= 2000; i++)
		samples_add(&samples, i);
	assert_int_equal(samples_spread(&samples).p999, 1998);
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
	assert_in_range(kept.p999, exact.p999, exact.p999 + exact.p999 / 32);
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

/* The columns of HdrHistogram: the last line is the largest value, at 1, with all of them. */
static void test_histogram_as_text(void **state)
{
	static struct histogram histogram;
	char *text = NULL, *line;
	size_t size, lines = 0;
	double value = 0, percentile = 0, last = -1;
	unsigned long count = 0;
	FILE *file = open_memstream(&text, &size);

	(void)state;
	assert_non_null(file);
	for (int i = 1; i <= 1000; i++)
		histogram_add(&histogram, i * 1000);
	histogram_print(&histogram, 1000, file);
	fclose(file);
	assert_memory_equal(text, "       Value      Percentile  TotalCount 1/(1-Percentile)\n", 57);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lf %lf %lu", &value, &percentile, &count) != 3)
			continue;
		assert_true(percentile > last);
		assert_in_range(count, value - value / 32 - 1, value);
		last = percentile;
		lines++;
	}
	assert_true(lines > 100 && value == 1000 && percentile == 1 && count == 1000);
	free(text);
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

static void test_victims(void **state)
{
	static const struct barevictim victims[] = {{.is_running = true}, {.threads = 7}, {.is_segv = true}};
	char folder[] = "/tmp/measure_test.XXXXXX";
	struct barelimit *limit;
	int64_t ns = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0); /* for a core */
	assert_int_equal(barelimit_create(&limit), 0);
	for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++) {
		assert_int_equal(barelimit_crash(limit, victims[i], &ns), 0);
		assert_true(barelimit_notice(limit) > 0 && ns >= barelimit_notice(limit));
	}
	barelimit_destroy(limit);
	unlink("core");
	assert_int_equal(chdir("/"), 0);
	rmdir(folder);
}

/* One process spins for a moment: a single processor is enough. */
static void test_spinning(void **state)
{
	struct bareoptions options = {.cpu_new = -1, .cpu_caller = -1, .cpu_victim = -1, .spin = true};
	struct barelimit *limit;
	int64_t ns = 0;

	(void)state;
	assert_int_equal(barelimit_create_with(&options, &limit), 0);
	assert_int_equal(barelimit_planned(limit, &ns), 0);
	assert_true(ns > 0);
	assert_int_equal(barelimit_crash(limit, (struct barevictim){0}, &ns), 0);
	assert_true(ns > 0);
	barelimit_destroy(limit);
}

static void test_bare_switch(void **state)
{
	struct bareoptions options = {.cpu_new = -1, .cpu_caller = -1, .cpu_victim = -1};
	struct bareswitch *bare;
	int64_t ns = 0;

	(void)state;
	assert_int_equal(bareswitch_create(&options, (struct barevictim){.own = 1 << 20, .shared = 1 << 20}, &bare), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(bareswitch_planned(bare, &ns), 0);
		assert_true(ns > 0);
		assert_int_equal(bareswitch_crash(bare, &ns), 0);
		assert_true(ns > 0);
	}
	bareswitch_destroy(bare);
	bareswitch_destroy(NULL);
}

static void test_round_trips(void **state)
{
	static const enum bareway ways[] = {BARE_FUTEX, BARE_LINE, BARE_SOCKET, BARE_PIPE};
	struct barepair *pair;
	int64_t ns = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		for (size_t bytes = 8; bytes <= 1 << 20; bytes *= 512) {
			assert_int_equal(barepair_create(ways[i], bytes, -1, &pair), 0);
			for (int j = 0; j < 5; j++)
				assert_int_equal(barepair_round_trip(pair, &ns), 0);
			assert_true(ns > 0);
			barepair_stop(pair, true);
			barepair_stop(pair, false);
			assert_int_equal(barepair_round_trip(pair, &ns), 0);
			barepair_destroy(pair);
		}
	barepair_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_samples),
		cmocka_unit_test(test_nearest_rank),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_histogram_ends),
		cmocka_unit_test(test_histogram_as_text),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_bare_limits),
		cmocka_unit_test(test_victims),
		cmocka_unit_test(test_spinning),
		cmocka_unit_test(test_bare_switch),
		cmocka_unit_test(test_round_trips),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
