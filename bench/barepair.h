/* SPDX-License-Identifier: ISC */
/*
 * Two bare processes that answer each other: what a call and its reply are measured against. The far
 * one is a child; the near one is whoever asks. No heir code.
 */
#ifndef HEIR_BENCH_BAREPAIR_H
#define HEIR_BENCH_BAREPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bareway {
	BARE_FUTEX,  /* a futex word each way, both sleep; the bytes are copied in and out of shared memory */
	BARE_LINE,   /* one cache line each way, both spin */
	BARE_SOCKET, /* a Unix stream socket pair */
	BARE_PIPE,   /* two pipes */
};

struct barepair;

/* The far one runs on that processor; -1: any. Negative errno. */
int barepair_create(enum bareway way, size_t bytes, int cpu, struct barepair **ret);
void barepair_destroy(struct barepair *pair); /* NULL is allowed */
/* There and back, in ns. Negative errno. */
int barepair_round_trip(struct barepair *pair, int64_t *ret_ns);

/* Stop the far one, which spins, while it is another's turn on its processor; or let it go on. */
void barepair_stop(struct barepair *pair, bool stop);

#endif
