/* SPDX-License-Identifier: ISC */
/* The log: a line is put together in private and written at once, so that those of several
 * processes do not mix. */
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static char log_who[80] = "heir";
static enum log_level log_most = LOG_NOTES;
static unsigned long log_lost;

void log_init(const char *who, enum log_level level)
{
	snprintf(log_who, sizeof(log_who), "%s", who);
	log_most = level;
}

static size_t advance(size_t used, int n)
{
	size_t room = LINE_MAX_BYTES - 1 - used;

	return n < 0 ? used : used + ((size_t)n < room ? (size_t)n : room - 1);
}

/* A reader that does not read must not stop the process: lines that find no room are counted, and
 * that is said later. */
static void write_line(const char *line, size_t size)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT)) {
		log_lost++;
		return;
	}
	while (size > 0) {
		ssize_t n = write(STDERR_FILENO, line, size);

		if (n <= 0)
			return;
		line += n;
		size -= (size_t)n;
	}
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const marks[] = {"error: ", "warning: ", "", ""};
	char line[LINE_MAX_BYTES];
	unsigned long lost = log_lost;
	size_t used;
	va_list args;

	if (level > log_most)
		return;
	if (lost) {
		log_lost = 0;
		log_line(LOG_WARNINGS, "%lu lines of this log were lost: nobody read it", lost);
		if (log_lost) {
			log_lost += lost;
			return;
		}
	}
	used = advance(0, snprintf(line, sizeof(line) - 1, "%s: %s", log_who, marks[level]));
	va_start(args, format);
	used = advance(used, vsnprintf(line + used, sizeof(line) - 1 - used, format, args));
	va_end(args);
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < ' ' && line[i] != '\t')
			line[i] = ' ';
	line[used++] = '\n';
	write_line(line, used);
}
