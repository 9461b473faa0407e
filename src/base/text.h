/* SPDX-License-Identifier: ISC */
/* Text out of fixed fields that may lack their NUL. */
#ifndef HEIR_BASE_TEXT_H
#define HEIR_BASE_TEXT_H

#include <stddef.h>
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

#define TEXT_COPY(to, from) text_copy((to), sizeof(to), (from), sizeof(from))

#endif
