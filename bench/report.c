/* SPDX-License-Identifier: ISC */
/* heir-bench report DIR [FILE]: the results in DIR as one page that needs nothing else. */
#include "bench/bench.h"
#include "bench/reporthead.h"
#include "bench/reportsvg.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 64

static const char *unit_sign(const char *unit)
{
	return !strcmp(unit, "us") ? "µs" : unit;
}

static void put_number(FILE *file, double value)
{
	fprintf(file, value >= 1000 ? "%.0f" : value >= 100 ? "%.1f" : "%.2f", value);
}

static void put_name(FILE *file, const struct told_row *row)
{
	char value[32];

	told_axis_value(row->axis, row->with, value, sizeof(value));
	html_text(file, row->what);
	if (value[0])
		fprintf(file, " <small>%s %s</small>", row->axis, value);
	if (!strcmp(row->wait, "spinning"))
		fputs(" <small>spinning</small>", file);
}

/* Goals: each with its ratio. */

static void put_goals(FILE *file, const struct told *told)
{
	fputs("<h3>Goals</h3>\n<div class=\"wide\"><table><tr><th>what</th><th>ratio</th><th>goal</th>"
	      "<th>heir, p50</th><th>against, p50</th></tr>\n",
	      file);
	for (size_t i = 0; i < told->rows; i++) {
		const struct told_row *row = &told->row[i];

		if (row->goal <= 0 || row->ratio <= 0)
			continue;
		fputs("<tr><td>", file);
		html_text(file, row->family);
		fputs(": ", file);
		put_name(file, row);
		fputs("<br><small>against ", file);
		html_text(file, row->limit_is);
		fprintf(file,
			"</small></td><td>%.2f</td><td>%s&nbsp;%g<br><small class=\"%s\">%s</small></td><td>",
			row->ratio, !strcmp(row->goal_is, "at least") ? "≥" : "≤", row->goal,
			row->is_met ? "met" : "unmet", row->is_met ? "met" : "not met");
		put_number(file, row->heir.p50);
		fprintf(file, " %s</td><td>", unit_sign(row->unit));
		put_number(file, row->limit.p50);
		fprintf(file, " %s</td></tr>\n", unit_sign(row->unit));
	}
	fputs("</table></div>\n", file);
}

/* Curves: the rows of a family along an axis that have both sides. */

static size_t gather(const struct told *told, const char *family, const char *what, const char *axis,
		     const struct told_row *ret[CURVE_POINTS])
{
	size_t count = 0;

	for (size_t i = 0; i < told->rows && count < CURVE_POINTS; i++) {
		const struct told_row *row = &told->row[i];

		if (!strcmp(row->family, family) && !strcmp(row->what, what) && !strcmp(row->axis, axis) &&
		    row->heir.count > 0)
			ret[count++] = row;
	}
	return count;
}

static void put_curves(FILE *file, const struct told *told, const char *family, const char *what,
		       const char *axis)
{
	const struct told_row *row[CURVE_POINTS];
	size_t count = gather(told, family, what, axis, row);
	char x[CURVE_POINTS][32], title[96];
	struct curve curve[4] = {{.class = "limit tail", .label = "limit p99"},
				 {.class = "limit", .label = "limit p50"},
				 {.class = "heir tail", .label = "heir p99"},
				 {.class = "heir", .label = "heir p50"}};

	if (count < 2)
		return;
	for (size_t i = 0; i < count; i++) {
		told_axis_value(axis, row[i]->with, x[i], sizeof(x[i]));
		curve[0].y[i] = row[i]->limit.p99;
		curve[1].y[i] = row[i]->limit.p50;
		curve[2].y[i] = row[i]->heir.p99;
		curve[3].y[i] = row[i]->heir.p50;
	}
	snprintf(title, sizeof(title), "%s against %s", strcmp(family, "names") ? family : what, axis);
	svg_curves(file, title, x, count, curve, 4, unit_sign(row[0]->unit));
}

static void put_key(FILE *file, bool has_tails)
{
	fputs("<p class=\"key\"><span><i class=\"heir\"></i>heir</span><span><i class=\"limit\"></i>its "
	      "limit</span>",
	      file);
	if (has_tails)
		fputs("<span><i></i>p50</span><span><i class=\"dash\"></i>p99</span>", file);
	fputs("</p>\n", file);
}

static const char silence[] = "longest silence of a caller", reply[] = "kill -9 to the first reply";

static void put_all_curves(FILE *file, const struct told *told)
{
	static const char *const along[] = {"names", "state", "resident", "children", "callers"};

	fputs("<h3>Takeover and failover along an axis</h3>\n<p>planned: the longest silence of a calling "
	      "client; failover: "
	      "from kill -9 to the first reply of the next owner.</p>\n",
	      file);
	put_key(file, true);
	fputs("<div class=\"grid-of\">\n", file);
	for (size_t i = 0; i < sizeof(along) / sizeof(along[0]); i++) {
		put_curves(file, told, "planned", silence, along[i]);
		put_curves(file, told, "failover", reply, along[i]);
	}
	put_curves(file, told, "names", "whereis", "names");
	fputs("</div>\n", file);
}

