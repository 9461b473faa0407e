/* SPDX-License-Identifier: ISC */
/* JSON, aligned cells, trees and bars, drawn into memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/cmdjson.h"
#include "cmd/cmdmove.h"
#include "cmd/cmdout.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_SECONDS 20

static char *text;
static size_t text_size;

static struct out begin(bool utf8)
{
	setlocale(LC_CTYPE, utf8 ? "C.UTF-8" : "C");
	return (struct out){.file = open_memstream(&text, &text_size),
		.error = stderr,
		.utf8 = utf8,
		.columns = 80};
}

static void expect(struct out *out, const char *wanted)
{
	fclose(out->file);
	assert_string_equal(text, wanted);
	free(text);
}

static void json_escapes_everything(void **state)
{
	struct out out = begin(true);
	struct json json;

	(void)state;
	json_init(&json, out.file);
	json_object(&json, NULL);
	json_string(&json, "q\"", "\"\\/\b\f\n\r\t\x01\x1f\x7f");
	json_string(&json, "u", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	json_string(&json, "bad",
		"a\xff"
		"b\xc3(\xed\xa0\x80\xf0\x9f\x98");
	json_text(&json, "none", "");
	json_text(&json, "null", NULL);
	json_string(&json, "empty", "");
	json_end(&json);
	expect(&out, "{\"q\\\"\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\","
		     "\"u\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\","
		     "\"bad\":\"a\\ufffdb\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\","
		     "\"none\":null,\"null\":null,\"empty\":\"\"}\n");
}

static void json_nests_and_counts(void **state)
{
	struct out out = begin(true);
	struct json json;

	(void)state;
	json_init(&json, out.file);
	json_array(&json, NULL);
	json_object(&json, NULL);
	json_end(&json);
	json_array(&json, NULL);
	json_integer(&json, NULL, INT64_MIN);
	json_integer(&json, NULL, 7);
	json_end(&json);
	json_object(&json, NULL);
	json_pid(&json, "p", 0);
	json_pid(&json, "q", 12);
	json_bool(&json, "t", true);
	json_bool(&json, "f", false);
	json_us(&json, "us", 1234567);
	json_us(&json, "small", 1);
	json_us(&json, "less", -1500);
	json_us(&json, "least", INT64_MIN);
	json_end(&json);
	json_end(&json);
	expect(&out, "[{},[-9223372036854775808,7],{\"p\":null,\"q\":12,\"t\":true,\"f\":false,"
		     "\"us\":1234.567,\"small\":0.001,\"less\":-1.500,"
		     "\"least\":-9223372036854775.808}]\n");
}

static void text_cannot_steer_a_terminal(void **state)
{
	struct out out = begin(true);

	(void)state;
	out_text(&out, out.file, "a\033[2J\n\\\xc3\xa9\xff\xe2\x80\xae\xc2\x9b");
	expect(&out, "a\\x1b[2J\\x0a\\\\\xc3\xa9\\xff\\xe2\\x80\\xae\\xc2\\x9b");
	out = begin(false);
	out_text(&out, out.file, "\xc3\xa9");
	expect(&out, "\\xc3\\xa9");
}

static void cells_are_aligned(void **state)
{
	const struct cell rows[2][4] = {
		{out_cell("\xc3\xa9t\xc3\xa9", PLAIN), out_cell("", PLAIN), out_number("5", PLAIN),
			out_cell("x", PLAIN)},
		{out_cell("longer", PLAIN), out_cell("", PLAIN), out_number("1234", PLAIN),
			out_cell("", PLAIN)},
	};
	struct out out = begin(true);
	int width[4] = {0};

	(void)state;
	for (int i = 0; i < 2; i++)
		out_measure(&out, rows[i], 4, width);
	for (int i = 0; i < 2; i++)
		out_cells(&out, rows[i], 4, width);
	expect(&out, "\xc3\xa9t\xc3\xa9        5  x\nlonger  1234\n");
}

static void colours_are_closed(void **state)
{
	const struct cell cell = out_cell("on", GOOD);
	struct out out = begin(true);
	int width = 2;

	(void)state;
	out.colour = true;
	out_cells(&out, &cell, 1, &width);
	expect(&out, "\033[32mon\033[0m\n");
}

static void draw_tree(struct out *out)
{
	struct tree tree;

	tree_init(&tree, out);
	tree_branch(&tree, false);
	fputs("one\n", out->file);
	tree_enter(&tree, false);
	tree_branch(&tree, true);
	fputs("two\n", out->file);
	tree_enter(&tree, true);
	tree_branch(&tree, true);
	fputs("three\n", out->file);
	tree_leave(&tree);
	tree_leave(&tree);
	tree_branch(&tree, true);
	fputs("four\n", out->file);
}

static void trees_have_branches(void **state)
{
	struct out out = begin(true);

	(void)state;
	draw_tree(&out);
	expect(&out, "├─ one\n"
		     "│  └─ two\n"
		     "│     └─ three\n"
		     "└─ four\n");
	out = begin(false);
	draw_tree(&out);
	expect(&out, "|- one\n"
		     "|  `- two\n"
		     "|     `- three\n"
		     "`- four\n");
}

static void expect_bar(
	int64_t start, int64_t duration, int64_t total, const char *wide, const char *plain)
{
	const struct heir_step step = {"s", start, duration};
	char bar[64];

	move_bar(&step, total, 10, true, bar);
	assert_string_equal(bar, wide);
	move_bar(&step, total, 10, false, bar);
	assert_string_equal(bar, plain);
}

static void bars_are_to_scale(void **state)
{
	(void)state;
	expect_bar(0, 1000, 1000, "██████████", "##########");
	expect_bar(0, 500, 1000, "█████", "#####");
	expect_bar(500, 500, 1000, "     █████", "     #####");
	expect_bar(0, 50, 1000, "▌", "#");
	expect_bar(50, 50, 1000, "▐", "#");
	expect_bar(250, 200, 1000, "  ▐█▌", "  ###");
}

static void bars_show_what_is_tiny_or_too_long(void **state)
{
	(void)state;
	expect_bar(0, 0, 1000, "▌", "#");
	expect_bar(999, 0, 1000, "         ▐", "         #");
	expect_bar(1000, 0, 1000, "", "");
	expect_bar(INT64_MAX - 1, 1, INT64_MAX, "         ▐", "         #");
	expect_bar(1000, 1, 1000, "          …", "          ...");
	expect_bar(500, 5000, 1000, "     █████…", "     #####...");
	expect_bar(5000, 1, 1000, "          …", "          ...");
	expect_bar(-5, 1005, 1000, "██████████…", "##########...");
	expect_bar(0, -5, 1000, "▌", "#");
	expect_bar(0, 5, 0, "", "");
	expect_bar(0, 5, -1, "", "");
	expect_bar(0, INT64_MAX, INT64_MAX, "██████████", "##########");
	expect_bar(INT64_MIN, INT64_MAX, INT64_MAX, "██████████", "##########");
}

static void times_are_rfc_3339(void **state)
{
	char at[64];

	(void)state;
	move_time(INT64_C(1700000000123456789), at, sizeof(at));
	assert_string_equal(at, "2023-11-14T22:13:20.123456Z");
	move_time(0, at, sizeof(at));
	assert_string_equal(at, "1970-01-01T00:00:00.000000Z");
	move_time(-1000, at, sizeof(at));
	assert_string_equal(at, "1969-12-31T23:59:59.999999Z");
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
		cmocka_unit_test_setup(json_escapes_everything, limit),
		cmocka_unit_test_setup(json_nests_and_counts, limit),
		cmocka_unit_test_setup(text_cannot_steer_a_terminal, limit),
		cmocka_unit_test_setup(cells_are_aligned, limit),
		cmocka_unit_test_setup(colours_are_closed, limit),
		cmocka_unit_test_setup(trees_have_branches, limit),
		cmocka_unit_test_setup(bars_are_to_scale, limit),
		cmocka_unit_test_setup(bars_show_what_is_tiny_or_too_long, limit),
		cmocka_unit_test_setup(times_are_rfc_3339, limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
