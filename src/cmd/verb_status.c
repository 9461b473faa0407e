/* SPDX-License-Identifier: ISC */
/* status: the domain as a tree for a person, or as one JSON document. */
#include "cmd/cmdclient.h"
#include "cmd/cmdjson.h"

#include <stdlib.h>
#include <string.h>

#define NODE_CELLS 3
#define APP_CELLS 6
#define INSTANCE_CELLS 3
#define CHILD_CELLS 4

struct app_text {
	char on[80], generation[32], protected[24];
};

struct child_text {
	char pid[24], restarts[32];
};

static const char *word(const char *state)
{
	return state ? state : "unknown";
}

static enum colour state_colour(const char *state)
{
	static const struct {
		const char *state;
		enum colour colour;
	} known[] = {
		{"running", GOOD},
		{"up", GOOD},
		{"starting", WARN},
		{"stopping", WARN},
		{"moving", WARN},
		{"failed", BAD},
		{"down", BAD},
		{"dead", BAD},
		{"absent", DIM},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].state, state))
			return known[i].colour;
	return PLAIN;
}

static void pid_text(char *buffer, size_t size, pid_t pid)
{
	if (pid > 0)
		snprintf(buffer, size, "pid %ld", (long)pid);
	else
		buffer[0] = '\0';
}

static void print_nodes(struct tree *tree, const struct heir_status *status, bool last)
{
	struct cell cells[HEIR_NODES_MAX][NODE_CELLS];
	char pid[HEIR_NODES_MAX][24];
	int width[NODE_CELLS] = {0};

	tree_branch(tree, last);
	fputs("nodes\n", tree->out->file);
	tree_enter(tree, last);
	for (size_t i = 0; i < status->nodes; i++) {
		const struct heir_node_status *node = &status->node[i];

		pid_text(pid[i], sizeof(pid[i]), node->pid);
		cells[i][0] = out_cell(node->name, BOLD);
		cells[i][1] = out_cell(word(node->state), state_colour(word(node->state)));
		cells[i][2] = out_cell(pid[i], PLAIN);
		out_measure(tree->out, cells[i], NODE_CELLS, width);
	}
	for (size_t i = 0; i < status->nodes; i++) {
		tree_branch(tree, i + 1 == status->nodes);
		out_cells(tree->out, cells[i], NODE_CELLS, width);
	}
	tree_leave(tree);
}

static void print_children(struct tree *tree, const struct heir_app_status *app)
{
	struct cell cells[CHILD_CELLS];
	struct child_text text;
	int width[CHILD_CELLS];

	memset(width, 0, sizeof(width));
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < app->children; i++) {
			const struct heir_child_status *child = &app->child[i];

			pid_text(text.pid, sizeof(text.pid), child->pid);
			snprintf(text.restarts, sizeof(text.restarts), "restarts %u",
				child->restarts);
			cells[0] = out_cell(child->id, PLAIN);
			cells[1] = out_cell(word(child->state), state_colour(word(child->state)));
			cells[2] = out_cell(text.pid, PLAIN);
			cells[3] = out_cell(text.restarts, child->restarts ? WARN : DIM);
			if (pass == 0) {
				out_measure(tree->out, cells, CHILD_CELLS, width);
				continue;
			}
			tree_branch(tree, i + 1 == app->children);
			out_cells(tree->out, cells, CHILD_CELLS, width);
		}
}

static void instance_cells(const struct heir_instance_status *instance, struct cell *cells)
{
	const char *state = client_instance_state(instance->state);

	cells[0] = out_cell(instance->node, PLAIN);
	cells[1] = out_cell(state, state_colour(state));
	cells[2] = out_cell(instance->permitted ? "" : "not permitted", WARN);
}

static void print_instances(struct tree *tree, const struct heir_app_status *app)
{
	struct cell cells[INSTANCE_CELLS];
	int width[INSTANCE_CELLS] = {0};

	for (size_t i = 0; i < app->instances; i++) {
		instance_cells(&app->instance[i], cells);
		out_measure(tree->out, cells, INSTANCE_CELLS, width);
	}
	for (size_t i = 0; i < app->instances; i++) {
		bool last = i + 1 == app->instances;

		instance_cells(&app->instance[i], cells);
		tree_branch(tree, last);
		out_cells(tree->out, cells, INSTANCE_CELLS, width);
		if (strcmp(app->instance[i].node, app->node))
			continue;
		tree_enter(tree, last);
		print_children(tree, app);
		tree_leave(tree);
	}
}

