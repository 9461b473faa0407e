/* SPDX-License-Identifier: ISC */
/* The configuration as the segment holds it: two areas, shm/policy.h. */
#ifndef HEIR_NODE_ENACT_H
#define HEIR_NODE_ENACT_H

#include "node/conf.h"
#include "shm/policy.h"

/* Into an area that is the caller's alone: text ends with NUL and fits, limits.conf says how much does. */
void enact_fill(const struct shm *shm, unsigned area, const struct conf *conf, const char *text, size_t length);
/* What is in force; *ret_generation tells it from later ones. 0, -ENOMEM, HEIR_ECORRUPT. */
int enact_load(const struct shm *shm, struct conf **ret, uint32_t *ret_generation);
uint64_t enact_signature(const struct shm *shm);

#endif
