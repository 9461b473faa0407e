/* SPDX-License-Identifier: ISC */
/* Text out of fixed fields that may lack their NUL. */
#ifndef HEIR_BASE_TEXT_H
#define HEIR_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* As much of src (at most src_size bytes, or to its NUL) as fits into to, always terminated. */
static inline void text_copy(char *to, size_t room, const char *src, size_t src_size)
{
	size_t n = strnlen(src, src_size);

	if (n > room - 1)
		n = room - 1;
	memcpy(to, src, n);
	to[n] = 0;
}

#define TEXT_SHORT 16

static inline uint64_t text_zero_bytes(uint64_t w)
{
	return (w - UINT64_C(0x0101010101010101)) & ~w & UINT64_C(0x8080808080808080);
}

/* The same from a field, all src_size bytes of which are there; most texts in one are short: no calls for them. */
static inline void text_copy_field(char *to, size_t room, const char *src, size_t src_size)
{
	uint64_t words[TEXT_SHORT / 8];

	if (room >= TEXT_SHORT && src_size >= TEXT_SHORT) {
		memcpy(words, src, TEXT_SHORT);
		if (text_zero_bytes(words[0]) | text_zero_bytes(words[1])) {
			memcpy(to, words, TEXT_SHORT);
			return;
		}
	}
	text_copy(to, room, src, src_size);
}

/* Of arrays. */
#define TEXT_COPY(to, from) text_copy_field((to), sizeof(to), (from), sizeof(from))

#endif
