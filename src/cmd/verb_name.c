/* SPDX-License-Identifier: ISC */
/* names and whereis. */
#include "cmd/cmdclient.h"
#include "cmd/cmdjson.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CELLS 6

struct entry {
	pid_t pid;
	uint32_t generation;
	enum heir_name_state state;
	const char *name, *node, *application;
	char text[];
};

struct list {
	const char *prefix;
	struct entry **entry;
	size_t count, room;
};

static const char *state_word(enum heir_name_state state)
{
	return state == HEIR_NAME_LIVE      ? "live"
	       : state == HEIR_NAME_WAITING ? "waiting"
					    : "unknown";
}

static enum colour state_colour(enum heir_name_state state)
{
	return state == HEIR_NAME_LIVE ? GOOD : WARN;
}

static char *store(const char **field, char *room, const char *text)
{
	*field = room;
	return stpcpy(room, text) + 1;
}

static int add(const char *name, const struct heir_where *where, void *arg)
{
	struct list *list = arg;
	struct entry *entry;
	char *room;

	if (strncmp(name, list->prefix, strlen(list->prefix)))
		return 0;
	if (list->count == list->room) {
		size_t more = list->room ? 2 * list->room : 64;
		struct entry **grown = reallocarray(list->entry, more, sizeof(struct entry *));

		if (!grown)
			return -ENOMEM;
		list->entry = grown;
		list->room = more;
	}
	entry = malloc(sizeof(*entry) + strlen(name) + strlen(where->node) +
		       strlen(where->application) + 3);
	if (!entry)
		return -ENOMEM;
	entry->pid = where->pid;
	entry->generation = where->generation;
	entry->state = where->state;
	room = store(&entry->name, entry->text, name);
	room = store(&entry->node, room, where->node);
	store(&entry->application, room, where->application);
	list->entry[list->count++] = entry;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct entry *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

static void list_free(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->entry[i]);
	free(list->entry);
}

static void json_entry(struct json *json, const struct entry *entry)
{
	json_object(json, NULL);
	json_string(json, "name", entry->name);
	json_text(json, "node", entry->node);
	json_pid(json, "pid", entry->pid);
	json_integer(json, "generation", entry->generation);
	json_text(json, "application", entry->application);
	json_string(json, "state", state_word(entry->state));
	json_end(json);
}

struct entry_text {
	char pid[24], generation[16];
};

static void entry_cells(const struct entry *entry, struct entry_text *text, struct cell *cells)
{
	text->pid[0] = '\0';
	if (entry->pid > 0)
		snprintf(text->pid, sizeof(text->pid), "%ld", (long)entry->pid);
	snprintf(text->generation, sizeof(text->generation), "%u", entry->generation);
	cells[0] = out_cell(entry->name, BOLD);
	cells[1] = out_cell(state_word(entry->state), state_colour(entry->state));
	cells[2] = out_cell(entry->node, PLAIN);
	cells[3] = out_number(text->pid, PLAIN);
	cells[4] = out_cell(entry->application, PLAIN);
	cells[5] = out_number(text->generation, PLAIN);
}

static void print_list(struct out *out, const struct list *list)
{
	const struct cell head[CELLS] = {out_cell("NAME", DIM), out_cell("STATE", DIM),
		out_cell("NODE", DIM), out_number("PID", DIM), out_cell("APPLICATION", DIM),
		out_number("GENERATION", DIM)};
	struct cell cells[CELLS];
	struct entry_text text;
	int width[CELLS] = {0};

	out_measure(out, head, CELLS, width);
	for (size_t i = 0; i < list->count; i++) {
		entry_cells(list->entry[i], &text, cells);
		out_measure(out, cells, CELLS, width);
	}
	out_cells(out, head, CELLS, width);
	for (size_t i = 0; i < list->count && !ferror(out->file); i++) {
		entry_cells(list->entry[i], &text, cells);
		out_cells(out, cells, CELLS, width);
	}
}

static void print_json(struct out *out, const struct list *list)
{
	struct json json;

	json_init(&json, out->file);
	json_array(&json, NULL);
	for (size_t i = 0; i < list->count && !ferror(out->file); i++)
		json_entry(&json, list->entry[i]);
	json_end(&json);
}

int cmd_names(struct cmd *cmd)
{
	struct list list = {.prefix = cmd->operands > 0 ? cmd->operand[0] : ""};
	int status, error;
	heir_t *h;

	status = client_open(cmd, HEIR_OBSERVE, &h);
	if (status != EXIT_DONE)
		return status;
	error = heir_names(h, add, &list);
	heir_close(h);
	if (error) {
		status = client_fail(cmd, error, "names");
	} else {
		if (list.count > 0)
			qsort(list.entry, list.count, sizeof(struct entry *), by_name);
		if (cmd_given(cmd, OPTION_JSON))
			print_json(cmd->out, &list);
		else
			print_list(cmd->out, &list);
	}
	list_free(&list);
	return status;
}

static void print_where(struct out *out, const struct entry *entry)
{
	out_colour(out, BOLD);
	out_text(out, out->file, entry->name);
	out_colour(out, PLAIN);
	fputs("  ", out->file);
	out_colour(out, state_colour(entry->state));
	fputs(state_word(entry->state), out->file);
	out_colour(out, PLAIN);
	if (*entry->node) {
		fputs("  node ", out->file);
		out_text(out, out->file, entry->node);
	}
	if (entry->pid > 0)
		fprintf(out->file, "  pid %ld", (long)entry->pid);
	if (*entry->application) {
		fputs("  application ", out->file);
		out_text(out, out->file, entry->application);
		fprintf(out->file, "  generation %u", entry->generation);
	}
	fputc('\n', out->file);
}

int cmd_whereis(struct cmd *cmd)
{
	struct heir_where where;
	struct entry entry;
	struct json json;
	int status, error;
	heir_t *h;

	status = client_open(cmd, HEIR_OBSERVE, &h);
	if (status != EXIT_DONE)
		return status;
	error = heir_whereis(h, cmd->operand[0], &where);
	if (error == HEIR_ENOENT)
		status = client_no_name(cmd, h, cmd->operand[0]);
	else if (error)
		status = client_fail(cmd, error, "name `%s`", cmd->operand[0]);
	heir_close(h);
	if (error)
		return status;
	entry = (struct entry){.pid = where.pid,
		.generation = where.generation,
		.state = where.state,
		.name = cmd->operand[0],
		.node = where.node,
		.application = where.application};
	if (cmd_given(cmd, OPTION_JSON)) {
		json_init(&json, cmd->out->file);
		json_entry(&json, &entry);
	} else {
		print_where(cmd->out, &entry);
	}
	return where.state == HEIR_NAME_LIVE ? EXIT_DONE : EXIT_NO;
}
