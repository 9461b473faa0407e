/* SPDX-License-Identifier: ISC */
/*
 * Completions for the shells, printed from the table of verbs, and the lists of live words that
 * they ask for. Words that a shell would have to quote, or splits, are not offered.
 */
#include "cmd/cmdclient.h"

#include <ctype.h>
#include <string.h>

static const char *kind_name(enum operand kind)
{
	switch (kind) {
	case OPERAND_APPLICATION: return "applications";
	case OPERAND_NODE: return "nodes";
	case OPERAND_NAME: return "names";
	case OPERAND_VERB: return "verbs";
	case OPERAND_FILE: return "file";
	case OPERAND_YES_NO: return "answers";
	case OPERAND_NONE:
	case OPERAND_DATA: break;
	}
	return "none";
}

static const char *const shells[] = {"bash", "zsh", "fish"};
static const char *const kinds[] = {"verbs", "applications", "nodes", "names"};

static void put_fixed(FILE *file, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(file, "%s%s", i ? " " : "", words[i]);
}

static void put_verbs(FILE *file)
{
	for (size_t i = 0; i < cmd_commands_count; i++)
		fprintf(file, "%s%s", i ? " " : "", cmd_commands[i].name);
}

/* The kinds of the operands, as words. */
static void put_kinds(FILE *file, const struct command *command)
{
	for (int i = 0; i < command->most; i++)
		fprintf(file, "%s%s", i ? " " : "", kind_name(command->operand[i]));
}

static void put_bash_options(FILE *file, const struct command *command)
{
	for (int i = 0; i < OPTIONS; i++) {
		if (!(command->options & 1u << i))
			continue;
		if (cmd_options[i].letter)
			fprintf(file, "-%c ", cmd_options[i].letter);
		fprintf(file, "--%s ", cmd_options[i].name);
	}
}

static void put_bash_tables(FILE *file)
{
	fputs("\tcase $verb in\n", file);
	for (size_t i = 0; i < cmd_commands_count; i++) {
		const struct command *command = &cmd_commands[i];

		fprintf(file, "\t%s) kinds=(", command->name);
		put_kinds(file, command);
		fputs(") options='", file);
		put_bash_options(file, command);
		fputs("' ;;\n", file);
	}
	fputs("\tesac\n", file);
	fputs("\tcase $previous in\n", file);
	for (int i = 0; i < OPTIONS; i++) {
		const struct cmd_option *option = &cmd_options[i];

		if (!option->argument)
			continue;
		fputc('\t', file);
		if (option->letter)
			fprintf(file, "-%c | ", option->letter);
		fprintf(file, "--%s) kind='%s' ;;\n", option->name,
			i == OPTION_COMPLETION ? "shells"
			: i == OPTION_LIST     ? "kinds"
					       : kind_name(option->kind));
	}
	fputs("\tesac\n", file);
}

static void put_bash_takers(FILE *file)
{
	bool first = true;

	for (int i = 0; i < OPTIONS; i++) {
		if (!cmd_options[i].argument)
			continue;
		if (cmd_options[i].letter)
			fprintf(file, "%s-%c", first ? "" : " | ", cmd_options[i].letter);
		fprintf(file, "%s--%s", first && !cmd_options[i].letter ? "" : " | ",
			cmd_options[i].name);
		first = false;
	}
}

static void print_bash(FILE *file)
{
	fputs("# bash completion for heir; source it, or put it where bash-completion looks.\n"
	      "_heir()\n"
	      "{\n"
	      "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal verb=${COMP_WORDS[1]} options='' kind='' word position=0 i\n"
	      "\tlocal -a kinds=() words=()\n"
	      "\tCOMPREPLY=()\n"
	      "\tif ((COMP_CWORD == 1)); then\n"
	      "\t\tverb=''\n"
	      "\tfi\n",
		file);
	put_bash_tables(file);
	fputs("\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t",
		file);
	put_bash_takers(file);
	fputs(") ((i++)) ;;\n"
	      "\t\t-?*) ;;\n"
	      "\t\t*) ((position++)) ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tif ((COMP_CWORD == 1)); then\n"
	      "\t\tkind=verbs\n"
	      "\telif [[ -z $kind && $current == -* ]]; then\n"
	      "\t\tread -r -a words <<<\"$options\"\n"
	      "\telif [[ -z $kind ]]; then\n"
	      "\t\tkind=${kinds[position]-none}\n"
	      "\tfi\n"
	      "\tcase $kind in\n"
	      "\tverbs) words=(",
		file);
	put_verbs(file);
	fputs(") ;;\n\tshells) words=(", file);
	put_fixed(file, shells, sizeof(shells) / sizeof(shells[0]));
	fputs(") ;;\n\tkinds) words=(", file);
	put_fixed(file, kinds, sizeof(kinds) / sizeof(kinds[0]));
	fputs(") ;;\n"
	      "\tanswers) words=(yes no) ;;\n"
	      "\tapplications | nodes | names) mapfile -t words < <(heir help --list \"$kind\" "
	      "2>/dev/null) ;;\n"
	      "\tfile)\n"
	      "\t\tcompopt -o filenames\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
	      "\t\t;;\n"
	      "\tesac\n"
	      "\tfor word in \"${words[@]}\"; do\n"
	      "\t\tif [[ $word == \"$current\"* ]]; then\n"
	      "\t\t\tCOMPREPLY+=(\"$word\")\n"
	      "\t\tfi\n"
	      "\tdone\n"
	      "}\n"
	      "complete -F _heir heir\n",
		file);
}

