/* SPDX-License-Identifier: ISC */
/* To which instance a process belongs, whatever it is doing: in an exec, dying, its environment cleared; and
 * that nothing of an instance is overlooked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/belong.h"
#include "node/spawn.h"

#define LIMIT_S    100
#define LOOKS      500
#define ROUNDS     10
#define LARGE      (32u << 20)
#define MANY       3000
#define HUNTED     5
#define EXEC_WORDS 8000

/* The domain is this test's own: all processes are looked at. */
static char domain_word[64] = "HEIR_DOMAIN=", *const domain = domain_word + 12;
static struct belong_to ours = {NULL, "n", "app", NULL};
static char *const plain[] = {"PATH=/usr/bin:/bin", NULL};
static char *const marked[] = {domain_word, "HEIR_NODE=n", "HEIR_APPLICATION=app", "HEIR_LEADER=1",
                               "PATH=/usr/bin:/bin", NULL};

static int setup(void **state)
{
	(void)state;
	alarm(LIMIT_S);
	snprintf(domain, sizeof(domain_word) - 12, "belong%d", (int)getpid());
	ours.domain = domain;
	return 0;
}

static void kill_one(pid_t pid, void *arg)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	++*(int *)arg;
}

/* This process is a subreaper: what loses its parent becomes its child. */
static int teardown(void **state)
{
	int killed = 0, before;

	(void)state;
	do {
		before = killed;
		(void)spawn_children(kill_one, &killed);
	} while (killed > before);
	return 0;
}

/* What runs says a byte; from then on it is the caller's. */
static pid_t start(const char *path, char *const *argv, char *const *envp)
{
	struct spawned s;
	int ends[2];
	struct spawn spawn = {.path = path, .argv = argv, .envp = envp};
	char byte;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	spawn.out = ends[1];
	assert_int_equal(spawn_process(&spawn, &s), 0);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	close(s.exec);
	close(s.pidfd);
	return s.pid;
}

static pid_t start_script(const char *script, char *const *envp)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, (char *)(uintptr_t)script, NULL};

	return start("/bin/sh", argv, envp);
}

static pid_t start_self(const char *what, char *const *envp)
{
	char *argv[] = {"belong_test", (char *)(uintptr_t)what, NULL};

	return start("/proc/self/exe", argv, envp);
}

static bool is_none(pid_t pid, void *arg)
{
	(void)pid;
	(void)arg;
	return false;
}

static bool is_that(pid_t pid, void *arg)
{
	return pid == *(pid_t *)arg;
}

static void test_words(void **state)
{
	static char *const twice[] = {domain_word, domain_word, domain_word, "HEIR_NODE=n", NULL};
	const struct belong_to others[] = {
		{"e", "n", "app", NULL},
		{domain, "m", "app", NULL},
		{domain, "n", "ap", NULL},
		{domain, "n", "apps", NULL},
	};
	const struct belong_to led = {domain, "n", "app", "1"}, led_by_other = {domain, "n", "app", "2"};
	pid_t pid = start_self("wait", marked);

	(void)state;
	assert_int_equal(belong_look(pid, &ours), BELONG_YES);
	assert_int_equal(belong_look(pid, &led), BELONG_NOT);
	assert_int_equal(belong_look(pid, &led_by_other), BELONG_YES);
	for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++)
		assert_int_equal(belong_look(pid, &others[k]), BELONG_NOT);
	assert_int_equal(belong_look(start_self("wait", plain), &ours), BELONG_NOT);
	assert_int_equal(belong_look(start_self("wait", twice), &ours), BELONG_NOT);
	assert_int_equal(belong_look(start_self("wait", (char *const[]){NULL}), &ours), BELONG_NOT);
	assert_int_equal(belong_look(getpid(), &ours), BELONG_NOT);
}

/* In an exec again and again, each of which lasts as there is much to copy. */
static pid_t start_execs(char *const *first)
{
	static char words[EXEC_WORDS][12];
	static char *envp[EXEC_WORDS + 8];
	size_t n = 0;

	for (; *first; first++)
		envp[n++] = *first;
	for (unsigned k = 0; k < EXEC_WORDS; k++) {
		snprintf(words[k], sizeof(words[k]), "V%u=", k);
		envp[n++] = words[k];
	}
	envp[n] = NULL;
	return start_self("exec", envp);
}

/* Its words come last, behind more than is read at once, and one that is longer than that. */
static void test_large_environment(void **state)
{
	static char longest[130000] = "HEIR_DOMAIN=", words[MANY][32];
	char *envp[MANY + 5];
	size_t n = 0;

	(void)state;
	memset(longest + 12, 'd', sizeof(longest) - 13);
	envp[n++] = longest;
	for (unsigned k = 0; k < MANY; k++) {
		snprintf(words[k], sizeof(words[k]), "VARIABLE_%u=%.*s", k, (int)(k % 10), "0123456789");
		envp[n++] = words[k];
	}
	for (unsigned k = 0; k < 3; k++)
		envp[n++] = marked[k];
	envp[n] = NULL;
	assert_int_equal(belong_look(start_self("wait", envp), &ours), BELONG_YES);
	envp[n - 1] = "HEIR_APPLICATION=other";
	assert_int_equal(belong_look(start_self("wait", envp), &ours), BELONG_NOT);
}

