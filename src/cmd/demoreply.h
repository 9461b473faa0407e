/* SPDX-License-Identifier: ISC */
/* Replies of RESP2 as a client reads them; nested ones are not for it. */
#ifndef HEIR_CMD_DEMOREPLY_H
#define HEIR_CMD_DEMOREPLY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct reply {
	char type; /* + - : $ */
	const char *text; /* within the bytes; NULL for a null bulk string */
	size_t size;
	int64_t integer;
};

/* The reply that the bytes begin with: its length; 0 while it is not whole; -1 where it is none. */
ssize_t reply_parse(const char *bytes, size_t size, struct reply *ret);

#endif
