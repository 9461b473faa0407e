/* SPDX-License-Identifier: ISC */
/* Two nodes of Erlang/OTP with the service svc, and who watches the service of heir from outside. */
#ifndef HEIR_BENCH_PEEROTP_H
#define HEIR_BENCH_PEEROTP_H

#include "bench/peers/peers.h"

struct otp_node {
	struct process process;
	char answers[65536]; /* what it said and nobody has read yet */
	size_t used;
};

struct otp {
	const struct peers *p;
	struct process epmd;
	struct otp_node node[3]; /* a and b; c, which only commands */
	int owner;		 /* which of them runs the service */
	struct demo_domain domain;
	struct barelimit *chain; /* bare wakes, and a bare service that is called, as large as heir's */
	struct bareswitch *bare;
};

/* Its modules are compiled into the family's folder. */
bool otp_compile(const struct peers *p);
bool otp_start(struct otp *o, unsigned names, size_t state, const char *kept);
void otp_stop(struct otp *o);
/* From the command to the return of the last phase, and to the return of the command. */
struct taken {
	int64_t done, returned;
};

/* The command comes from within the VM, or from another one. */
bool otp_takeover(struct otp *o, bool is_from_outside, struct taken *ret);
bool otp_kill(struct otp *o, struct samples *samples); /* adds one */
/*
 * The samples of one command to one node, each divided by `batch`. The command is followed by a count.
 */
bool otp_samples(struct otp *o, int node, const char *command, struct samples *samples, int batch);

/* A process of its own that calls a name on and on until another node has answered. */
struct heir_watcher {
	pid_t pid;
	int from; /* what it tells */
};

/* Until it has been answered by the node. */
bool watcher_start(struct heir_watcher *watcher, const char *domain, const char *name, const char *node);
/* When another one answered first; ends it. */
bool watcher_first(struct heir_watcher *watcher, int64_t *ret);

/* peerotpcall.c: single operations, in turns. */
bool otp_operations(struct otp *o, unsigned names);

#endif
