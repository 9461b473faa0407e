/* SPDX-License-Identifier: ISC */
/* A name to what it is bound to, and to the mailbox that takes its mail. */
#ifndef HEIR_LIB_RESOLVE_H
#define HEIR_LIB_RESOLVE_H

#include "lib/handle.h"

struct resolved {
	int role;        /* -1: a process */
	uint64_t handle; /* of the process; of the process that fills the role now, or 0 */
	uint32_t mailbox;
};

/* NAME, NAME@NODE or heir@NODE. HEIR_ENOENT HEIR_EINVAL HEIR_ECORRUPT */
int resolve(const heir_t *h, const char *name, struct resolved *ret);
bool binding_lives(uint64_t binding, void *shm);
/* The process that fills a role for its application's present owner, alive or not; 0: none. */
uint64_t role_process(const struct shm *shm, uint32_t role);

#endif
