/* SPDX-License-Identifier: ISC */
/* The parser and the writer of RESP: whole commands, every prefix of them, and what is not RESP. */
#include "kv/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct resp_command command;

/* The bytes in memory of their exact size, so that a sanitizer sees what is read beyond. */
static ssize_t parse(const char *data, size_t size)
{
	static char *copy;
	free(copy);
	copy = malloc(size > 0 ? size : 1);
	assert_non_null(copy);
	memcpy(copy, data, size);
	return resp_parse(&command, copy, size);
}

static void expect_arguments(const char *const *expected)
{
	size_t n = 0;
	for (; expected[n]; n++) {
		assert_true(n < command.argc);
		assert_int_equal(command.argv[n].size, strlen(expected[n]));
		assert_memory_equal(command.argv[n].data, expected[n], command.argv[n].size);
	}
	assert_int_equal(command.argc, n);
}

static const struct {
	const char *data;
	const char *arguments[5];
} good[] = {
	{ "*1\r\n$4\r\nPING\r\n", { "PING" } },
	{ "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", { "GET", "a" } },
	{ "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n", { "SET", "", "\r\n\r\n" } },
	{ "*0\r\n", { NULL } },
	{ "*-1\r\n", { NULL } },
	{ "\r\n", { NULL } },
	{ "\n", { NULL } },
	{ "  \t \r\n", { NULL } },
	{ "PING\r\n", { "PING" } },
	{ "PING\n", { "PING" } },
	{ " SET  a\tb \r\n", { "SET", "a", "b" } },
	{ "SET a \"b c\" 'd e'\r\n", { "SET", "a", "b c", "d e" } },
	{ "SET a \"\" ''\r\n", { "SET", "a", "", "" } },
	{ "SET a \"\\n\\r\\t\\b\\a\\x41\\xfG\\\"\\\\\"\r\n", { "SET", "a", "\n\r\t\b\aAxfG\"\\" } },
	{ "SET a 'it\\'s \\n'\r\n", { "SET", "a", "it's \\n" } },
	{ "SET a b\"c d\"\r\n", { "SET", "a", "bc d" } },
	{ "$3\r\n", { "$3" } },
};

static void whole_commands_and_every_prefix(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		size_t size = strlen(good[i].data);
		for (size_t n = 0; n < size; n++)
			assert_int_equal(parse(good[i].data, n), 0);
		assert_int_equal(parse(good[i].data, size), size);
		expect_arguments(good[i].arguments);
	}
}

static void only_the_first_of_several_is_taken(void **state)
{
	const char *const ping[] = { "PING", NULL };
	(void)state;
	assert_int_equal(parse("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nECHO\r\n", 28), 14);
	expect_arguments(ping);
	assert_int_equal(parse("PING\r\nECHO\r\n", 12), 6);
	expect_arguments(ping);
}

static void the_size_is_that_of_the_array(void **state)
{
	char data[256];
	struct resp_out out = { .data = data, .room = sizeof(data) };
	(void)state;
	assert_true(parse("SET key:000001 \"a b\" x\r\n", 24) > 0);
	resp_command(&out, &command);
	assert_int_equal(out.used, command.size);
	assert_int_equal(parse(data, out.used), out.used);
	assert_int_equal(command.size, out.used);
	assert_int_equal(command.argc, 4);
}

static void what_is_not_resp(void **state)
{
	static const struct {
		const char *data, *error;
	} bad[] = {
		{ "*x\r\n", "invalid multibulk length" },
		{ "*\r\n", "invalid multibulk length" },
		{ "*1x\r\n", "invalid multibulk length" },
		{ "*1\rx", "invalid multibulk length" },
		{ "*--1\r\n", "invalid multibulk length" },
		{ "*99999999999999999999999", "invalid multibulk length" },
		{ "*1025\r\n", "invalid multibulk length: over the limit of 1024" },
		{ "*1\r\nx", "expected '$', got 'x'" },
		{ "*1\r\n\r", "expected '$', got '?'" },
		{ "*1\r\n$-1\r\n", "invalid bulk length" },
		{ "*1\r\n$x\r\n", "invalid bulk length" },
		{ "*1\r\n$16385\r\n", "invalid bulk length: over the limit of 16384" },
		{ "*1\r\n$1\r\nabc", "invalid bulk length: no end of line after that many bytes" },
		{ "GET \"a\r\n", "unbalanced quotes in request" },
		{ "GET 'a\r\n", "unbalanced quotes in request" },
		{ "GET \"a\"b\r\n", "unbalanced quotes in request" },
		{ "GET \"a\\\r\n", "unbalanced quotes in request" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i].data, strlen(bad[i].data)), -1);
		assert_string_equal(command.error, bad[i].error);
	}
}

