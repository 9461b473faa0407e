/* SPDX-License-Identifier: ISC */
/* Texts that are no configuration at all, hostile ones among them, and how a report looks. */
#include "conf_fixture.h"

#include <unistd.h>

static char *repeat(const char *before, const char *text, size_t count, const char *after)
{
	size_t length = strlen(text), head = strlen(before);
	char *all = malloc(head + length * count + strlen(after) + 1);
	assert_non_null(all);
	(void)strcpy(all, before);
	for (size_t i = 0; i < count; i++)
		memcpy(all + head + i * length, text, length);
	(void)strcpy(all + head + length * count, after);
	return all;
}

static void expect_report(const char *text, const char *expected)
{
	struct conf_report report = load_wrong(text);
	assert_string_equal(report.text, expected);
	assert_int_equal(report.count, 1);
	conf_report_finish(&report);
	assert_null(report.text);
}

static void test_empty(void **state)
{
	static const char *const texts[] = {
		"", "\n", "\r\n\r\n", "# nothing\n", "---\n", "--- ~\n", "...\n", "null\n", "   "};
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct conf_report report = load_wrong(texts[i]);
		if (!strstr(report.text, "the least is nodes: [a, b]"))
			fail_msg("'%s': %s", texts[i], report.text);
		conf_report_finish(&report);
	}
	expect_error("", "1:1: nothing is in here; the least is nodes: [a, b]");
}

static void test_not_a_mapping(void **state)
{
	static const char head[] = "a configuration is a mapping, with keys such as 'nodes:' and "
				   "'applications:'; this is";
	char error[256];
	(void)state;
	(void)snprintf(error, sizeof(error), "1:1: %s text", head);
	expect_error("Dear sir, here is\nmy configuration.\n", error);
	expect_error("#!/bin/sh\n", "1:1: nothing is in here; the least is nodes: [a, b]");
	(void)snprintf(error, sizeof(error), "1:1: %s a list", head);
	expect_error("- nodes\n- applications\n", error);
	(void)snprintf(error, sizeof(error), "1:1: %s text", head);
	expect_error("\"nodes\"", error);
}

static void test_not_yaml(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} cases[] = {
		{"nodes: [a, b\n", "1:8: not YAML: '[' without its closing bracket"},
		{"nodes: [a, {b: c]\n", NULL},
		{"limits: {names: 20\nnodes: [a]\n", NULL},
		{"nodes: [a]\n\tdomain: x\n", NULL},
		{"nodes: \"a\n", NULL},
		{"nodes: [a]]\n", NULL},
		{"nodes: a: b\n", NULL},
		{"nodes:\n  - a\n b: c\n", NULL},
		{"nodes: @a\n", "1:8: not YAML: plain scalar cannot start with '@'"},
		{"nodes: `a`\n", NULL},
		{"nodes: *\n", NULL},
		{"nodes: \"\\q\"\n", NULL},
		{"nodes: \"\\ud800\"\n", NULL},
		{"%YAML 3.0\n---\nnodes: [a]\n", NULL},
		{"}", NULL},
		{"{", NULL},
		{"<?xml version=\"1.0\"?>\n<a>b: c</a>\n", NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		if (cases[i].error) {
			expect_error(cases[i].text, cases[i].error);
			continue;
		}
		struct conf_report report = load_wrong(cases[i].text);
		if (!strstr(report.text, ": error: "))
			fail_msg("%s: %s", cases[i].text, report.text);
		conf_report_finish(&report);
	}
}

