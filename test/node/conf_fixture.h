/* SPDX-License-Identifier: ISC */
/* What the tests of the configuration share. The order of includes is cmocka's. */
#ifndef HEIR_TEST_NODE_CONF_FIXTURE_H
#define HEIR_TEST_NODE_CONF_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

#define DOMAIN "nodes: [a, b]\napplications:\n"
#define TREE "{children: [{id: s, exec: [x]}]}"

static inline struct conf *load_good(const char *text)
{
	struct conf *conf = NULL;
	struct conf_report report = {0};
	int r = conf_load(NULL, text, &conf, &report);
	if (r != 0)
		fail_msg("%d\n%.400s\nfor\n%.400s", r, report.text ? report.text : "", text);
	assert_null(report.text);
	assert_int_equal(report.count, 0);
	assert_non_null(conf);
	return conf;
}

static inline struct conf_report load_wrong(const char *text)
{
	struct conf *conf = (struct conf *)&conf;
	struct conf_report report = {0};
	assert_int_equal(conf_load(NULL, text, &conf, &report), -EINVAL);
	assert_ptr_equal(conf, (struct conf *)&conf);
	assert_non_null(report.text);
	assert_int_equal(strlen(report.text), report.length);
	return report;
}

/* Only the errors, "LINE:COLUMN: MESSAGE" each with its line break. */
static inline void strip_report(struct conf_report *report)
{
	char *to = report->text;
	const char *next;
	for (const char *line = report->text; *line; line = next) {
		size_t length = strcspn(line, "\n");
		next = line + length + (line[length] == '\n');
		const char *error = strstr(line, ": error: ");
		if (strncmp(line, "text:", 5) != 0 || !error || error > line + length)
			continue;
		size_t position = (size_t)(error - line) - 5;
		memmove(to, line + 5, position + 2);
		to += position + 2;
		size_t rest = length - (size_t)(error + 9 - line);
		memmove(to, error + 9, rest + 1);
		to += rest + 1;
	}
	*to = '\0';
}

static inline void expect_errors(const char *text, const char *errors, unsigned count)
{
	struct conf_report report = load_wrong(text);
	strip_report(&report);
	if (strcmp(report.text, errors) != 0 || report.count != count)
		fail_msg("expected %u\n%.300s\ngot %u\n%.300s\nfor\n%.300s", count, errors,
			report.count, report.text, text);
	conf_report_finish(&report);
}

static inline void expect_error(const char *text, const char *error)
{
	char line[1024];
	(void)snprintf(line, sizeof(line), "%s\n", error);
	expect_errors(text, line, 1);
}

static inline void expect_good(const char *text)
{
	conf_free(load_good(text));
}

/* FORMAT with TEXT, in static memory of four turns. */
static inline const char *with(const char *format, const char *text)
{
	static char turns[4][65536];
	static unsigned turn;
	char *buffer = turns[turn++ % 4];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	int length = snprintf(buffer, sizeof(turns[0]), format, text);
#pragma GCC diagnostic pop
	assert_in_range(length, 0, sizeof(turns[0]) - 1);
	return buffer;
}

#define APPLICATION(keys) DOMAIN "  x: {supervisor: " TREE ",\n    " keys "}\n"
#define WORKER(keys) DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x],\n    " keys "}]}}\n"

#endif
