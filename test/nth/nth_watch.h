/* SPDX-License-Identifier: ISC */
/*
 * A story under a seccomp filter whose calls come to this process first (SECCOMP_RET_USER_NOTIF): each is counted by
 * the role of its process, one of them is made to fail, all others go on. Nobody is traced, so stops, signals and
 * waits are as ever.
 *
 * A role is the program and what it is for: `up`, `node a`, `kv a` (heir-kv on node a), `takeover` …, with `+` for a
 * child between fork and exec and `.2` for the second process of a role. Ordinals count from 1 in each process since
 * its exec; what the dynamic loader does before main is not counted.
 */
#ifndef HEIR_TEST_NTH_WATCH_H
#define HEIR_TEST_NTH_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "nth/nth_calls.h"

#define NTH_ROLE_MAX 48

struct nth_point {
	char role[NTH_ROLE_MAX];
	const struct nth_call *call;
	unsigned ordinal;
	int error;
};

struct nth_watch;

/*
 * Starts argv under the filter. point: what is to fail, or NULL: every call is counted. Its standard input and output
 * are in and out.
 */
struct nth_watch *watch_start(char *const argv[], const struct nth_point *point, int in, int out);
/* Serves calls until fd is readable (1), or the milliseconds have passed (0). fd -1: none. */
int watch_serve(struct nth_watch *w, int fd, int ms);
bool watch_fired(const struct nth_watch *w);
/* For each role and call that was counted. */
void watch_counts(const struct nth_watch *w, void (*each)(const char *role, const struct nth_call *call, unsigned n,
							  void *arg), void *arg);
/* The process of that role that was seen last, or 0. */
pid_t watch_pid(const struct nth_watch *w, const char *role);
/* Calls go on unseen from here. */
void watch_finish(struct nth_watch *w);

#endif
