/* SPDX-License-Identifier: ISC */
/*
 * Leaders and `heir up`, with real processes: this program is heir and the workers too, by its
 * first argument. Each test has a domain of its own; whatever it leaves is killed and removed, and
 * a test that left something has failed.
 */
#include "leader_fixture.h"

/* --- the tests --- */

static void test_moves_and_ends(void **state)
{
	struct heir_move m;

	(void)state;
	config_hot("", "");
	begin();
	WAIT("kv", is_protected_on, "a");
	call("kv", "x", "1 a");
	assert_int_equal(take_over("kv", "b", HEIR_OVERLAP, &m), 0);
	call("kv", "x", "2 b");
	WAIT("kv", is_protected_on, "b");
	assert_int_equal(take_over("kv", "a", HEIR_EXCLUSIVE, &m), 0);
	assert_string_equal(m.step[0].name, "stop_old");
	call("kv", "x", "3 a");
	WAIT("kv", is_protected_on, "a");
	kill(child_pid("kv", 0), SIGKILL);
	call("kv", "x", "4 b");
	WAIT("kv", is_protected_on, "b");
	stop_up();
	expect_nothing_left();
}

/* A node that stops hands over; one that dies is started again; `up` that dies is replaced;
 * everything goes on. */
static void test_nodes(void **state)
{
	(void)state;
	config_hot("", "");
	begin();
	WAIT("kv", is_protected_on, "a");
	kill(leader_pid(0), SIGKILL);
	WAIT("kv", is_protected_on, "b");
	call("kv", "x", "1 b");
	kill(up_pid, SIGKILL);
	(void)waitpid(up_pid, NULL, 0);
	call("kv", "x", "2 b");
	start_up();
	wait_for_log(" is up: ", 2); /* it has found the leaders */
	kill(leader_pid(1), SIGTERM);
	WAIT("kv", runs_on, "a");
	call("kv", "x", "3 a");
	call("heir@a", "shutdown", "ok");
	assert_int_equal(ended(up_pid), 0);
	up_pid = 0;
	heir_close(client);
	client = NULL;
	(void)waitpid(-1, NULL, 0); /* the leaders that the first `up` left */
	(void)waitpid(-1, NULL, 0);
	expect_nothing_left();
}

static void test_kept_and_resumed(void **state)
{
	(void)state;
	config_hot("", "");
	begin();
	WAIT("kv", is_protected_on, "a");
	call("kv", "x", "1 a");
	call("heir@b", "shutdown keep", "ok");
	assert_int_equal(ended(up_pid), 0);
	heir_close(client);
	begin();
	WAIT("kv", is_protected_on, "a");
	call("kv", "x", "2 a");
	stop_up();
	expect_nothing_left();
}

static void test_words(void **state)
{
	(void)state;
	config_hot("", "");
	begin();
	WAIT("kv", is_protected_on, "a");
	call("heir@a", "stop kv", "ok");
	WAIT("kv", is_down, "");
	call("heir@b", "start kv", "ok");
	WAIT("kv", is_protected_on, "a");
	call("heir@b", "permit kv a no", "ok");
	WAIT("kv", runs_on, "b");
	call("heir@b", "permit kv a yes", "ok");
	WAIT("kv", is_protected_on, "b");
	call("heir@b", "start nothing", "error: no such application");
	call("heir@b", "permit kv z yes", "error: no such node");
	stop_up();
	expect_nothing_left();
}

