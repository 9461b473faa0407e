/* SPDX-License-Identifier: ISC */
/* The table of verbs and options, and main() as a function: find the verb, parse, run, flush. */
#include "cmd/cmd.h"

#include "node/node.h"
#include "cmd/cmdtext.h"
#include "cmd/demo.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASKING (WITH(DOMAIN) | WITH(JSON) | WITH(HELP))
#define ACTING (WITH(DOMAIN) | WITH(HELP))

const struct cmd_option cmd_options[OPTIONS] = {
	[OPTION_FILE] = {"file", 'f', "FILE", OPERAND_FILE, "the configuration, heir.yaml(5)"},
	[OPTION_DOMAIN] = {"domain", 'd', "DOMAIN", OPERAND_NONE,
		"which domain: else $HEIR_DOMAIN, else default"},
	[OPTION_DETACH] = {"detach", 0, NULL, OPERAND_NONE,
		"return once it runs, and leave it running"},
	[OPTION_DISCARD] = {"discard", 0, NULL, OPERAND_NONE,
		"remove what a damaged or dead domain left, state included"},
	[OPTION_DEFAULT] = {"default", 0, NULL, OPERAND_NONE,
		"the built-in configuration, not a file"},
	[OPTION_TAKEOVERS] = {"takeovers", 0, "COUNT", OPERAND_NONE, "how many planned takeovers"},
	[OPTION_KILLS] = {"kills", 0, "COUNT", OPERAND_NONE, "how many kills of the owner"},
	[OPTION_OVERLAP] = {"overlap", 0, NULL, OPERAND_NONE,
		"start the new instance before the old one stops"},
	[OPTION_EXCLUSIVE] = {"exclusive", 0, NULL, OPERAND_NONE,
		"stop the old instance before the new one starts"},
	[OPTION_WAIT] = {"wait", 0, NULL, OPERAND_NONE,
		"let another takeover end first, if one is under way"},
	[OPTION_NO_WAIT] = {"no-wait", 0, NULL, OPERAND_NONE, "return once it is ordered"},
	[OPTION_RUNNING] = {"running", 0, NULL, OPERAND_NONE, "until it runs (the default)"},
	[OPTION_PROTECTED] = {"protected", 0, NULL, OPERAND_NONE,
		"until a permitted standby is ready"},
	[OPTION_NODE] = {"node", 0, "NODE", OPERAND_NODE, "until it runs on this node"},
	[OPTION_KEEP] = {"keep", 0, NULL, OPERAND_NONE, "keep the segment: names, mail and state"},
	[OPTION_COUNT] = {"count", 'n', "COUNT", OPERAND_NONE,
		"how many moves at most (default 5)"},
	[OPTION_ALL] = {"all", 0, NULL, OPERAND_NONE, "starts and restarts in place as well"},
	[OPTION_COMPLETION] = {"completion", 0, "SHELL", OPERAND_NONE,
		"print completions: bash, zsh or fish"},
	[OPTION_LIST] = {"list", 0, "KIND", OPERAND_NONE,
		"list verbs, applications, nodes or names, a line each"},
	[OPTION_TIMEOUT] = {"timeout", 0, "DURATION", OPERAND_NONE,
		"give up after it, with status 124"},
	[OPTION_JSON] = {"json", 0, NULL, OPERAND_NONE, "one JSON document on one line"},
	[OPTION_HELP] = {"help", 'h', NULL, OPERAND_NONE, "this text"},
};

