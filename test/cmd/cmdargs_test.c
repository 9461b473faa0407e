/* SPDX-License-Identifier: ISC */
/* The table of verbs, what is accepted on a command line, help and completions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_SECONDS 60

static void unknown_verbs_get_the_nearest(void **state)
{
	(void)state;
	EXPECT(2, "", "heir: no verb `stauts`; did you mean `status`?\n", "stauts");
	EXPECT(2, "", "heir: no verb `tkaeover`; did you mean `takeover`?\n", "tkaeover", "kv",
		"b");
	EXPECT(2, "", "heir: no verb `frobnicate`; `heir help` lists them\n", "frobnicate");
	EXPECT(2, "", "heir: no verb `statu\\x1b`; did you mean `status`?\n", "help", "statu\033");
	EXPECT(2, "", "heir: the verb comes first, then `-d`; `heir help` lists the verbs\n", "-d",
		"x", "status");
}

static void options_are_checked(void **state)
{
	(void)state;
	EXPECT(2, "", "heir: status: no option `--jsno`; did you mean `--json`?\n", "status",
		"--jsno");
	EXPECT(2, "", "heir: status: no option `--frob`; see heir status --help\n", "status",
		"--frob=nicate");
	EXPECT(2, "", "heir: status: no option `-x`; see heir status --help\n", "status", "-x");
	EXPECT(2, "", "heir: status: no option `--timeout`; see heir status --help\n", "status",
		"--timeout", "5s");
	EXPECT(2, "", "heir: status: --json takes no argument\n", "status", "--json=1");
	EXPECT(2, "", "heir: status: --domain needs its DOMAIN\n", "status", "-d");
	EXPECT(2, "", "heir: call: --timeout needs its DURATION\n", "call", "kv", "x", "--timeout");
	EXPECT(2, "", "heir: up: no option `--detahc`; did you mean `--detach`?\n", "up",
		"--detahc");
}

static void durations_are_checked(void **state)
{
	(void)state;
	EXPECT(2, "",
		"heir: call: --timeout 5: a duration needs a unit; write for example 5s or 5ms\n",
		"call", "kv", "x", "--timeout", "5");
	EXPECT(2, "", "heir: wait: --timeout 5x: no unit `x`; there are us ms s min h d\n", "wait",
		"kv", "--timeout=5x");
}

static void operands_are_counted(void **state)
{
	(void)state;
	EXPECT(2, "", "heir: whereis: too few arguments: heir whereis [-d DOMAIN] [--json] NAME\n",
		"whereis");
	EXPECT(2, "",
		"heir: whereis: too many arguments, from `b` on: "
		"heir whereis [-d DOMAIN] [--json] NAME\n",
		"whereis", "a", "b");
	EXPECT(2, "",
		"heir: version: too many arguments, from `x` on: "
		"heir version [-d DOMAIN] [--json]\n",
		"version", "x");
}

static void the_domain_is_named(void **state)
{
	struct run run;

	(void)state;
	setenv("HEIR_DOMAIN", "env", 1);
	run = RUN("names");
	run_free(&run);
	assert_string_equal(fake.domain, "env");
	run = RUN("names", "--domain=option");
	run_free(&run);
	assert_string_equal(fake.domain, "option");
	setenv("HEIR_DOMAIN", "", 1);
	run = RUN("names");
	run_free(&run);
	assert_string_equal(fake.domain, "default");
	setenv("HEIR_DOMAIN", "env", 1);
	fake.open_error = HEIR_ENODOMAIN;
	EXPECT(7, "", "heir: no domain `env` is running (start it with: heir up)\n", "names");
	unsetenv("HEIR_DOMAIN");
	EXPECT(7, "", "heir: no domain `default` is running (start it with: heir up)\n", "names");
	fake.open_error = HEIR_EINVAL;
	EXPECT(2, "", "heir: domain `a/b`: a name has 1 to 63 letters, digits, `_` and `-`\n",
		"names", "-d", "a/b");
	fake.open_error = HEIR_EFOREIGN;
	EXPECT(4, "", "heir: domain `default`: another user's\n", "names");
}

static int in_child(void (*body)(const void *arg), const void *arg, char *text, size_t size)
{
	int ends[2], status;
	size_t length = 0;
	ssize_t count;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		body(arg);
		_exit(126);
	}
	close(ends[1]);
	assert_true(pid > 0);
	while ((count = read(ends[0], text + length, size - 1 - length)) > 0)
		length += (size_t)count;
	text[length] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void run_and_exit(const void *arg)
{
	struct run run = run_heir(true, "", arg);

	fflush(stdout);
	_exit(run.status);
}

/* The entries of other folders print to standard output themselves. */
static int run_child(const char *const *arguments, char *text, size_t size)
{
	return in_child(run_and_exit, arguments, text, size);
}

