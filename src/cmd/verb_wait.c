/* SPDX-License-Identifier: ISC */
/* wait: until an application is as asked. */
#include "cmd/cmdclient.h"
#include "cmd/cmdtext.h"

#include <string.h>

static bool holds(const struct cmd *cmd, heir_t *h, const struct heir_app_status *app)
{
	const char *node = cmd->value[OPTION_NODE];
	bool only_protected =
		cmd_given(cmd, OPTION_PROTECTED) && !cmd_given(cmd, OPTION_RUNNING) && !node;

	(void)h;
	if (cmd_given(cmd, OPTION_PROTECTED) && !app->is_protected)
		return false;
	if (node && strcmp(app->node, node))
		return false;
	return only_protected || app->state == HEIR_APP_RUNNING;
}

static int timed_out(struct cmd *cmd, const struct heir_app_status *app)
{
	char after[32];

	cmd_say(cmd->out, "after %s `%s` is %s%s%s, protected: %s",
		duration_text(cmd->timeout, after, sizeof(after)), app->name,
		client_app_state(app->state), app->node[0] ? " on node " : "", app->node,
		app->is_protected ? "yes" : "no");
	return EXIT_TIMED_OUT;
}

/* EXIT_DONE, or the exit status after a message. */
static int check_node(struct cmd *cmd, heir_t *h)
{
	const char *node = cmd->value[OPTION_NODE];
	struct heir_status *status;
	bool known;

	if (!node || heir_status(h, &status))
		return EXIT_DONE;
	known = client_find_node(status, node) != NULL;
	heir_status_free(status);
	return known ? EXIT_DONE : client_no_node(cmd, h, node);
}

static int wait_for(struct cmd *cmd, heir_t *h)
{
	const char *application = cmd->operand[0];
	struct heir_app_status app;
	int error = client_wait(cmd, h, application, holds, client_deadline(cmd), &app);

	switch (error) {
	case HEIR_OK: return EXIT_DONE;
	case HEIR_ETIMEDOUT: return timed_out(cmd, &app);
	case HEIR_ENOENT: return client_no_application(cmd, h, application);
	default: return client_fail(cmd, error, "wait for `%s`", application);
	}
}

int cmd_wait(struct cmd *cmd)
{
	int status;
	heir_t *h;

	status = client_open(cmd, HEIR_OBSERVE, &h);
	if (status != EXIT_DONE)
		return status;
	status = check_node(cmd, h);
	if (status == EXIT_DONE)
		status = wait_for(cmd, h);
	heir_close(h);
	return status;
}