/* In single quotes: the table has none within. */
static void put_zsh_option(FILE *file, int i)
{
	const struct cmd_option *option = &cmd_options[i];
	char action[64] = "", argument[80] = "";

	if (i == OPTION_COMPLETION)
		snprintf(action, sizeof(action), "(bash zsh fish)");
	else if (i == OPTION_LIST)
		snprintf(action, sizeof(action), "(verbs applications nodes names)");
	else if (option->kind == OPERAND_FILE)
		snprintf(action, sizeof(action), "_files");
	else if (option->kind != OPERAND_NONE)
		snprintf(action, sizeof(action), "{_heir_words %s}", kind_name(option->kind));
	if (option->argument)
		snprintf(argument, sizeof(argument), ":%s:%s", option->argument, action);
	if (option->letter)
		fprintf(file, " \\\n\t\t\t'-%c[%s]%s'", option->letter, option->help, argument);
	fprintf(file, " \\\n\t\t\t'--%s%s[%s]%s'", option->name, option->argument ? "=" : "",
		option->help, argument);
}

static void put_zsh_operand(FILE *file, const struct command *command, int i)
{
	enum operand kind = command->operand[i];
	const char *colons = i < command->least ? ":" : "::";

	if (kind == OPERAND_FILE)
		fprintf(file, " \\\n\t\t\t'%d%sfile:_files'", i + 1, colons);
	else if (kind == OPERAND_NONE || kind == OPERAND_DATA)
		fprintf(file, " \\\n\t\t\t'%d%sdata: '", i + 1, colons);
	else if (kind == OPERAND_YES_NO)
		fprintf(file, " \\\n\t\t\t'%d%sanswer:(yes no)'", i + 1, colons);
	else
		fprintf(file, " \\\n\t\t\t'%d%s%s:{_heir_words %s}'", i + 1, colons,
			kind_name(kind), kind_name(kind));
}

static void print_zsh(FILE *file)
{
	fputs("#compdef heir\n"
	      "# zsh completion for heir; save it as _heir in a directory of $fpath.\n"
	      "_heir_words()\n"
	      "{\n"
	      "\tlocal -a found\n"
	      "\tfound=(${(f)\"$(heir help --list $1 2>/dev/null)\"})\n"
	      "\tcompadd -a found\n"
	      "}\n"
	      "_heir()\n"
	      "{\n"
	      "\tlocal -a verbs\n"
	      "\tverbs=(\n",
		file);
	for (size_t i = 0; i < cmd_commands_count; i++)
		fprintf(file, "\t\t'%s:%s'\n", cmd_commands[i].name, cmd_commands[i].summary);
	fputs("\t)\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_describe verb verbs\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $words[1] in\n",
		file);
	for (size_t i = 0; i < cmd_commands_count; i++) {
		const struct command *command = &cmd_commands[i];

		fprintf(file, "\t%s)\n\t\t_arguments -s", command->name);
		for (int option = 0; option < OPTIONS; option++)
			if (command->options & 1u << option)
				put_zsh_option(file, option);
		for (int operand = 0; operand < command->most; operand++)
			put_zsh_operand(file, command, operand);
		fputs("\n\t\t;;\n", file);
	}
	fputs("\tesac\n"
	      "}\n"
	      "_heir \"$@\"\n",
		file);
}

