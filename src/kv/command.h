/* SPDX-License-Identifier: ISC */
/*
 * The commands, over the table: one argument vector in, one RESP reply out. They run within a
 * transaction that somebody else opened, and know nothing of where the command came from.
 */
#ifndef HEIR_KV_COMMAND_H
#define HEIR_KV_COMMAND_H

#include "resp.h"
#include "table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_env {
	struct table table;
	size_t limit;           /* no command, as an array, and no reply is larger */
	const char *node;       /* for INFO */
	uint32_t generation;
};

/*
 * Append the reply of a command with argc > 0 to out, which has room for env->limit bytes.
 * Negative: nothing was appended, the transaction must be undone, and command_failed() has a reply
 * for it.
 */
int command_run(struct command_env *env, const struct resp_command *command, struct resp_out *out);
void command_failed(int error, struct resp_out *out);
/* The reply to a command that is larger than the limit, which must not be run. */
void command_too_large(const struct command_env *env, struct resp_out *out);
bool command_is_quit(const struct resp_command *command);

#endif
