/* SPDX-License-Identifier: ISC */
#include "conf_fixture.h"

#include "conf_unit.h"

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		enum conf_unit_error error;
		uint64_t ns;
	} cases[] = {
		{"5s", CONF_UNIT_OK, 5 * CONF_SECOND},
		{"0s", CONF_UNIT_OK, 0},
		{"007ms", CONF_UNIT_OK, 7 * CONF_MS},
		{"250ms", CONF_UNIT_OK, 250 * CONF_MS},
		{"1us", CONF_UNIT_OK, CONF_US},
		{"3min", CONF_UNIT_OK, 3 * CONF_MINUTE},
		{"2h", CONF_UNIT_OK, 2 * CONF_HOUR},
		{"1d", CONF_UNIT_OK, CONF_DAY},
		{"1.5s", CONF_UNIT_OK, 1500 * CONF_MS},
		{"0.001us", CONF_UNIT_OK, 1},
		{"1.250000000s", CONF_UNIT_OK, 1250 * CONF_MS},
		{"0.5d", CONF_UNIT_OK, 12 * CONF_HOUR},
		{"1.000000000000000000000000000s", CONF_UNIT_OK, CONF_SECOND},
		{"18446744073.709551615s", CONF_UNIT_OK, UINT64_MAX},
		{"18446744073.709551616s", CONF_UNIT_TOO_LARGE, 0},
		{"18446744073709551616us", CONF_UNIT_TOO_LARGE, 0},
		{"99999999999999999999999d", CONF_UNIT_TOO_LARGE, 0},
		{"0.0001us", CONF_UNIT_TOO_FINE, 0},
		{"0.0000000000000000001d", CONF_UNIT_TOO_FINE, 0},
		{"5", CONF_UNIT_MISSING, 0},
		{"0", CONF_UNIT_MISSING, 0},
		{"1.5", CONF_UNIT_MISSING, 0},
		{"5m", CONF_UNIT_UNKNOWN, 0},
		{"5S", CONF_UNIT_UNKNOWN, 0},
		{"5sec", CONF_UNIT_UNKNOWN, 0},
		{"5MiB", CONF_UNIT_UNKNOWN, 0},
		{"", CONF_UNIT_MALFORMED, 0},
		{"s", CONF_UNIT_MALFORMED, 0},
		{"-5s", CONF_UNIT_MALFORMED, 0},
		{"+5s", CONF_UNIT_MALFORMED, 0},
		{" 5s", CONF_UNIT_MALFORMED, 0},
		{"5 s", CONF_UNIT_MALFORMED, 0},
		{"5s ", CONF_UNIT_MALFORMED, 0},
		{"1h30min", CONF_UNIT_MALFORMED, 0},
		{"1.s", CONF_UNIT_MALFORMED, 0},
		{".5s", CONF_UNIT_MALFORMED, 0},
		{"1..5s", CONF_UNIT_MALFORMED, 0},
		{"1,5s", CONF_UNIT_MALFORMED, 0},
		{"0x5s", CONF_UNIT_MALFORMED, 0},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t ns = 12345;
		const char *unit;
		enum conf_unit_error error = conf_parse_duration(cases[i].text, &ns, &unit);
		if (error != cases[i].error || ns != (error ? 12345 : cases[i].ns))
			fail_msg("%s: %d, %llu", cases[i].text, error, (unsigned long long)ns);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		enum conf_unit_error error;
		uint64_t bytes;
	} cases[] = {
		{"0B", CONF_UNIT_OK, 0},
		{"100B", CONF_UNIT_OK, 100},
		{"4KiB", CONF_UNIT_OK, 4096},
		{"4kB", CONF_UNIT_OK, 4000},
		{"8MiB", CONF_UNIT_OK, 8u << 20},
		{"8MB", CONF_UNIT_OK, 8000000},
		{"2GiB", CONF_UNIT_OK, UINT64_C(2) << 30},
		{"2GB", CONF_UNIT_OK, UINT64_C(2000000000)},
		{"1.5KiB", CONF_UNIT_OK, 1536},
		{"0.5MiB", CONF_UNIT_OK, 512u << 10},
		{"0.0009765625KiB", CONF_UNIT_OK, 1},
		{"17179869183.999999999068677425384521484375GiB", CONF_UNIT_TOO_FINE, 0},
		{"17179869184GiB", CONF_UNIT_TOO_LARGE, 0},
		{"18446744073709551615B", CONF_UNIT_OK, UINT64_MAX},
		{"18446744073709551616B", CONF_UNIT_TOO_LARGE, 0},
		{"1.5B", CONF_UNIT_TOO_FINE, 0},
		{"0.1KiB", CONF_UNIT_TOO_FINE, 0},
		{"8", CONF_UNIT_MISSING, 0},
		{"8M", CONF_UNIT_UNKNOWN, 0},
		{"8KB", CONF_UNIT_UNKNOWN, 0},
		{"8TiB", CONF_UNIT_UNKNOWN, 0},
		{"8mib", CONF_UNIT_UNKNOWN, 0},
		{"8 MiB", CONF_UNIT_MALFORMED, 0},
		{"-8MiB", CONF_UNIT_MALFORMED, 0},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t bytes = 12345;
		const char *unit;
		enum conf_unit_error error = conf_parse_size(cases[i].text, &bytes, &unit);
		if (error != cases[i].error || bytes != (error ? 12345 : cases[i].bytes))
			fail_msg("%s: %d, %llu", cases[i].text, error, (unsigned long long)bytes);
	}
}

