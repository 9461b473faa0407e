/* SPDX-License-Identifier: ISC */
#ifndef HEIR_NODE_RELOAD_H
#define HEIR_NODE_RELOAD_H

#include "node/conf.h"
#include "shm/segment.h"

/*
 * Puts a configuration into force for the domain, if all that it changes can change while the domain runs; else
 * nothing is changed. self: the caller's handle. 0 and what changes, what is refused among it; HEIR_EBUSY and
 * *ret_other, who is at it; HEIR_ETOOBIG: the text; or another negative code, changes untouched.
 */
int reload_conf(const struct shm *shm, uint64_t self, const struct conf *given, struct conf_changes *ret,
                uint64_t *ret_other);
/* SIGHUP: from the file that the process was started with; NULL: it has none. Says in the log what it does. */
void reload_signalled(const struct shm *shm, uint64_t self, const char *file);

#endif