/* In an exec it has no environment for a moment: it is not taken for a stranger. */
static void test_exec(void **state)
{
	unsigned unknown = 0, known = 0;
	pid_t pids[HUNTED];

	(void)state;
	for (unsigned k = 0; k < HUNTED; k++)
		pids[k] = start_execs(marked);
	for (unsigned n = 0; known < LOOKS; n++) {
		enum belong b = belong_look(pids[n % HUNTED], &ours);

		assert_int_not_equal(b, BELONG_NOT);
		known += b == BELONG_YES;
		unknown += b == BELONG_UNKNOWN;
	}
	print_message("in an exec %u times\n", unknown);
}

/* Nor while it dies: its memory is gone first, what it has locked only then. */
static void test_dying(void **state)
{
	unsigned unknown = 0;

	(void)state;
	for (unsigned n = 0; n < ROUNDS; n++) {
		pid_t pid = start_self("large", marked);
		siginfo_t info = {0};

		kill(pid, SIGKILL);
		do {
			enum belong b = belong_look(pid, &ours);

			assert_int_not_equal(b, BELONG_NOT);
			unknown += b == BELONG_UNKNOWN;
			assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
		} while (info.si_pid == 0);
		assert_int_equal(belong_look(pid, &ours), BELONG_UNKNOWN);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(belong_look(pid, &ours), BELONG_NOT);
	}
	print_message("beyond its memory %u times\n", unknown);
}

/* The first thread has ended, another goes on. */
static void test_thread_that_is_left(void **state)
{
	pid_t pid = start_self("thread", marked), other = start_self("thread", plain);

	(void)state;
	assert_int_equal(belong_look(pid, &ours), BELONG_YES);
	assert_int_equal(belong_look(other, &ours), BELONG_NOT);
	assert_int_equal(belong_kill_adopted(&ours, is_that, &other), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A helper that has left its parent, its group and its session is found, and killed. */
static void test_adopted(void **state)
{
	const struct belong_to others = {domain, "n", "other", NULL};

	(void)state;
	for (unsigned n = 0; n < 2 * ROUNDS; n++) {
		/* every second one is in an exec again and again */
		pid_t parent = start_script(n % 2 ? "[ \"$1\" ] || { setsid sh -c \"$0\" \"$0\" 1 & wait; };"
		                                    " [ $1 = 2 ] || echo; exec sh -c \"$0\" \"$0\" 2"
		                                  : "setsid sh -c 'echo; exec sleep 1000' & wait",
		                            marked);
		pid_t helper = 0;

		kill(parent, SIGKILL);
		assert_int_equal(waitpid(parent, NULL, 0), parent);
		if (n % 2 == 0)
			while (belong_kill_adopted(&others, is_none, NULL) != 0)
				; /* until its exec has ended */
		while (belong_kill_adopted(&ours, is_none, NULL) != 0)
			if (waitpid(-1, NULL, WNOHANG) > 0)
				helper++;
		assert_int_equal(helper, 1);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	}
}

struct hunted {
	pid_t pids[HUNTED];
	unsigned left;
};

static void killed(pid_t pid, int pidfd, void *arg)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	struct hunted *h = arg;
	unsigned k = 0;

	while (k < HUNTED && h->pids[k] != pid)
		k++;
	assert_in_range(k, 0, HUNTED - 1);
	assert_int_equal(poll(&p, 1, LIMIT_S * 1000), 1);
	close(pidfd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	h->pids[k] = 0;
	h->left--;
}

/* Of all processes those that belong: what is not killed by a look is said to be unsure by it. */
static void test_survivors(void **state)
{
	const struct belong_to others = {domain, "n", "app", "1"};
	pid_t stranger = start_execs(plain);

	(void)state;
	for (unsigned n = 0; n < ROUNDS; n++) {
		struct hunted h = {.left = HUNTED};
		bool unsure;

		for (unsigned k = 0; k < HUNTED; k++)
			h.pids[k] = k ? start_execs(marked) : start_self("wait", marked);
		assert_int_equal(belong_kill_survivors(&others, killed, &h, &unsure), 0);
		do {
			(void)belong_kill_survivors(&ours, killed, &h, &unsure);
			assert_true(h.left == 0 || unsure);
		} while (h.left > 0);
	}
	assert_int_equal(kill(stranger, 0), 0);
}

static void *go_on(void *arg)
{
	(void)!write(STDOUT_FILENO, arg, 1);
	for (;;)
		pause();
	return NULL;
}

static void go_on_by_exec(const char *say)
{
	char *argv[] = {"belong_test", "exec again", NULL};

	(void)!write(STDOUT_FILENO, say, strlen(say));
	execv("/proc/self/exe", argv);
	_exit(1);
}

static int play(const char *what)
{
	pthread_t other;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(what, "large") == 0 &&
	    mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
		return 1;
	if (strcmp(what, "exec") == 0)
		go_on_by_exec("+");
	if (strcmp(what, "exec again") == 0)
		go_on_by_exec("");
	if (strcmp(what, "thread") != 0)
		go_on("+");
	if (pthread_create(&other, NULL, go_on, "+"))
		return 1;
	syscall(SYS_exit, 0); /* this thread alone */
	return 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exec, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dying, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thread_that_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_survivors, setup, teardown),
	};

	if (argc == 2)
		return play(argv[1]);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