/* The first of each that has both sides, and enough samples for a distribution. */
static void put_distributions(FILE *file, const struct told *told)
{
	const struct told_row *before = NULL;

	fputs("<h3>Distributions</h3>\n", file);
	put_key(file, false);
	fputs("<div class=\"grid-of\">\n", file);
	for (size_t i = 0; i < told->rows; i++) {
		const struct told_row *row = &told->row[i];
		char title[192], value[32];

		if (row->goal <= 0 || row->heir.cells < 2 || row->limit.cells < 2 ||
		    strstr(row->what, "against"))
			continue;
		if (before && !strcmp(before->family, row->family) && !strcmp(before->what, row->what) &&
		    !strcmp(before->axis, row->axis) && !strcmp(before->limit_is, row->limit_is))
			continue;
		before = row;
		told_axis_value(row->axis, row->with, value, sizeof(value));
		snprintf(title, sizeof(title), "%s%s%s%s%s", row->what, value[0] ? ", " : "",
			 value[0] ? row->axis : "", value[0] ? " " : "", value);
		svg_percentiles(file, title, row->limit_is, &row->heir, &row->limit, unit_sign(row->unit));
	}
	fputs("</div>\n", file);
}

/* Timelines: the median of each kind, of the plainest case. */
static void put_timelines(FILE *file, const struct told *told)
{
	bool has[2] = {false, false};

	fputs("<h3>Steps of a median move</h3>\n<p>From the trace that is always on, in µs. It begins when "
	      "heir is told: the "
	      "kernel's part of a death comes before the first step, the way to the caller after the "
	      "last.</p>\n"
	      "<div class=\"grid-of\">\n",
	      file);
	for (size_t i = 0; i < told->timelines; i++) {
		const struct told_timeline *t = &told->timeline[i];
		bool is_failover = !strcmp(t->family, "failover");

		if (has[is_failover] || !strcmp(t->family, "path"))
			continue;
		has[is_failover] = true;
		fputs("<figure><figcaption>", file);
		html_text(file, t->family);
		fprintf(file, " <small>");
		html_text(file, t->from);
		fputs(" → ", file);
		html_text(file, t->to);
		fprintf(file, ", %.1f µs</small></figcaption>\n", t->total);
		svg_timeline(file, t);
		fputs("</figure>\n", file);
	}
	fputs("</div>\n", file);
}

/* Whose a piece of a path is, its row says. */
static bool is_heirs(const struct told *told, const char *path, const char *piece)
{
	char what[192];

	snprintf(what, sizeof(what), "%s: %s, heir", path, piece);
	for (size_t i = 0; i < told->rows; i++)
		if (!strcmp(told->row[i].family, "path") && !strcmp(told->row[i].what, what))
			return true;
	return false;
}

static void put_path(FILE *file, const struct told *told, const struct told_timeline *t)
{
	char value[32], resident[64] = "";

	for (size_t i = 0; i < t->steps; i++)
		t->step[i].is_other = !is_heirs(told, t->axis, t->step[i].name);
	told_axis_value("resident", t->with, value, sizeof(value));
	if (strtod(value, NULL) > 0)
		snprintf(resident, sizeof(resident), "owner of %s, ", value);
	fputs("<figure><figcaption>", file);
	html_text(file, t->axis);
	fprintf(file, " <small>%s%.1f µs</small></figcaption>\n", resident, t->total);
	svg_timeline(file, t);
	fputs("</figure>\n", file);
}

/* From the call to the first reply, by ftrace and heir's own trace. */
static void put_paths(FILE *file, const struct told *told)
{
	bool has = false;

	for (size_t i = 0; i < told->timelines; i++) {
		if (strcmp(told->timeline[i].family, "path") != 0)
			continue;
		if (!has)
			fputs("<h3>Where the time goes</h3>\n<p>From the call to the first reply, the median one, in "
			      "µs: heir's part and, in the other colour, the kernel's and what lies between the "
			      "two.</p>\n"
			      "<div class=\"grid-of\">\n",
			      file);
		has = true;
		put_path(file, told, &told->timeline[i]);
	}
	if (has)
		fputs("</div>\n", file);
}

/* Tables */

static void put_spread(FILE *file, const struct told_spread *s, const char *class)
{
	const double values[] = {s->p50, s->p90, s->p99, s->p999, s->max};

	fprintf(file, "<td class=\"%s\">%.0f</td>", class, s->count);
	for (size_t i = 0; i < 5; i++) {
		fprintf(file, "<td class=\"%s\">", class);
		if (s->count > 1 || i == 0)
			put_number(file, values[i]);
		fputs("</td>", file);
	}
}

