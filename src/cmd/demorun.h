/* SPDX-License-Identifier: ISC */
/* One run of the demo: a domain, the load, the moves, and what was measured. */
#ifndef HEIR_CMD_DEMORUN_H
#define HEIR_CMD_DEMORUN_H

#include "bench/barelimit.h"
#include "demodomain.h"
#include "demoload.h"

#include <signal.h>

#define DEMO_TAKEOVERS 200
#define DEMO_KILLS 50
#define DEMO_STEPS_MAX 32
#define DEMO_DOMAIN "heir-demo-%d" /* the runner's pid */

struct demo_step {
	char name[32];
	struct samples took;
};

/* Moves of one kind, under load. */
struct demo_moves {
	size_t asked, done;
	struct demo_step step[DEMO_STEPS_MAX]; /* in the order in which they began */
	size_t steps;
	struct samples total;
	struct samples mail_silence, tcp_silence; /* the longest of each client around each move */
};

/* heir beside the bare limit, in turns, without load. */
struct demo_pair {
	struct samples heir, limit;
	struct samples alike; /* kills: the limit for a victim as large as the owner */
};

struct demo_run {
	size_t takeovers, kills; /* asked for */
	volatile sig_atomic_t *interrupted;

	struct demo_domain domain;
	struct demo_load load;
	struct barelimit *limit;
	uint8_t *window_kind; /* of each window: enum demo_kind, or DEMO_KINDS for none of them */
	uint32_t windows;

	struct machine machine;
	struct demo_moves moves[DEMO_KINDS];
	struct samples first_reply; /* kill to first reply, under load */
	struct demo_pair planned, crash;
	struct histogram mail_latency, tcp_latency;
	struct demo_count sum; /* of all clients; its note is one of theirs */
	uint64_t mail_calls, tcp_commands, mail_failed, tcp_failed;
	size_t not_done;   /* moves that did not end as done */
	size_t rests;      /* rounds without load */
	struct barevictim owner_size;
	int64_t took_ns;
	bool is_cut_short; /* for want of time */
	char trouble[256]; /* "": none; the first thing that was not as it should be */
};

/* Everything from the start of the domain to its end. `heir` is the program. */
void run_demo(struct demo_run *run, const char *heir);
void run_finish(struct demo_run *run);
/* Nothing failed, was lost, doubled, missing or cut in an overlap, and every move was done. */
bool run_is_good(const struct demo_run *run);

#endif
