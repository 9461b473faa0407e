/* SPDX-License-Identifier: ISC */
/* UTF-8, durations and the nearest word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/cmdtext.h"

#include <string.h>
#include <unistd.h>

#define LIMIT_SECONDS 20

static size_t length_of(const char *text)
{
	uint32_t point = 0;

	return utf8_char(text, strlen(text), &point);
}

static void utf8_takes_what_is_well_formed(void **state)
{
	uint32_t point = 0;

	(void)state;
	assert_int_equal(length_of("a"), 1);
	assert_int_equal(length_of("\xc3\xa9"), 2);
	assert_int_equal(length_of("\xe2\x82\xac"), 3);
	assert_int_equal(length_of("\xf0\x9f\x98\x80"), 4);
	assert_int_equal(utf8_char("\xf0\x9f\x98\x80", 4, &point), 4);
	assert_int_equal(point, 0x1f600);
	assert_int_equal(length_of("\xed\x9f\xbf"), 3);
	assert_int_equal(length_of("\xf4\x8f\xbf\xbf"), 4);
}

static void utf8_refuses_the_rest(void **state)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3(", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(length_of(bad[i]), 0);
}

static void durations_have_a_unit(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {{"5s", INT64_C(5000000000)}, {"250ms", 250000000}, {"7us", 7000},
		{"1.5s", 1500000000}, {"0.000001ms", 1}, {"1.0500us", 1050}, {"0s", 0},
		{"2min", INT64_C(120000000000)}, {"3h", INT64_C(10800000000000)},
		{"106751d", INT64_C(9223286400000000000)}};
	char why[160];
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(duration_parse(good[i].text, &ns, why, sizeof(why)));
		assert_int_equal(ns, good[i].ns);
	}
}

static void bad_durations_say_why(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"5", "a duration needs a unit; write for example 5s or 5ms"},
		{"1.5", "a duration needs a unit; write for example 1.5s or 1.5ms"},
		{"5x", "no unit `x`; there are us ms s min h d"},
		{"5S", "no unit `S`; there are us ms s min h d"},
		{"5s3", "no unit `s3`; there are us ms s min h d"},
		{"", "not a duration; write for example 5s or 250ms"},
		{"s", "not a duration; write for example 5s or 250ms"},
		{"-5s", "not a duration; write for example 5s or 250ms"},
		{"1.s", "not a duration; write for example 5s or 250ms"},
		{".5s", "not a duration; write for example 5s or 250ms"},
		{"5 s", "not a duration; write for example 5s or 250ms"},
		{"106752d", "longer than 292 years, or finer than a nanosecond"},
		{"99999999999999999999s", "longer than 292 years, or finer than a nanosecond"},
		{"0.0005us", "longer than 292 years, or finer than a nanosecond"},
		{"1.00001us", "longer than 292 years, or finer than a nanosecond"},
	};
	char why[160];
	int64_t ns = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(duration_parse(bad[i].text, &ns, why, sizeof(why)));
		assert_string_equal(why, bad[i].why);
		assert_int_equal(ns, 77);
	}
}

static void durations_print_what_they_parse(void **state)
{
	static const char *const texts[] = {
		"0s", "1ns", "1500ms", "10s", "2min", "3h", "4d", "7us"};
	char why[160], text[32];
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ns = 1;
		if (strcmp(texts[i], "1ns"))
			assert_true(duration_parse(texts[i], &ns, why, sizeof(why)));
		assert_string_equal(duration_text(ns, text, sizeof(text)), texts[i]);
	}
}

static const char *near(const char *word, const char *const *candidates)
{
	static struct nearest nearest;

	nearest_init(&nearest, word);
	for (; *candidates; candidates++)
		nearest_try(&nearest, *candidates);
	return nearest_word(&nearest);
}

static void the_nearest_word_is_found(void **state)
{
	static const char *const verbs[] = {"up", "down", "status", "takeover", "names", NULL};
	static const char *const backwards[] = {"kv2", "kv1", NULL}, *const forwards[] = {
									     "kv1", "kv2", NULL};

	(void)state;
	assert_string_equal(near("stauts", verbs), "status");
	assert_string_equal(near("stat", verbs), "status");
	assert_string_equal(near("takover", verbs), "takeover");
	assert_string_equal(near("pu", verbs), "up");
	assert_string_equal(near("t", verbs), "takeover");
	assert_string_equal(near("dwon", verbs), "down");
	assert_string_equal(near("kv3", backwards), "kv1");
	assert_string_equal(near("kv3", forwards), "kv1");
	assert_null(near("frobnicate", verbs));
	assert_null(near("", verbs));
	assert_null(near("xyz", verbs));
}

static void long_words_are_no_trouble(void **state)
{
	static char word[400], other[400];
	const char *const candidates[] = {other, NULL};

	(void)state;
	memset(word, 'x', 254);
	memset(other, 'x', 255);
	assert_string_equal(near(word, candidates), other);
	memset(word, 'x', 399);
	memset(other, 'x', 398);
	assert_null(near(word, candidates));
}

static int limit(void **state)
{
	(void)state;
	alarm(LIMIT_SECONDS);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(utf8_takes_what_is_well_formed, limit),
		cmocka_unit_test_setup(utf8_refuses_the_rest, limit),
		cmocka_unit_test_setup(durations_have_a_unit, limit),
		cmocka_unit_test_setup(bad_durations_say_why, limit),
		cmocka_unit_test_setup(durations_print_what_they_parse, limit),
		cmocka_unit_test_setup(the_nearest_word_is_found, limit),
		cmocka_unit_test_setup(long_words_are_no_trouble, limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
