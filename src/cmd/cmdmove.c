/* SPDX-License-Identifier: ISC */
/* Moves as timelines and as JSON. A bar is drawn in half cells where the terminal has them. */
#include "cmd/cmdmove.h"

#include "cmd/cmdclient.h"

#include <inttypes.h>
#include <string.h>

#define STEP_CELLS 4
#define INDENTS 11 /* blanks around the cells, and the mark of an overlong bar */
#define BAR_LEAST 10
#define BAR_MOST 60

const char *move_result(enum heir_result result)
{
	switch (result) {
	case HEIR_DONE: return "done";
	case HEIR_ABORTED: return "aborted";
	case HEIR_SWITCHED_BACK: return "switched_back";
	case HEIR_FAILED_OVER: return "failed_over";
	case HEIR_FORCED: return "forced";
	case HEIR_FAILED: return "failed";
	}
	return "unknown";
}

static void split(int64_t ns, time_t *ret_seconds, int64_t *ret_rest)
{
	*ret_seconds = (time_t)(ns / 1000000000);
	*ret_rest = ns % 1000000000;
	if (*ret_rest < 0) {
		*ret_rest += 1000000000;
		--*ret_seconds;
	}
}

void move_time(int64_t at_ns, char *buffer, size_t size)
{
	char seconds[40];
	struct tm tm;
	int64_t rest;
	time_t time;

	split(at_ns, &time, &rest);
	gmtime_r(&time, &tm);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buffer, size, "%s.%06" PRId64 "Z", seconds, rest / 1000);
}

