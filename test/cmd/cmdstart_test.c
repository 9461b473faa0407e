/* SPDX-License-Identifier: ISC */
/* start, stop and permit: which leader is told, what is waited for, what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_SECONDS 20

static struct heir_app_status *kv(void)
{
	return &fake.status.application[0];
}

static struct heir_app_status *logger(void)
{
	return &fake.status.application[1];
}

static void expect_told(const char *node, const char *order)
{
	assert_string_equal(fake.sent_to, node);
	assert_int_equal(fake.sent_size, strlen(order));
	assert_memory_equal(fake.sent, order, strlen(order));
	assert_int_equal(fake.open_flags, 0);
}

static void it_runs(void)
{
	logger()->state = HEIR_APP_RUNNING;
	strcpy(logger()->node, "b");
}

static void it_fails(void)
{
	logger()->state = HEIR_APP_FAILED;
}

static void it_starts_and_does_not_end(void)
{
	logger()->instance[1].state = HEIR_STARTING;
}

static void start_waits_until_it_runs(void **state)
{
	(void)state;
	fake.changed = it_runs;
	EXPECT(0, "log runs on node b\n", "", "start", "log");
	expect_told("heir@a", "start log");
	assert_int_equal(fake.waits, 1);
}

static void what_is_so_already_is_told_all_the_same(void **state)
{
	(void)state;
	EXPECT(0, "kv runs on node a\n", "", "start", "kv");
	expect_told("heir@a", "start kv");
	assert_int_equal(fake.waits, 0);
	fake_reset();
	EXPECT(0, "log is down\n", "", "stop", "log");
	expect_told("heir@a", "stop log");
	assert_int_equal(fake.waits, 0);
}

static void start_gives_up(void **state)
{
	(void)state;
	fake.changed = it_fails;
	EXPECT(1, "", "heir: `log` has failed; what `heir up` prints says why\n", "start", "log");
	fake_reset();
	EXPECT(124, "", "heir: after 1us `log` is down\n", "start", "log", "--timeout=1us");
	fake_reset();
	logger()->instance[0].permitted = 0;
	EXPECT(124, "", "heir: after 1us `log` is down; no node is permitted to run it\n", "start",
		"log", "--timeout=1us");
	fake_reset();
	fake.changed = it_starts_and_does_not_end;
	EXPECT(124, "", "heir: after 1ms `log` is down, but starting on node b\n", "start", "log",
		"--timeout", "1ms");
}

static void it_leaves_a_standby(void)
{
	kv()->state = HEIR_APP_DOWN;
	kv()->node[0] = '\0';
	kv()->instance[0].state = HEIR_ABSENT;
}

static void it_is_down(void)
{
	it_leaves_a_standby();
	kv()->instance[1].state = HEIR_ABSENT;
}

static void stop_waits_until_nothing_is_left(void **state)
{
	(void)state;
	fake.changed = it_is_down;
	EXPECT(0, "kv is down\n", "", "stop", "kv");
	expect_told("heir@a", "stop kv");
	fake_reset();
	EXPECT(124, "", "heir: after 1us `kv` is running on node a\n", "stop", "kv",
		"--timeout=1us");
	fake_reset();
	fake.changed = it_leaves_a_standby;
	EXPECT(124, "", "heir: after 1ms `kv` is down, but standby on node b\n", "stop", "kv",
		"--timeout=1ms");
}

static void what_a_dead_leader_left_is_not_waited_for(void **state)
{
	(void)state;
	fake.changed = it_leaves_a_standby;
	fake.status.node[1].pid = 0;
	EXPECT(0, "kv is down\n", "", "stop", "kv");
	fake_reset();
	logger()->state = HEIR_APP_FAILED;
	EXPECT(0, "log is down\n", "", "stop", "log");
}

static void no_wait_returns_at_once(void **state)
{
	(void)state;
	EXPECT(0, "", "", "start", "log", "--no-wait");
	expect_told("heir@a", "start log");
	fake_reset();
	EXPECT(0, "", "", "stop", "--no-wait", "kv");
	expect_told("heir@a", "stop kv");
	assert_int_equal(fake.waits, 0);
}

static int a_is_stopped(const char *name)
{
	return strcmp(name, "heir@a") ? 0 : HEIR_ETIMEDOUT;
}

static int a_dies(const char *name)
{
	return strcmp(name, "heir@a") ? 0 : HEIR_EDEAD;
}

static void any_leader_will_do(void **state)
{
	(void)state;
	fake.call = a_is_stopped;
	EXPECT(0, "kv runs on node a\n", "", "start", "kv");
	expect_told("heir@b", "start kv");
	fake_reset();
	fake.call = a_dies;
	EXPECT(0, "kv runs on node a\n", "", "start", "kv");
	expect_told("heir@b", "start kv");
	fake_reset();
	fake.status.node[0].pid = 0;
	EXPECT(0, "", "", "permit", "kv", "a", "no");
	expect_told("heir@b", "permit kv a no");
}

static void no_leader_is_told(void **state)
{
	(void)state;
	fake.call_error = HEIR_ETIMEDOUT;
	EXPECT(124, "", "heir: no node of domain `default` has answered within 1ms\n", "stop",
		"kv", "--timeout", "1ms");
	fake_reset();
	fake.call_error = HEIR_EDEAD;
	EXPECT(7, "", "heir: no node of domain `default` is running\n", "stop", "kv");
	fake_reset();
	fake.status.node[0].pid = fake.status.node[1].pid = 0;
	EXPECT(7, "", "heir: no node of domain `default` is running\n", "permit", "kv", "a", "no");
	fake_reset();
	fake.call_error = HEIR_EFULL;
	EXPECT(1, "", "heir: node `a`: some error\n", "start", "kv");
	fake_reset();
	fake.reply = "error: not now";
	fake.reply_size = strlen(fake.reply);
	EXPECT(1, "", "heir: node `a`: not now\n", "start", "kv");
	fake_reset();
	fake.open_error = HEIR_ENODOMAIN;
	EXPECT(7, "", "heir: no domain `default` is running (start it with: heir up)\n", "start",
		"kv");
}

static void permit_tells_a_leader(void **state)
{
	(void)state;
	EXPECT(0, "", "", "permit", "kv", "b", "no");
	expect_told("heir@a", "permit kv b no");
	fake_reset();
	EXPECT(0, "", "", "permit", "log", "b", "yes");
	expect_told("heir@a", "permit log b yes");
	assert_int_equal(fake.timeout, INT64_C(500000000));
}

static void unknown_words_are_not_told(void **state)
{
	(void)state;
	EXPECT(1, "", "heir: no application `kw`; did you mean `kv`?\n", "start", "kw");
	EXPECT(1, "", "heir: no application `lgo`; did you mean `log`?\n", "stop", "lgo");
	EXPECT(1, "", "heir: no application `lgo`; did you mean `log`?\n", "permit", "lgo", "a",
		"no");
	EXPECT(1, "", "heir: no node `bb`; did you mean `b`?\n", "permit", "kv", "bb", "no");
	kv()->instances = 1;
	EXPECT(1, "", "heir: application `kv` is not configured for node `b`\n", "permit", "kv",
		"b", "no");
	EXPECT(2, "", "heir: permit: `maybe` is neither yes nor no\n", "permit", "kv", "b",
		"maybe");
	assert_string_equal(fake.sent_to, "");
}

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
		cmocka_unit_test_setup(start_waits_until_it_runs, prepare),
		cmocka_unit_test_setup(what_is_so_already_is_told_all_the_same, prepare),
		cmocka_unit_test_setup(start_gives_up, prepare),
		cmocka_unit_test_setup(stop_waits_until_nothing_is_left, prepare),
		cmocka_unit_test_setup(what_a_dead_leader_left_is_not_waited_for, prepare),
		cmocka_unit_test_setup(no_wait_returns_at_once, prepare),
		cmocka_unit_test_setup(any_leader_will_do, prepare),
		cmocka_unit_test_setup(no_leader_is_told, prepare),
		cmocka_unit_test_setup(permit_tells_a_leader, prepare),
		cmocka_unit_test_setup(unknown_words_are_not_told, prepare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
