/* SPDX-License-Identifier: ISC */
/* takeover and steps: ask for a move, and look at those that were. */
#include "cmd/cmdclient.h"
#include "cmd/cmdmove.h"
#include "cmd/cmdtext.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MOVES_DEFAULT 5
#define MOVES_MOST 100000

/* HEIR_ENOENT: the application, the node, or only the pair of them. */
static int no_pair(struct cmd *cmd, heir_t *h, const char *application, const char *node)
{
	const struct heir_app_status *app;
	bool node_known, pair_known;
	struct heir_status *status;
	int error = heir_status(h, &status);

	if (error)
		return client_fail(
			cmd, HEIR_ENOENT, "takeover of `%s` to node `%s`", application, node);
	app = client_find_application(status, application);
	node_known = client_find_node(status, node) != NULL;
	pair_known = app && client_has_node(app, node);
	heir_status_free(status);
	if (!app)
		return client_no_application(cmd, h, application);
	if (!node_known)
		return client_no_node(cmd, h, node);
	if (pair_known)
		return client_fail(
			cmd, HEIR_ENOENT, "takeover of `%s` to node `%s`", application, node);
	return client_no_pair(cmd, application, node);
}

/* HEIR_EPERM: of the node, or of this user. */
static int not_permitted(struct cmd *cmd, heir_t *h, const char *application, const char *node)
{
	struct heir_app_status app;

	if (heir_app_status(h, application, &app) == HEIR_OK)
		for (size_t i = 0; i < app.instances; i++)
			if (!strcmp(app.instance[i].node, node) && !app.instance[i].permitted) {
				cmd_say(cmd->out,
					"`%s` is not permitted on node `%s` (permit it with: heir "
					"permit %s %s yes)",
					application, node, application, node);
				return client_status(cmd, HEIR_EPERM);
			}
	return client_fail(cmd, HEIR_EPERM, "takeover of `%s` to node `%s`", application, node);
}

static int takeover_failed(struct cmd *cmd, heir_t *h, int error, const struct heir_move *move)
{
	const char *application = cmd->operand[0], *node = cmd->operand[1];
	char after[32];

	switch (error) {
	case HEIR_ENOENT: return no_pair(cmd, h, application, node);
	case HEIR_EALREADY:
		cmd_say(cmd->out, "`%s` is on node `%s` already", application, node);
		break;
	case HEIR_EBUSY:
		cmd_say(cmd->out,
			"node `%s` is taking `%s` over already, at generation %u; --wait waits for "
			"its end",
			move->to, application, move->generation);
		break;
	case HEIR_EPERM: return not_permitted(cmd, h, application, node);
	case HEIR_EDEAD: /* whoever was asked, until the time was over */
	case HEIR_ENOTREADY:
		cmd_say(cmd->out, "no instance of `%s` on node `%s` is ready to take over%s",
			application, node,
			client_has_leader(h, node) ? "" : ": the node is not running");
		break;
	case HEIR_ETIMEDOUT:
		cmd_say(cmd->out,
			"takeover of `%s` to node `%s` did not begin within %s; nothing was "
			"changed",
			application, node, duration_text(cmd->timeout, after, sizeof(after)));
		break;
	case HEIR_EUNKNOWN:
		cmd_say(cmd->out,
			"takeover of `%s` to node `%s` did not end within %s; see: heir steps %s",
			application, node, duration_text(cmd->timeout, after, sizeof(after)),
			application);
		break;
	default: return client_fail(cmd, error, "takeover of `%s` to node `%s`", application, node);
	}
	return client_status(cmd, error);
}

static void show(struct cmd *cmd, const struct heir_move *move)
{
	struct json json;

	if (!cmd_given(cmd, OPTION_JSON)) {
		move_print(cmd->out, move);
		return;
	}
	json_init(&json, cmd->out->file);
	move_json(&json, move);
}

static int say_ending(struct cmd *cmd, const struct heir_move *move)
{
	bool known = move->failed_step[0] != '\0';

	if (move->result == HEIR_DONE || move->result == HEIR_FORCED)
		return EXIT_DONE;
	cmd_say(cmd->out, "takeover of `%s` to node `%s` %s%s%s%s%s%s", cmd->operand[0],
		cmd->operand[1], move_result(move->result), known ? ", in step `" : "",
		move->failed_step, known ? "`" : "", move->error ? ": " : "",
		move->error ? heir_strerror(move->error) : "");
	return EXIT_FAILED;
}

