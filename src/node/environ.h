/* SPDX-License-Identifier: ISC */
/* The environment of a child, put together before the fork. */
#ifndef HEIR_NODE_ENVIRON_H
#define HEIR_NODE_ENVIRON_H

#include <stddef.h>

struct environ {
	char **words; /* ends with NULL */
	size_t count, room;
	int error; /* -ENOMEM: what is there is not complete */
};

void environ_init(struct environ *e);
/* Adds this process's environment, but what heir and service managers put into it for this process
 * alone, and what is set. */
void environ_inherit(struct environ *e);
void environ_finish(struct environ *e);
/* NAME=VALUE, in place of an earlier one. */
void environ_set(struct environ *e, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Where the value of a name lies; NULL: there is none. */
char *environ_value(const struct environ *e, const char *name);

#endif
