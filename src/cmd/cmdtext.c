/* SPDX-License-Identifier: ISC */
/* Pure text functions of the command line; no input or output. */
#include "cmd/cmdtext.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The units of heir.yaml(5), the largest first. */
static const struct {
	const char *name;
	int64_t ns;
} units[] = {
	{"d", INT64_C(86400000000000)},
	{"h", INT64_C(3600000000000)},
	{"min", INT64_C(60000000000)},
	{"s", 1000000000},
	{"ms", 1000000},
	{"us", 1000},
};

#define UNITS (sizeof(units) / sizeof(units[0]))

size_t utf8_char(const char *text, size_t size, uint32_t *ret_point)
{
	const unsigned char *byte = (const unsigned char *)text;
	uint32_t point;
	size_t length;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	if (size == 0)
		return 0;
	if (byte[0] < 0x80) {
		*ret_point = byte[0];
		return 1;
	}
	if (byte[0] < 0xc0 || byte[0] > 0xf7)
		return 0;
	length = byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
	if (length > size)
		return 0;
	point = byte[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (byte[i] & 0x3f);
	}
	if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*ret_point = point;
	return length;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int64_t unit_ns(const char *unit)
{
	for (size_t i = 0; i < UNITS; i++)
		if (!strcmp(units[i].name, unit))
			return units[i].ns;
	return 0;
}

/* The number from text to end, in units of scale nanoseconds. */
static bool sum_digits(const char *text, const char *end, int64_t scale, int64_t *ret)
{
	int64_t whole = 0, fraction = 0, part = scale;

	for (; text < end && *text != '.'; text++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
			__builtin_add_overflow(whole, *text - '0', &whole))
			return false;
	for (text++; text < end; text++) {
		if (*text != '0' && (part == 0 || part % 10))
			return false;
		part /= 10;
		fraction += part * (*text - '0');
	}
	if (__builtin_mul_overflow(whole, scale, &whole) ||
		__builtin_add_overflow(whole, fraction, &whole))
		return false;
	*ret = whole;
	return true;
}

bool duration_parse(const char *text, int64_t *ret_ns, char *why, size_t why_size)
{
	const char *point = text + strspn(text, "0123456789"), *unit = point;
	int64_t scale;
	int length;

	if (*point == '.')
		unit = point + 1 + strspn(point + 1, "0123456789");
	if (point == text || unit == point + 1 || (*unit && !is_letter(*unit))) {
		snprintf(why, why_size, "not a duration; write for example 5s or 250ms");
		return false;
	}
	length = (int)(unit - text);
	if (!*unit) {
		snprintf(why, why_size,
			"a duration needs a unit; write for example %.*ss or %.*sms", length, text,
			length, text);
		return false;
	}
	scale = unit_ns(unit);
	if (scale == 0) {
		snprintf(why, why_size, "no unit `%s`; there are us ms s min h d", unit);
		return false;
	}
	if (!sum_digits(text, unit, scale, ret_ns)) {
		snprintf(why, why_size, "longer than 292 years, or finer than a nanosecond");
		return false;
	}
	return true;
}

const char *duration_text(int64_t ns, char *buffer, size_t size)
{
	for (size_t i = 0; i < UNITS; i++)
		if (ns && ns % units[i].ns == 0) {
			snprintf(buffer, size, "%" PRId64 "%s", ns / units[i].ns, units[i].name);
			return buffer;
		}
	snprintf(buffer, size, ns ? "%" PRId64 "ns" : "%" PRId64 "s", ns);
	return buffer;
}

void nearest_init(struct nearest *nearest, const char *word)
{
	size_t length = strlen(word);

	nearest->word = word;
	nearest->bound = length < 3 ? 2 : length < 6 ? 3 : 4;
	nearest->best[0] = '\0';
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, changes and swaps of neighbours that make b of a; at least bound if it is
 * not below that. */
static unsigned distance(const char *a, const char *b, unsigned bound)
{
	unsigned row[3][NEAREST_MAX + 1], *older = row[0], *old = row[1], *now = row[2], *spare;
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length >= NEAREST_MAX || b_length >= NEAREST_MAX)
		return bound;
	if ((a_length > b_length ? a_length - b_length : b_length - a_length) >= bound)
		return bound;
	for (size_t j = 0; j <= b_length; j++)
		old[j] = older[j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned smallest = now[0] = (unsigned)i;

		for (size_t j = 1; j <= b_length; j++) {
			now[j] = least(
				old[j - 1] + (a[i - 1] != b[j - 1]), least(old[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], older[j - 2] + 1);
			smallest = least(smallest, now[j]);
		}
		if (smallest > bound)
			return bound;
		spare = older;
		older = old;
		old = now;
		now = spare;
	}
	return old[b_length];
}

void nearest_try(struct nearest *nearest, const char *candidate)
{
	size_t length = strlen(nearest->word), other = strlen(candidate);
	unsigned far;
	bool nearer;

	if (other >= NEAREST_MAX)
		return;
	far = distance(nearest->word, candidate, nearest->bound + 1);
	if (length > 0 && !strncmp(nearest->word, candidate, length))
		far = least(far, 1);
	else if (far >= length && far >= other) /* not a letter of it is the same */
		return;
	nearer = far < nearest->bound;
	if (!nearer && nearest->best[0])
		nearer = far == nearest->bound && strcmp(candidate, nearest->best) < 0;
	if (!nearer)
		return;
	nearest->bound = far;
	memcpy(nearest->best, candidate, other + 1);
}

const char *nearest_word(const struct nearest *nearest)
{
	return nearest->best[0] ? nearest->best : NULL;
}
