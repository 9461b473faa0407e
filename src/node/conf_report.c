/* SPDX-License-Identifier: ISC */
#include "conf_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 100 /* bytes of a long line that are shown */
#define NEAREST_LENGTH_MAX 64

static void append(struct conf_report *report, const char *text, size_t length)
{
	if (report->size - report->length <= length) {
		size_t size = (report->length + length + 1) * 2;
		char *grown = realloc(report->text, size);
		if (!grown)
			return;
		report->text = grown;
		report->size = size;
	}
	memcpy(report->text + report->length, text, length);
	report->length += length;
	report->text[report->length] = '\0';
}

static void append_text(struct conf_report *report, const char *text)
{
	append(report, text, strlen(text));
}

/* Control bytes of the input must not reach a terminal. */
static void append_clean(struct conf_report *report, const char *text, size_t length)
{
	for (size_t at = 0, step; at < length; at += step) {
		uint32_t point = 0;
		step = conf_utf8_length((const unsigned char *)text + at, length - at, &point);
		bool clean = step > 0 && point >= 0x20 && (point < 0x7f || point >= 0xa0);
		if (step == 0)
			step = 1;
		append(report, clean ? text + at : "?", clean ? step : 1);
	}
}

static void append_line(
	struct conf_report *report, const struct conf_source *source, uint32_t offset)
{
	uint32_t begin = source->lines[conf_source_line(source, offset) - 1];
	uint32_t end = begin + (uint32_t)strcspn(source->text + begin, "\r\n");
	if (offset > end)
		offset = end;
	uint32_t from = begin, to = end;
	if (end - begin > WINDOW) {
		from = offset - begin > WINDOW / 2 ? offset - WINDOW / 2 : begin;
		to = end - from > WINDOW ? from + WINDOW : end;
		while (from > begin && ((unsigned char)source->text[from] & 0xc0) == 0x80)
			from--;
		while (to < end && ((unsigned char)source->text[to] & 0xc0) == 0x80)
			to++;
	}
	append_text(report, from > begin ? "  ..." : "  ");
	for (uint32_t i = from, run; i < to; i += run) {
		run = (uint32_t)strcspn(source->text + i, "\t");
		if (run > to - i)
			run = to - i;
		append_clean(report, source->text + i, run);
		if (i + run < to) {
			append_text(report, "\t");
			run++;
		}
	}
	append_text(report, to < end ? "...\n" : "\n");
	append_text(report, from > begin ? "     " : "  ");
	for (uint32_t i = from; i < offset; i++)
		if (((unsigned char)source->text[i] & 0xc0) != 0x80)
			append_text(report, source->text[i] == '\t' ? "\t" : " ");
	append_text(report, "^\n");
}

void conf_report_at(struct conf_report *report, const struct conf_source *source, uint32_t offset,
	const char *message)
{
	char position[32];
	(void)snprintf(position, sizeof(position),
		":%u:%u: error: ", (unsigned)conf_source_line(source, offset),
		(unsigned)conf_source_column(source, offset));
	append_clean(report, source->name, strlen(source->name));
	append_text(report, position);
	append_clean(report, message, strlen(message));
	append_text(report, "\n");
	append_line(report, source, offset);
	report->count++;
}

void conf_report_plain(struct conf_report *report, const char *name, const char *message)
{
	append_clean(report, name, strlen(name));
	append_text(report, ": error: ");
	append_clean(report, message, strlen(message));
	append_text(report, "\n");
	report->count++;
}

void conf_report_finish(struct conf_report *report)
{
	free(report->text);
	*report = (struct conf_report){0};
}

static void diagnose(struct conf_ctx *c, uint32_t offset, const char *format, va_list arguments)
{
	if (c->failure)
		return;
	c->said++;
	char *message = NULL;
	if (vasprintf(&message, format, arguments) < 0) {
		c->count++;
		return;
	}
	for (unsigned i = 0; i < c->shown; i++)
		if (c->diagnostics[i].offset == offset &&
			!strcmp(c->diagnostics[i].message, message)) {
			free(message);
			return;
		}
	c->count++;
	if (c->shown == CONF_ERRORS_MAX) {
		free(message);
		return;
	}
	c->diagnostics[c->shown] = (struct conf_diagnostic){offset, c->shown, message};
	c->shown++;
}

void conf_error(struct conf_ctx *c, const struct conf_yaml *at, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	diagnose(c, at->offset, format, arguments);
	va_end(arguments);
}

void conf_error_at(struct conf_ctx *c, uint32_t offset, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	diagnose(c, offset, format, arguments);
	va_end(arguments);
}

static int compare_diagnostics(const void *left, const void *right)
{
	const struct conf_diagnostic *a = left, *b = right;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void conf_flush(struct conf_ctx *c, struct conf_report *report)
{
	qsort(c->diagnostics, c->shown, sizeof(c->diagnostics[0]), compare_diagnostics);
	for (unsigned i = 0; i < c->shown; i++) {
		conf_report_at(
			report, c->source, c->diagnostics[i].offset, c->diagnostics[i].message);
		free(c->diagnostics[i].message);
	}
	if (c->count > c->shown) {
		char more[64];
		(void)snprintf(more, sizeof(more), "%u more not shown", c->count - c->shown);
		conf_report_plain(report, c->source->name, more);
		report->count += c->count - c->shown - 1;
	}
	c->shown = 0;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;
	return least < c ? least : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][NEAREST_LENGTH_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	for (size_t j = 0; j <= b_length; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			row[j] = min3(
				last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		size_t *spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[b_length];
}

void conf_nearest_offer(struct conf_nearest *nearest, const char *candidate)
{
	size_t length = strlen(nearest->word), candidate_length = strlen(candidate);
	size_t longer = length > candidate_length ? length : candidate_length;
	if (length == 0 || longer > NEAREST_LENGTH_MAX)
		return;
	size_t distance = edit_distance(nearest->word, length, candidate, candidate_length);
	if (distance > (longer + 2) / 3 || distance >= length || distance >= candidate_length)
		return;
	if (!nearest->best || distance < nearest->distance) {
		nearest->best = candidate;
		nearest->distance = distance;
	}
}

const char *conf_nearest_hint(const struct conf_nearest *nearest, const char *head,
	const char *list, char hint[static CONF_HINT_MAX])
{
	hint[0] = '\0';
	if (nearest->best)
		(void)snprintf(hint, CONF_HINT_MAX, "; did you mean '%s'?", nearest->best);
	else if (list && *list)
		(void)snprintf(hint, CONF_HINT_MAX, "; %s: %s", head, list);
	return hint;
}

void conf_list_add(char list[static CONF_HINT_MAX], const char *word)
{
	size_t length = strlen(list), more = strlen(word);
	if (length + more + 8 > CONF_HINT_MAX / 2) {
		if (length < 3 || strcmp(list + length - 3, "...") != 0)
			(void)strcpy(list + length, ", ...");
		return;
	}
	(void)sprintf(list + length, "%s%s", length ? ", " : "", word);
}
