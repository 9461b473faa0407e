/* SPDX-License-Identifier: ISC */
/* JSON is YAML, and libfyaml is there. */
#include "bench/reportdata.h"

#include <libfyaml.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const axes[AXES] = {"names",	  "state", "resident", "children",
				       "callers", "bytes", "rate",     "threads"};

const char *axis_name(size_t axis)
{
	return axes[axis];
}

static struct fy_node *at(struct fy_node *node, const char *key)
{
	return node && fy_node_is_mapping(node) ? fy_node_mapping_lookup_by_string(node, key, FY_NT) : NULL;
}

/* "" for null, too. */
static const char *text(struct fy_node *node, const char *key)
{
	struct fy_node *value = at(node, key);
	const char *found = value && fy_node_is_scalar(value) ? fy_node_get_scalar0(value) : NULL;

	return found && strcmp(found, "null") != 0 ? found : "";
}

static double number_of(struct fy_node *value)
{
	const char *found = value && fy_node_is_scalar(value) ? fy_node_get_scalar0(value) : NULL;
	double number = found ? strtod(found, NULL) : 0;

	return isfinite(number) ? number : 0;
}

static double number(struct fy_node *node, const char *key)
{
	return number_of(at(node, key));
}

static bool truth(struct fy_node *node, const char *key)
{
	return !strcmp(text(node, key), "true");
}

static void read_with(struct fy_node *node, double with[AXES])
{
	struct fy_node *map = at(node, "with");

	for (size_t i = 0; i < AXES; i++)
		with[i] = number(map, axes[i]);
}

static size_t count_of(struct fy_node *list)
{
	int count = list && fy_node_is_sequence(list) ? fy_node_sequence_item_count(list) : 0;

	return count > 0 ? (size_t)count : 0;
}

static bool read_spread(struct fy_node *node, struct told_spread *ret)
{
	struct fy_node *list = at(node, "histogram"), *pair;
	size_t count = count_of(list);
	void *iterator = NULL;

	*ret = (struct told_spread){.count = number(node, "count"),
				    .p50 = number(node, "p50"),
				    .p90 = number(node, "p90"),
				    .p99 = number(node, "p99"),
				    .p999 = number(node, "p99.9"),
				    .max = number(node, "max")};
	if (count == 0)
		return true;
	ret->histogram = calloc(count, sizeof(*ret->histogram));
	if (!ret->histogram)
		return false;
	while ((pair = fy_node_sequence_iterate(list, &iterator))) {
		if (count_of(pair) != 2)
			continue;
		ret->histogram[ret->cells][0] = number_of(fy_node_sequence_get_by_index(pair, 0));
		ret->histogram[ret->cells++][1] = number_of(fy_node_sequence_get_by_index(pair, 1));
	}
	return true;
}

static bool read_row(struct fy_node *node, struct told_row *row)
{
	*row = (struct told_row){.family = text(node, "family"),
				 .axis = text(node, "axis"),
				 .what = text(node, "what"),
				 .wait = text(node, "wait"),
				 .unit = text(node, "unit"),
				 .left_out = text(node, "left_out"),
				 .limit_is = text(node, "limit_is"),
				 .goal_is = text(node, "goal_is"),
				 .ratio = number(node, "ratio"),
				 .goal = number(node, "goal"),
				 .is_met = truth(node, "met")};
	read_with(node, row->with);
	return read_spread(at(node, "heir"), &row->heir) && read_spread(at(node, "limit"), &row->limit);
}

static bool read_timeline(struct fy_node *node, struct told_timeline *t)
{
	struct fy_node *list = at(node, "steps"), *step;
	size_t count = count_of(list);
	void *iterator = NULL;

	*t = (struct told_timeline){.family = text(node, "family"),
				    .axis = text(node, "axis"),
				    .what = text(node, "what"),
				    .from = text(node, "from"),
				    .to = text(node, "to"),
				    .total = number(node, "total_us"),
				    .step = calloc(count + 1, sizeof(*t->step))};
	read_with(node, t->with);
	while (t->step && count && (step = fy_node_sequence_iterate(list, &iterator)))
		t->step[t->steps++] = (struct told_step){.name = text(step, "name"),
							 .start = number(step, "start_us"),
							 .duration = number(step, "duration_us")};
	return t->step != NULL;
}

static bool read_lists(struct fy_node *root, struct told *told)
{
	struct fy_node *rows = at(root, "rows"), *timelines = at(root, "timelines"), *item;
	void *iterator = NULL;
	bool is_well = true;

	told->row = calloc(count_of(rows) + 1, sizeof(*told->row));
	told->timeline = calloc(count_of(timelines) + 1, sizeof(*told->timeline));
	if (!told->row || !told->timeline)
		return false;
	while (count_of(rows) && is_well && (item = fy_node_sequence_iterate(rows, &iterator)))
		is_well = read_row(item, &told->row[told->rows++]);
	iterator = NULL;
	while (count_of(timelines) && is_well && (item = fy_node_sequence_iterate(timelines, &iterator)))
		is_well = read_timeline(item, &told->timeline[told->timelines++]);
	return is_well;
}

bool told_read(const char *path, struct told *ret)
{
	const struct fy_parse_cfg quiet = {.flags = FYPCF_QUIET | FYPCF_JSON_FORCE};
	struct fy_document *document = fy_document_build_from_file(&quiet, path);
	struct fy_node *root = document ? fy_document_root(document) : NULL, *run = at(root, "run");
	const char *slash = strrchr(path, '/');

	if (!root || strcmp(text(root, "program"), "heir-bench") != 0) {
		fy_document_destroy(document);
		return false;
	}
	*ret = (struct told){.document = document,
			     .at = text(root, "at"),
			     .version = text(root, "version"),
			     .machine = text(at(root, "machine"), "line"),
			     .is_quick = truth(run, "quick"),
			     .is_pinned = truth(run, "pinned"),
			     .is_idle_held = truth(run, "idle_held"),
			     .has_failed = truth(root, "failed")};
	snprintf(ret->name, sizeof(ret->name), "%s", slash ? slash + 1 : path);
	if (read_lists(root, ret))
		return true;
	told_finish(ret);
	return false;
}

void told_finish(struct told *told)
{
	for (size_t i = 0; told->row && i < told->rows; i++) {
		free(told->row[i].heir.histogram);
		free(told->row[i].limit.histogram);
	}
	for (size_t i = 0; told->timeline && i < told->timelines; i++)
		free(told->timeline[i].step);
	free(told->row);
	free(told->timeline);
	fy_document_destroy(told->document);
	*told = (struct told){0};
}

static void size_words(double bytes, char *buffer, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
	unsigned i = 0;

	for (; bytes >= 1024 && i < 3; i++)
		bytes /= 1024;
	snprintf(buffer, size, "%g %s", bytes, units[i]);
}

void told_axis_value(const char *axis, const double *with, char *buffer, size_t size)
{
	buffer[0] = '\0';
	for (size_t i = 0; i < AXES; i++) {
		if (strcmp(axes[i], axis) != 0)
			continue;
		if (i == 1 || i == 2 || i == 5)
			size_words(with[i], buffer, size);
		else
			snprintf(buffer, size, "%.0f", with[i]);
	}
}
