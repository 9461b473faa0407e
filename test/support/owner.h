/* SPDX-License-Identifier: ISC */
/*
 * A worker of the lead role without its loop, for tests that make each step themselves. Used in forked children, so it ends
 * the process with OWNER_FAILED where something is not as it should be. HEIR_DOMAIN and HEIR_NODE say where: domain_fork().
 */
#ifndef HEIR_TEST_OWNER_H
#define HEIR_TEST_OWNER_H

#include "lib/handle.h"
#include "proc/recover.h"
#include "state/control.h"

#define OWNER_FAILED 97

#define MUST(what) \
	do { \
		if (!(what)) \
			owner_fail(__FILE__, __LINE__, #what); \
	} while (0)

_Noreturn void owner_fail(const char *file, int line, const char *what);
/* A worker with the state mapped, candidate of its node. */
heir_t *owner_open(void);
/* Claims (or is already owner), and serves. */
void owner_serve(heir_t *h);
/* A client of the domain. */
heir_t *owner_client(void);
struct control owner_control(heir_t *h);

#endif
