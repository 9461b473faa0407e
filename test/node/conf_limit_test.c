/* SPDX-License-Identifier: ISC */
/* Each limit of conf.h from both sides. */
#include "conf_fixture.h"

static char *text;
static size_t text_length;

static FILE *begin(void)
{
	FILE *file = open_memstream(&text, &text_length);
	assert_non_null(file);
	return file;
}

static void end_good(FILE *file)
{
	assert_int_equal(fclose(file), 0);
	expect_good(text);
	free(text);
}

/* ERROR ends the only message. */
static void expect_end(const char *wrong, const char *error)
{
	struct conf_report report = load_wrong(wrong);
	strip_report(&report);
	size_t length = strlen(report.text), tail = strlen(error);
	if (report.count != 1 || length < tail + 1 ||
		strncmp(report.text + length - tail - 1, error, tail) != 0)
		fail_msg("expected ... %s\ngot %u\n%.700s", error, report.count, report.text);
	conf_report_finish(&report);
}

static void end_error(FILE *file, const char *error)
{
	assert_int_equal(fclose(file), 0);
	expect_end(text, error);
	free(text);
}

/* HEAD, then BEFORE, i and AFTER for each of COUNT with commas between, then TAIL. */
static FILE *repeat(
	const char *head, const char *before, const char *after, int count, const char *tail)
{
	FILE *file = begin();
	(void)fputs(head, file);
	for (int i = 0; i < count; i++)
		(void)fprintf(file, "%s%s%d%s", i ? ", " : "", before, i, after);
	(void)fputs(tail, file);
	return file;
}

static void test_counts(void **state)
{
	static const char children[] = DOMAIN "  x: {supervisor: {children:\n    [";
	(void)state;
	end_good(repeat("nodes: [", "n", "", CONF_NODES_MAX, "]\n"));
	end_error(repeat("nodes: [", "n", "", CONF_NODES_MAX + 1, "]\n"),
		"'nodes' has 17 nodes; it takes from 1 to 16");
	end_good(repeat("nodes: [a]\napplications: {", "x", ": {supervisor: " TREE "}",
		CONF_APPLICATIONS_MAX, "}\n"));
	end_error(repeat("nodes: [a]\napplications: {", "x", ": {supervisor: " TREE "}",
			  CONF_APPLICATIONS_MAX + 1, "}\n"),
		"65 applications; the limit is 64");
	end_good(repeat("nodes: [a]\napplications: {x: {instances: {", "i", ": [a]",
		CONF_APPLICATIONS_MAX, "}, supervisor: " TREE "}}\n"));
	end_error(repeat("nodes: [a]\napplications: {x: {instances: {", "i", ": [a]",
			  CONF_APPLICATIONS_MAX,
			  "}, supervisor: " TREE "}, y: {supervisor: " TREE "}}\n"),
		"65 applications; the limit is 64");
	end_good(repeat(children, "{exec: [x], id: s", "}", CONF_ROLES_MAX, "]}}\n"));
	end_error(repeat(children, "{exec: [x], id: s", "}", CONF_ROLES_MAX + 1, "]}}\n"),
		"more than 64 workers in one application");
	end_good(repeat(DOMAIN "  x: {supervisor: " TREE ",\n    takeover: [start, switch, ", "p",
		"", CONF_STEPS_MAX - 2, "]}\n"));
	end_error(repeat(DOMAIN "  x: {supervisor: " TREE ",\n    takeover: [start, switch, ", "p",
			  "", CONF_STEPS_MAX - 1, "]}\n"),
		"17 steps; the limit is 16");
	end_good(repeat(DOMAIN "  x: {supervisor: " TREE ",\n    env: {", "V", ": v", CONF_ENV_MAX,
		"}}\n"));
	end_error(repeat(DOMAIN "  x: {supervisor: " TREE ",\n    env: {", "V", ": v",
			  CONF_ENV_MAX + 1, "}}\n"),
		"65 variables; the limit is 64");
	end_good(repeat(DOMAIN "  x: {supervisor: {children: [{id: s, exec:\n    [", "w", "",
		CONF_ARGUMENTS_MAX, "]}]}}\n"));
	end_error(repeat(DOMAIN "  x: {supervisor: {children: [{id: s, exec:\n    [", "w", "",
			  CONF_ARGUMENTS_MAX + 1, "]}]}}\n"),
		"'exec' has 257 words; it takes from 1, the program, to 256");
}

static FILE *sockets(int count)
{
	FILE *file = begin();
	(void)fputs(DOMAIN "  x: {supervisor: " TREE ",\n    listen: {", file);
	for (int i = 0; i < count; i++)
		(void)fprintf(file, "l%d: 'unix:/l%d', ", i, i);
	(void)fputs("}}\n", file);
	return file;
}

