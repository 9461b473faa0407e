/* SPDX-License-Identifier: ISC */
/* down, with real processes in the place of leaders: asked through the fake library, they end or do
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_client.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_SECONDS 30

static pid_t leaders[2];

static pid_t start_leader(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(LIMIT_SECONDS);
		for (;;)
			pause();
	}
	return pid;
}

static int prepare(void **state)
{
	(void)state;
	alarm(LIMIT_SECONDS);
	unsetenv("HEIR_DOMAIN");
	fake_reset();
	for (int i = 0; i < 2; i++) {
		leaders[i] = start_leader();
		if (leaders[i] < 0)
			return -1;
		fake.status.node[i].pid = leaders[i];
	}
	return 0;
}

static int clean(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		kill(leaders[i], SIGKILL);
		waitpid(leaders[i], NULL, 0);
	}
	return 0;
}

static int end_leader(const char *name)
{
	kill(leaders[name[strlen("heir@")] - 'a'], SIGKILL);
	return 0;
}

static int end_only_a(const char *name)
{
	if (!strcmp(name, "heir@a"))
		end_leader(name);
	return 0;
}

static int b_does_not_take_it(const char *name)
{
	if (!strcmp(name, "heir@b"))
		return HEIR_EAGAIN;
	return end_leader(name);
}

static int end_both_unheard(const char *name)
{
	end_leader(name);
	waitid(P_PID, (id_t)leaders[name[strlen("heir@")] - 'a'], NULL, WEXITED | WNOWAIT);
	return HEIR_EDEAD;
}

static void expect_stopped(const char *out, bool a, bool b)
{
	assert_int_equal(strstr(out, "stopped node a\n") != NULL, a);
	assert_int_equal(strstr(out, "stopped node b\n") != NULL, b);
	assert_int_equal(strlen(out), (size_t)(a + b) * strlen("stopped node a\n"));
}

static void the_whole_domain_stops(void **state)
{
	struct run run;

	(void)state;
	fake.call_start = end_leader;
	run = RUN("down");
	assert_string_equal(run.error, "");
	assert_int_equal(run.status, 0);
	expect_stopped(run.out, true, true);
	assert_int_equal(fake.sent_size, strlen("shutdown"));
	assert_memory_equal(fake.sent, "shutdown", strlen("shutdown"));
	run_free(&run);
}

static void keep_is_passed_on(void **state)
{
	struct run run;

	(void)state;
	fake.call_start = end_leader;
	fake.reopen_error = 0;
	run = RUN("down", "--keep");
	assert_int_equal(run.status, 0);
	assert_memory_equal(fake.sent, "shutdown keep", strlen("shutdown keep"));
	run_free(&run);
}

static void one_node_stops(void **state)
{
	(void)state;
	fake.call_start = end_leader;
	EXPECT(0, "stopped node b\n", "", "down", "b");
	assert_string_equal(fake.sent_to, "heir@b");
	assert_memory_equal(fake.sent, "down", 4);
	assert_int_equal(kill(leaders[0], 0), 0);
}

static void a_leader_may_end_before_it_answers(void **state)
{
	struct run run;

	(void)state;
	fake.call_start = end_both_unheard;
	run = RUN("down");
	assert_string_equal(run.error, "");
	assert_int_equal(run.status, 0);
	expect_stopped(run.out, true, true);
	run_free(&run);
	fake_reset();
	fake.status.node[0].pid = leaders[0];
	fake.status.node[1].pid = 0;
	fake.call_error = HEIR_EDEAD;
	EXPECT(0, "stopped node a\n", "", "down");
}

static void a_leader_that_stays_is_named(void **state)
{
	(void)state;
	fake.call_start = end_only_a;
	EXPECT(124, "stopped node a\n", "heir: node `b` has not stopped within 50ms\n", "down",
		"--timeout", "50ms");
}

static void a_leader_that_refuses_is_not_waited_for(void **state)
{
	(void)state;
	fake.reply = "error: kv has no other node";
	fake.reply_size = strlen(fake.reply);
	EXPECT(1, "", "heir: node `a`: kv has no other node\n", "down", "a");
	fake_reset();
	fake.status.node[0].pid = leaders[0];
	fake.status.node[1].pid = leaders[1];
	fake.call_start = b_does_not_take_it;
	EXPECT(1, "stopped node a\n", "heir: node `b`: the mailbox is full\n", "down");
}

static void a_segment_that_is_left_is_told(void **state)
{
	struct run run;

	(void)state;
	fake.call_start = end_leader;
	fake.reopen_error = 0;
	run = RUN("down");
	assert_string_equal(
		run.error, "heir: the nodes have stopped, but domain `default` is still there\n");
	assert_int_equal(run.status, 1);
	run_free(&run);
}

static void nothing_to_stop(void **state)
{
	(void)state;
	EXPECT(1, "", "heir: no node `ab`; did you mean `a`?\n", "down", "ab");
	EXPECT(2, "", "heir: down: --keep is for the whole domain: without NODE\n", "down", "a",
		"--keep");
	fake.status.node[0].pid = 0;
	EXPECT(7, "", "heir: node `a` is not running\n", "down", "a");
	fake.status.node[1].pid = 0;
	EXPECT(7, "", "heir: no node of domain `default` is running\n", "down");
	fake.open_error = HEIR_ENODOMAIN;
	EXPECT(7, "", "heir: no domain `default` is running (start it with: heir up)\n", "down");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_whole_domain_stops, prepare, clean),
		cmocka_unit_test_setup_teardown(keep_is_passed_on, prepare, clean),
		cmocka_unit_test_setup_teardown(one_node_stops, prepare, clean),
		cmocka_unit_test_setup_teardown(a_leader_may_end_before_it_answers, prepare, clean),
		cmocka_unit_test_setup_teardown(a_leader_that_stays_is_named, prepare, clean),
		cmocka_unit_test_setup_teardown(
			a_leader_that_refuses_is_not_waited_for, prepare, clean),
		cmocka_unit_test_setup_teardown(a_segment_that_is_left_is_told, prepare, clean),
		cmocka_unit_test_setup_teardown(nothing_to_stop, prepare, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
