/* SPDX-License-Identifier: ISC */
/* help and version. */
#include "cmd/cmd.h"
#include "cmd/cmdjson.h"

#include <string.h>

void cmd_print_verbs(FILE *file)
{
	fputs("usage: heir VERB [OPTION...] [ARGUMENT...]\n\n", file);
	for (size_t i = 0; i < cmd_commands_count; i++)
		fprintf(file, "  %-9s %s\n", cmd_commands[i].name, cmd_commands[i].summary);
	fputs("\n`heir help VERB` says more, heir(1) says all.\n", file);
}

static void print_option(const struct cmd_option *option, const char *timeout, FILE *file)
{
	char left[40], letter[8] = "    ";

	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, option->name,
		option->argument ? " " : "", option->argument ? option->argument : "");
	fprintf(file, "  %-24s %s", left, option->help);
	if (option == &cmd_options[OPTION_TIMEOUT] && timeout)
		fprintf(file, " (default %s)", timeout);
	fputc('\n', file);
}

void cmd_print_help(const struct command *command, FILE *file)
{
	fprintf(file, "usage: heir %s %s\n\nheir %s: %s.\n", command->name, command->synopsis,
		command->name, command->summary);
	if (command->more)
		fprintf(file, "%s\n", command->more);
	fputc('\n', file);
	for (int i = 0; i < OPTIONS; i++)
		if (command->options & 1u << i)
			print_option(&cmd_options[i], command->timeout, file);
}

int cmd_help(struct cmd *cmd)
{
	const struct command *command;

	if (cmd_given(cmd, OPTION_COMPLETION))
		return cmd_print_completion(cmd, cmd->value[OPTION_COMPLETION]);
	if (cmd_given(cmd, OPTION_LIST))
		return cmd_print_list(cmd, cmd->value[OPTION_LIST]);
	if (cmd->operands == 0) {
		cmd_print_verbs(cmd->out->file);
		return EXIT_DONE;
	}
	command = cmd_find(cmd->operand[0]);
	if (!command)
		return cmd_no_verb(cmd->out, cmd->operand[0]);
	cmd_print_help(command, cmd->out->file);
	return EXIT_DONE;
}

int cmd_version(struct cmd *cmd)
{
	struct json json;

	if (!cmd_given(cmd, OPTION_JSON)) {
		fprintf(cmd->out->file, "heir %s\n", HEIR_VERSION);
		return EXIT_DONE;
	}
	json_init(&json, cmd->out->file);
	json_object(&json, NULL);
	json_string(&json, "name", "heir");
	json_string(&json, "version", HEIR_VERSION);
	json_end(&json);
	return EXIT_DONE;
}