static void entries_get_their_arguments(void **state)
{
	char text[256];

	(void)state;
	assert_int_equal(run_child(ARGUMENTS("up"), text, sizeof(text)), 41);
	assert_string_equal(text, "up\n");
	assert_int_equal(
		run_child(ARGUMENTS("up", "-f", "x.yaml", "--detach"), text, sizeof(text)), 44);
	assert_string_equal(text, "up -f x.yaml --detach\n");
	assert_int_equal(run_child(ARGUMENTS("node", "a", "-f", "-h"), text, sizeof(text)), 44);
	assert_string_equal(text, "node -f -h a\n");
	assert_int_equal(
		run_child(ARGUMENTS("check", "--default", "--json"), text, sizeof(text)), 43);
	assert_int_equal(run_child(ARGUMENTS("demo", "--kills=5"), text, sizeof(text)), 42);
	EXPECT(2, "", "heir: node: too few arguments: heir node [-f FILE] [-d DOMAIN] NODE\n",
		"node");
}

static void help_is_made_from_the_table(void **state)
{
	struct run run, other;

	(void)state;
	run = RUN("help");
	assert_int_equal(run.status, 0);
	for (size_t i = 0; i < cmd_commands_count; i++)
		assert_non_null(strstr(run.out, cmd_commands[i].summary));
	other = run_heir(true, "", (const char *const[]){"heir", NULL});
	assert_int_equal(other.status, 2);
	assert_string_equal(other.out, "");
	assert_string_equal(other.error, run.out);
	run_free(&other);
	other = RUN("-h");
	assert_string_equal(other.out, run.out);
	run_free(&other);
	run_free(&run);
	EXPECT(0,
		"usage: heir whereis [-d DOMAIN] [--json] NAME\n\n"
		"heir whereis: say which process has a name.\n"
		"Exit status: 0 if a process has it, 3 if it waits for one, "
		"4 if there is no such name.\n\n"
		"  -d, --domain DOMAIN      which domain: else $HEIR_DOMAIN, else default\n"
		"      --json               one JSON document on one line\n"
		"  -h, --help               this text\n",
		"", "whereis", "--help");
	for (size_t i = 0; i < cmd_commands_count; i++) {
		run = RUN(cmd_commands[i].name, "-h");
		other = RUN("help", cmd_commands[i].name);
		assert_int_equal(run.status, 0);
		assert_string_equal(run.out, other.out);
		run_free(&run);
		run_free(&other);
	}
}

static void versions(void **state)
{
	(void)state;
	EXPECT(0, "heir " HEIR_VERSION "\n", "", "version");
	EXPECT(0, "heir " HEIR_VERSION "\n", "", "--version");
	EXPECT(0, "{\"name\":\"heir\",\"version\":\"" HEIR_VERSION "\"}\n", "", "version",
		"--json");
}

static void the_table_agrees_with_itself(void **state)
{
	char flag[64];

	(void)state;
	for (size_t i = 0; i < cmd_commands_count; i++) {
		const struct command *command = &cmd_commands[i];

		assert_true((command->run != NULL) != (command->entry != NULL));
		assert_true(command->least <= command->most && command->most <= OPERANDS_MAX);
		assert_true(command->options & WITH(HELP));
		assert_true(!(command->options & WITH(TIMEOUT)) == !command->timeout);
		assert_null(strpbrk(command->summary, "'\"\\:"));
		assert_ptr_equal(cmd_find(command->name), command);
		for (int option = 0; option < OPTIONS; option++) {
			const struct cmd_option *entry = &cmd_options[option];
			bool shown;

			snprintf(flag, sizeof(flag), "[-%c%s%s]",
				entry->letter ? entry->letter : '?', entry->argument ? " " : "",
				entry->argument ? entry->argument : "");
			shown = entry->letter && strstr(command->synopsis, flag);
			snprintf(flag, sizeof(flag), "--%s", entry->name);
			shown = shown || strstr(command->synopsis, flag);
			if (option != OPTION_HELP)
				assert_int_equal(shown, (command->options & 1u << option) != 0);
			assert_null(strpbrk(entry->help, "'\"\\[]"));
		}
	}
}

static char *completion(const char *shell)
{
	struct run run = RUN("help", "--completion", shell);

	assert_int_equal(run.status, 0);
	free(run.error);
	return run.out;
}

static void completions_name_every_verb_and_option(void **state)
{
	static const char *const shells[] = {"bash", "zsh", "fish"};
	char word[64];

	(void)state;
	for (size_t shell = 0; shell < 3; shell++) {
		char *text = completion(shells[shell]);

		for (size_t i = 0; i < cmd_commands_count; i++)
			assert_non_null(strstr(text, cmd_commands[i].name));
		for (int i = 0; i < OPTIONS; i++) {
			snprintf(word, sizeof(word), "%s%s", shell == 2 ? "-l " : "--",
				cmd_options[i].name);
			assert_non_null(strstr(text, word));
		}
		free(text);
	}
	EXPECT(2, "", "heir: help: --completion csh: there are bash, zsh and fish\n", "help",
		"--completion", "csh");
}

