/* SPDX-License-Identifier: ISC */
/* Numbers with a unit, in both directions: 1.5s, 64MiB. */
#ifndef HEIR_NODE_CONF_UNIT_H
#define HEIR_NODE_CONF_UNIT_H

#include <stddef.h>
#include <stdint.h>

enum conf_unit_error {
	CONF_UNIT_OK,
	CONF_UNIT_MALFORMED, /* not a number at all */
	CONF_UNIT_MISSING,   /* a bare number */
	CONF_UNIT_UNKNOWN,
	CONF_UNIT_TOO_LARGE, /* does not fit 64 bits */
	CONF_UNIT_TOO_FINE,  /* not a whole number of nanoseconds or bytes */
};

#define CONF_UNIT_TEXT_MAX 32 /* bytes that a formatted value takes, with its NUL */

/* Outputs are untouched unless CONF_UNIT_OK is returned; *ret_unit, where the unit begins in TEXT,
 * is set always. */
enum conf_unit_error conf_parse_duration(const char *text, uint64_t *ret_ns, const char **ret_unit);
enum conf_unit_error conf_parse_size(const char *text, uint64_t *ret_bytes, const char **ret_unit);
enum conf_unit_error conf_parse_count(const char *text, uint64_t *ret);

/* The shortest exact text, which the parsers above accept. Return TEXT. */
const char *conf_format_duration(uint64_t ns, char text[static CONF_UNIT_TEXT_MAX]);
const char *conf_format_size(uint64_t bytes, char text[static CONF_UNIT_TEXT_MAX]);

#endif
