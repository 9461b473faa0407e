/* SPDX-License-Identifier: ISC */
/* Bytes and words for the command line: UTF-8, durations with a unit, the nearest word to a
 * mistyped one. */
#ifndef HEIR_CMD_TEXT_H
#define HEIR_CMD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEAREST_MAX 256

/* Length of the well-formed character at text (size bytes are left), or 0; *ret_point is then
 * untouched. */
size_t utf8_char(const char *text, size_t size, uint32_t *ret_point);

/* "1.5s", "250ms", "2min" to nanoseconds. On failure why says what is wrong with it. */
bool duration_parse(const char *text, int64_t *ret_ns, char *why, size_t why_size);
/* The shortest such text: "10s", "1500ms". */
const char *duration_text(int64_t ns, char *buffer, size_t size);

/* Feed every candidate, then ask. Ties go to the first in byte order, so the order of feeding does
 * not matter. */
struct nearest {
	const char *word;
	unsigned bound; /* a candidate must be nearer than this */
	char best[NEAREST_MAX];
};

void nearest_init(struct nearest *nearest, const char *word);
void nearest_try(struct nearest *nearest, const char *candidate);
const char *nearest_word(const struct nearest *nearest); /* NULL: nothing is near */

#endif