static void test_structure(void **state)
{
	(void)state;
	expect_error("nodes: [a]\n---\nnodes: [b]\n",
		"2:1: a second document begins here; a configuration is one");
	expect_error(
		"nodes: [a]\nnodes: [b]\n", "2:1: duplicate key 'nodes'; the first is on line 1");
	expect_error(DOMAIN "  x: {supervisor: " TREE "}\n  x: {supervisor: " TREE "}\n",
		"4:3: duplicate key 'x'; the first is on line 3");
	expect_error(APPLICATION("env: {A: 1, A: 2}"),
		"4:17: duplicate key 'A'; the first is on line 4");
	expect_error("nodes: [a]\n? [x]\n: y\n", "2:3: a key must be text; this one is a list");
	expect_error(
		"nodes: [a]\n? {x: y}\n: y\n", "2:3: a key must be text; this one is a mapping");
	expect_error("nodes: [a]\n~: y\n", "2:1: a key must be text; this one is empty");
	expect_error("nodes: !!set [a]\n", "1:14: tags are not used in a configuration");
	expect_error("domain: !x d\nnodes: [a]\n", "1:12: tags are not used in a configuration");
	expect_error(APPLICATION("<<: {}"),
		"4:5: merge keys are not supported; an alias can stand for a whole value");
	expect_error("nodes: [\"a\\0b\"]\n", "1:9: text with a NUL byte");
	expect_good("%YAML 1.2\n---\nnodes: [a]\n...\n");
	expect_good("nodes: [a]\r\ndomain: d\r\n");
	expect_error("nodes: [a]\r\r\n# x\n\rdomain: a b\r\n",
		"5:9: 'a b' is no name of a domain: letters, digits, '_', '-' and '.', the first a "
		"letter, digit or '_'");
	expect_good("\xef\xbb\xbfnodes: [a]\n");
	expect_good("{\"nodes\":[\"a\"],\"domain\":\"d\"}");
	expect_good("nodes:\n- a\n- |-\n  b\n- >-\n  c\n- 'd'\n- \"\\x65\"\n");
}

static void test_quotes(void **state)
{
	static const struct {
		const char *text;
		const char *value;
	} cases[] = {
		{"''", ""},
		{"'a''b'", "a'b"},
		{"''''''", "''"},
		{"'''''a'", "''a"},
		{"'a \\n'", "a \\n"},
		{"'a  \n        b\n\n\n        c'", "a b\n\nc"},
		{"'\n        a\n        '", " a "},
		{"'a  \n\n        '", "a\n"},
		{"'a\r\n        b\r        c'", "a b c"},
		{"\"\"", ""},
		{"\"\\\"\\\\\\/\\a\\b\\t\\n\\v\\f\\r\\e\\ \"", "\"\\/\a\b\t\n\v\f\r\x1b "},
		{"\"\\N\\_\\L\\P\"", "\xc2\x85\xc2\xa0\xe2\x80\xa8\xe2\x80\xa9"},
		{"\"\\x41\\xe9\\u20ac\\U0001F600\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\"a \\\n        b\"", "a b"},
		{"\"a\\ \n        b\"", "a  b"},
		{"\"a\\\n\n        \\ b\"", "a\n b"},
		{"\"\\\"\n\n        \\ \n        \\x41\"", "\"\n  A"},
		{"|\n        a\n        b\n", "a\nb\n"},
		{"|\n        a\n   ", "a\n"},
		{"|\n   ", ""},
		{"|-\n        a\n         b", "a\n b"},
		{">-\n        a\n        b\n", "a b"},
		{"a b\n        c", "a b c"},
	};
	char text[512];
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		(void)snprintf(text, sizeof(text),
			"nodes: [a]\napplications:\n  x:\n    supervisor: " TREE
			"\n    env:\n      V: %s",
			cases[i].text);
		struct conf *conf = load_good(text);
		assert_string_equal(conf->applications[0].env[0].value, cases[i].value);
		conf_free(conf);
	}
}

static void test_bytes(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} cases[] = {
		{"nodes: [\xff]\n", "1:9: not text: byte 0xff is not UTF-8"},
		{"nodes: [\xc3]\n", "1:9: not text: byte 0xc3 is not UTF-8"},
		{"nodes: [\xc0\x80]\n", "1:9: not text: byte 0xc0 is not UTF-8"},
		{"nodes: [\xed\xa0\x80]\n", "1:9: not text: byte 0xed is not UTF-8"},
		{"nodes: [\xf4\x90\x80\x80]\n", "1:9: not text: byte 0xf4 is not UTF-8"},
		{"nodes: [\xe2\x82", "1:9: not text: byte 0xe2 is not UTF-8"},
		{"\x7f"
		 "ELF\x02\x01\x01",
			"1:1: not text: byte 0x7f is a control character"},
		{"# \x1b[31m\nnodes: [a]\n", "1:3: not text: byte 0x1b is a control character"},
		{"# \xc2\x9b\nnodes: [a]\n", "1:3: not text: byte 0xc2 is not UTF-8"},
		{"\xff\xfen\0o\0", "1:1: not text: byte 0xff is not UTF-8"},
		{"# \xef\xbf\xbe\n", "1:3: not text: byte 0xef is not UTF-8"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		expect_error(cases[i].text, cases[i].error);
}

static void test_file_with_nul(void **state)
{
	char path[] = "/tmp/conf_text_test.XXXXXX";
	struct conf *conf = NULL;
	struct conf_report report = {0};
	(void)state;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "nodes: [a]\n\0nodes: [b]\n", 23), 23);
	assert_int_equal(close(fd), 0);
	assert_int_equal(conf_load(path, NULL, &conf, &report), -EINVAL);
	assert_non_null(
		strstr(report.text, ":2:1: error: not text: byte 0x00 is a control character\n"));
	assert_int_equal(unlink(path), 0);
	conf_report_finish(&report);
}

