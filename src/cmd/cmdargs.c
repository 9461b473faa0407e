/* SPDX-License-Identifier: ISC */
/* One command line against the table: getopt_long for the grammar, messages of our own. */
#include "cmd/cmd.h"
#include "cmd/cmdtext.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LONG_FIRST 256

/* Words of the user and of the domain are within: the whole line is escaped. */
static void say(struct out *out, const char *verb, const char *format, va_list arguments)
{
	char *text;

	fprintf(out->error, "heir: %s%s", verb ? verb : "", verb ? ": " : "");
	if (vasprintf(&text, format, arguments) < 0) {
		fputs("out of memory\n", out->error);
		return;
	}
	out_text(out, out->error, text);
	fputc('\n', out->error);
	free(text);
}

void cmd_say(struct out *out, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(out, NULL, format, arguments);
	va_end(arguments);
}

int cmd_usage(struct cmd *cmd, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(cmd->out, cmd->command->name, format, arguments);
	va_end(arguments);
	return EXIT_USAGE;
}

static void build(unsigned set, struct option *ret_long, char *ret_short)
{
	*ret_short++ = ':';
	for (int i = 0; i < OPTIONS; i++) {
		const struct cmd_option *option = &cmd_options[i];

		if (!(set & 1u << i))
			continue;
		*ret_long++ = (struct option){
			option->name, option->argument != NULL, NULL, LONG_FIRST + i};
		if (!option->letter)
			continue;
		*ret_short++ = option->letter;
		if (option->argument)
			*ret_short++ = ':';
	}
	*ret_long = (struct option){0};
	*ret_short = '\0';
}

static int option_of(int letter)
{
	if (letter >= LONG_FIRST)
		return letter - LONG_FIRST;
	for (int i = 0; i < OPTIONS; i++)
		if (cmd_options[i].letter == letter)
			return i;
	return -1;
}

static int bad_option(struct cmd *cmd, int letter, const char *word)
{
	char name[NEAREST_MAX];
	struct nearest nearest;
	const char *near;
	int known = optopt ? option_of(optopt) : -1;

	if (letter == ':')
		return cmd_usage(cmd, "--%s needs its %s", cmd_options[known].name,
			cmd_options[known].argument);
	if (optopt >= LONG_FIRST)
		return cmd_usage(cmd, "--%s takes no argument", cmd_options[known].name);
	if (optopt)
		return cmd_usage(
			cmd, "no option `-%c`; see heir %s --help", optopt, cmd->command->name);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	nearest_init(&nearest, name);
	for (int i = 0; i < OPTIONS; i++)
		if (cmd->command->options & 1u << i)
			nearest_try(&nearest, cmd_options[i].name);
	near = nearest_word(&nearest);
	if (near)
		return cmd_usage(cmd, "no option `--%s`; did you mean `--%s`?", name, near);
	return cmd_usage(cmd, "no option `--%s`; see heir %s --help", name, cmd->command->name);
}

static int parse_options(struct cmd *cmd, int argc, char **argv)
{
	struct option long_options[OPTIONS + 1];
	char letters[2 * OPTIONS + 2];
	int letter;

	build(cmd->command->options, long_options, letters);
	opterr = 0;
	optind = 0;
	while ((letter = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		if (letter == '?' || letter == ':')
			return bad_option(cmd, letter, argv[optind - 1]);
		cmd->value[option_of(letter)] = optarg ? optarg : "";
	}
	return EXIT_DONE;
}

static int check_operands(struct cmd *cmd)
{
	const struct command *command = cmd->command;

	if (cmd->operands < command->least)
		return cmd_usage(
			cmd, "too few arguments: heir %s %s", command->name, command->synopsis);
	if (cmd->operands > command->most)
		return cmd_usage(cmd, "too many arguments, from `%s` on: heir %s %s",
			cmd->operand[command->most], command->name, command->synopsis);
	return EXIT_DONE;
}

static int check_timeout(struct cmd *cmd)
{
	const char *text = cmd->value[OPTION_TIMEOUT];
	char why[160];

	if (!text)
		text = cmd->command->timeout;
	if (text && !duration_parse(text, &cmd->timeout, why, sizeof(why)))
		return cmd_usage(cmd, "--timeout %s: %s", text, why);
	return EXIT_DONE;
}

int cmd_parse(struct cmd *cmd, int argc, char **argv)
{
	int status = parse_options(cmd, argc, argv);

	if (status == EXIT_DONE && cmd_given(cmd, OPTION_HELP)) {
		cmd_print_help(cmd->command, cmd->out->file);
		return EXIT_DONE;
	}
	cmd->operand = argv + optind;
	cmd->operands = argc - optind;
	if (status == EXIT_DONE)
		status = check_operands(cmd);
	if (status == EXIT_DONE)
		status = check_timeout(cmd);
	return status == EXIT_DONE ? -1 : status;
}

long cmd_count(struct cmd *cmd, enum cmd_option_id option, long otherwise, long most)
{
	const char *text = cmd->value[option];
	char *end;
	long count;

	if (!text)
		return otherwise;
	errno = 0;
	count = strtol(text, &end, 10);
	if (end != text && !*end && !errno && count >= 1 && count <= most)
		return count;
	cmd_usage(cmd, "--%s %s: a number from 1 to %ld is needed", cmd_options[option].name, text,
		most);
	return 0;
}
