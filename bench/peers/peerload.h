/* SPDX-License-Identifier: ISC */
/*
 * A load that does not wait for its server: requests are due at fixed times, whatever became of those
 * before, and a request's time counts from when it was due. So a server that stands still is charged
 * for every request that it kept waiting (no coordinated omission).
 */
#ifndef HEIR_BENCH_PEERLOAD_H
#define HEIR_BENCH_PEERLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reply_kind { REPLY_HTTP, REPLY_RESP };

struct load {
	uint16_t port; /* of 127.0.0.1 */
	const char *request;
	enum reply_kind kind;
	bool is_kept;	  /* connections are kept and used again; else each request has its own */
	int64_t interval; /* between two requests */
	int64_t begin;	  /* the first one is due */
	int64_t duration;
	/* For each request, when it has an answer or none will come. */
	void (*done)(void *arg, int64_t due, int64_t now, bool has_failed);
	void *arg;
};

/* False: it could not be run at all. */
bool load_run(const struct load *load);

#endif