static void test_aliases(void **state)
{
	(void)state;
	expect_error("nodes: [a]\ndomain: *d\n", "2:9: no anchor 'd' comes before its alias");
	expect_error("nodes: &n [a, *n]\n", "1:15: alias 'n' is within what it stands for");
	expect_error("limits: &n\n  names: *n\n", "2:10: alias 'n' is within what it stands for");
	expect_errors("nodes: [a]\n"
		      "a: &a [x, x, x, x, x, x, x, x, x]\n"
		      "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
		      "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n"
		      "d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n",
		"2:1: unknown key 'a' of the domain; the keys are: domain, nodes, limits, low_latency, "
		"applications\n"
		"3:1: unknown key 'b' of the domain; the keys are: domain, nodes, limits, low_latency, "
		"applications\n"
		"4:1: unknown key 'c' of the domain; the keys are: domain, nodes, limits, low_latency, "
		"applications\n"
		"5:1: unknown key 'd' of the domain; the keys are: domain, nodes, limits, low_latency, "
		"applications\n",
		4);
}

/* Nested as far as a tree may be, with as many children each as it takes. */
static void test_alias_bomb(void **state)
{
	char *text;
	size_t length;
	(void)state;
	FILE *file = open_memstream(&text, &length);
	assert_non_null(file);
	(void)fputs(DOMAIN, file);
	for (int i = 0; i < 7; i++) {
		(void)fprintf(file, "  x%d: {supervisor: {children: &c%d [", i, i);
		for (int j = 0; j < 40; j++)
			if (i == 0)
				(void)fprintf(file, "{id: s%d, exec: [x]}, ", j);
			else
				(void)fprintf(file, "{id: t%d, type: supervisor, children: *c%d}, ",
					j, i - 1);
		(void)fputs("]}}\n", file);
	}
	(void)fclose(file);
	struct conf_report report = load_wrong(text);
	assert_non_null(strstr(report.text, "more than 64 workers in one application\n"));
	conf_report_finish(&report);
	free(text);
}

/* One long list that every child of many instances shares. */
static void test_memory_bomb(void **state)
{
	char *text, *report_text;
	size_t length;
	struct conf *conf = NULL;
	struct conf_report report = {0};
	(void)state;
	FILE *file = open_memstream(&text, &length);
	assert_non_null(file);
	(void)fputs("nodes: [a]\napplications:\n  t:\n    instances: {", file);
	for (int i = 0; i < 64; i++)
		(void)fprintf(file, "i%d: [a], ", i);
	(void)fputs("}\n    supervisor:\n      children:\n", file);
	for (int i = 0; i < 64; i++) {
		(void)fprintf(
			file, "      - {id: s%d, exec: [x], names: %s", i, i ? "*n}\n" : "&n [");
		for (int j = 0; i == 0 && j < 10000; j++)
			(void)fprintf(file, "n%d-%%i, ", j);
		if (i == 0)
			(void)fputs("]}\n", file);
	}
	(void)fclose(file);
	assert_int_equal(conf_load(NULL, text, &conf, &report), -EFBIG);
	report_text = strrchr(report.text, ':');
	assert_string_equal(report_text, ": too large; a configuration is at most 4194304 bytes\n");
	conf_report_finish(&report);
	free(text);
}

static void test_nesting(void **state)
{
	static const char *const units[] = {"[", "{", "[{", "- ", "? ", "{a: [", "&a [", "[a,",
		"{? ", "{\"a\":", "- - a\n", "!!a ", "*a ", "\"", "'", "|\n", "a: ", "- ? ", ", ",
		"---\n", "...\n", "#", "\t", "\\"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		char *text = repeat("", units[i], 100000, "");
		struct conf_report report = load_wrong(text);
		conf_report_finish(&report);
		free(text);
	}
	char *text = repeat("nodes: ", "[", 31, "");
	struct conf_report report = load_wrong(text);
	assert_null(strstr(report.text, "deep"));
	conf_report_finish(&report);
	free(text);
	text = repeat("nodes: ", "[", 32, "");
	expect_error(text, "1:39: lists and mappings more than 32 deep");
	free(text);
}

