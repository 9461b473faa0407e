/* SPDX-License-Identifier: ISC */
/* UTF-8, and places in a text: bytes from its begin against lines and columns. */
#include "conf_impl.h"

size_t conf_utf8_length(const unsigned char *p, size_t left, uint32_t *ret_point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (p[0] < 0x80) {
		*ret_point = p[0];
		return 1;
	}
	size_t length = p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
	if (length == 0 || length > left)
		return 0;
	uint32_t point = p[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (p[i] & 0x3f);
	}
	*ret_point = point;
	return point < least[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)
		? 0
		: length;
}

static bool is_printable(uint32_t point)
{
	return point == '\t' || point == '\n' || point == '\r' || point == 0x85 ||
		(point >= 0x20 && point != 0x7f && !(point >= 0x80 && point < 0xa0) &&
			point != 0xfffe && point != 0xffff);
}

bool conf_text_valid(const char *text, size_t length, size_t *ret_offset)
{
	for (size_t at = 0, step; at < length; at += step) {
		uint32_t point;
		step = conf_utf8_length((const unsigned char *)text + at, length - at, &point);
		if (step == 0 || !is_printable(point)) {
			*ret_offset = at;
			return false;
		}
	}
	return true;
}

bool conf_text_is_utf8(const char *text, size_t length)
{
	for (size_t at = 0, step; at < length; at += step) {
		uint32_t point;
		step = conf_utf8_length((const unsigned char *)text + at, length - at, &point);
		if (step == 0)
			return false;
	}
	return true;
}

uint32_t conf_source_line(const struct conf_source *source, uint32_t offset)
{
	uint32_t low = 0, high = source->line_count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (source->lines[middle] <= offset)
			low = middle;
		else
			high = middle;
	}
	return low + 1;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

uint32_t conf_source_column(const struct conf_source *source, uint32_t offset)
{
	uint32_t column = 1;
	if (offset > source->length)
		offset = (uint32_t)source->length;
	for (uint32_t at = source->lines[conf_source_line(source, offset) - 1]; at < offset; at++)
		if (at + 1 >= source->length || !is_continuation(source->text[at + 1]))
			column++;
	return column;
}

uint32_t conf_source_offset(const struct conf_source *source, uint32_t line, uint32_t column)
{
	if (line < 1)
		line = 1;
	if (line > source->line_count)
		return (uint32_t)source->length;
	uint32_t at = source->lines[line - 1];
	for (; column > 1 && at < source->length && source->text[at] != '\n' &&
		source->text[at] != '\r';
		at++)
		if (at + 1 >= source->length || !is_continuation(source->text[at + 1]))
			column--;
	return at;
}
