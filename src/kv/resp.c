/* SPDX-License-Identifier: ISC */
#include "resp.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 20

enum { INCOMPLETE = 0, BROKEN = -1 };

static int fail(struct resp_command *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(struct resp_command *c, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(c->error, sizeof(c->error), format, arguments);
	va_end(arguments);
	return BROKEN;
}

/* The length in "*12\r\n" or "$12\r\n": the bytes that it takes, INCOMPLETE or BROKEN. */
static ssize_t parse_length(const char *data, size_t size, long *ret)
{
	size_t i = 1;
	bool is_negative = i < size && data[i] == '-';
	if (is_negative)
		i++;
	size_t first = i;
	long value = 0;
	for (; i < size && data[i] >= '0' && data[i] <= '9'; i++) {
		if (i - first >= DIGITS_MAX - 2)
			return BROKEN;
		value = value * 10 + (data[i] - '0');
	}
	if (i == size)
		return INCOMPLETE;
	if (i == first || data[i] != '\r')
		return BROKEN;
	if (i + 1 == size)
		return INCOMPLETE;
	if (data[i + 1] != '\n')
		return BROKEN;
	*ret = is_negative ? -value : value;
	return (ssize_t)i + 2;
}

static ssize_t parse_bulk(struct resp_command *c, const char *data, size_t size, struct slice *ret)
{
	long length;
	if (size == 0)
		return INCOMPLETE;
	if (data[0] != '$')
		return fail(c, "expected '$', got '%c'",
			    isprint((unsigned char)data[0]) ? data[0] : '?');
	ssize_t head = parse_length(data, size, &length);
	if (head == INCOMPLETE)
		return INCOMPLETE;
	if (head == BROKEN || length < 0)
		return fail(c, "invalid bulk length");
	if (length > RESP_BULK_MAX)
		return fail(c, "invalid bulk length: over the limit of %d", RESP_BULK_MAX);
	size_t rest = size - (size_t)head;
	if (rest < (size_t)length + 2)
		return INCOMPLETE;
	const char *value = data + head;
	if (value[length] != '\r' || value[length + 1] != '\n')
		return fail(c, "invalid bulk length: no end of line after that many bytes");
	*ret = (struct slice){ value, (size_t)length };
	return head + length + 2;
}

static ssize_t parse_array(struct resp_command *c, const char *data, size_t size)
{
	long count;
	ssize_t head = parse_length(data, size, &count);
	if (head == INCOMPLETE)
		return INCOMPLETE;
	if (head == BROKEN)
		return fail(c, "invalid multibulk length");
	if (count > RESP_ARGUMENTS_MAX)
		return fail(c, "invalid multibulk length: over the limit of %d",
			    RESP_ARGUMENTS_MAX);
	size_t used = (size_t)head;
	for (long i = 0; i < count; i++) {
		ssize_t n = parse_bulk(c, data + used, size - used, &c->argv[i]);
		if (n <= 0)
			return n;
		used += (size_t)n;
	}
	c->argc = count > 0 ? (size_t)count : 0;
	c->size = used;
	return (ssize_t)used;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What a backslash at *at stands for; *at is moved to its last byte. */
static char unescape(const char **at, const char *end)
{
	const char *p = *at;
	if (end - p >= 4 && p[1] == 'x' && hex(p[2]) >= 0 && hex(p[3]) >= 0) {
		*at = p + 3;
		return (char)(hex(p[2]) * 16 + hex(p[3]));
	}
	*at = p + 1;
	switch (p[1]) {
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	case 'b': return '\b';
	case 'a': return '\a';
	default:  return p[1];
	}
}

/* One argument with its quotes. Returns where it ends, or NULL where a quote is not closed. */
static const char *parse_word(const char *p, const char *end, char **to)
{
	char quote = 0;
	for (; p < end; p++) {
		if (quote == 0 && is_space(*p))
			return p;
		if (quote == 0 && (*p == '"' || *p == '\'')) {
			quote = *p;
		} else if (quote && *p == quote) {
			return p + 1 == end || is_space(p[1]) ? p + 1 : NULL;
		} else if (quote == '"' && *p == '\\' && p + 1 < end) {
			*(*to)++ = unescape(&p, end);
		} else if (quote == '\'' && *p == '\\' && p + 1 < end && p[1] == '\'') {
			*(*to)++ = *++p;
		} else {
			*(*to)++ = *p;
		}
	}
	return quote ? NULL : end;
}

static size_t digits(size_t value)
{
	size_t n = 1;
	for (; value >= 10; value /= 10)
		n++;
	return n;
}

int resp_parse_line(struct resp_command *ret, const char *line, size_t size)
{
	const char *p = line, *end = line + size;
	char *to = ret->unquoted;
	size_t argc = 0, total = 0;
	if (size > sizeof(ret->unquoted))
		return fail(ret, "too big inline request");
	for (;;) {
		while (p < end && is_space(*p))
			p++;
		if (p == end)
			break;
		if (argc == RESP_ARGUMENTS_MAX)
			return fail(ret, "too many arguments: over the limit of %d",
				    RESP_ARGUMENTS_MAX);
		char *first = to;
		p = parse_word(p, end, &to);
		if (!p)
			return fail(ret, "unbalanced quotes in request");
		size_t length = (size_t)(to - first);
		ret->argv[argc++] = (struct slice){ first, length };
		total += 5 + digits(length) + length;
	}
	ret->argc = argc;
	ret->size = 3 + digits(argc) + total;
	return 0;
}

ssize_t resp_parse(struct resp_command *ret, const char *data, size_t size)
{
	if (size == 0)
		return INCOMPLETE;
	if (data[0] == '*')
		return parse_array(ret, data, size);
	const char *end = memchr(data, '\n', size);
	if (!end)
		return size > RESP_BULK_MAX ? fail(ret, "too big inline request") : INCOMPLETE;
	size_t length = (size_t)(end - data);
	if (resp_parse_line(ret, data, length - (length > 0 && end[-1] == '\r')))
		return BROKEN;
	return (ssize_t)length + 1;
}

static char *reserve(struct resp_out *out, size_t size)
{
	if (out->is_full || out->room - out->used < size) {
		out->is_full = true;
		return NULL;
	}
	out->used += size;
	return out->data + out->used - size;
}

static void append(struct resp_out *out, const void *data, size_t size)
{
	char *to = reserve(out, size);
	if (to && size > 0)
		memcpy(to, data, size);
}

static void append_number(struct resp_out *out, char type, unsigned long long value,
			  bool is_negative)
{
	char text[DIGITS_MAX + 4], *p = text + sizeof(text);
	*--p = '\n';
	*--p = '\r';
	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	if (is_negative)
		*--p = '-';
	*--p = type;
	append(out, p, (size_t)(text + sizeof(text) - p));
}

void resp_simple(struct resp_out *out, const char *text)
{
	append(out, "+", 1);
	append(out, text, strlen(text));
	append(out, "\r\n", 2);
}

void resp_error(struct resp_out *out, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (char *p = text; *p; p++)
		if (*p == '\r' || *p == '\n')
			*p = ' ';
	append(out, "-", 1);
	append(out, text, strlen(text));
	append(out, "\r\n", 2);
}

void resp_integer(struct resp_out *out, long long value)
{
	unsigned long long magnitude = (unsigned long long)value;
	append_number(out, ':', value < 0 ? -magnitude : magnitude, value < 0);
}

void resp_bulk(struct resp_out *out, struct slice value)
{
	append_number(out, '$', value.size, false);
	append(out, value.data, value.size);
	append(out, "\r\n", 2);
}

void resp_nil(struct resp_out *out)
{
	append(out, "$-1\r\n", 5);
}

void resp_array(struct resp_out *out, size_t count)
{
	append_number(out, '*', count, false);
}

void resp_command(struct resp_out *out, const struct resp_command *command)
{
	resp_array(out, command->argc);
	for (size_t i = 0; i < command->argc; i++)
		resp_bulk(out, command->argv[i]);
}

void resp_text(struct resp_out *out, const char *reply, size_t size)
{
	const char *p = reply, *end = reply + size;
	bool is_first = true;
	while (p < end) {
		const char *line = p + 1, *eol = memchr(line, '\r', (size_t)(end - line));
		struct slice value = { line, eol ? (size_t)(eol - line) : (size_t)(end - line) };
		char type = *p;
		long length = -1;
		bool is_counted = (type == '*' || type == '$') &&
				  parse_length(p, (size_t)(end - p), &length) > 0;
		p = eol && end - eol >= 2 ? eol + 2 : end;
		if (type == '*' && is_counted && length > 0)
			continue;
		if (type == '*' && is_counted) {
			value = (struct slice){ "(empty)", 7 };
		} else if (is_counted && length >= 0 && end - p >= length + 2) {
			value = (struct slice){ p, (size_t)length };
			p += length + 2;
		} else if (is_counted) {
			value = (struct slice){ "(nil)", 5 };
		}
		if (!is_first)
			append(out, "\n", 1);
		append(out, value.data, value.size);
		is_first = false;
	}
}
