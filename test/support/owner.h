/* SPDX-License-Identifier: ISC */
/*
 * A worker of the lead role without its loop, for tests that make each step themselves. In the
 * test's own process as well as in forked children: where something is not as it must be, a child
 * ends with OWNER_FAILED, the test itself fails.
 */
#ifndef HEIR_TEST_OWNER_H
#define HEIR_TEST_OWNER_H

#include "lib/handle.h"
#include "proc/recover.h"
#include "state/control.h"

#define OWNER_FAILED 97

#define MUST(what)                                                                                 \
	do {                                                                                       \
		if (!(what))                                                                       \
			owner_fail(__FILE__, __LINE__, #what);                                     \
	} while (0)

_Noreturn void owner_fail(const char *file, int line, const char *what);
/* A ready standby: the state mapped, candidate of its node. */
heir_t *owner_open(const char *domain, int node);
int owner_acquire(heir_t *h, enum acquire_how how, struct acquired *ret);
/* MOVING -> SERVING */
void owner_serve(heir_t *h);
struct control owner_control(const struct shm *shm);

#endif
