/* SPDX-License-Identifier: ISC */
/*
 * What every measurement shares: samples and their percentiles, a histogram for what is too much to
 * keep, and the machine in one line. Knows nothing of heir.
 */
#ifndef HEIR_BENCH_MEASURE_H
#define HEIR_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t measure_now(void);

struct samples {
	int64_t *ns;
	size_t count, room;
};

struct spread {
	size_t count;
	int64_t p50, p90, p99, p999, max; /* 0 where there are none */
};

void samples_init(struct samples *samples);
int samples_add(struct samples *samples, int64_t ns); /* 0 or -ENOMEM */
int samples_copy(struct samples *to, const struct samples *from); /* 0 or -ENOMEM */
void samples_finish(struct samples *samples);
/* Sorts them. Percentiles by nearest rank: each is one of the samples. */
struct spread samples_spread(struct samples *samples);

/* p50 by p50; 0 where that says nothing. */
double spread_ratio(const struct spread *measured, const struct spread *limit);

/* Log-linear: a value is kept to 1/32 of itself. One writer; zeroed memory is an empty one. */
#define HISTOGRAM_CELLS 1920

struct histogram {
	uint64_t cell[HISTOGRAM_CELLS];
	int64_t max;
};

void histogram_add(struct histogram *histogram, int64_t ns);
void histogram_merge(struct histogram *histogram, const struct histogram *other);
struct spread histogram_spread(const struct histogram *histogram);
/*
 * As text, in the columns of HdrHistogram's percentile output: value, percentile, how many up to it,
 * 1 / (1 - percentile). Each value is divided by `unit`.
 */
void histogram_print(const struct histogram *histogram, double unit, FILE *file);
/* The largest value that a cell stands for. */
int64_t histogram_value(unsigned cell);

struct machine {
	char processor[128];
	int cores; /* that this process may use */
	char kernel[128];
	char idle[192];    /* cpuidle driver, governor and the states that are on */
	char virtual[64]; /* what it runs on, as far as one can see */
};

void machine_read(struct machine *ret);
/* One line without its newline. */
void machine_line(const struct machine *machine, char *buffer, size_t size);

#endif
