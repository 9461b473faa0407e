/* SPDX-License-Identifier: ISC */
/*
 * A domain without leaders: nodes a, b, c, one application "app" with one role "server" (name "app", 64 KiB of
 * state), hot. For tests of everything below the leader; unlinked by domain_finish, which also kills what
 * domain_fork made.
 */
#ifndef HEIR_TEST_DOMAIN_H
#define HEIR_TEST_DOMAIN_H

#include <sys/types.h>

#include "heir.h"
#include "lib/handle.h"

#define DOMAIN_STATE 65536

struct domain {
	struct shm shm;
	char name[64];
	uint64_t leader[3]; /* stand-ins: slots of this process */
	pid_t child[32];
	unsigned children;
};

struct domain_options {
	uint32_t cells, message, names, slots, roles, trace, state;
	uint32_t max_deliveries;
	const char *steps[SHM_STEPS_MAX]; /* default: start switch takeover go stop_old */
	uint64_t step_timeout, yield_timeout;
};

void domain_init(struct domain *d, const struct domain_options *options);
void domain_finish(struct domain *d);
/*
 * Fork a child that runs body(arg) with the environment of a worker of that node; its exit status is body's
 * result.
 */
pid_t domain_fork(struct domain *d, const char *node, int (*body)(void *arg), void *arg);
/* Status of waitpid within the limit; kills and fails the test beyond it. */
int domain_wait(struct domain *d, pid_t pid);
void domain_kill(struct domain *d, pid_t pid);
/* Until the node's worker of the first role is a ready standby (or beyond). */
void domain_wait_ready(struct domain *d, unsigned node);
/* Until the application's phase is SERVING and its owner is on that node. */
void domain_wait_owner(struct domain *d, unsigned node);
/* Ask the node's worker to start (normal). */
int domain_start(struct domain *d, heir_t *client, unsigned node);

#endif