const struct command cmd_commands[] = {
	{.name = "up",
		.synopsis = "[-f FILE] [-d DOMAIN] [--detach] [--discard]",
		.summary = "start a domain with its nodes and applications",
		.more = "Without FILE: nodes a and b and the sample service heir-kv on both, at "
			"port 7379.",
		.options = ACTING | WITH(FILE) | WITH(DETACH) | WITH(DISCARD),
		.entry = up_main},
	{.name = "down",
		.synopsis = "[-d DOMAIN] [--keep] [--timeout DURATION] [NODE]",
		.summary = "stop a node, or the whole domain",
		.more = "A node hands its applications over first.",
		.options = ACTING | WITH(KEEP) | WITH(TIMEOUT),
		.timeout = "30s",
		.most = 1,
		.operand = {OPERAND_NODE},
		.run = cmd_down},
	{.name = "node",
		.synopsis = "[-f FILE] [-d DOMAIN] NODE",
		.summary = "lead one node, in the foreground",
		.more = "What `heir up` starts for every node; for a service manager.",
		.options = ACTING | WITH(FILE),
		.least = 1,
		.most = 1,
		.operand = {OPERAND_NODE},
		.entry = node_main},
	{.name = "check",
		.synopsis = "[--default] [--json] [FILE]",
		.summary = "check a configuration and say all that is wrong with it",
		.options = WITH(DEFAULT) | WITH(JSON) | WITH(HELP),
		.most = 1,
		.operand = {OPERAND_FILE},
		.entry = check_main},
	{.name = "reload",
		.synopsis = "[-f FILE] [-d DOMAIN] [--json]",
		.summary = "put a changed configuration into force while the domain runs",
		.more = "Without FILE: the built-in configuration, as with `heir up`. What cannot change "
			"while the\ndomain runs is named, and then nothing is changed.",
		.options = ACTING | WITH(FILE) | WITH(JSON),
		.entry = reload_main},
	{.name = "status",
		.synopsis = "[-d DOMAIN] [--json] [APPLICATION]",
		.summary = "show nodes, applications and their processes",
		.more = "Exit status: 0 if all of them run, 3 if not, 4 if that is unknown.",
		.options = ASKING,
		.most = 1,
		.operand = {OPERAND_APPLICATION},
		.asks = true,
		.run = cmd_status},
	{.name = "start",
		.synopsis = "[-d DOMAIN] [--no-wait] [--timeout DURATION] APPLICATION",
		.summary = "start an application, and wait until it runs",
		.more = "Also one that has failed: its restarts and failovers count from 0 again.",
		.options = ACTING | WITH(NO_WAIT) | WITH(TIMEOUT),
		.timeout = "30s",
		.least = 1,
		.most = 1,
		.operand = {OPERAND_APPLICATION},
		.run = cmd_start},
	{.name = "stop",
		.synopsis = "[-d DOMAIN] [--no-wait] [--timeout DURATION] APPLICATION",
		.summary = "stop an application on all nodes, and wait until it is down",
		.more = "It stays down until `heir start`; its names, mail and state are kept.",
		.options = ACTING | WITH(NO_WAIT) | WITH(TIMEOUT),
		.timeout = "30s",
		.least = 1,
		.most = 1,
		.operand = {OPERAND_APPLICATION},
		.run = cmd_stop},
	{.name = "permit",
		.synopsis = "[-d DOMAIN] [--timeout DURATION] APPLICATION NODE yes|no",
		.summary = "allow an application on a node, or not",
		.more = "Where it runs on a node that it is not permitted on, it moves to another.",
		.options = ACTING | WITH(TIMEOUT),
		.timeout = "5s",
		.least = 3,
		.most = 3,
		.operand = {OPERAND_APPLICATION, OPERAND_NODE, OPERAND_YES_NO},
		.run = cmd_permit},
	{.name = "takeover",
		.synopsis = "[-d DOMAIN] [--overlap | --exclusive] [--wait] [--timeout DURATION] "
			    "[--json] APPLICATION NODE",
		.summary = "move an application to a node",
		.more = "Prints what each step took.",
		.options = ASKING | WITH(OVERLAP) | WITH(EXCLUSIVE) | WITH(WAIT) | WITH(TIMEOUT),
		.timeout = "10s",
		.least = 2,
		.most = 2,
		.operand = {OPERAND_APPLICATION, OPERAND_NODE},
		.run = cmd_takeover},
	{.name = "steps",
		.synopsis = "[-d DOMAIN] [-n COUNT] [--all] [--json] [APPLICATION]",
		.summary = "show the last takeovers and failovers, step by step",
		.more = "The newest first. Bars are to scale, each move on its own.",
		.options = ASKING | WITH(COUNT) | WITH(ALL),
		.most = 1,
		.operand = {OPERAND_APPLICATION},
		.run = cmd_steps},
	{.name = "names",
		.synopsis = "[-d DOMAIN] [--json] [PREFIX]",
		.summary = "list the registered names",
		.options = ASKING,
		.most = 1,
		.operand = {OPERAND_NAME},
		.run = cmd_names},
	{.name = "whereis",
		.synopsis = "[-d DOMAIN] [--json] NAME",
		.summary = "say which process has a name",
		.more = "Exit status: 0 if a process has it, 3 if it waits for one, 4 if there is "
			"no such name.",
		.options = ASKING,
		.least = 1,
		.most = 1,
		.operand = {OPERAND_NAME},
		.asks = true,
		.run = cmd_whereis},
	{.name = "send",
		.synopsis = "[-d DOMAIN] NAME DATA",
		.summary = "send a message to a name",
		.more = "DATA is one word: quote blanks; - is read from standard input. NAME@NODE "
			"reaches the\ninstance on that node.",
		.options = ACTING,
		.least = 2,
		.most = 2,
		.operand = {OPERAND_NAME, OPERAND_DATA},
		.run = cmd_send},
	{.name = "call",
		.synopsis = "[-d DOMAIN] [--timeout DURATION] NAME DATA",
		.summary = "send a message to a name and print the reply",
		.more = "DATA is one word: quote blanks; - is read from standard input. NAME@NODE "
			"reaches the\ninstance on that node.",
		.options = ACTING | WITH(TIMEOUT),
		.timeout = "5s",
		.least = 2,
		.most = 2,
		.operand = {OPERAND_NAME, OPERAND_DATA},
		.run = cmd_call},
	{.name = "wait",
		.synopsis = "[-d DOMAIN] [--running] [--protected] [--node NODE] [--timeout "
			    "DURATION] APPLICATION",
		.summary = "wait until an application runs or is protected",
		.more = "All conditions that are given have to hold at once.",
		.options = ACTING | WITH(RUNNING) | WITH(PROTECTED) | WITH(NODE) | WITH(TIMEOUT),
		.timeout = "30s",
		.least = 1,
		.most = 1,
		.operand = {OPERAND_APPLICATION},
		.run = cmd_wait},
	{.name = "fsck",
		.synopsis = "[-d DOMAIN] [--json]",
		.summary = "check a segment and say all that is wrong with it",
		.more = "Of a domain that runs, or whose processes are all dead. Changes nothing: "
			"leftovers of\nthe dead are seen to by who joins next. Exit status 1 if there is "
			"damage.",
		.options = ASKING,
		.run = cmd_fsck},
	{.name = "demo",
		.synopsis = "[--takeovers COUNT] [--kills COUNT] [--json]",
		.summary = "take over and kill a service under load, and print what it cost",
		.more = "In a domain of its own. Exit status 1 if anything was lost, doubled or "
			"cut.",
		.options = WITH(TAKEOVERS) | WITH(KILLS) | WITH(JSON) | WITH(HELP),
		.entry = demo_main},
	{.name = "version",
		.synopsis = "[-d DOMAIN] [--json]",
		.summary = "print the version",
		.options = ASKING,
		.run = cmd_version},
	{.name = "help",
		.synopsis = "[-d DOMAIN] [--completion SHELL | --list KIND] [VERB]",
		.summary = "list the verbs, or say what one of them takes",
		.options = ACTING | WITH(COMPLETION) | WITH(LIST),
		.most = 1,
		.operand = {OPERAND_VERB},
		.run = cmd_help},
};

