/* SPDX-License-Identifier: ISC */
/*
 * The frame of leader_test.c, which includes it: the programs that it is beside a test, a domain
 * for each test, and ways to wait until something is so.
 */
#ifndef HEIR_TEST_LEADER_FIXTURE_H
#define HEIR_TEST_LEADER_FIXTURE_H

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

#define LIMIT_S 30
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

static void kill_one(pid_t pid, void *arg)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	++*(int *)arg;
}

static int kill_all(void)
{
	int killed = 0, before;

	/* This process is a subreaper: what loses its parent becomes its child. */
	do {
		before = killed;
		(void)spawn_children(kill_one, &killed);
	} while (killed > before);
	return killed;
}

static void count_one(pid_t pid, void *arg)
{
	(void)pid;
	++*(int *)arg;
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
	int children = 0;
	char path[128];
	struct stat st;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	assert_int_equal(spawn_children(count_one, &children), 0);
	assert_int_equal(children, 0);
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

#endif
