/* SPDX-License-Identifier: ISC */
/* One process started: its descriptors, its environment, its signals, and its
 * end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/environ.h"
#include "node/notify.h"
#include "node/spawn.h"

#define LIMIT_S 60

static struct environ env;

static int setup(void **state)
{
	(void)state;
	alarm(LIMIT_S);
	environ_init(&env);
	environ_set(&env, "HEIR_DOMAIN", "d");
	environ_set(&env, "HEIR_NODE", "n");
	environ_set(&env, "HEIR_APPLICATION", "app");
	environ_inherit(&env);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	environ_finish(&env);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return 0;
}

static void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, LIMIT_S * 1000), 1);
}

static int result_of(const struct spawned *s)
{
	wait_readable(s->exec);
	return spawn_result(s->exec);
}

static int end_of(struct spawned *s)
{
	int status = 0;

	wait_readable(s->pidfd);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	close(s->pidfd);
	close(s->exec);
	return status;
}

static void start(const char *script, struct spawn *spawn, struct spawned *ret)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};

	spawn->path = "/bin/sh";
	spawn->argv = argv;
	spawn->envp = env.words;
	assert_int_equal(spawn_process(spawn, ret), 0);
}

static void read_all(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used < size - 1 && (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
}

static void test_runs(void **state)
{
	struct spawn spawn = {.out = -1};
	struct spawned s;

	(void)state;
	start("exit 7", &spawn, &s);
	assert_int_equal(result_of(&s), 1);
	assert_int_equal(WEXITSTATUS(end_of(&s)), 7);
}

static void test_exec_failure(void **state)
{
	char *argv[] = {"nothing", NULL};
	struct spawn spawn = {.path = "/nonexistent/nothing",
	                      .argv = argv,
	                      .envp = env.words,
	                      .out = -1};
	struct spawned s;

	(void)state;
	assert_int_equal(spawn_process(&spawn, &s), 0);
	assert_int_equal(result_of(&s), -ENOENT);
	assert_int_equal(WEXITSTATUS(end_of(&s)), 127);
}

static void test_descriptors_and_environment(void **state)
{
	int a[2], b[2], out[2];
	struct spawn_fd fds[2];
	struct spawn spawn;
	struct spawned s;
	char text[4096];

	(void)state;
	assert_int_equal(pipe2(a, O_CLOEXEC) | pipe2(b, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	environ_set(&env, "LISTEN_PID", "%0*d", SPAWN_PID_WIDTH, 0);
	environ_set(&env, "LISTEN_PID", "%0*d", SPAWN_PID_WIDTH, 0);
	environ_set(&env, "WATCHDOG_PID", "%0*d", SPAWN_PID_WIDTH, 0);
	/* Each other's numbers: neither may be overwritten before it is moved. */
	fds[0] = (struct spawn_fd){a[1], b[1]};
	fds[1] = (struct spawn_fd){b[1], a[1]};
	spawn = (struct spawn){.fds = fds,
	                       .fd_count = 2,
	                       .out = out[1],
	                       .own_pid = {environ_value(&env, "LISTEN_PID"),
	                                   environ_value(&env, "WATCHDOG_PID")}};
	snprintf(text, sizeof(text),
	         "echo to-b >&%d; echo to-a >&%d; echo $LISTEN_PID $WATCHDOG_PID; "
	         "echo $$; ls /proc/$$/fd;"
	         " cut -d' ' -f5 /proc/$$/stat; grep -E 'Sig(Blk|Ign)' /proc/self/status; kill -9 $$",
	         a[1], b[1]);
	start(text, &spawn, &s);
	close(a[1]);
	close(b[1]);
	close(out[1]);
	assert_true(WIFSIGNALED(end_of(&s)));
	read_all(a[0], text, sizeof(text));
	assert_string_equal(text, "to-a\n");
	read_all(b[0], text, sizeof(text));
	assert_string_equal(text, "to-b\n");
	read_all(out[0], text, sizeof(text));
	{
		char expected[256];

		snprintf(expected, sizeof(expected),
		         "%d %d\n%d\n0\n1\n2\n%d\n%d\n%d\nSigBlk:\t0000000000000000\n"
		         "SigIgn:\t0000000000000000\n", (int)s.pid,
		         (int)s.pid, (int)s.pid, a[1] < b[1] ? a[1] : b[1], a[1] < b[1] ? b[1] : a[1],
		         (int)s.pid);
		assert_string_equal(text, expected);
	}
	close(a[0]);
	close(b[0]);
	close(out[0]);
}