static void put_row(FILE *file, const struct told_row *row)
{
	fputs("<tr><td>", file);
	put_name(file, row);
	fputs("</td>", file);
	if (row->left_out[0] || (row->heir.count == 0 && row->limit.count == 0)) {
		fputs("<td colspan=\"8\">", file);
		html_text(file, row->left_out[0] ? row->left_out : "not measured");
		fputs("</td></tr>\n", file);
		return;
	}
	put_spread(file, row->heir.count > 0 ? &row->heir : &row->limit,
		   row->heir.count > 0 ? "heir" : "limit");
	fprintf(file, "<td>%s</td><td>", unit_sign(row->unit));
	if (row->ratio > 0)
		fprintf(file, "%.2f", row->ratio);
	fputs("</td></tr>\n", file);
	if (row->heir.count <= 0 || row->limit.count <= 0)
		return;
	fputs("<tr><td class=\"limit\">against ", file);
	html_text(file, row->limit_is);
	fputs("</td>", file);
	put_spread(file, &row->limit, "limit");
	fprintf(file, "<td class=\"limit\">%s</td><td></td></tr>\n", unit_sign(row->unit));
}

static void put_tables(FILE *file, const struct told *told)
{
	const char *family = "";

	fputs("<h3>All rows</h3>\n", file);
	for (size_t i = 0; i < told->rows; i++) {
		const struct told_row *row = &told->row[i];

		if (strcmp(row->family, family) != 0) {
			bool is_first = true;

			for (size_t j = 0; j < i; j++)
				is_first &= strcmp(told->row[j].family, row->family) != 0;
			family = row->family;
			if (!is_first)
				continue;
			fputs("<details><summary>", file);
			html_text(file, family);
			fputs("</summary><div "
			      "class=\"wide\"><table><tr><th>what</th><th>count</th><th>p50</th><th>p90</th>"
			      "<th>p99</th><th>p99.9</th><th>max</th><th></th><th>ratio</th></tr>\n",
			      file);
			for (size_t j = i; j < told->rows; j++)
				if (!strcmp(told->row[j].family, family))
					put_row(file, &told->row[j]);
			fputs("</table></div></details>\n", file);
		}
	}
}

static void put_result(FILE *file, const struct told *told)
{
	fputs("<section><h2>", file);
	html_text(file, told->name);
	fputs("</h2>\n<p>", file);
	html_text(file, told->machine);
	fprintf(file, "</p>\n<p class=\"dim\">heir %s, ", told->version);
	html_text(file, told->at);
	fprintf(file, "; %s, %s, %s%s</p>\n", told->is_quick ? "quick: few samples" : "full",
		told->is_pinned ? "pinned" : "not pinned",
		told->is_idle_held ? "idle states held off" : "idle states as they are",
		told->has_failed ? "; some of it failed" : "");
	put_goals(file, told);
	put_all_curves(file, told);
	put_timelines(file, told);
	put_paths(file, told);
	put_distributions(file, told);
	put_tables(file, told);
	fputs("</section>\n", file);
}

static int is_json(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && dot && !strcmp(dot, ".json");
}

static size_t read_all(const char *dir, struct told *told)
{
	struct dirent **entry;
	int found = scandir(dir, &entry, is_json, alphasort);
	size_t count = 0;
	char path[PATH_MAX];

	if (found < 0) {
		bench_complain(dir, -errno);
		return 0;
	}
	for (int i = 0; i < found; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name);
		if (count < FILES_MAX && told_read(path, &told[count]))
			count++;
		else
			bench_say(count < FILES_MAX ? "%s is no result of heir-bench, left out"
						    : "%s: too many results, left out",
				  path);
		free(entry[i]);
	}
	free(entry);
	return count;
}

static bool write_page(const char *path, const struct told *told, size_t count)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "we") : stdout;
	bool is_well;

	if (!file)
		return bench_complain(path, -errno);
	fputs(report_head, file);
	fputs("<h1>heir-bench</h1>\n<p>Each step of a takeover beside its limit, which is the same chain of "
	      "processes "
	      "without heir in it, in turns in one run. Ratios are of the p50s.</p>\n",
	      file);
	for (size_t i = 0; i < count; i++)
		put_result(file, &told[i]);
	fputs("</html>\n", file);
	is_well = !fflush(file) && !ferror(file);
	if (file != stdout)
		is_well &= !fclose(file);
	return is_well || bench_say("%s cannot be written", path);
}

int report_main(int argc, char **argv)
{
	static struct told told[FILES_MAX];
	char path[PATH_MAX];
	size_t count;
	bool is_well;

	if (argc < 2 || argc > 3 || argv[1][0] == '-') {
		fputs("usage: heir-bench report DIR [FILE]\n", stderr);
		return 2;
	}
	count = read_all(argv[1], told);
	if (count == 0)
		return bench_say("no results in %s", argv[1]), 1;
	snprintf(path, sizeof(path), "%s/report.html", argv[1]);
	is_well = write_page(argc > 2 ? argv[2] : path, told, count);
	for (size_t i = 0; i < count; i++)
		told_finish(&told[i]);
	if (is_well && argc == 2)
		printf("%s\n", path);
	return !is_well;
}