static void test_counts(void **state)
{
	uint64_t count = 7;
	(void)state;
	assert_int_equal(conf_parse_count("0", &count), CONF_UNIT_OK);
	assert_int_equal(count, 0);
	assert_int_equal(conf_parse_count("18446744073709551615", &count), CONF_UNIT_OK);
	assert_true(count == UINT64_MAX);
	assert_int_equal(conf_parse_count("18446744073709551616", &count), CONF_UNIT_TOO_LARGE);
	assert_int_equal(conf_parse_count("", &count), CONF_UNIT_MALFORMED);
	assert_int_equal(conf_parse_count("1.0", &count), CONF_UNIT_MALFORMED);
	assert_int_equal(conf_parse_count("-1", &count), CONF_UNIT_MALFORMED);
	assert_int_equal(conf_parse_count("1e3", &count), CONF_UNIT_MALFORMED);
	assert_true(count == UINT64_MAX);
}

static void test_formats(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} durations[] = {
		{0, "0s"},
		{1, "0.001us"},
		{1500, "1.5us"},
		{CONF_US, "1us"},
		{CONF_MS, "1ms"},
		{1500 * CONF_MS, "1500ms"},
		{CONF_SECOND, "1s"},
		{90 * CONF_SECOND, "90s"},
		{CONF_MINUTE, "1min"},
		{CONF_HOUR, "1h"},
		{25 * CONF_HOUR, "25h"},
		{CONF_DAY, "1d"},
		{UINT64_MAX, "18446744073709551.615us"},
	};
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{0, "0B"},
		{1, "1B"},
		{1000, "1000B"},
		{1024, "1KiB"},
		{4096, "4KiB"},
		{8u << 20, "8MiB"},
		{UINT64_C(1) << 40, "1024GiB"},
		{UINT64_MAX, "18446744073709551615B"},
	};
	char text[CONF_UNIT_TEXT_MAX];
	uint64_t value;
	const char *unit;
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(durations); i++) {
		assert_string_equal(conf_format_duration(durations[i].ns, text), durations[i].text);
		assert_int_equal(conf_parse_duration(text, &value, &unit), CONF_UNIT_OK);
		assert_true(value == durations[i].ns);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		assert_string_equal(conf_format_size(sizes[i].bytes, text), sizes[i].text);
		assert_int_equal(conf_parse_size(text, &value, &unit), CONF_UNIT_OK);
		assert_true(value == sizes[i].bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_formats),
	};
	return cmocka_run_group_tests_name("conf_unit", tests, NULL, NULL);
}