static void test_environment(void **state)
{
	(void)state;
	setenv("HEIR_LIFELINE", "9", 1);
	setenv("NOTIFY_SOCKET", "/x", 1);
	setenv("HEIR_TEST_KEPT_NOT", "1", 1);
	setenv("KEPT", "old", 1);
	environ_finish(&env);
	environ_init(&env);
	environ_set(&env, "HEIR_NODE", "%s", "b");
	environ_inherit(&env);
	environ_set(&env, "KEPT", "%s", "new");
	assert_string_equal(env.words[0], "HEIR_NODE=b");
	assert_string_equal(environ_value(&env, "HEIR_NODE"), "b");
	assert_string_equal(environ_value(&env, "KEPT"), "new");
	assert_null(environ_value(&env, "HEIR_LIFELINE"));
	assert_null(environ_value(&env, "NOTIFY_SOCKET"));
	assert_null(environ_value(&env, "HEIR_TEST_KEPT_NOT"));
	assert_non_null(environ_value(&env, "PATH"));
	assert_int_equal(env.error, 0);
	unsetenv("NOTIFY_SOCKET");
}

/* A child does not outlive the process that started it, unless it is meant to. */
static void test_dies_with_its_parent(void **state)
{
	for (int outlive = 0; outlive < 2; outlive++) {
		int ends[2];
		pid_t middle, child = 0;

		(void)state;
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		middle = fork();
		if (middle == 0) {
			char *argv[] = {"sleep", "1000", NULL};
			struct spawn spawn = {.path = "/bin/sleep",
			                      .argv = argv,
			                      .envp = env.words,
			                      .out = -1,
			                      .outlive = outlive};
			struct spawned s;

			if (spawn_process(&spawn, &s) ||
			    write(ends[1], &s.pid, sizeof(s.pid)) != sizeof(s.pid))
				_exit(1);
			while (spawn_result(s.exec) == 0)
				;
			_exit(0);
		}
		assert_int_equal(read(ends[0], &child, sizeof(child)), sizeof(child));
		assert_int_equal(waitpid(middle, NULL, 0), middle);
		if (outlive) {
			assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
			kill(child, SIGKILL);
		}
		assert_int_equal(waitpid(child, NULL, 0),
		                 child); /* adopted: this process is a subreaper */
		close(ends[0]);
		close(ends[1]);
	}
}

static void test_notify(void **state)
{
	char address[128];
	int fd = notify_listen(address, sizeof(address));

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(address[0], '@');
	assert_int_equal(notify_hear(fd), 0);
	notify_say("READY=1"); /* nobody is named */
	setenv("NOTIFY_SOCKET", address, 1);
	notify_say("STATUS=READY=1");
	assert_int_equal(notify_hear(fd), 0);
	notify_say("STATUS=x\nREADY=1\nMAINPID=3");
	assert_int_equal(notify_hear(fd), NOTIFY_READY);
	assert_int_equal(notify_hear(fd), 0);
	notify_say("WATCHDOG=1");
	notify_say("WATCHDOG=11");
	assert_int_equal(notify_hear(fd), NOTIFY_ALIVE);
	notify_say("READY=1\n");
	notify_say("WATCHDOG=trigger");
	assert_int_equal(notify_hear(fd), NOTIFY_READY | NOTIFY_FAILED);
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exec_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_and_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dies_with_its_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_notify, setup, teardown),
	};

	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return 1;
	(void)signal(SIGPIPE, SIG_IGN); /* as a leader has it, and as nohup(1) has it: children do not */
	(void)signal(SIGHUP, SIG_IGN);
	(void)close_range(3, ~0U, 0); /* what the caller left open would be seen in the children */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
