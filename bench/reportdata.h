/* SPDX-License-Identifier: ISC */
/* A result file of heir-bench, read for the report. What is missing is "" or 0; what is no result is refused. */
#ifndef HEIR_BENCH_REPORTDATA_H
#define HEIR_BENCH_REPORTDATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AXES 8

struct told_spread {
	double count, p50, p90, p99, p999, max; /* count 0: none */
	double (*histogram)[2];			/* {value, count} */
	size_t cells;
};

struct told_row {
	const char *family, *axis, *what, *wait, *unit, *left_out, *limit_is, *goal_is;
	double with[AXES]; /* in the order of axis_name() */
	struct told_spread heir, limit;
	double ratio, goal; /* 0: none */
	bool is_met;
};

struct told_step {
	const char *name;
	double start, duration;
	bool is_other; /* not heir's: drawn as a limit is */
};

struct told_timeline {
	const char *family, *axis, *what, *from, *to;
	double with[AXES], total;
	struct told_step *step;
	size_t steps;
};

struct told {
	void *document;
	char name[256]; /* of the file */
	const char *at, *machine, *version;
	bool is_quick, is_pinned, is_idle_held, has_failed;
	struct told_row *row;
	size_t rows;
	struct told_timeline *timeline;
	size_t timelines;
};

const char *axis_name(size_t axis);
/* False: it cannot be read or is no result; nothing is to be freed then. */
bool told_read(const char *path, struct told *ret);
void told_finish(struct told *told);
/* The value of the row's axis as words, "1 GiB"; "" without an axis. */
void told_axis_value(const char *axis, const double *with, char *buffer, size_t size);

#endif
