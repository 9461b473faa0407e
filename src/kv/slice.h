/* SPDX-License-Identifier: ISC */
/*
 * Bytes that lie somewhere else: in a client's buffer, in a message or in the state. Not terminated
 * by NUL.
 */
#ifndef HEIR_KV_SLICE_H
#define HEIR_KV_SLICE_H

#include <stddef.h>

struct slice {
	const char *data;
	size_t size;
};

#endif