static void lists_offer_plain_words(void **state)
{
	(void)state;
	EXPECT(0, "kv\nlog\n", "", "help", "--list", "applications");
	EXPECT(0, "a\nb\n", "", "help", "--list", "nodes");
	fake.name[2].name = "k v";
	EXPECT(0, "kv.admin\nkv\n", "", "help", "--list", "names");
	EXPECT(2, "", "heir: help: --list x: there are verbs, applications, nodes and names\n",
		"help", "--list", "x");
	fake.open_error = HEIR_ENODOMAIN;
	EXPECT(7, "", "heir: no domain `default` is running (start it with: heir up)\n", "help",
		"--list", "nodes");
}

static void run_bash(const void *arg)
{
	dup2(fileno((FILE *)arg), STDIN_FILENO);
	execlp("bash", "bash", "-u", "-s", (char *)NULL);
}

/* What bash offers for a line whose last word is being typed. */
static void expect_offer(const char *words, int count, const char *wanted)
{
	FILE *script = tmpfile();
	char *body = completion("bash"), text[512];

	assert_non_null(script);
	fprintf(script,
		"%s\nexec 2>&1\n"
		"heir() { printf '%%s\\n' \"$3-one\" \"$3-two\"; }\n"
		"compopt() { :; }\n"
		"COMP_WORDS=(heir %s) COMP_CWORD=%d\n_heir\necho \"${COMPREPLY[*]}\"\n",
		body, words, count);
	free(body);
	rewind(script);
	assert_int_equal(in_child(run_bash, script, text, sizeof(text)), 0);
	fclose(script);
	assert_string_equal(text, wanted);
}

static void bash_offers_what_fits(void **state)
{
	(void)state;
	expect_offer("st", 1, "status start stop steps\n");
	expect_offer("permit kv ''", 3, "nodes-one nodes-two\n");
	expect_offer("permit kv b ''", 4, "yes no\n");
	expect_offer("permit kv b n", 4, "no\n");
	expect_offer("stop --n", 2, "--no-wait\n");
	expect_offer("takeover ''", 2, "applications-one applications-two\n");
	expect_offer("takeover --timeout 5s kv no", 5, "nodes-one nodes-two\n");
	expect_offer("takeover kv b ''", 4, "\n");
	expect_offer("takeover --e", 2, "--exclusive\n");
	expect_offer("wait kv --node nodes-t", 4, "nodes-two\n");
	expect_offer("help --completion ''", 3, "bash zsh fish\n");
	expect_offer("names --domain ''", 3, "\n");
	expect_offer("bogus ''", 2, "\n");
	expect_offer("up -f /dev/nul", 3, "/dev/null\n");
}

#ifdef HEIR_MAN_PAGE
static char *read_page(void)
{
	char *text = calloc(1, 256 * 1024);
	FILE *file = fopen(HEIR_MAN_PAGE, "r");

	assert_non_null(file);
	assert_true(fread(text, 1, 256 * 1024 - 1, file) > 0);
	fclose(file);
	return text;
}

/* The section of a verb: from its .It Ic to the next. */
static void the_page_has_every_verb_and_option(void **state)
{
	char *page = read_page(), mark[64];

	(void)state;
	for (size_t i = 0; i < cmd_commands_count; i++) {
		const struct command *command = &cmd_commands[i];
		char *start, *end, *section;

		snprintf(mark, sizeof(mark), "\n.It Ic %s ", command->name);
		start = strstr(page, mark);
		assert_non_null(start);
		end = strstr(start + 1, "\n.It Ic ");
		section = end ? strndup(start, (size_t)(end - start)) : strdup(start);
		for (int option = 0; option < OPTIONS; option++) {
			const struct cmd_option *entry = &cmd_options[option];

			if (!(command->options & 1u << option) || option == OPTION_HELP ||
				option == OPTION_DOMAIN)
				continue;
			snprintf(mark, sizeof(mark), "Fl \\-%s", entry->name);
			if (!strstr(section, mark))
				snprintf(mark, sizeof(mark), "Fl %c ",
					entry->letter ? entry->letter : '?');
			if (!strstr(section, mark))
				fail_msg("heir.1: %s lacks --%s", command->name, entry->name);
		}
		free(section);
	}
	free(page);
}
#endif

static int prepare(void **state)
{
	(void)state;
	alarm(LIMIT_SECONDS);
	unsetenv("HEIR_DOMAIN");
	fake_reset();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(unknown_verbs_get_the_nearest, prepare),
		cmocka_unit_test_setup(options_are_checked, prepare),
		cmocka_unit_test_setup(durations_are_checked, prepare),
		cmocka_unit_test_setup(operands_are_counted, prepare),
		cmocka_unit_test_setup(the_domain_is_named, prepare),
		cmocka_unit_test_setup(entries_get_their_arguments, prepare),
		cmocka_unit_test_setup(help_is_made_from_the_table, prepare),
		cmocka_unit_test_setup(versions, prepare),
		cmocka_unit_test_setup(the_table_agrees_with_itself, prepare),
		cmocka_unit_test_setup(completions_name_every_verb_and_option, prepare),
		cmocka_unit_test_setup(lists_offer_plain_words, prepare),
		cmocka_unit_test_setup(bash_offers_what_fits, prepare),
#ifdef HEIR_MAN_PAGE
		cmocka_unit_test_setup(the_page_has_every_verb_and_option, prepare),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