static void local_time(int64_t at_ns, char *buffer, size_t size)
{
	char seconds[40];
	struct tm tm;
	int64_t rest;
	time_t time;

	split(at_ns, &time, &rest);
	localtime_r(&time, &tm);
	strftime(seconds, sizeof(seconds), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(buffer, size, "%s.%03" PRId64, seconds, rest / 1000000);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* In half cells. A step that starts at the end takes none, any other at least one. */
static void bar_span(
	const struct heir_step *step, int64_t total_ns, int halves, int *ret_from, int *ret_to)
{
	int64_t start = clamp(step->start_ns, 0, total_ns);
	int64_t end = start + clamp(step->duration_ns, 0, total_ns - start);
	double scale = (double)halves / (double)total_ns;
	int from = (int)((double)start * scale), to = (int)((double)end * scale + 0.5);

	*ret_from = *ret_to = halves;
	if (start == total_ns)
		return;
	*ret_from = from < halves ? from : halves - 1;
	*ret_to = to <= *ret_from ? *ret_from + 1 : to < halves ? to : halves;
}

void move_bar(const struct heir_step *step, int64_t total_ns, int columns, bool utf8, char *buffer)
{
	static const char *const blocks[] = {" ", "▌", "▐", "█"};
	static const char *const plain[] = {" ", "#", "#", "#"};
	const char *const *shown = utf8 ? blocks : plain;
	bool overlong = step->duration_ns > total_ns - clamp(step->start_ns, 0, total_ns);
	int from, to;

	*buffer = '\0';
	if (total_ns <= 0)
		return;
	bar_span(step, total_ns, 2 * columns, &from, &to);
	if (from == to && !overlong)
		return;
	for (int half = 0; half < to; half += 2) {
		bool left = from <= half, right = from <= half + 1 && half + 1 < to;

		buffer = stpcpy(buffer, shown[left + 2 * right]);
	}
	if (overlong)
		stpcpy(buffer, utf8 ? "…" : "...");
}

static void us_text(int64_t ns, char *buffer, size_t size)
{
	snprintf(buffer, size, "%.3f", (double)ns / 1000);
}

static enum colour result_colour(enum heir_result result)
{
	return result == HEIR_DONE ? GOOD : result == HEIR_FAILED ? BAD : WARN;
}

static void print_head(struct out *out, const struct heir_move *move)
{
	const char *arrow = out->utf8 ? "→" : "->", *us = out->utf8 ? "µs" : "us";
	char time[64], total[32], route[160];

	local_time(move->at_ns, time, sizeof(time));
	us_text(move->total_ns, total, sizeof(total));
	snprintf(route, sizeof(route), "%s%s%s %s", move->from, *move->from ? " " : "", arrow,
		move->to);
	out_colour(out, BOLD);
	out_text(out, out->file, move->application);
	out_colour(out, PLAIN);
	fprintf(out->file, "  %s  ", client_start_type(move->kind));
	out_text(out, out->file, route);
	fprintf(out->file, "  generation %u  ", move->generation);
	out_colour(out, result_colour(move->result));
	fputs(move_result(move->result), out->file);
	out_colour(out, PLAIN);
	fprintf(out->file, "  %s %s  %s\n", total, us, time);
	if (!move->error)
		return;
	fputs("  ", out->file);
	if (move->failed_step[0]) {
		fputs("step ", out->file);
		out_text(out, out->file, move->failed_step);
		fputs(": ", out->file);
	}
	out_text(out, out->file, heir_strerror(move->error));
	fputc('\n', out->file);
}

struct step_text {
	char start[32], took[32], bar[3 * BAR_MOST + 8];
};

static void step_cells(
	const struct heir_step *step, const struct step_text *text, struct cell *cells)
{
	bool moves_owner = !strcmp(step->name, "switch") || !strcmp(step->name, "claim");

	cells[0] = out_cell(step->name, moves_owner ? BOLD : PLAIN);
	cells[1] = out_number(text->start, PLAIN);
	cells[2] = out_number(text->took, PLAIN);
	cells[3] = out_cell(text->bar, moves_owner ? BOLD : PLAIN);
}

static void print_steps(struct out *out, const struct heir_move *move, size_t steps)
{
	const struct cell head[STEP_CELLS] = {
		out_cell("step", DIM),
		out_number(out->utf8 ? "start µs" : "start us", DIM),
		out_number(out->utf8 ? "took µs" : "took us", DIM),
		out_cell("", PLAIN),
	};
	struct step_text text[HEIR_STEPS_MAX];
	struct cell cells[HEIR_STEPS_MAX][STEP_CELLS];
	int width[STEP_CELLS] = {0}, columns;

	out_measure(out, head, STEP_CELLS, width);
	for (size_t i = 0; i < steps; i++) {
		us_text(move->step[i].start_ns, text[i].start, sizeof(text[i].start));
		us_text(move->step[i].duration_ns, text[i].took, sizeof(text[i].took));
		text[i].bar[0] = '\0';
		step_cells(&move->step[i], &text[i], cells[i]);
		out_measure(out, cells[i], STEP_CELLS, width);
	}
	columns = (int)clamp(
		out->columns - width[0] - width[1] - width[2] - INDENTS, BAR_LEAST, BAR_MOST);
	fputs("  ", out->file);
	out_cells(out, head, STEP_CELLS, width);
	for (size_t i = 0; i < steps; i++) {
		move_bar(&move->step[i], move->total_ns, columns, out->utf8, text[i].bar);
		out_measure(out, cells[i], STEP_CELLS, width);
		fputs("  ", out->file);
		out_cells(out, cells[i], STEP_CELLS, width);
	}
}

static size_t step_count(const struct heir_move *move)
{
	return move->steps < HEIR_STEPS_MAX ? move->steps : HEIR_STEPS_MAX;
}

void move_print(struct out *out, const struct heir_move *move)
{
	print_head(out, move);
	if (step_count(move) > 0)
		print_steps(out, move, step_count(move));
}

void move_json(struct json *json, const struct heir_move *move)
{
	char at[64];

	move_time(move->at_ns, at, sizeof(at));
	json_object(json, NULL);
	json_string(json, "application", move->application);
	json_string(json, "kind", client_start_type(move->kind));
	json_text(json, "from", move->from);
	json_text(json, "to", move->to);
	json_integer(json, "generation", move->generation);
	json_string(json, "at", at);
	json_string(json, "result", move_result(move->result));
	if (move->error) {
		json_text(json, "failed_step", move->failed_step);
		json_string(json, "error", heir_strerror(move->error));
	}
	json_us(json, "total_us", move->total_ns);
	json_array(json, "steps");
	for (size_t i = 0; i < step_count(move); i++) {
		json_object(json, NULL);
		json_string(json, "name", move->step[i].name);
		json_us(json, "start_us", move->step[i].start_ns);
		json_us(json, "duration_us", move->step[i].duration_ns);
		json_end(json);
	}
	json_end(json);
	json_end(json);
}
