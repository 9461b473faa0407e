/* SPDX-License-Identifier: ISC */
/* What the parts of heir-kv share: one instance of the service. */
#ifndef HEIR_KV_KV_H
#define HEIR_KV_KV_H

#include "command.h"

#include <heir.h>
#include <stddef.h>

struct conns;

struct kv {
	heir_t *h;
	const char *name;            /* the role's: whoever owns it answers what is sent there */
	struct command_env env;
	uint64_t seed;               /* of the hash, should this instance be the first */
	size_t marked;               /* bytes in the undo log of the open transaction */
	struct resp_command command; /* the one at hand: too large for the stack */
	struct conns *conns;
};

#endif