static void inline_limits(void **state)
{
	static char line[RESP_BULK_MAX + 2];
	(void)state;
	memset(line, 'a', sizeof(line));
	assert_int_equal(parse(line, RESP_BULK_MAX), 0);
	assert_int_equal(parse(line, RESP_BULK_MAX + 1), -1);
	assert_string_equal(command.error, "too big inline request");
	line[RESP_BULK_MAX] = '\n';
	assert_int_equal(parse(line, RESP_BULK_MAX + 1), RESP_BULK_MAX + 1);
	assert_int_equal(command.argv[0].size, RESP_BULK_MAX);
	for (size_t i = 0; i < 2 * RESP_ARGUMENTS_MAX; i += 2)
		line[i + 1] = ' ';
	line[2 * RESP_ARGUMENTS_MAX] = '\n';
	assert_true(parse(line, 2 * RESP_ARGUMENTS_MAX + 1) > 0);
	assert_int_equal(command.argc, RESP_ARGUMENTS_MAX);
	memcpy(line + 2 * RESP_ARGUMENTS_MAX, "a\n", 2);
	assert_int_equal(parse(line, 2 * RESP_ARGUMENTS_MAX + 2), -1);
	assert_string_equal(command.error, "too many arguments: over the limit of 1024");
}

static void replies(void **state)
{
	static const char expected[] = "+OK\r\n-ERR a  b\r\n:0\r\n:-9223372036854775808\r\n"
				       ":9223372036854775807\r\n$3\r\na\r\n\r\n$-1\r\n*12\r\n";
	char data[256];
	struct resp_out out = { .data = data, .room = sizeof(data) };
	(void)state;
	resp_simple(&out, "OK");
	resp_error(&out, "ERR %s", "a\r\nb");
	resp_integer(&out, 0);
	resp_integer(&out, INT64_MIN);
	resp_integer(&out, INT64_MAX);
	resp_bulk(&out, (struct slice){ "a\r\n", 3 });
	resp_nil(&out);
	resp_array(&out, 12);
	assert_false(out.is_full);
	assert_int_equal(out.used, sizeof(expected) - 1);
	assert_memory_equal(data, expected, out.used);
}

static void a_reply_without_room(void **state)
{
	char data[6] = "";
	struct resp_out out = { .data = data, .room = 5 };
	(void)state;
	resp_simple(&out, "OK");
	assert_false(out.is_full);
	assert_int_equal(out.used, 5);
	resp_nil(&out);
	assert_true(out.is_full);
	assert_int_equal(out.used, 5);
	assert_int_equal(data[5], 0);
}

static void replies_for_a_person(void **state)
{
	static const struct {
		const char *reply, *text;
	} cases[] = {
		{ "+OK\r\n", "OK" },
		{ "-ERR no\r\n", "ERR no" },
		{ ":12\r\n", "12" },
		{ "$-1\r\n", "(nil)" },
		{ "$0\r\n\r\n", "" },
		{ "$5\r\na\r\n*b\r\n", "a\r\n*b" },
		{ "*0\r\n", "(empty)" },
		{ "*3\r\n$1\r\na\r\n$-1\r\n:3\r\n", "a\n(nil)\n3" },
		{ "*1\r\n*2\r\n$1\r\na\r\n+b\r\n", "a\nb" },
		{ "", "" },
		{ "$9\r\nab", "(nil)\nb" },
		{ "\r\n", "\n" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];
		struct resp_out out = { .data = text, .room = sizeof(text) };
		resp_text(&out, cases[i].reply, strlen(cases[i].reply));
		assert_int_equal(out.used, strlen(cases[i].text));
		assert_memory_equal(text, cases[i].text, out.used);
	}
}

/* Bytes that look like RESP: nothing is read beyond the end, and what is taken lies inside. */
static void random_bytes(void **state)
{
	static const char alphabet[] = "*$+-:0123 \r\n\r\n\"'\\xabGET";
	char data[64], text[512];
	(void)state;
	srand(7);
	for (int round = 0; round < 200000; round++) {
		size_t size = (size_t)rand() % sizeof(data);
		for (size_t i = 0; i < size; i++)
			data[i] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		ssize_t n = parse(data, size);
		assert_true(n >= -1 && n <= (ssize_t)size);
		struct resp_out out = { .data = text, .room = sizeof(text) };
		resp_text(&out, data, size);
	}
}

static int limit_time(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whole_commands_and_every_prefix, limit_time),
		cmocka_unit_test_setup(only_the_first_of_several_is_taken, limit_time),
		cmocka_unit_test_setup(the_size_is_that_of_the_array, limit_time),
		cmocka_unit_test_setup(what_is_not_resp, limit_time),
		cmocka_unit_test_setup(inline_limits, limit_time),
		cmocka_unit_test_setup(replies, limit_time),
		cmocka_unit_test_setup(a_reply_without_room, limit_time),
		cmocka_unit_test_setup(replies_for_a_person, limit_time),
		cmocka_unit_test_setup(random_bytes, limit_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
