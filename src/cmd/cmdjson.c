/* SPDX-License-Identifier: ISC */
/* A JSON writer: quoting, commas and numbers, straight to a stream. */
#include "cmd/cmdjson.h"

#include "cmd/cmdtext.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void json_init(struct json *json, FILE *file)
{
	*json = (struct json){.file = file};
}

static void quote(FILE *file, const char *text)
{
	static const char escaped[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	size_t left = strlen(text), length;
	uint32_t point;

	fputc('"', file);
	for (; left > 0; text += length, left -= length) {
		const char *found;

		length = utf8_char(text, left, &point);
		if (length == 0) {
			fputs("\\ufffd", file);
			length = 1;
		} else if ((found = memchr(escaped, *text, sizeof(escaped) - 1))) {
			fprintf(file, "\\%c", letter[found - escaped]);
		} else if (point < ' ' || point == 0x7f) {
			fprintf(file, "\\u%04" PRIx32, point);
		} else {
			fwrite(text, 1, length, file);
		}
	}
	fputc('"', file);
}

static void begin_value(struct json *json, const char *key)
{
	if (json->depth > 0) {
		if (json->more[json->depth - 1])
			fputc(',', json->file);
		json->more[json->depth - 1] = true;
	}
	if (key) {
		quote(json->file, key);
		fputc(':', json->file);
	}
}

static void open_level(struct json *json, const char *key, char open, char close)
{
	assert(json->depth < JSON_DEPTH);
	begin_value(json, key);
	fputc(open, json->file);
	json->more[json->depth] = false;
	json->close[json->depth++] = close;
}

void json_object(struct json *json, const char *key)
{
	open_level(json, key, '{', '}');
}

void json_array(struct json *json, const char *key)
{
	open_level(json, key, '[', ']');
}

void json_end(struct json *json)
{
	assert(json->depth > 0);
	fputc(json->close[--json->depth], json->file);
	if (json->depth == 0)
		fputc('\n', json->file);
}

void json_string(struct json *json, const char *key, const char *text)
{
	begin_value(json, key);
	quote(json->file, text);
}

void json_text(struct json *json, const char *key, const char *text)
{
	begin_value(json, key);
	if (text && *text)
		quote(json->file, text);
	else
		fputs("null", json->file);
}

void json_integer(struct json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	fprintf(json->file, "%" PRId64, value);
}

void json_pid(struct json *json, const char *key, int64_t pid)
{
	begin_value(json, key);
	if (pid > 0)
		fprintf(json->file, "%" PRId64, pid);
	else
		fputs("null", json->file);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	fputs(value ? "true" : "false", json->file);
}

void json_us(struct json *json, const char *key, int64_t ns)
{
	uint64_t size = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;

	begin_value(json, key);
	fprintf(json->file, "%s%" PRIu64 ".%03" PRIu64, ns < 0 ? "-" : "", size / 1000,
		size % 1000);
}