static void test_sockets(void **state)
{
	(void)state;
	end_good(sockets(CONF_LISTEN_MAX));
	end_error(sockets(CONF_LISTEN_MAX + 1), "17 listening sockets; the limit is 16");
}

static FILE *supervisors(int count)
{
	FILE *file = begin();
	(void)fputs(DOMAIN "  x:\n    supervisor:\n      children:\n        - {id: s, exec: [x]}\n",
		file);
	for (int i = 0; i < count; i++)
		(void)fprintf(file, "        - {id: t%d, type: supervisor, children: []}\n", i);
	return file;
}

static FILE *nested(int depth)
{
	FILE *file = begin();
	(void)fputs(DOMAIN "  x:\n    supervisor:\n", file);
	for (int i = 1; i <= depth; i++) {
		(void)fprintf(file, "%*schildren:\n", 2 + 4 * i, "");
		if (i < depth)
			(void)fprintf(file, "%*s- id: t%d\n%*stype: supervisor\n", 4 + 4 * i, "", i,
				6 + 4 * i, "");
	}
	(void)fprintf(file, "%*s- {id: s, exec: [x]}\n", 4 + 4 * depth, "");
	return file;
}

static void test_supervisors(void **state)
{
	(void)state;
	end_good(supervisors(CONF_SUPERVISORS_MAX));
	end_error(supervisors(CONF_SUPERVISORS_MAX + 1),
		"more than 64 supervisors in one application");
	end_good(nested(CONF_SUPERVISOR_DEPTH_MAX));
	end_error(nested(CONF_SUPERVISOR_DEPTH_MAX + 1), "supervisors more than 8 deep");
}

static void test_keys(void **state)
{
	(void)state;
	FILE *file = repeat("nodes: [a]\nlimits:\n  {", "k", ": 1", CONF_KEYS_MAX, "}\n");
	assert_int_equal(fclose(file), 0);
	struct conf_report report = load_wrong(text);
	assert_int_equal(report.count, CONF_KEYS_MAX);
	conf_report_finish(&report);
	free(text);
	end_error(repeat("nodes: [a]\nlimits:\n  {", "k", ": 1", CONF_KEYS_MAX + 1, "}\n"),
		"more than 256 keys in one mapping");
}

static void test_anchors(void **state)
{
	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		FILE *file = repeat(DOMAIN "  x: {supervisor: {children: [{id: s, exec:\n    [",
			"&a", " w", CONF_ANCHORS_MAX + extra, "]}]}}\n");
		if (extra)
			end_error(file, "more than 64 anchors");
		else
			end_good(file);
	}
}

/* FORMAT with a text of LENGTH, which is the limit, and with one byte more. */
static void expect_length(const char *format, int length, const char *error)
{
	char bytes[300];
	memset(bytes, 'n', sizeof(bytes));
	bytes[length] = '\0';
	expect_good(with(format, bytes));
	bytes[length] = 'n';
	bytes[length + 1] = '\0';
	expect_end(with(format, bytes), error);
}

static void test_lengths(void **state)
{
	(void)state;
	expect_length("nodes: [a]\ndomain: %s\n", CONF_DOMAIN_LENGTH_MAX,
		"name of a domain of 32 bytes; the limit is 31");
	expect_length("nodes: [%s]\n", CONF_NODE_LENGTH_MAX,
		"name of a node of 32 bytes; the limit is 31");
	expect_length(DOMAIN "  %s: {supervisor: " TREE "}\n", CONF_APPLICATION_LENGTH_MAX,
		"name of an application of 64 bytes; the limit is 63");
	expect_length(DOMAIN "  x/%s: {supervisor: " TREE "}\n", CONF_APPLICATION_LENGTH_MAX - 2,
		"name of an application of 64 bytes; the limit is 63");
	expect_length(DOMAIN "  x: {instances: {%s: [a]}, supervisor: " TREE "}\n",
		CONF_APPLICATION_LENGTH_MAX - 2,
		"'x/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn' is 64 "
		"bytes long; the limit is "
		"63");
	expect_length(DOMAIN "  x: {supervisor: {children: [{id: %s, exec: [x]}]}}\n",
		CONF_ID_LENGTH_MAX, "id of 64 bytes; the limit is 63");
	expect_length(APPLICATION("listen: {%s: 'unix:/l'}"), CONF_ID_LENGTH_MAX,
		"name of a socket of 64 bytes; the limit is 63");
	expect_length(WORKER("names: ['%s']"), CONF_NAME_LENGTH_MAX,
		"a name of 256 bytes; it takes from 1 to 255");
	expect_length(APPLICATION("env: {%s: v}"), CONF_NAME_LENGTH_MAX,
		"'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn' is no "
		"name of a variable: "
		"letters, digits and '_', the first not a digit");
	expect_length(APPLICATION("listen: {l: 'unix:/%s'}"), 106,
		"the path of a Unix socket is at most 107 bytes");
}

