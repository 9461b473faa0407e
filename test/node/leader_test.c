/* SPDX-License-Identifier: ISC */
/*
 * Leaders and `heir up`, with real processes: this program is heir and the workers too, by its
 * first argument. Each test has a domain of its own; whatever it leaves is killed and removed, and
 * a test that left something has failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "heir.h"
#include "lib/handle.h"
#include "node/build.h"
#include "node/node.h"
#include "node/notify.h"
#include "node/spawn.h"

#define LIMIT_S 8
#define LIMIT (LIMIT_S * NS_PER_SECOND)

static char self[512], domain[64], dir[128], file[192], log_file[192];
static heir_t *client;
static pid_t up_pid;

/* --- the worker: what goes wrong in it is told by FAIL=WHAT@NODE
 * --------------------------------------------------- */

static int fails(const char *what)
{
	char both[96];

	snprintf(both, sizeof(both), "%s@%s", what, getenv("HEIR_NODE"));
	return getenv("FAIL") && (!strcmp(getenv("FAIL"), what) || !strcmp(getenv("FAIL"), both));
}

static int worker_start(heir_t *h, const struct heir_start *start, void *arg)
{
	(void)h;
	(void)start;
	(void)arg;
	while (fails("hang"))
		pause();
	return fails("start") ? -EIO : 0;
}

static int worker_phase(heir_t *h, const char *phase, const struct heir_start *start, void *arg)
{
	(void)h;
	(void)start;
	(void)arg;
	return fails(phase) ? -EIO : 0;
}

static int worker_handle(heir_t *h, const struct heir_message *m, void *arg)
{
	size_t size;
	uint64_t *count = heir_state(h, &size);
	char text[64];

	(void)m;
	(void)arg;
	if (!count)
		return heir_reply(h, heir_node(h), strlen(heir_node(h)));
	heir_mark(h, count, sizeof(*count));
	snprintf(text, sizeof(text), "%llu %s", (unsigned long long)++*count, heir_node(h));
	return heir_reply(h, text, strlen(text));
}

static void worker_stop(heir_t *h, void *arg)
{
	(void)h;
	(void)arg;
	while (fails("stop"))
		pause();
}

static int worker_main(void)
{
	struct heir_worker w = {.size = sizeof(w),
	                        .version = 1,
	                        .start = worker_start,
	                        .start_phase = worker_phase,
	                        .handle = worker_handle,
	                        .stop = worker_stop};
	heir_t *h;
	int rc = fails("init") ? -EIO : heir_worker_open(&w, NULL, &h);

	if (rc == 0) {
		rc = heir_serve(h);
		heir_close(h);
	}
	return rc != 0;
}

/* A program that knows nothing of heir, and must never run twice: says so in the file if it does.
 * Ready by notification. */
static _Noreturn int alone_main(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int shared = flock(fd, LOCK_EX | LOCK_NB) < 0;

	(void)!write(fd, shared ? "twice\n" : getenv("HEIR_START_TYPE"),
	             shared ? 6 : strlen(getenv("HEIR_START_TYPE")));
	(void)!write(fd, "\n", 1);
	notify_say("READY=1");
	for (;;)
		pause();
}

/* --- the frame
 * ----------------------------------------------------------------------------------------------------
 */

static void config(const char *nodes, const char *applications)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fprintf(f,
	        "domain: %s\nnodes: [%s]\nlimits: {names: 64, processes: 48, messages: 64, "
	        "message: 512B}\napplications:\n%s",
	        domain, nodes, applications);
	fclose(f);
}

/* An application KV of two hot nodes with one worker; `more` are further lines of it. */
static void config_hot(const char *more, const char *child)
{
	char text[2048];

	snprintf(text, sizeof(text),
	         "  kv:\n    standby: hot\n%s    supervisor: {intensity: 3, period: 60s, children: "
	         "[{id: w, exec: [%s, worker],"
	         " names: [kv], state: 4KiB%s}]}\n",
	         more, self, child);
	config("a, b", text);
}

