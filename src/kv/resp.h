/* SPDX-License-Identifier: ISC */
/*
 * RESP2, the protocol of Redis: commands in, replies out. Pure: no system call, no allocation.
 *
 * A command is an array of bulk strings ("*2\r\n$3\r\nGET\r\n$1\r\na\r\n") or an inline line ("GET
 * a\r\n"). Parsing changes nothing in the bytes that it reads, so that they may be parsed again
 * after a transaction was undone.
 */
#ifndef HEIR_KV_RESP_H
#define HEIR_KV_RESP_H

#include "slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RESP_ARGUMENTS_MAX 1024
#define RESP_BULK_MAX 16384   /* one argument, or one inline line */

struct resp_command {
	size_t argc;
	size_t size;              /* as an array */
	struct slice argv[RESP_ARGUMENTS_MAX];
	char unquoted[RESP_BULK_MAX]; /* where the arguments of an inline command lie */
	char error[80];
};

/*
 * How many bytes the first command of data takes; 0 where it is not whole yet; -1 for a protocol
 * error, with its text in error. An empty command has argc 0. The arguments point into data or into
 * *ret.
 */
ssize_t resp_parse(struct resp_command *ret, const char *data, size_t size);
/* One inline command without its end of line. 0, or -1 with the text in error. */
int resp_parse_line(struct resp_command *ret, const char *line, size_t size);

/* Where replies are written. What does not fit is left out and sets is_full. */
struct resp_out {
	char *data;
	size_t used, room;
	bool is_full;
};

void resp_simple(struct resp_out *out, const char *text);
/* The text begins with a code: "ERR ...". Ends of lines in it become spaces. */
void resp_error(struct resp_out *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void resp_integer(struct resp_out *out, long long value);
void resp_bulk(struct resp_out *out, struct slice value);
void resp_nil(struct resp_out *out);
void resp_array(struct resp_out *out, size_t count);
/* A command as an array: what is forwarded. */
void resp_command(struct resp_out *out, const struct resp_command *command);

/* A reply for a person: values, one a line, without the protocol. */
void resp_text(struct resp_out *out, const char *reply, size_t size);

#endif
