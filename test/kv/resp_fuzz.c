/* SPDX-License-Identifier: ISC */
/*
 * For clang -fsanitize=fuzzer,address,undefined: what is parsed, written as an array and parsed
 * again, is the same.
 */
#include "kv/resp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is_so)
{
	if (!is_so)
		abort();
}

static void check_again(const struct resp_command *command)
{
	static struct resp_command again;
	static char array[1 << 20];
	struct resp_out out = { .data = array, .room = sizeof(array) };
	resp_command(&out, command);
	must(!out.is_full && out.used <= command->size + 8);
	must(resp_parse(&again, array, out.used) == (ssize_t)out.used);
	must(again.argc == command->argc);
	for (size_t i = 0; i < again.argc; i++)
		must(again.argv[i].size == command->argv[i].size &&
		     !memcmp(again.argv[i].data, command->argv[i].data, again.argv[i].size));
	for (size_t i = 0; i < out.used && i < 100; i++)
		must(resp_parse(&again, array, i) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct resp_command command;
	static char text[1 << 16];
	struct resp_out out = { .data = text, .room = sizeof(text) };
	const char *bytes = (const char *)data;
	resp_text(&out, bytes, size);
	if (resp_parse_line(&command, bytes, size) == 0)
		check_again(&command);
	for (size_t used = 0; used < size;) {
		ssize_t n = resp_parse(&command, bytes + used, size - used);
		must(n >= -1 && n <= (ssize_t)(size - used));
		if (n <= 0)
			break;
		check_again(&command);
		used += (size_t)n;
	}
	return 0;
}
