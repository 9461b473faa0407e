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

int client_no_pair(struct cmd *cmd, const char *application, const char *node);

/* False only where it is known that the node has none. */
bool client_has_leader(heir_t *h, const char *node);
bool client_has_node(const struct heir_app_status *app, const char *node);
const struct heir_app_status *client_find_application(
	const struct heir_status *status, const char *name);
const struct heir_node_status *client_find_node(const struct heir_status *status, const char *name);

/* A leader's answer: EXIT_DONE for "ok", else EXIT_FAILED after a message. */
int client_heed(struct cmd *cmd, const char *node, const char *reply);

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t client_now(void);
/* When --timeout is over. */
int64_t client_deadline(const struct cmd *cmd);
int64_t client_left(int64_t deadline); /* 0 once it has passed */

typedef bool client_test(const struct cmd *cmd, heir_t *h, const struct heir_app_status *app);
/* Until the test holds: HEIR_OK, HEIR_ETIMEDOUT or another error. *app is what was seen last. */
int client_wait(const struct cmd *cmd, heir_t *h, const char *application, client_test *holds,
	int64_t deadline, struct heir_app_status *app);

const char *client_app_state(enum heir_app_state state);
const char *client_instance_state(enum heir_instance_state state);
const char *client_start_type(enum heir_start_type type); /* "" for 0 */

#endif