static void start_up(void)
{
	int log = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	up_pid = fork();
	assert_true(up_pid >= 0);
	if (up_pid == 0) {
		(void)dup2(log, 1);
		(void)dup2(log, 2);
		execl(self, self, "up", "-f", file, NULL);
		_exit(99);
	}
	close(log);
}

static void attach(void)
{
	int64_t deadline = deadline_after(LIMIT);

	/* The segment appears in a directory; nothing wakes for that. */
	while (heir_open(domain, 0, &client) != 0) {
		assert_false(deadline_passed(deadline));
		usleep(2000);
	}
}

typedef int condition(const struct heir_app_status *s, const char *arg);

static void wait_for(const char *app, condition *is, const char *arg, const char *what)
{
	int64_t deadline = deadline_after(LIMIT);
	struct heir_app_status *s = calloc(1, sizeof(*s));

	for (;;) {
		uint32_t seen = atom_load_acquire(&client->shm.head->changed);

		assert_int_equal(heir_app_status(client, app, s), 0);
		if (is(s, arg))
			break;
		if (deadline_passed(deadline))
			fail_msg("%s: not in time: %s; it is %d on '%s', generation %u", app, what,
			         (int)s->state, s->node, s->generation);
		(void)futex_wait(&client->shm.head->changed, seen,
		                 deadline_min(deadline, deadline_after(NS_PER_SECOND / 10)));
	}
	free(s);
}

static int runs_on(const struct heir_app_status *s, const char *node)
{
	return s->state == HEIR_APP_RUNNING && !strcmp(s->node, node);
}
static int is_protected_on(const struct heir_app_status *s, const char *node)
{
	return runs_on(s, node) && s->is_protected;
}
static int is_down(const struct heir_app_status *s, const char *arg)
{
	(void)arg;
	return s->state == HEIR_APP_DOWN;
}
static int has_failed(const struct heir_app_status *s, const char *arg)
{
	(void)arg;
	return s->state == HEIR_APP_FAILED;
}
static int restarted_once(const struct heir_app_status *s, const char *node)
{
	return runs_on(s, node) && s->children == 1 && s->child[0].restarts == 1 &&
	       s->child[0].pid > 0;
}
static int has_two_children(const struct heir_app_status *s, const char *node)
{
	return runs_on(s, node) && s->children == 2 && s->child[0].pid > 0 && s->child[1].pid > 0 &&
	       !strcmp(s->child[1].state, "running");
}
static void wait_for_nodes(uint32_t nodes)
{
	int64_t deadline = deadline_after(LIMIT);

	for (uint32_t n = 0; n < nodes;) {
		uint32_t seen = atom_load_acquire(&client->shm.head->changed);
		struct shm_node *node = shm_node(&client->shm, n);

		n += atom_load_acquire(&node->state) == NODE_UP &&
		     handle_alive(&client->shm, atom_load_acquire(&node->leader));
		assert_false(deadline_passed(deadline));
		(void)futex_wait(&client->shm.head->changed, seen,
		                 deadline_after(NS_PER_SECOND / 10));
	}
}
/* On whichever node was quicker, and not with the process of that pid. */
static int runs_anew(const struct heir_app_status *s, const char *pid)
{
	if (s->state != HEIR_APP_RUNNING || s->children < 1)
		return 0;
	for (size_t i = 0; i < s->children; i++)
		if (s->child[i].pid <= 0 || s->child[i].pid == atoi(pid) ||
		    strcmp(s->child[i].state, "running") != 0)
			return 0;
	return 1;
}
#define WAIT(app, is, arg) wait_for(app, is, arg, #is " " #arg)

static void status_of(const char *app, struct heir_app_status *ret)
{
	assert_int_equal(heir_app_status(client, app, ret), 0);
}

static pid_t child_pid(const char *app, unsigned child)
{
	struct heir_app_status *s = calloc(1, sizeof(*s));
	pid_t pid;

	status_of(app, s);
	assert_true(s->children > child && s->child[child].pid > 1);
	pid = s->child[child].pid;
	free(s);
	return pid;
}