static void test_ranges(void **state)
{
	static const struct {
		const char *format;
		const char *least, *most, *below, *above;
	} cases[] = {
		{"nodes: [a]\nlimits: {names: %s}\n", "16", "16777216", "15", "16777217"},
		{"nodes: [a]\nlimits: {processes: %s}\n", "8", "4096", "7", "4097"},
		{"nodes: [a]\nlimits: {messages: %s}\n", "16", "1048576", "15", "1048577"},
		{"nodes: [a]\nlimits: {message: %s}\n", "64B", "1MiB", "63B", "1048577B"},
		{"nodes: [a]\nlimits: {trace: %s}\n", "16", "1048576", "15", "1048577"},
		{APPLICATION("step_timeout: %s"), "1ms", "1h", "999us", "3600.001s"},
		{APPLICATION("yield_timeout: %s"), "0s", "1min", NULL, "61s"},
		{APPLICATION("claim_grace: %s"), "0s", "1min", NULL, "61s"},
		{APPLICATION("failover_timeout: %s"), "0s", "1d", NULL, "24.1h"},
		{APPLICATION("failovers: {intensity: %s}"), "0", "1000", NULL, "1001"},
		{APPLICATION("failovers: {period: %s}"), "1ms", "24h", "0.5ms", "2d"},
		{APPLICATION("max_deliveries: %s"), "1", "100", "0", "101"},
		{DOMAIN "  x: {supervisor: {intensity: %s, children: [{id: s, exec: [x]}]}}\n", "0",
			"1000", NULL, "1001"},
		{DOMAIN "  x: {supervisor: {period: %s, children: [{id: s, exec: [x]}]}}\n", "1ms",
			"1d", "999us", "2d"},
		{WORKER("shutdown: %s"), "1ms", "1h", "999us", "61min"},
		{WORKER("watchdog: %s"), "10ms", "1h", "9ms", "61min"},
		{WORKER("state: %s"), "1B", "1024GiB", "0B", "1024.5GiB"},
		{WORKER("ready: {fd: %s}"), "3", "255", "2", "256"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		expect_good(with(cases[i].format, cases[i].least));
		expect_good(with(cases[i].format, cases[i].most));
		for (int side = 0; side < 2; side++) {
			const char *value = side ? cases[i].above : cases[i].below;
			if (!value)
				continue;
			struct conf_report report = load_wrong(with(cases[i].format, value));
			assert_int_equal(report.count, 1);
			if (!strstr(report.text, with("is %s; it must be from ", value)))
				fail_msg("%s", report.text);
			conf_report_finish(&report);
		}
	}
}

/* As large as all limits allow at once, and there and back. */
static void test_largest(void **state)
{
	char *printed;
	size_t length;
	(void)state;
	FILE *file = begin();
	(void)fputs("nodes: [a]\nlimits: {processes: 4096, names: 65536}\napplications:\n", file);
	for (int i = 0; i < CONF_APPLICATIONS_MAX; i++) {
		int workers = i ? CONF_ROLES_MAX : CONF_ROLES_MAX - 1;
		(void)fprintf(file, "  x%d:\n    supervisor:\n      children:\n", i);
		for (int j = 0; j < workers; j++)
			(void)fprintf(file,
				"        - {id: s%d, exec: [x, -n, '%d'], names: [n%d.%d, "
				"m%d.%d]}\n",
				j, j, i, j, i, j);
		for (int j = 0; j < CONF_SUPERVISORS_MAX; j++)
			(void)fprintf(
				file, "        - {id: t%d, type: supervisor, children: []}\n", j);
	}
	assert_int_equal(fclose(file), 0);
	struct conf *conf = load_good(text);
	free(text);
	assert_int_equal(conf_print(conf, &printed, &length), 0);
	assert_in_range(length, 1, CONF_TEXT_MAX);
	struct conf *again = load_good(printed);
	assert_true(conf_signature(conf) == conf_signature(again));
	conf_free(again);
	conf_free(conf);
	free(printed);
}

static void test_expanded_size(void **state)
{
	(void)state;
	FILE *file = begin();
	(void)fputs("nodes: [a]\napplications:\n  x:\n    env: {V: ", file);
	for (int i = 0; i < 100000; i++)
		(void)fputc('v', file);
	(void)fputs("}\n    supervisor: " TREE "\n    instances: {", file);
	for (int i = 0; i < 50; i++)
		(void)fprintf(file, "i%d: [a], ", i);
	(void)fputs("}\n", file);
	end_error(file,
		"bytes with its templates expanded; the limit "
		"is 4194304");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_supervisors),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_anchors),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_expanded_size),
	};
	return cmocka_run_group_tests_name("conf_limit", tests, NULL, NULL);
}