static void put_fish_words(FILE *file, int option, enum operand kind)
{
	if (option == OPTION_COMPLETION)
		fputs(" -xa 'bash zsh fish'", file);
	else if (option == OPTION_LIST)
		fputs(" -xa 'verbs applications nodes names'", file);
	else if (kind == OPERAND_FILE)
		fputs(" -rF", file);
	else if (kind == OPERAND_YES_NO)
		fputs(" -xa 'yes no'", file);
	else if (kind == OPERAND_NONE || kind == OPERAND_DATA)
		fputs(" -x", file);
	else
		fprintf(file, " -xa '(heir help --list %s 2>/dev/null)'", kind_name(kind));
}

static void put_fish_verb(FILE *file, const struct command *command)
{
	for (int i = 0; i < OPTIONS; i++) {
		const struct cmd_option *option = &cmd_options[i];

		if (!(command->options & 1u << i))
			continue;
		fprintf(file, "complete -c heir -n '__fish_seen_subcommand_from %s' -l %s",
			command->name, option->name);
		if (option->letter)
			fprintf(file, " -s %c", option->letter);
		if (option->argument)
			put_fish_words(file, i, option->kind);
		fprintf(file, " -d '%s'\n", option->help);
	}
	for (int i = 0; i < command->most; i++) {
		if (command->operand[i] == OPERAND_NONE || command->operand[i] == OPERAND_DATA)
			continue;
		fprintf(file, "complete -c heir -n '__fish_seen_subcommand_from %s'",
			command->name);
		if (command->operand[i] == OPERAND_FILE)
			fputs(" -F", file);
		else
			put_fish_words(file, -1, command->operand[i]);
		fputc('\n', file);
	}
}

static void print_fish(FILE *file)
{
	fputs("# fish completion for heir; save it as heir.fish in ~/.config/fish/completions.\n"
	      "complete -c heir -f\n",
		file);
	for (size_t i = 0; i < cmd_commands_count; i++)
		fprintf(file, "complete -c heir -n __fish_use_subcommand -a %s -d '%s'\n",
			cmd_commands[i].name, cmd_commands[i].summary);
	for (size_t i = 0; i < cmd_commands_count; i++)
		put_fish_verb(file, &cmd_commands[i]);
}

int cmd_print_completion(struct cmd *cmd, const char *shell)
{
	FILE *file = cmd->out->file;

	if (!strcmp(shell, "bash"))
		print_bash(file);
	else if (!strcmp(shell, "zsh"))
		print_zsh(file);
	else if (!strcmp(shell, "fish"))
		print_fish(file);
	else
		return cmd_usage(cmd, "--completion %s: there are bash, zsh and fish", shell);
	return EXIT_DONE;
}

static int list_word(const char *word, const struct heir_where *where, void *arg)
{
	FILE *file = arg;
	size_t plain = 0;

	while (isalnum((unsigned char)word[plain]) ||
		(word[plain] && strchr("._/%+,-", word[plain])))
		plain++;
	if (plain > 0 && !word[plain])
		fprintf(file, "%s\n", word);
	(void)where;
	return ferror(file) ? 1 : 0;
}

int cmd_print_list(struct cmd *cmd, const char *kind)
{
	FILE *file = cmd->out->file;
	struct heir_status *status;
	int result, error;
	heir_t *h;

	if (!strcmp(kind, "verbs")) {
		for (size_t i = 0; i < cmd_commands_count; i++)
			list_word(cmd_commands[i].name, NULL, file);
		return EXIT_DONE;
	}
	if (strcmp(kind, "applications") && strcmp(kind, "nodes") && strcmp(kind, "names"))
		return cmd_usage(
			cmd, "--list %s: there are verbs, applications, nodes and names", kind);
	result = client_open(cmd, HEIR_OBSERVE, &h);
	if (result != EXIT_DONE)
		return result;
	if (!strcmp(kind, "names")) {
		error = heir_names(h, list_word, file);
		heir_close(h);
		return error < 0 ? client_fail(cmd, error, "names") : EXIT_DONE;
	}
	error = heir_status(h, &status);
	heir_close(h);
	if (error)
		return client_fail(cmd, error, "domain `%s`", client_domain(cmd));
	if (!strcmp(kind, "nodes"))
		for (size_t i = 0; i < status->nodes; i++)
			list_word(status->node[i].name, NULL, file);
	else
		for (size_t i = 0; i < status->applications; i++)
			list_word(status->application[i].name, NULL, file);
	heir_status_free(status);
	return EXIT_DONE;
}