int cmd_takeover(struct cmd *cmd)
{
	unsigned how = HEIR_AS_CONFIGURED;
	struct heir_move move = {0};
	int status, error;
	heir_t *h;

	if (cmd_given(cmd, OPTION_OVERLAP) && cmd_given(cmd, OPTION_EXCLUSIVE))
		return cmd_usage(cmd, "--overlap and --exclusive exclude each other");
	if (cmd_given(cmd, OPTION_OVERLAP))
		how |= HEIR_OVERLAP;
	if (cmd_given(cmd, OPTION_EXCLUSIVE))
		how |= HEIR_EXCLUSIVE;
	if (cmd_given(cmd, OPTION_WAIT))
		how |= HEIR_WAIT_TURN;
	status = client_open(cmd, 0, &h);
	if (status != EXIT_DONE)
		return status;
	error = heir_takeover(h, cmd->operand[0], cmd->operand[1], how, cmd->timeout, &move);
	if (error == HEIR_OK || error == HEIR_EFAILED) {
		show(cmd, &move);
		status = say_ending(cmd, &move);
		if (error == HEIR_EFAILED)
			status = EXIT_FAILED;
	} else {
		status = takeover_failed(cmd, h, error, &move);
	}
	heir_close(h);
	return status;
}

static void show_moves(struct cmd *cmd, const struct heir_move *moves, int count)
{
	struct json json;

	if (!cmd_given(cmd, OPTION_JSON)) {
		if (count == 0 && cmd_given(cmd, OPTION_ALL))
			fputs("no moves yet\n", cmd->out->file);
		else if (count == 0)
			fputs("no takeovers or failovers yet; --all shows starts as well\n",
				cmd->out->file);
		for (int i = 0; i < count; i++) {
			if (i > 0)
				fputc('\n', cmd->out->file);
			move_print(cmd->out, &moves[i]);
		}
		return;
	}
	json_init(&json, cmd->out->file);
	json_array(&json, NULL);
	for (int i = 0; i < count; i++)
		move_json(&json, &moves[i]);
	json_end(&json);
}

static int drop_starts(struct heir_move *moves, int count)
{
	int kept = 0;

	for (int i = 0; i < count; i++)
		if (moves[i].kind == HEIR_TAKEOVER || moves[i].kind == HEIR_FAILOVER)
			moves[kept++] = moves[i];
	return kept;
}

/* The last `most` moves of the kinds that are asked for; among how many others is not known
 * beforehand. How many, or an error. */
static int find_moves(struct cmd *cmd, heir_t *h, const char *application, int most,
	struct heir_move **ret)
{
	struct heir_move *moves = NULL, *more;
	int room = most, found, count;

	for (;; room *= 2) {
		more = reallocarray(moves, (size_t)room, sizeof(*moves));
		if (!more) {
			free(moves);
			return -ENOMEM;
		}
		moves = more;
		found = heir_moves(h, application, moves, (size_t)room);
		count = found < 0 || cmd_given(cmd, OPTION_ALL) ? found
								: drop_starts(moves, found);
		if (found < room || count >= most || room > INT_MAX / 2)
			break;
	}
	if (count < 0)
		free(moves);
	else
		*ret = moves;
	return count < most ? count : most;
}

int cmd_steps(struct cmd *cmd)
{
	const char *application = cmd->operands > 0 ? cmd->operand[0] : NULL;
	long most = cmd_count(cmd, OPTION_COUNT, MOVES_DEFAULT, MOVES_MOST);
	struct heir_app_status app;
	struct heir_move *moves = NULL;
	int status, count = 0;
	heir_t *h;

	if (most == 0)
		return EXIT_USAGE;
	status = client_open(cmd, HEIR_OBSERVE, &h);
	if (status != EXIT_DONE)
		return status;
	if (application)
		count = heir_app_status(h, application, &app);
	if (count == 0)
		count = find_moves(cmd, h, application, (int)most, &moves);
	if (count == HEIR_ENOENT && application)
		status = client_no_application(cmd, h, application);
	else if (count < 0)
		status = client_fail(cmd, count, "steps");
	else
		show_moves(cmd, moves, count);
	free(moves);
	heir_close(h);
	return status;
}
