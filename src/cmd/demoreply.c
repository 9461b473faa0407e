/* SPDX-License-Identifier: ISC */
#include "demoreply.h"

#include <stdbool.h>
#include <string.h>

#define BULK_MAX (64 * 1024 * 1024)
#define DIGITS_MAX 19

static bool parse_integer(const char *text, size_t size, int64_t *ret)
{
	bool is_negative = size > 0 && text[0] == '-';
	int64_t value = 0;

	text += is_negative;
	size -= is_negative;
	if (size == 0 || size > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, text[i] - '0', &value))
			return false;
	*ret = is_negative ? -value : value;
	return true;
}

static ssize_t parse_bulk(const char *bytes, size_t size, size_t head, struct reply *ret)
{
	struct reply reply = *ret;
	size_t whole;

	if (reply.integer < -1 || reply.integer > BULK_MAX)
		return -1;
	if (reply.integer == -1) {
		ret->text = NULL;
		ret->size = 0;
		return (ssize_t)head;
	}
	whole = head + (size_t)reply.integer + 2;
	if (size < whole)
		return 0;
	if (memcmp(bytes + whole - 2, "\r\n", 2) != 0)
		return -1;
	ret->text = bytes + head;
	ret->size = (size_t)reply.integer;
	return (ssize_t)whole;
}

ssize_t reply_parse(const char *bytes, size_t size, struct reply *ret)
{
	const char *end = size > 0 ? memchr(bytes, '\r', size) : NULL;
	struct reply reply = {0};
	ssize_t length;

	if (size > 0 && (bytes[0] == '\0' || !strchr("+-:$", bytes[0])))
		return -1;
	if (!end || end + 1 == bytes + size)
		return 0;
	if (end[1] != '\n')
		return -1;
	length = end + 2 - bytes;
	reply.type = bytes[0];
	reply.text = bytes + 1;
	reply.size = (size_t)(end - bytes) - 1;
	if ((reply.type == ':' || reply.type == '$') &&
		!parse_integer(reply.text, reply.size, &reply.integer))
		return -1;
	if (reply.type == '$')
		length = parse_bulk(bytes, size, (size_t)length, &reply);
	if (length > 0)
		*ret = reply;
	return length;
}
