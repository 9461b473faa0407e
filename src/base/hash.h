/* SPDX-License-Identifier: ISC */
/* The hash of names: fixed, since it decides the place of a name in the segment (FNV-1a, then a 64-bit finaliser). */
#ifndef HEIR_BASE_HASH_H
#define HEIR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_bytes(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	return h;
}

#endif
