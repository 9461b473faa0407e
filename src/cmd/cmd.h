/* SPDX-License-Identifier: ISC */
/*
 * The verbs of heir(1). One table says what each is called, takes and does; parsing, help and the
 * completions are made from it. A verb gets its parsed line, prints to out and returns an exit
 * status.
 */
#ifndef HEIR_CMD_CMD_H
#define HEIR_CMD_CMD_H

#include "cmd/cmdout.h"

#include <heir.h>

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO = 3,            /* of a verb that asks */
	EXIT_UNKNOWN = 4,       /* of a verb that asks */
	EXIT_NO_PERMISSION = 4, /* of every other verb */
	EXIT_NOT_RUNNING = 7,
	EXIT_TIMED_OUT = 124,
};

enum cmd_option_id {
	OPTION_FILE,
	OPTION_DOMAIN,
	OPTION_DETACH,
	OPTION_DISCARD,
	OPTION_DEFAULT,
	OPTION_TAKEOVERS,
	OPTION_KILLS,
	OPTION_OVERLAP,
	OPTION_EXCLUSIVE,
	OPTION_WAIT,
	OPTION_NO_WAIT,
	OPTION_RUNNING,
	OPTION_PROTECTED,
	OPTION_NODE,
	OPTION_KEEP,
	OPTION_COUNT,
	OPTION_ALL,
	OPTION_COMPLETION,
	OPTION_LIST,
	OPTION_TIMEOUT,
	OPTION_JSON,
	OPTION_HELP,
	OPTIONS
};

#define WITH(option) (1u << OPTION_##option)

/* What a word on the command line stands for; completions offer these. */
enum operand {
	OPERAND_NONE,
	OPERAND_APPLICATION,
	OPERAND_NODE,
	OPERAND_NAME,
	OPERAND_FILE,
	OPERAND_DATA,
	OPERAND_VERB,
	OPERAND_YES_NO
};

#define OPERANDS_MAX 3

struct cmd_option {
	const char *name;
	char letter;          /* 0: none */
	const char *argument; /* NULL: takes none */
	enum operand kind;
	const char *help;
};

struct cmd;

struct command {
	const char *name;
	const char *synopsis; /* what follows the name */
	const char *summary;
	const char *more; /* sentences for its --help, or NULL */
	unsigned options;
	const char *timeout; /* default of --timeout */
	int least, most;     /* operands */
	enum operand operand[OPERANDS_MAX];
	bool asks;                           /* status, whereis: 0 yes, 3 no, 4 unknown */
	int (*run)(struct cmd *cmd);         /* one of these two */
	int (*entry)(int argc, char **argv); /* parses for itself; argv[0] is the verb */
};

struct cmd {
	const struct command *command;
	struct out *out;
	const char *value[OPTIONS]; /* NULL: not given; "" for an option that takes no argument */
	char **operand;
	int operands;
	int64_t timeout;
};

extern const struct cmd_option cmd_options[OPTIONS];
extern const struct command cmd_commands[];
extern const size_t cmd_commands_count;

const struct command *cmd_find(const char *verb);
/* An unknown verb: says so, and which is near. */
int cmd_no_verb(struct out *out, const char *verb);
/* The whole of main(): returns the exit status. argv is permuted. */
int cmd_main(int argc, char **argv, struct out *out);

/* The options and operands of one verb; argv[0] is the verb. Negative: parsed; else the exit status
 * to end with. */
int cmd_parse(struct cmd *cmd, int argc, char **argv);
/* -n and its like: 1 or more, or 0 after a message. */
long cmd_count(struct cmd *cmd, enum cmd_option_id option, long otherwise, long most);

static inline bool cmd_given(const struct cmd *cmd, enum cmd_option_id option)
{
	return cmd->value[option] != NULL;
}

/* "heir: ", the message and a newline on standard error. */
void cmd_say(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cmd_usage(struct cmd *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));

void cmd_print_help(const struct command *command, FILE *file);
void cmd_print_verbs(FILE *file);
int cmd_print_completion(struct cmd *cmd, const char *shell);
int cmd_print_list(struct cmd *cmd, const char *kind);

int cmd_down(struct cmd *cmd);
int cmd_status(struct cmd *cmd);
int cmd_start(struct cmd *cmd);
int cmd_stop(struct cmd *cmd);
int cmd_permit(struct cmd *cmd);
int cmd_takeover(struct cmd *cmd);
int cmd_steps(struct cmd *cmd);
int cmd_names(struct cmd *cmd);
int cmd_whereis(struct cmd *cmd);
int cmd_send(struct cmd *cmd);
int cmd_call(struct cmd *cmd);
int cmd_wait(struct cmd *cmd);
int cmd_fsck(struct cmd *cmd);
int cmd_version(struct cmd *cmd);
int cmd_help(struct cmd *cmd);

#endif
