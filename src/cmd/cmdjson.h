/* SPDX-License-Identifier: ISC */
/*
 * One JSON document, written as it goes. key is NULL within an array and for the document itself.
 * Bytes that are not UTF-8 come out as U+FFFD, one for each byte.
 */
#ifndef HEIR_CMD_JSON_H
#define HEIR_CMD_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 32

struct json {
	FILE *file;
	int depth;
	bool more[JSON_DEPTH];
	char close[JSON_DEPTH];
};

void json_init(struct json *json, FILE *file);
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
/* End the innermost object or array; the outermost ends the line. */
void json_end(struct json *json);

void json_string(struct json *json, const char *key, const char *text);
void json_text(struct json *json, const char *key, const char *text); /* "" and NULL become null */
void json_integer(struct json *json, const char *key, int64_t value);
void json_pid(struct json *json, const char *key,
	int64_t pid); /* 0 becomes null: nobody may kill it by mistake */
void json_bool(struct json *json, const char *key, bool value);
void json_us(struct json *json, const char *key, int64_t ns); /* microseconds with three decimals */

#endif
