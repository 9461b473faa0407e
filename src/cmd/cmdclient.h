/* SPDX-License-Identifier: ISC */
/* What the verbs share as clients of a domain: opening it, and errors in words with their exit
 * status. */
#ifndef HEIR_CMD_CLIENT_H
#define HEIR_CMD_CLIENT_H

#include "cmd/cmd.h"

#include <time.h>

/* The domain that -d, HEIR_DOMAIN or the default names. */
const char *client_domain(const struct cmd *cmd);
/* EXIT_DONE, or the exit status after a message. */
int client_open(struct cmd *cmd, unsigned flags, heir_t **ret);

/* The exit status of an error of heir_*, for this verb. */
int client_status(const struct cmd *cmd, int error);
/* "heir: WHAT: the error in words". Returns client_status(). */
int client_fail(struct cmd *cmd, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "no application `kw`; did you mean `kv`?" Return the exit status. */
int client_no_application(struct cmd *cmd, heir_t *h, const char *application);
int client_no_node(struct cmd *cmd, heir_t *h, const char *node);
int client_no_name(struct cmd *cmd, heir_t *h, const char *name);

const struct heir_app_status *client_find_application(
	const struct heir_status *status, const char *name);
const struct heir_node_status *client_find_node(const struct heir_status *status, const char *name);

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t client_now(void);

const char *client_app_state(enum heir_app_state state);
const char *client_instance_state(enum heir_instance_state state);
const char *client_start_type(enum heir_start_type type); /* "" for 0 */

#endif
