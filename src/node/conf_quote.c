/* SPDX-License-Identifier: ISC */
/*
 * The text of a quoted YAML scalar. libfyaml 0.7.12 finds such scalars, but gives wrong text for ''
 * twice in a row and for escapes beside line breaks, and ends some before their closing quote.
 */
#include "conf_impl.h"

#include <string.h>

struct writer {
	char *text;
	size_t length;
	size_t kept; /* white space up to here does not fold away */
};

static void put_char(struct writer *w, char c)
{
	w->text[w->length++] = c;
}

static void put_point(struct writer *w, uint32_t point)
{
	if (point < 0x80) {
		put_char(w, (char)point);
	} else if (point < 0x800) {
		put_char(w, (char)(0xc0 | point >> 6));
		put_char(w, (char)(0x80 | (point & 0x3f)));
	} else if (point < 0x10000) {
		put_char(w, (char)(0xe0 | point >> 12));
		put_char(w, (char)(0x80 | (point >> 6 & 0x3f)));
		put_char(w, (char)(0x80 | (point & 0x3f)));
	} else {
		put_char(w, (char)(0xf0 | point >> 18));
		put_char(w, (char)(0x80 | (point >> 12 & 0x3f)));
		put_char(w, (char)(0x80 | (point >> 6 & 0x3f)));
		put_char(w, (char)(0x80 | (point & 0x3f)));
	}
	w->kept = w->length;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_break(char c)
{
	return c == '\n' || c == '\r';
}

static const char *quote_end(const char *p, char quote)
{
	for (; *p && (*p != quote || (quote == '\'' && p[1] == '\'')); p++)
		if (p[1] && (*p == quote || (quote == '"' && *p == '\\')))
			p++;
	return p;
}

size_t conf_quoted_length(const char *raw, char quote)
{
	return (size_t)(quote_end(raw, quote) - raw);
}

/* Past the breaks at P and the white space around them; how many breaks there were. */
static const char *skip_breaks(const char *p, const char *end, size_t *ret_count)
{
	size_t count = 0;
	while (p < end && (is_blank(*p) || is_break(*p))) {
		if (is_break(*p))
			count++;
		if (*p == '\r' && p + 1 < end && p[1] == '\n')
			p++;
		p++;
	}
	*ret_count = count;
	return p;
}

static void fold(struct writer *w, size_t breaks)
{
	while (w->length > w->kept && is_blank(w->text[w->length - 1]))
		w->length--;
	if (breaks == 1)
		put_char(w, ' ');
	for (; breaks > 1; breaks--)
		put_char(w, '\n');
	w->kept = w->length;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9'    ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : -1;
}

static const char *put_hex(struct writer *w, const char *p, const char *end, int digits)
{
	uint32_t point = 0;
	for (; digits > 0; digits--, p++) {
		int value = p < end ? hex_value(*p) : -1;
		if (value < 0)
			return NULL;
		point = point << 4 | (uint32_t)value;
	}
	if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return NULL;
	put_point(w, point);
	return p;
}

/* P is behind the backslash. */
static const char *put_escape(struct writer *w, const char *p, const char *end)
{
	static const char from[] = "0abtnvfre \"/\\\tN_LP";
	static const uint16_t to[] = {0, '\a', '\b', '\t', '\n', '\v', '\f', '\r', 0x1b, ' ', '"',
		'/', '\\', '\t', 0x85, 0xa0, 0x2028, 0x2029};
	size_t breaks;
	if (p == end)
		return NULL;
	if (is_break(*p)) {
		p = skip_breaks(p, end, &breaks);
		w->kept = w->length;
		for (; breaks > 1; breaks--)
			put_char(w, '\n');
		w->kept = w->length;
		return p;
	}
	if (*p == 'x' || *p == 'u' || *p == 'U')
		return put_hex(w, p + 1, end, *p == 'x' ? 2 : *p == 'u' ? 4 : 8);
	const char *known = *p ? strchr(from, *p) : NULL;
	if (!known)
		return NULL;
	put_point(w, to[known - from]);
	return p + 1;
}

bool conf_unquote(const char *raw, char quote, char *text, size_t *ret_length)
{
	struct writer w = {.text = text};
	const char *end = quote_end(raw, quote);
	size_t breaks;
	for (const char *p = raw; p < end;) {
		if (is_break(*p)) {
			p = skip_breaks(p, end, &breaks);
			fold(&w, breaks);
		} else if (quote == '"' && *p == '\\') {
			p = put_escape(&w, p + 1, end);
			if (!p)
				return false;
		} else {
			p += *p == '\'' && quote == '\'';
			put_char(&w, *p++);
		}
	}
	text[w.length] = '\0';
	*ret_length = w.length;
	return true;
}