const size_t cmd_commands_count = sizeof(cmd_commands) / sizeof(cmd_commands[0]);

const struct command *cmd_find(const char *verb)
{
	for (size_t i = 0; i < cmd_commands_count; i++)
		if (!strcmp(cmd_commands[i].name, verb))
			return &cmd_commands[i];
	return NULL;
}

int cmd_no_verb(struct out *out, const char *verb)
{
	struct nearest nearest;
	const char *near;

	nearest_init(&nearest, verb);
	for (size_t i = 0; i < cmd_commands_count; i++)
		nearest_try(&nearest, cmd_commands[i].name);
	near = nearest_word(&nearest);
	if (near)
		cmd_say(out, "no verb `%s`; did you mean `%s`?", verb, near);
	else
		cmd_say(out, "no verb `%s`; `heir help` lists them", verb);
	return EXIT_USAGE;
}

static int run(struct cmd *cmd, int argc, char **argv)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	int status = cmd_parse(cmd, argc, argv);

	if (status < 0 && cmd->command->entry) {
		optind = 0;
		return cmd->command->entry(argc, argv);
	}
	sigaction(SIGPIPE, &ignore, NULL);
	if (status < 0)
		status = cmd->command->run(cmd);
	return out_finish(cmd->out) ? status : EXIT_FAILED;
}

int cmd_main(int argc, char **argv, struct out *out)
{
	static char *help[] = {"help", NULL}, *version[] = {"version", NULL};
	struct cmd cmd = {.out = out};

	if (argc < 2) {
		cmd_print_verbs(out->error);
		return EXIT_USAGE;
	}
	argc--;
	argv++;
	if (!strcmp(argv[0], "-h") || !strcmp(argv[0], "--help")) {
		argc = 1;
		argv = help;
	} else if (!strcmp(argv[0], "-V") || !strcmp(argv[0], "--version")) {
		argc = 1;
		argv = version;
	} else if (argv[0][0] == '-') {
		cmd_say(out, "the verb comes first, then `%s`; `heir help` lists the verbs",
			argv[0]);
		return EXIT_USAGE;
	}
	cmd.command = cmd_find(argv[0]);
	return cmd.command ? run(&cmd, argc, argv) : cmd_no_verb(out, argv[0]);
}
