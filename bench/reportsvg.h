/* SPDX-License-Identifier: ISC */
/* Inline SVG for the report: colours and type come from the page's style. All values are of one unit. */
#ifndef HEIR_BENCH_REPORTSVG_H
#define HEIR_BENCH_REPORTSVG_H

#include "bench/reportdata.h"

#include <stdio.h>

#define CURVE_POINTS 8

/* With a value for each point of the x axis; 0: none there. */
struct curve {
	const char *class; /* "heir" or "limit", and " tail" for a dashed one */
	const char *label;
	double y[CURVE_POINTS];
};

/* With &, < and quotes made harmless. */
void html_text(FILE *file, const char *text);
void svg_curves(FILE *file, const char *title, const char (*x)[32], size_t points, const struct curve *curve,
		size_t curves, const char *unit);
/* Value by percentile, 0 to 99.99 at most; either may have none. */
void svg_percentiles(FILE *file, const char *title, const char *limit_is, const struct told_spread *heir,
		     const struct told_spread *limit, const char *unit);
void svg_timeline(FILE *file, const struct told_timeline *timeline);

#endif