static void app_cells(const struct heir_app_status *app, struct app_text *text, struct cell *cells)
{
	const char *state = client_app_state(app->state);

	text->on[0] = '\0';
	if (app->node[0])
		snprintf(text->on, sizeof(text->on), "on %s", app->node);
	snprintf(text->generation, sizeof(text->generation), "generation %u", app->generation);
	snprintf(text->protected, sizeof(text->protected), "protected %s",
		app->is_protected ? "yes" : "no");
	cells[0] = out_cell(app->name, BOLD);
	cells[1] = out_cell(state, state_colour(state));
	cells[2] = out_cell(text->on, PLAIN);
	cells[3] = out_cell(text->generation, PLAIN);
	cells[4] = out_cell(
		app->start_type ? client_start_type(app->start_type) : "never started", DIM);
	cells[5] = out_cell(text->protected, app->is_protected ? GOOD : BAD);
}

static bool chosen(const struct heir_app_status *app, const char *only)
{
	return !only || !strcmp(app->name, only);
}

static void print_tree(struct out *out, const struct heir_status *status, const char *only)
{
	struct cell cells[APP_CELLS];
	struct app_text text;
	struct tree tree;
	int width[APP_CELLS] = {0};

	tree_init(&tree, out);
	fputs("domain ", out->file);
	out_text(out, out->file, status->domain);
	fputc('\n', out->file);
	if (!only)
		print_nodes(&tree, status, status->applications == 0);
	for (size_t i = 0; i < status->applications; i++)
		if (chosen(&status->application[i], only)) {
			app_cells(&status->application[i], &text, cells);
			out_measure(out, cells, APP_CELLS, width);
		}
	for (size_t i = 0; i < status->applications; i++) {
		const struct heir_app_status *app = &status->application[i];
		bool last = only || i + 1 == status->applications;

		if (!chosen(app, only))
			continue;
		app_cells(app, &text, cells);
		tree_branch(&tree, last);
		out_cells(out, cells, APP_CELLS, width);
		tree_enter(&tree, last);
		print_instances(&tree, app);
		tree_leave(&tree);
	}
}

static void json_application(struct json *json, const struct heir_app_status *app)
{
	json_object(json, NULL);
	json_string(json, "name", app->name);
	json_string(json, "state", client_app_state(app->state));
	json_text(json, "node", app->node);
	json_integer(json, "generation", app->generation);
	json_text(json, "start_type", client_start_type(app->start_type));
	json_bool(json, "protected", app->is_protected);
	json_array(json, "instances");
	for (size_t i = 0; i < app->instances; i++) {
		json_object(json, NULL);
		json_string(json, "node", app->instance[i].node);
		json_string(json, "state", client_instance_state(app->instance[i].state));
		json_bool(json, "permitted", app->instance[i].permitted);
		json_end(json);
	}
	json_end(json);
	json_array(json, "children");
	for (size_t i = 0; i < app->children; i++) {
		json_object(json, NULL);
		json_string(json, "id", app->child[i].id);
		json_pid(json, "pid", app->child[i].pid);
		json_string(json, "state", word(app->child[i].state));
		json_integer(json, "restarts", app->child[i].restarts);
		json_array(json, "children");
		json_end(json);
		json_end(json);
	}
	json_end(json);
	json_end(json);
}

static void print_json(FILE *file, const struct heir_status *status, const char *only)
{
	struct json json;

	json_init(&json, file);
	json_object(&json, NULL);
	json_string(&json, "domain", status->domain);
	json_array(&json, "nodes");
	for (size_t i = 0; i < status->nodes; i++) {
		json_object(&json, NULL);
		json_string(&json, "name", status->node[i].name);
		json_pid(&json, "pid", status->node[i].pid);
		json_string(&json, "state", word(status->node[i].state));
		json_end(&json);
	}
	json_end(&json);
	json_array(&json, "applications");
	for (size_t i = 0; i < status->applications; i++)
		if (chosen(&status->application[i], only))
			json_application(&json, &status->application[i]);
	json_end(&json);
	json_end(&json);
}

int cmd_status(struct cmd *cmd)
{
	const char *only = cmd->operands > 0 ? cmd->operand[0] : NULL;
	int result = EXIT_DONE, error;
	struct heir_status *status;
	heir_t *h;

	result = client_open(cmd, HEIR_OBSERVE, &h);
	if (result != EXIT_DONE)
		return result;
	error = heir_status(h, &status);
	if (error) {
		heir_close(h);
		return client_fail(cmd, error, "domain `%s`", client_domain(cmd));
	}
	if (only && !client_find_application(status, only)) {
		result = client_no_application(cmd, h, only);
	} else {
		if (cmd_given(cmd, OPTION_JSON))
			print_json(cmd->out->file, status, only);
		else
			print_tree(cmd->out, status, only);
		for (size_t i = 0; i < status->applications; i++)
			if (chosen(&status->application[i], only) &&
				status->application[i].state != HEIR_APP_RUNNING)
				result = EXIT_NO;
	}
	heir_status_free(status);
	heir_close(h);
	return result;
}
