/* SPDX-License-Identifier: ISC */
/* Everything of a run as one JSON document, which `heir-bench report` reads. */
#include "bench/bench.h"
#include "cmd/cmdjson.h"

#include <string.h>
#include <time.h>

static void put_value(struct json *json, const char *key, enum unit unit, int64_t value)
{
	if (unit == UNIT_US || unit == UNIT_NS)
		json_us(json, key, value); /* a thousandth of what is kept, with three decimals */
	else
		json_integer(json, key, value);
}

static void put_histogram(struct json *json, enum unit unit, const struct samples *samples)
{
	static struct histogram histogram;

	memset(&histogram, 0, sizeof(histogram));
	for (size_t i = 0; i < samples->count; i++)
		histogram_add(&histogram, samples->ns[i]);
	json_array(json, "histogram");
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
		int64_t value = histogram_value(i);

		if (!histogram.cell[i])
			continue;
		json_array(json, NULL);
		put_value(json, NULL, unit, value < histogram.max ? value : histogram.max);
		json_integer(json, NULL, (int64_t)histogram.cell[i]);
		json_end(json);
	}
	json_end(json);
}

static void put_side(struct json *json, const char *key, enum unit unit, struct spread s,
		     const struct samples *samples)
{
	if (s.count == 0) {
		json_text(json, key, NULL);
		return;
	}
	json_object(json, key);
	json_integer(json, "count", (int64_t)s.count);
	put_value(json, "p50", unit, s.p50);
	put_value(json, "p90", unit, s.p90);
	put_value(json, "p99", unit, s.p99);
	put_value(json, "p99.9", unit, s.p999);
	put_value(json, "max", unit, s.max);
	put_histogram(json, unit, samples);
	json_end(json);
}

static void put_parameters(struct json *json, const struct parameters *w)
{
	json_object(json, "with");
	json_integer(json, "names", (int64_t)w->names);
	json_integer(json, "state", (int64_t)w->state);
	json_integer(json, "resident", (int64_t)w->resident);
	json_integer(json, "children", (int64_t)w->children);
	json_integer(json, "callers", (int64_t)w->callers);
	json_integer(json, "bytes", (int64_t)w->bytes);
	json_integer(json, "rate", (int64_t)w->rate);
	json_integer(json, "threads", (int64_t)w->threads);
	json_end(json);
}

static void put_row(struct json *json, struct row *row)
{
	double ratio = row_ratio(row);

	json_object(json, NULL);
	json_string(json, "family", row->family);
	json_text(json, "axis", row->axis);
	json_string(json, "what", row->what);
	put_parameters(json, &row->with);
	json_text(json, "wait", row->wait);
	json_string(json, "unit", unit_name(row->unit));
	json_text(json, "left_out", row->left_out);
	put_side(json, "heir", row->unit, row_heir(row), &row->heir);
	json_text(json, "limit_is", row->limit_is);
	put_side(json, "limit", row->unit, row_limit(row), &row->limit);
	if (ratio > 0) {
		json_us(json, "ratio", (int64_t)(ratio * 1000 + 0.5));
		json_string(json, "ratio_is", row->is_at_least ? "limit / heir" : "heir / limit");
	}
	if (row->goal > 0) {
		json_us(json, "goal", (int64_t)(row->goal * 1000 + 0.5));
		json_string(json, "goal_is", row->is_at_least ? "at least" : "at most");
		json_bool(json, "met", !row->left_out[0] && row_is_met(row));
	}
	json_end(json);
}

static void put_timeline(struct json *json, const struct timeline *t)
{
	json_object(json, NULL);
	json_string(json, "family", t->family);
	json_text(json, "axis", t->axis);
	json_string(json, "what", t->what);
	put_parameters(json, &t->with);
	json_string(json, "from", t->move.from);
	json_string(json, "to", t->move.to);
	json_us(json, "total_us", t->move.total_ns);
	json_array(json, "steps");
	for (size_t i = 0; i < t->move.steps; i++) {
		json_object(json, NULL);
		json_string(json, "name", t->move.step[i].name);
		json_us(json, "start_us", t->move.step[i].start_ns);
		json_us(json, "duration_us", t->move.step[i].duration_ns);
		json_end(json);
	}
	json_end(json);
	json_end(json);
}

static void put_machine(struct json *json, const struct machine *machine)
{
	char line[512];

	machine_line(machine, line, sizeof(line));
	json_object(json, "machine");
	json_string(json, "line", line);
	json_string(json, "processor", machine->processor);
	json_integer(json, "cores", machine->cores);
	json_string(json, "kernel", machine->kernel);
	json_string(json, "idle", machine->idle);
	json_string(json, "virtual", machine->virtual);
	json_end(json);
}

int bench_json(struct bench *bench, FILE *file)
{
	time_t seconds = (time_t)(bench->began_ns / BENCH_SECOND);
	struct tm tm;
	struct json json;
	char at[32];

	json_init(&json, file);
	json_object(&json, NULL);
	json_string(&json, "program", "heir-bench");
	json_string(&json, "version", HEIR_VERSION);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
	json_string(&json, "at", at);
	json_integer(&json, "took_s", bench->took_ns / BENCH_SECOND);
	json_bool(&json, "failed", bench->has_failed);
	put_machine(&json, &bench->machine);
	json_object(&json, "run");
	json_bool(&json, "quick", bench->is_quick);
	json_bool(&json, "pinned", bench->is_pinned);
	json_bool(&json, "idle_held", bench->is_idle_held);
	json_end(&json);
	json_array(&json, "rows");
	for (size_t i = 0; i < bench->rows; i++)
		put_row(&json, &bench->row[i]);
	json_end(&json);
	json_array(&json, "timelines");
	for (size_t i = 0; i < bench->timelines; i++)
		put_timeline(&json, &bench->timeline[i]);
	json_end(&json);
	json_end(&json);
	return fflush(file) || ferror(file) ? -1 : 0;
}
