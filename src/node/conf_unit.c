/* SPDX-License-Identifier: ISC */
#include "conf_unit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FRACTION_DIGITS_MAX 18

__extension__ typedef unsigned __int128 wide;

struct unit {
	const char *name;
	uint64_t factor;
	bool shown; /* used when a value is formatted */
};

/* Largest first. */
static const struct unit duration_units[] = {
	{"d", UINT64_C(86400000000000), true},
	{"h", UINT64_C(3600000000000), true},
	{"min", UINT64_C(60000000000), true},
	{"s", UINT64_C(1000000000), true},
	{"ms", UINT64_C(1000000), true},
	{"us", UINT64_C(1000), true},
	{NULL, 0, false},
};

static const struct unit size_units[] = {
	{"GiB", UINT64_C(1) << 30, true},
	{"GB", UINT64_C(1000000000), false},
	{"MiB", UINT64_C(1) << 20, true},
	{"MB", UINT64_C(1000000), false},
	{"KiB", UINT64_C(1) << 10, true},
	{"kB", UINT64_C(1000), false},
	{"B", 1, true},
	{NULL, 0, false},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const struct unit *find_unit(const struct unit *units, const char *name)
{
	for (const struct unit *u = units; u->name; u++)
		if (!strcmp(u->name, name))
			return u;
	return NULL;
}

static enum conf_unit_error scale(
	const char *whole, const char *fraction, uint64_t factor, uint64_t *ret)
{
	uint64_t value = 0, part = 0, divisor = 1;
	for (; is_digit(*whole); whole++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*whole - '0'), &value))
			return CONF_UNIT_TOO_LARGE;

	size_t digits = fraction ? strspn(fraction, "0123456789") : 0;
	while (digits > 0 && fraction[digits - 1] == '0')
		digits--;
	if (digits > FRACTION_DIGITS_MAX)
		return CONF_UNIT_TOO_FINE;
	for (size_t i = 0; i < digits; i++) {
		part = part * 10 + (uint64_t)(fraction[i] - '0');
		divisor *= 10;
	}
	wide scaled = (wide)part * factor;
	if (scaled % divisor)
		return CONF_UNIT_TOO_FINE;
	part = (uint64_t)(scaled / divisor);
	if (__builtin_mul_overflow(value, factor, &value) ||
		__builtin_add_overflow(value, part, &value))
		return CONF_UNIT_TOO_LARGE;
	*ret = value;
	return CONF_UNIT_OK;
}

static enum conf_unit_error parse(
	const struct unit *units, const char *text, uint64_t *ret, const char **ret_unit)
{
	const char *fraction = NULL;
	const char *end = text + strspn(text, "0123456789");
	*ret_unit = end;
	if (end == text)
		return CONF_UNIT_MALFORMED;
	if (*end == '.') {
		fraction = end + 1;
		end = fraction + strspn(fraction, "0123456789");
		*ret_unit = end;
		if (end == fraction)
			return CONF_UNIT_MALFORMED;
	}
	if (!*end)
		return CONF_UNIT_MISSING;
	const struct unit *unit = find_unit(units, end);
	if (!unit) {
		for (const char *p = end; *p; p++)
			if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
				return CONF_UNIT_MALFORMED;
		return CONF_UNIT_UNKNOWN;
	}
	return scale(text, fraction, unit->factor, ret);
}

enum conf_unit_error conf_parse_duration(const char *text, uint64_t *ret_ns, const char **ret_unit)
{
	return parse(duration_units, text, ret_ns, ret_unit);
}

enum conf_unit_error conf_parse_size(const char *text, uint64_t *ret_bytes, const char **ret_unit)
{
	return parse(size_units, text, ret_bytes, ret_unit);
}

enum conf_unit_error conf_parse_count(const char *text, uint64_t *ret)
{
	if (!*text || text[strspn(text, "0123456789")])
		return CONF_UNIT_MALFORMED;
	return scale(text, NULL, 1, ret);
}

static const char *format(const struct unit *units, uint64_t value, char *text)
{
	for (const struct unit *u = units; u->name; u++)
		if (u->shown && value % u->factor == 0) {
			(void)snprintf(text, CONF_UNIT_TEXT_MAX, "%" PRIu64 "%s", value / u->factor,
				u->name);
			return text;
		}
	return NULL;
}

const char *conf_format_duration(uint64_t ns, char text[static CONF_UNIT_TEXT_MAX])
{
	if (ns == 0)
		return strcpy(text, "0s");
	if (format(duration_units, ns, text))
		return text;
	int length = snprintf(
		text, CONF_UNIT_TEXT_MAX, "%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));
	while (text[length - 1] == '0')
		length--;
	(void)strcpy(text + length, "us");
	return text;
}

const char *conf_format_size(uint64_t bytes, char text[static CONF_UNIT_TEXT_MAX])
{
	return bytes == 0 ? strcpy(text, "0B") : format(size_units, bytes, text);
}
