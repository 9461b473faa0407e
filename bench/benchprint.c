/* SPDX-License-Identifier: ISC */
/* Rows for a person. */
#include "bench/bench.h"

#include <inttypes.h>
#include <string.h>

#define WHAT_WIDTH 60

static void short_size(uint64_t bytes, char *buffer, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
	unsigned i = 0;

	while (bytes >= 1024 && bytes % 1024 == 0 && i < 3) {
		bytes /= 1024;
		i++;
	}
	snprintf(buffer, size, "%" PRIu64 " %s", bytes, units[i]);
}

static void put(char *buffer, size_t size, size_t *used, const char *name, const char *value)
{
	if (*used < size)
		*used += (size_t)snprintf(buffer + *used, size - *used, ", %s %s", name, value);
}

/* ", names 65536": of its axis, and what else is not as usual. */
size_t row_parameters(const struct row *row, char *buffer, size_t size)
{
	const struct parameters *w = &row->with;
	const struct {
		const char *name;
		uint64_t value, usual;
		bool is_size;
	} all[] = {{"names", w->names, 1, false},      {"state", w->state, 0, true},
		   {"resident", w->resident, 0, true}, {"children", w->children, 1, false},
		   {"callers", w->callers, 1, false},  {"bytes", w->bytes, 0, false},
		   {"a second", w->rate, 0, false},    {"threads", w->threads, 0, false}};
	size_t used = 0;
	char text[32];

	buffer[0] = '\0';
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(all[i].name, row->axis) != 0 && (all[i].value == all[i].usual || all[i].value == 0))
			continue;
		if (all[i].is_size)
			short_size(all[i].value, text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%" PRIu64, all[i].value);
		put(buffer, size, &used, all[i].name, text);
	}
	return used;
}

static void print_spread(enum unit unit, const char *label, struct spread s)
{
	const int64_t values[] = {s.p50, s.p90, s.p99, s.p999, s.max};
	int decimals = unit == UNIT_BYTES || unit == UNIT_COUNT ? 0 : 1;

	printf("  %-*s %7zu", WHAT_WIDTH, label, s.count);
	for (size_t i = 0; i < 5 && (s.count > 1 || i == 0); i++)
		printf(" %10.*f", decimals, unit_value(unit, values[i]));
	printf(" %s\n", unit_name(unit));
}

static void print_row(struct row *row)
{
	char parameters[128], label[320];
	struct spread heir = row_heir(row), limit = row_limit(row);

	row_parameters(row, parameters, sizeof(parameters));
	snprintf(label, sizeof(label), "%s%s%s%s", row->what, parameters, row->wait[0] ? ", " : "", row->wait);
	if (row->left_out[0]) {
		printf("  %-*s left out: %s\n", WHAT_WIDTH, label, row->left_out);
		return;
	}
	if (heir.count == 0 && limit.count == 0) {
		printf("  %-*s not measured\n", WHAT_WIDTH, label);
		return;
	}
	if (heir.count)
		print_spread(row->unit, label, heir);
	if (limit.count == 0)
		return;
	if (heir.count)
		snprintf(label, sizeof(label), "  against: %s", row->limit_is);
	print_spread(row->unit, label, limit);
	if (heir.count == 0)
		return;
	printf("  %-*s %7s %10.2f", WHAT_WIDTH,
	       row->is_at_least ? "  so many times as quick, by the p50s" : "  ratio of the p50s", "",
	       row_ratio(row));
	if (row->goal > 0)
		printf(" (goal: at %s %g, %s)", row->is_at_least ? "least" : "most", row->goal,
		       row_is_met(row) ? "met" : "not met");
	putchar('\n');
}

void bench_print_head(const struct bench *bench)
{
	char line[512];

	if (bench->is_json)
		return;
	machine_line(&bench->machine, line, sizeof(line));
	printf("%s\n", line);
	printf("%s, %s, %s\n", bench->is_quick ? "quick: few samples" : "full",
	       bench->is_pinned ? "pinned" : "not pinned",
	       bench->is_idle_held ? "idle states held off" : "idle states as they are");
}

void bench_print_new(struct bench *bench)
{
	if (bench->is_json)
		return;
	for (; bench->shown < bench->rows; bench->shown++) {
		struct row *row = &bench->row[bench->shown];

		if (bench->shown == 0 || strcmp(row->family, row[-1].family) != 0 ||
		    strcmp(row->axis, row[-1].axis) != 0)
			printf("\n%-*s %9s %10s %10s %10s %10s %10s\n", WHAT_WIDTH, row->family, "count", "p50",
			       "p90", "p99", "p99.9", "max");
		print_row(row);
	}
	fflush(stdout);
}

static void print_histogram(const struct row *row, const struct samples *samples, const char *of)
{
	static struct histogram histogram;
	char parameters[128];

	if (samples->count < 2)
		return;
	memset(&histogram, 0, sizeof(histogram));
	for (size_t i = 0; i < samples->count; i++)
		histogram_add(&histogram, samples->ns[i]);
	row_parameters(row, parameters, sizeof(parameters));
	printf("\n%s: %s%s%s%s, %s, in %s\n", row->family, row->what, parameters, row->wait[0] ? ", " : "",
	       row->wait, of, unit_name(row->unit));
	histogram_print(&histogram, row->unit == UNIT_US || row->unit == UNIT_NS ? 1000 : 1, stdout);
}

void bench_print_percentiles(struct bench *bench)
{
	for (size_t i = 0; i < bench->rows; i++) {
		struct row *row = &bench->row[i];

		print_histogram(row, &row->heir, "heir");
		print_histogram(row, &row->limit, row->limit_is[0] ? row->limit_is : "limit");
	}
}

void bench_print_tail(struct bench *bench)
{
	size_t goals = 0, met = 0;

	if (bench->is_json)
		return;
	for (size_t i = 0; i < bench->rows; i++) {
		struct row *row = &bench->row[i];

		if (row->goal > 0 && row_ratio(row) > 0) {
			goals++;
			met += row_is_met(row);
		}
	}
	printf("\n%zu of %zu goals met, %.1f s\n", met, goals, (double)bench->took_ns / (double)BENCH_SECOND);
}
