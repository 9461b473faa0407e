/* SPDX-License-Identifier: ISC */
#include "node/environ.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_own(const char *word)
{
	static const char *const names[] = {
		"HEIR_",          "LISTEN_PID=",    "LISTEN_FDS=",   "LISTEN_FDNAMES=",
		"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "FDSTORE="};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(word, names[i], strlen(names[i])))
			return 1;
	return 0;
}

static void add(struct environ *e, char *word)
{
	if (word && e->count + 2 > e->room) {
		size_t room = e->room * 2 + 64;
		char **words = realloc(e->words, room * sizeof(*words));

		if (words) {
			e->words = words;
			e->room = room;
		} else {
			free(word);
			word = NULL;
		}
	}
	if (!word) {
		e->error = -ENOMEM;
		return;
	}
	e->words[e->count++] = word;
	e->words[e->count] = NULL;
}

void environ_init(struct environ *e)
{
	*e = (struct environ){0};
}

void environ_finish(struct environ *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->words[i]);
	free(e->words);
	*e = (struct environ){0};
}

static size_t find(const struct environ *e, const char *name)
{
	size_t length = strlen(name), i = 0;

	while (i < e->count &&
	       (strncmp(e->words[i], name, length) != 0 || e->words[i][length] != '='))
		i++;
	return i;
}

void environ_inherit(struct environ *e)
{
	for (char **word = environ; *word; word++) {
		size_t length = strcspn(*word, "="), i = 0;

		while (i < e->count && strncmp(e->words[i], *word, length + 1) != 0)
			i++;
		if (!is_own(*word) && i == e->count)
			add(e, strdup(*word));
	}
}

void environ_set(struct environ *e, const char *name, const char *format, ...)
{
	char *value, *word = NULL;
	size_t at = find(e, name);
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&value, format, args);
	va_end(args);
	if (n >= 0) {
		if (asprintf(&word, "%s=%s", name, value) < 0)
			word = NULL;
		free(value);
	}
	if (at == e->count || !word) {
		add(e, word);
		return;
	}
	free(e->words[at]);
	e->words[at] = word;
}

char *environ_value(const struct environ *e, const char *name)
{
	size_t at = find(e, name);

	return at < e->count ? e->words[at] + strlen(name) + 1 : NULL;
}