static pid_t leader_pid(uint32_t node)
{
	pid_t pid =
		handle_pid(&client->shm, atom_load_acquire(&shm_node(&client->shm, node)->leader));

	assert_true(pid > 1);
	return pid;
}

/* The node that an application runs on, after a text; valid until the next call. */
static const char *heir_node_of(const char *app, const char *before)
{
	static char text[128];
	struct heir_app_status *s = calloc(1, sizeof(*s));

	status_of(app, s);
	snprintf(text, sizeof(text), "%s%s", before, s->node);
	free(s);
	return text;
}

static void call(const char *name, const char *text, const char *expected)
{
	char reply[512];
	size_t size = sizeof(reply) - 1;

	assert_int_equal(heir_call(client, name, text, strlen(text), reply, &size, LIMIT), 0);
	reply[size] = 0;
	assert_string_equal(reply, expected);
}

static int take_over(const char *app, const char *node, unsigned how, struct heir_move *ret)
{
	memset(ret, 0, sizeof(*ret));
	return heir_takeover(client, app, node, how, LIMIT, ret);
}

static int ended(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid); /* bounded by alarm() */
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int kill_all(void);

/* A test hangs: it says so, and leaves nothing either. */
static void hung(int signal)
{
	(void)signal;
	(void)!write(2, "a test hangs\n", 13);
	(void)kill_all();
	(void)build_discard(NULL, domain);
	_exit(1);
}

static int setup(void **state)
{
	static unsigned number;

	(void)state;
	signal(SIGALRM, hung);
	alarm(LIMIT_S * 3);
	snprintf(domain, sizeof(domain), "leadertest%d_%u", (int)getpid(), ++number);
	snprintf(dir, sizeof(dir), "/tmp/heir-%s", domain);
	snprintf(file, sizeof(file), "%s/heir.yaml", dir);
	snprintf(log_file, sizeof(log_file), "%s/log", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	client = NULL;
	up_pid = 0;
	return 0;
}

static int kill_all(void)
{
	pid_t pids[256];
	int count, killed = 0;

	/* This process is a subreaper: what loses its parent becomes its child. */
	while ((count = spawn_children(pids, 256)) > 0) {
		for (int i = 0; i < count; i++)
			(void)kill(pids[i], SIGKILL);
		for (int i = 0; i < count; i++)
			(void)waitpid(pids[i], NULL, 0);
		killed += count;
	}
	return killed;
}

/* The domain is stopped in order; nothing may be left. */
static void stop_up(void)
{
	heir_close(client);
	client = NULL;
	kill(up_pid, SIGTERM);
	assert_int_equal(ended(up_pid), 0);
	up_pid = 0;
}

static void expect_nothing_left(void)
{
	pid_t pids[16];
	char path[128];
	struct stat st;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	assert_int_equal(spawn_children(pids, 16), 0);
	assert_int_equal(shm_path(domain, path, sizeof(path)), 0);
	assert_int_equal(stat(path, &st), -1);
}

static int teardown(void **state)
{
	char command[256];

	(void)state;
	heir_close(client);
	client = NULL;
	(void)kill_all();
	(void)build_discard(NULL, domain);
	snprintf(command, sizeof(command), "%s/lock", dir);
	unlink(command);
	unlink(file);
	if (!getenv("KEEP"))
		unlink(log_file);
	rmdir(dir);
	return 0;
}

static int log_count(const char *text)
{
	static char all[1 << 16];
	int fd = open(log_file, O_RDONLY), count = 0;
	ssize_t n = read(fd, all, sizeof(all) - 1);

	close(fd);
	all[n > 0 ? n : 0] = 0;
	for (const char *at = all; (at = strstr(at, text)); at++)
		count++;
	return count;
}

/* Nothing wakes for a line in a log; bounded by alarm(). */
static void wait_for_log(const char *text, int count)
{
	while (log_count(text) < count)
		usleep(2000);
}

static void begin(void)
{
	start_up();
	attach();
	wait_for_nodes(2);
}

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
