/* SPDX-License-Identifier: ISC */
/*
 * start, stop and permit: what any leader can be told, since the order is a word in the segment. A
 * leader that does not answer is passed over; an order that was heard twice is no other order.
 */
#include "cmd/cmdclient.h"
#include "cmd/cmdtext.h"

#include <string.h>

#define REPLY_MOST 1024
#define ORDER_MOST 512
#define HEAR_OUT INT64_C(500000000) /* then the next leader is asked */

static int no_answer(struct cmd *cmd, bool waited)
{
	char after[32];

	if (waited) {
		cmd_say(cmd->out, "no node of domain `%s` has answered within %s",
			client_domain(cmd), duration_text(cmd->timeout, after, sizeof(after)));
		return EXIT_TIMED_OUT;
	}
	cmd_say(cmd->out, "no node of domain `%s` is running", client_domain(cmd));
	return EXIT_NOT_RUNNING;
}

static int call_leader(
	heir_t *h, const char *node, const char *order, int64_t deadline, char *reply, size_t room)
{
	int64_t left = client_left(deadline);
	char address[80];
	int error;

	snprintf(address, sizeof(address), "heir@%s", node);
	room--;
	error = heir_call(h, address, order, strlen(order), reply, &room,
		left < HEAR_OUT ? left : HEAR_OUT);
	if (error == HEIR_OK)
		reply[room] = '\0';
	return error;
}

/* EXIT_DONE, or the exit status after a message. */
static int tell(struct cmd *cmd, heir_t *h, const struct heir_status *status, const char *order,
	int64_t deadline)
{
	char reply[REPLY_MOST];
	bool waited;
	int error;

	do {
		waited = false;
		for (size_t i = 0; i < status->nodes; i++) {
			const char *node = status->node[i].name;

			if (status->node[i].pid <= 0)
				continue;
			error = call_leader(h, node, order, deadline, reply, sizeof(reply));
			switch (error) {
			case HEIR_OK: return client_heed(cmd, node, reply);
			case HEIR_EAGAIN:
			case HEIR_ETIMEDOUT:
			case HEIR_EUNKNOWN: waited = true; break;
			case HEIR_ENOENT:
			case HEIR_EDEAD: break;
			default: return client_fail(cmd, error, "node `%s`", node);
			}
		}
	} while (waited && client_left(deadline) > 0);
	return no_answer(cmd, waited);
}

static int order(struct cmd *cmd, heir_t *h, const char *text, int64_t deadline)
{
	const char *application = cmd->operand[0];
	const char *node = cmd->operands > 1 ? cmd->operand[1] : NULL;
	const struct heir_app_status *app;
	struct heir_status *status;
	int error = heir_status(h, &status), result;

	if (error)
		return client_fail(cmd, error, "domain `%s`", client_domain(cmd));
	app = client_find_application(status, application);
	if (!app)
		result = client_no_application(cmd, h, application);
	else if (node && !client_find_node(status, node))
		result = client_no_node(cmd, h, node);
	else if (node && !client_has_node(app, node))
		result = client_no_pair(cmd, application, node);
	else
		result = tell(cmd, h, status, text, deadline);
	heir_status_free(status);
	return result;
}

/* An instance that is still there, but for what a dead leader has left written. */
static const struct heir_instance_status *rest(heir_t *h, const struct heir_app_status *app)
{
	for (size_t i = 0; i < app->instances; i++) {
		const struct heir_instance_status *instance = &app->instance[i];

		if (instance->state != HEIR_ABSENT && client_has_leader(h, instance->node))
			return instance;
	}
	return NULL;
}

static bool runs(const struct cmd *cmd, heir_t *h, const struct heir_app_status *app)
{
	(void)cmd, (void)h;
	return app->state == HEIR_APP_RUNNING || app->state == HEIR_APP_FAILED;
}

static bool is_down(const struct cmd *cmd, heir_t *h, const struct heir_app_status *app)
{
	(void)cmd;
	return (app->state == HEIR_APP_DOWN || app->state == HEIR_APP_FAILED) && !rest(h, app);
}

static bool permitted_nowhere(const struct heir_app_status *app)
{
	for (size_t i = 0; i < app->instances; i++)
		if (app->instance[i].permitted)
			return false;
	return true;
}

static int late(struct cmd *cmd, heir_t *h, const struct heir_app_status *app)
{
	const struct heir_instance_status *left = app->node[0] ? NULL : rest(h, app);
	const char *node = left ? left->node : app->node;
	char after[32];

	cmd_say(cmd->out, "after %s `%s` is %s%s%s%s%s%s",
		duration_text(cmd->timeout, after, sizeof(after)), app->name,
		client_app_state(app->state), left ? ", but " : "",
		left ? client_instance_state(left->state) : "", node[0] ? " on node " : "", node,
		permitted_nowhere(app) ? "; no node is permitted to run it" : "");
	return EXIT_TIMED_OUT;
}

static int say_runs(struct cmd *cmd, const struct heir_app_status *app)
{
	if (app->state == HEIR_APP_FAILED) {
		cmd_say(cmd->out, "`%s` has failed; what `heir up` prints says why", app->name);
		return EXIT_FAILED;
	}
	out_text(cmd->out, cmd->out->file, app->name);
	fputs(" runs on node ", cmd->out->file);
	out_text(cmd->out, cmd->out->file, app->node);
	fputc('\n', cmd->out->file);
	return EXIT_DONE;
}

static int say_down(struct cmd *cmd, const struct heir_app_status *app)
{
	out_text(cmd->out, cmd->out->file, app->name);
	fputs(" is down\n", cmd->out->file);
	return EXIT_DONE;
}

static int start_or_stop(struct cmd *cmd, client_test *holds,
	int (*say)(struct cmd *cmd, const struct heir_app_status *app))
{
	const char *application = cmd->operand[0];
	int64_t deadline = client_deadline(cmd);
	struct heir_app_status app;
	char text[ORDER_MOST];
	int error, status;
	heir_t *h;

	status = client_open(cmd, 0, &h);
	if (status != EXIT_DONE)
		return status;
	snprintf(text, sizeof(text), "%s %s", cmd->command->name, application);
	status = order(cmd, h, text, deadline);
	if (status == EXIT_DONE && !cmd_given(cmd, OPTION_NO_WAIT)) {
		error = client_wait(cmd, h, application, holds, deadline, &app);
		if (error == HEIR_OK)
			status = say(cmd, &app);
		else if (error == HEIR_ETIMEDOUT)
			status = late(cmd, h, &app);
		else
			status = client_fail(cmd, error, "`%s`", application);
	}
	heir_close(h);
	return status;
}

int cmd_start(struct cmd *cmd)
{
	return start_or_stop(cmd, runs, say_runs);
}

int cmd_stop(struct cmd *cmd)
{
	return start_or_stop(cmd, is_down, say_down);
}

int cmd_permit(struct cmd *cmd)
{
	const char *answer = cmd->operand[2];
	char text[ORDER_MOST];
	int status;
	heir_t *h;

	if (strcmp(answer, "yes") && strcmp(answer, "no"))
		return cmd_usage(cmd, "`%s` is neither yes nor no", answer);
	status = client_open(cmd, 0, &h);
	if (status != EXIT_DONE)
		return status;
	snprintf(text, sizeof(text), "permit %s %s %s", cmd->operand[0], cmd->operand[1], answer);
	status = order(cmd, h, text, client_deadline(cmd));
	heir_close(h);
	return status;
}
