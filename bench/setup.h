/* SPDX-License-Identifier: ISC */
/*
 * What families need of heir: a private domain with one application, its worker, which is this
 * program again as `heir-bench worker KEY=VALUE...`, and callers in processes of their own.
 */
#ifndef HEIR_BENCH_SETUP_H
#define HEIR_BENCH_SETUP_H

#include "bench/barelimit.h"
#include "bench/barespawn.h"
#include "bench/bench.h"
#include "cmd/demodomain.h"

#include <stdatomic.h>

#define CALLERS_MAX   16
#define NAMES_AT_ONCE 4096u
#define SHARE_SAMPLES 200000u

/* What a worker, or a process started in place, tells the bench by memory. */
struct share {
	struct child_share child;  /* first: a child maps no more of it */
	_Atomic uint32_t received; /* ASK_NOTE */
	struct histogram delay;	   /* of these, from their intended start */
	uint32_t count;		   /* of the samples, in ps */
	int64_t heir[SHARE_SAMPLES], limit[SHARE_SAMPLES];
};

/* A private domain, "bench" its application and its name. */
struct setup {
	struct parameters with; /* names, state, resident, children */
	bool is_cold, is_exclusive, is_spinning;
	bool is_dumping;    /* a core, into its folder */
	bool is_restarted;  /* on_death: restart */
	bool is_plain;	    /* the child is heir-bench-child, which knows nothing of heir */
	const char *low_latency; /* what it is in the configuration; NULL: not there */
	size_t message;	    /* limit of messages; 0: default */
	uint32_t processes; /* limit of processes; 0: default */
	uint32_t room;	    /* for so many names more */
};

struct stage {
	struct bench *bench;
	struct setup setup;
	struct demo_domain domain;
	struct share *share;
	int share_fd;
};

/* False: said why; stage_stop() is to be called either way. It is false where the end was not in order. */
bool stage_start(struct stage *stage, struct bench *bench, const struct setup *setup);
bool stage_stop(struct stage *stage);
/* Until it is served, and has a standby unless that is cold. */
bool stage_protected(struct stage *stage, struct heir_app_status *ret);
/* The owner alone registers the names (name-0, name-1 ...) and fills the state. */
bool stage_fill(struct stage *stage);
struct share *share_create(int *ret_fd, char *path, size_t size);
void share_destroy(struct share *share, int fd);

/* Messages to the worker. The first eight bytes are enough for a call that is answered alike. */
enum ask_op { ASK_ECHO, ASK_PID, ASK_REGISTER, ASK_FILL, ASK_TRANSACTIONS, ASK_CHANGES, ASK_NOTE, ASK_PIN };
struct ask {
	uint32_t op, count;
	uint64_t at;
};
int ask(heir_t *h, const char *name, struct ask ask, void *reply, size_t size);
int worker_main(int argc, char **argv); /* KEY=VALUE... */

/* Callers in processes of their own, that call on and on while they are told to. */
struct caller {
	_Alignas(64) _Atomic uint32_t run;    /* 1: call on */
	_Alignas(64) _Atomic uint32_t rounds; /* replies since it was told to */
	_Atomic uint32_t window;	      /* + 1 when a move begins, and when it has ended */
	_Atomic int64_t silence;	      /* the longest between two replies that touches one */
	_Atomic int32_t server;		      /* who answered last */
	_Atomic int64_t first_ns;	      /* when that one answered first */
	_Atomic int32_t error;
	pid_t pid;
};

struct callers {
	struct caller *caller; /* shared memory */
	unsigned count;
};

bool callers_start(struct callers *callers, unsigned count, const char *domain, int cpu);
void callers_end(struct callers *callers);
/* They call, each has been answered; or they have been answered twice more and call no longer. */
bool callers_call(struct callers *callers);
bool callers_rest(struct callers *callers);
void callers_window(struct callers *callers);
int64_t callers_silence(const struct callers *callers); /* the longest of all */
/* Until one is answered by another than pid. *ret_ns: the first of them. */
bool callers_answered(struct callers *callers, pid_t pid, int64_t *ret_ns);
/* Between two looks at a word of another process, not in what is measured: 0.1 ms. */
void pause_a_little(void);

#endif
