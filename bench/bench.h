/* SPDX-License-Identifier: ISC */
/*
 * heir-bench: one run is a list of rows, each with what was measured of heir, what was measured of
 * its limit in turns with it, and the goal that their ratio has. A family fills rows.
 */
#ifndef HEIR_BENCH_BENCH_H
#define HEIR_BENCH_BENCH_H

#include "bench/measure.h"

#include <heir.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define BENCH_ROWS_MAX	    512
#define BENCH_TIMELINES_MAX 64
#define BENCH_SECOND	    INT64_C(1000000000)
#define BENCH_TIMEOUT	    (20 * BENCH_SECOND)
#define GIB		    ((size_t)1 << 30)
#define MIB		    ((size_t)1 << 20)

/* What samples are kept in, and shown in. */
enum unit {
	UNIT_US, /* kept in ns */
	UNIT_NS, /* kept in ps */
	UNIT_BYTES,
	UNIT_COUNT,
};

/* What a row was measured with; 0 where it has no meaning. */
struct parameters {
	uint64_t names, state, resident, children, callers, bytes, rate, threads;
};

struct row {
	const char *family; /* its name */
	const char *axis;   /* the parameter that a group of rows differs in, or "" */
	char what[160];	    /* a word or two; the same for all parameters of it */
	char limit_is[64];  /* what stands on the other side; "" for no other side */
	const char *wait;   /* "blocking", "spinning", or "" where nobody waits */
	enum unit unit;
	struct parameters with;
	struct samples heir, limit;
	struct spread heir_given, limit_given; /* instead of samples that another program has */
	double goal;			       /* of limit's p50 to heir's p50; 0 for none */
	bool is_at_least;  /* heir must be so many times as quick, not at most so many times as slow */
	char left_out[96]; /* why it was not measured; "" if it was */
};

/* One move whose total is the median of its row. */
struct timeline {
	const char *family, *axis;
	char what[160];
	struct parameters with;
	struct heir_move move;
};

struct bench {
	bool is_quick, is_pinned, is_idle_held, is_json, is_percentiles;
	int idle_fd;	   /* keeps /dev/cpu_dma_latency open; -1 */
	const char *heir;  /* the program */
	const char *self;  /* this one */
	const char *child; /* the little one */
	const char *peers; /* the one that knows the peers */
	const char *out;   /* NULL, or where the JSON goes as well */
	struct machine machine;
	int64_t began_ns; /* CLOCK_REALTIME */
	int64_t took_ns;
	struct row row[BENCH_ROWS_MAX];
	size_t rows, shown;
	struct timeline timeline[BENCH_TIMELINES_MAX];
	size_t timelines;
	bool has_failed;
	bool is_planned, is_failover, has_moved; /* moves_run */
};

/* What a family is: measures, adds rows; false where something went wrong, which it has said. */
struct family {
	const char *name, *is;
	bool (*run)(struct bench *bench);
};

bool limits_run(struct bench *bench);
bool moves_run(struct bench *bench); /* what of both is asked for, in turns, at the first call */
bool names_run(struct bench *bench);
bool mail_run(struct bench *bench);
bool state_run(struct bench *bench);
bool restart_run(struct bench *bench);
bool footprint_run(struct bench *bench);
bool path_run(struct bench *bench);
bool peers_run(struct bench *bench);

/* Never NULL: more rows than there is room for end the program. */
struct row *bench_row(struct bench *bench, const char *family, enum unit unit, const char *wait);
/* Both say it on standard error, and return false, to be returned. */
bool bench_complain(const char *what, int error);
bool bench_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* So much memory is free, and so much is in /dev/shm. */
bool bench_has_memory(size_t needed, size_t shared);
/* Pinned runs: the processors of the three parts of a chain; else nothing. */
enum part { PART_COMMAND, PART_WORKER, PART_CALLER };
int bench_cpu(const struct bench *bench, enum part part); /* -1: any */
int bench_other_cpu(int n); /* the n-th that this process may use, for what needs two */
unsigned bench_rounds(const struct bench *bench, unsigned full, unsigned quick);

/* Nanoseconds of a time stamp counter that does not let later instructions begin before it. */
uint64_t bench_ticks(void);
double bench_ps_per_tick(void);
uint32_t bench_draw(uint64_t *seed, uint32_t below);

/* benchprint.c, benchjson.c. rows from `shown` on; a row's parameters as words */
size_t row_parameters(const struct row *row, char *buffer, size_t size);
void bench_print_head(const struct bench *bench);
void bench_print_new(struct bench *bench);
void bench_print_percentiles(struct bench *bench);
void bench_print_tail(struct bench *bench);
int bench_json(struct bench *bench, FILE *file);
struct spread row_heir(struct row *row);
struct spread row_limit(struct row *row);
double unit_value(enum unit unit, int64_t kept);
const char *unit_name(enum unit unit);
double row_ratio(struct row *row); /* heir to limit, or limit to heir if is_at_least; 0: none */
bool row_is_met(struct row *row);

/* report.c: heir-bench report DIR [FILE] */
int report_main(int argc, char **argv);

#endif
