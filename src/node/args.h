/* SPDX-License-Identifier: ISC */
/* The options of up, node, check and reload. */
#ifndef HEIR_NODE_ARGS_H
#define HEIR_NODE_ARGS_H

#include <stdbool.h>

struct args {
	const char *file, *domain, *operand;
	bool detach, discard, standard, json;
};

/* Those of the verb argv[0] alone; `allowed` has their letters: f d D(detach) X(discard) S(default)
 * J(json). 0, or the exit status 2 after a message. */
int args_parse(int argc, char **argv, const char *allowed, bool operand, struct args *ret);

#endif