static void test_size(void **state)
{
	struct conf *conf = NULL;
	struct conf_report report = {0};
	(void)state;
	char *text = repeat("nodes: [a]\n", "#", CONF_TEXT_MAX - 11, "");
	assert_int_equal(strlen(text), CONF_TEXT_MAX);
	expect_good(text);
	free(text);
	text = repeat("nodes: [a]\n", "#", CONF_TEXT_MAX - 10, "");
	assert_int_equal(conf_load(NULL, text, &conf, &report), -EFBIG);
	assert_string_equal(
		report.text, "text: error: too large; a configuration is at most 4194304 bytes\n");
	assert_int_equal(report.count, 1);
	conf_report_finish(&report);
	assert_int_equal(conf_load("/dev/zero", NULL, &conf, &report), -EFBIG);
	assert_string_equal(report.text,
		"/dev/zero: error: too large; a configuration is at most 4194304 bytes\n");
	conf_report_finish(&report);
	free(text);
}

static void test_many_errors(void **state)
{
	char *text;
	size_t length;
	(void)state;
	FILE *file = open_memstream(&text, &length);
	assert_non_null(file);
	(void)fputs("nodes: [a]\n", file);
	for (int i = 0; i < CONF_ERRORS_MAX + 5; i++)
		(void)fprintf(file, "key%d: x\n", i);
	(void)fclose(file);
	struct conf_report report = load_wrong(text);
	assert_int_equal(report.count, CONF_ERRORS_MAX + 5);
	assert_non_null(strstr(report.text, "text:101:1: error: unknown key 'key99'"));
	assert_null(strstr(report.text, "text:102:1:"));
	assert_non_null(strstr(report.text, "text: error: 5 more not shown\n"));
	conf_report_finish(&report);
	free(text);
}

static void test_report(void **state)
{
	(void)state;
	expect_report("nodes: [a]\ndomain: a b\n",
		"text:2:9: error: 'a b' is no name of a domain: letters, digits, '_', '-' and '.', "
		"the first a letter, digit "
		"or '_'\n"
		"  domain: a b\n"
		"          ^\n");
	/* A column is a character; a tab stays a tab above the caret. */
	expect_report("{é: 1,\tnodes: [a]}\n",
		"text:1:2: error: unknown key 'é' of the domain; the keys are: domain, nodes, "
		"limits, low_latency, applications\n"
		"  {é: 1,\tnodes: [a]}\n"
		"   ^\n");
	expect_report("{domain: 'e',\tnodes: 5}\n",
		"text:1:22: error: 'nodes' must be a list; this is text; write it in [ ]\n"
		"  {domain: 'e',\tnodes: 5}\n"
		"               \t       ^\n");
	expect_report("nodes: [a]\ndomain: \"\\e[31m\"\n",
		"text:2:9: error: '?[31m' is no name of a domain: letters, digits, '_', '-' and "
		"'.', the first a letter, "
		"digit or '_'\n"
		"  domain: \"\\e[31m\"\n"
		"          ^\n");
}

/* Of a long line, what is around the place. */
static void test_long_line(void **state)
{
	(void)state;
	char *text = repeat("{nodes: [a], domain: d, ", "         ", 40,
		"x: 1, limits: {}                                        "
		"                                                                                  "
		"       }\n");
	expect_report(text,
		"text:1:385: error: unknown key 'x' of the domain; the keys are: domain, nodes, "
		"limits, low_latency, applications\n"
		"  ...                                                  x: 1, limits: {}           "
		"                       ...\n"
		"                                                       ^\n");
	free(text);
	/* A character is not cut. */
	text = repeat("{nodes: [a], domain: '", "é", 200, "'}\n");
	struct conf_report report = load_wrong(text);
	assert_non_null(strstr(report.text, "éé...\n"));
	assert_null(strchr(report.text, '?'));
	conf_report_finish(&report);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_not_a_mapping),
		cmocka_unit_test(test_not_yaml),
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_file_with_nul),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_alias_bomb),
		cmocka_unit_test(test_memory_bomb),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_long_line),
	};
	return cmocka_run_group_tests_name("conf_text", tests, NULL, NULL);
}