static void test_failed_takeovers(void **state)
{
	static const struct {
		const char *fail, *step;
		enum heir_result result;
	} cases[] = {
		{"start@b", "start", HEIR_ABORTED},
		{"go@b", "go", HEIR_SWITCHED_BACK},
		{"hang@b", "", HEIR_ABORTED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char more[128];
		struct heir_move m;

		snprintf(more, sizeof(more), "    step_timeout: 1s\n    env: {FAIL: \"%s\"}\n",
		         cases[i].fail);
		config_hot(more, "");
		begin();
		WAIT("kv", is_protected_on, "a");
		call("kv", "x", "1 a");
		assert_int_equal(take_over("kv", "b", 0, &m), HEIR_EFAILED);
		assert_int_equal(m.result, cases[i].result);
		assert_string_equal(m.failed_step, cases[i].step);
		call("kv", "x", "2 a");
		WAIT("kv", is_protected_on, "a");
		stop_up();
		expect_nothing_left();
	}
}

/* The old instance does not stop: killed at its time, while the new one serves. */
static void test_hanging_stop(void **state)
{
	struct heir_move m;

	(void)state;
	config_hot("    env: {FAIL: \"stop@a\"}\n", ", shutdown: 300ms");
	begin();
	WAIT("kv", is_protected_on, "a");
	assert_int_equal(take_over("kv", "b", 0, &m), 0);
	call("kv", "x", "1 b");
	WAIT("kv", is_protected_on, "b");
	assert_true(log_count("did not stop within its time and is killed"));
	stop_up();
	expect_nothing_left();
}

/* A standby that does not come up is given up, and the application goes on without; in place, as
 * nobody else is there. */
static void test_gives_up(void **state)
{
	(void)state;
	config_hot("    env: {FAIL: \"init@b\"}\n", "");
	begin();
	WAIT("kv", runs_on, "a");
	wait_for_log("gives up on node b", 1);
	kill(child_pid("kv", 0), SIGKILL);
	WAIT("kv", restarted_once, "a");
	call("kv", "x", "1 a");
	stop_up();
	expect_nothing_left();
}

static void test_fails_everywhere(void **state)
{
	(void)state;
	config_hot("    failovers: {intensity: 1, period: 60s}\n    env: {FAIL: \"start\"}\n", "");
	begin();
	WAIT("kv", has_failed, "");
	stop_up();
	expect_nothing_left();
}

/* Cold, in place: on_death is restart. Cold, elsewhere: the node dies. */
static void test_cold(void **state)
{
	char text[1024];
	struct heir_move m;

	(void)state;
	snprintf(text, sizeof(text),
	         "  kv: {supervisor: {intensity: 3, children: [{id: w, exec: [%s, worker], names: "
	         "[kv], state: 4KiB}]}}\n",
	         self);
	config("a, b", text);
	begin();
	WAIT("kv", runs_on, "a");
	kill(child_pid("kv", 0), SIGKILL);
	call("kv", "x", "1 a");
	WAIT("kv", restarted_once, "a");
	while (take_over("kv", "b", 0, &m) == HEIR_EBUSY) /* the restart is not quite over */
		usleep(1000);
	assert_int_equal(m.result, HEIR_DONE);
	assert_string_equal(m.step[0].name, "spawn");
	call("kv", "x", "2 b");
	snprintf(text, sizeof(text), "%d", (int)child_pid("kv", 0));
	kill(leader_pid(1), SIGKILL);
	WAIT("kv", runs_anew, text);
	call("kv", "x", heir_node_of("kv", "3 "));
	assert_int_equal(take_over("kv", heir_node_of("kv", ""), 0, &m), HEIR_EALREADY);
	stop_up();
	expect_nothing_left();
}

/* A program that knows nothing of heir, exclusively: never two, also with what it leaves behind. */
static void test_led_exclusive(void **state)
{
	char text[1024], lock[192], content[256] = "";
	struct heir_move m;
	int fd;

	(void)state;
	snprintf(lock, sizeof(lock), "%s/lock", dir);
	snprintf(text, sizeof(text),
	         "  one:\n    takeover: exclusive\n    supervisor: {children: [{id: p, exec: [%s, "
	         "alone, %s], ready: notify},"
	         " {id: q, exec: [sh, -c, 'setsid sleep 1000 & exec sleep 1000'], ready: exec}]}\n",
	         self, lock);
	config("a, b", text);
	begin();
	WAIT("one", has_two_children, "a");
	assert_int_equal(take_over("one", "b", 0, &m), 0);
	assert_string_equal(m.step[0].name, "stop_old");
	WAIT("one", has_two_children, "b");
	snprintf(text, sizeof(text), "%d", (int)child_pid("one", 0));
	kill(leader_pid(1), SIGKILL);
	WAIT("one", runs_anew, text);
	stop_up();
	fd = open(lock, O_RDONLY);
	assert_true(read(fd, content, sizeof(content) - 1) > 0);
	close(fd);
	assert_string_equal(content, "normal\ntakeover\nfailover\n"); /* no "twice" */
	expect_nothing_left();
}

static void test_takes_back(void **state)
{
	(void)state;
	config_hot("    take_back: auto\n", "");
	begin();
	WAIT("kv", is_protected_on, "a");
	kill(leader_pid(0), SIGKILL);
	WAIT("kv", runs_on, "b");
	WAIT("kv", is_protected_on, "a");
	stop_up();
	expect_nothing_left();
}

/* Both leaders stopped: a crash still fails over; when they wake they find it so. */
static void test_stopped_leaders(void **state)
{
	pid_t a, b;

	(void)state;
	config_hot("", "");
	begin();
	WAIT("kv", is_protected_on, "a");
	a = leader_pid(0);
	b = leader_pid(1);
	kill(a, SIGSTOP);
	kill(b, SIGSTOP);
	kill(child_pid("kv", 0), SIGKILL);
	call("kv", "x", "1 b");
	kill(a, SIGCONT);
	kill(b, SIGCONT);
	WAIT("kv", is_protected_on, "b");
	stop_up();
	expect_nothing_left();
}

static void test_port_taken(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char more[128];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	snprintf(more, sizeof(more), "    listen: {resp: \"127.0.0.1:%u\"}\n", ntohs(at.sin_port));
	config_hot(more, "");
	start_up();
	assert_int_equal(ended(up_pid), 1);
	assert_true(log_count("is taken by another program"));
	expect_nothing_left();
	close(fd);
	begin();
	WAIT("kv", is_protected_on, "a");
	kill(leader_pid(0), SIGKILL); /* its successor gets the socket from the other */
	WAIT("kv", is_protected_on, "b");
	stop_up();
	expect_nothing_left();
}

/* A target that has died, or whose place was taken, may have asked before: a leader stops for who drives the move. */
static void test_stop_for_a_driver_only(void **state)
{
	struct request r = {.op = REQ_STOP_INSTANCE};
	struct heir_ticket ticket;
	struct reply reply = {0};
	size_t size = sizeof(reply);
	pid_t pid;

	(void)state;
	config_hot("", "");
	begin();
	WAIT("kv", is_protected_on, "a");
	pid = child_pid("kv", 0);
	assert_int_equal(lib_request(client, atom_load_acquire(&client->shm.nodes[0].leader), &r, &ticket), 0);
	assert_int_equal(heir_call_finish(client, ticket, &reply, &size, LIMIT), 0);
	assert_int_equal(reply.error, HEIR_ESTALE);
	WAIT("kv", is_protected_on, "a");
	assert_int_equal(child_pid("kv", 0), pid);
	stop_up();
	expect_nothing_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_moves_and_ends),
		TEST(test_nodes),
		TEST(test_kept_and_resumed),
		TEST(test_words),
		TEST(test_failed_takeovers),
		TEST(test_hanging_stop),
		TEST(test_gives_up),
		TEST(test_fails_everywhere),
		TEST(test_cold),
		TEST(test_led_exclusive),
		TEST(test_takes_back),
		TEST(test_stopped_leaders),
		TEST(test_port_taken),
		TEST(test_stop_for_a_driver_only),
	};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return 1;
	self[n] = 0;
	if (argc > 1 && !strcmp(argv[1], "up"))
		return up_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "node"))
		return node_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "worker"))
		return worker_main();
	if (argc > 2 && !strcmp(argv[1], "alone"))
		return alone_main(argv[2]);
	unsetenv("HEIR_DOMAIN");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
