/* SPDX-License-Identifier: ISC */
/*
 * Die at every access. The code of src/base to src/proc, and of src/lib on it, is compiled so that each plain and each
 * atomic access to shared memory is a point (accesshook.c) at which the actor
 *   dies     simulated, and as a process that kills itself; who recovers dies at each of its stores as well
 *   stops    while others go on, recover, fence; then it goes on, or dies
 *   stops    while another runs, and stops at each of its accesses; then it goes on, or dies; then the other goes on
 * and, for each seed, at random with up to three actors, beside those who serve and those who recover. Each time: the
 * operation happened entirely or not at all, what was promised holds, the whole segment is sound and nothing is left
 * in it, and it goes on working. Who sleeps while nobody is left to wake him, or waits for one that is stopped, fails.
 *
 * Not shown: reorderings of the processor and the compiler (actors take turns; test/name and test/mail have races),
 * accesses inside libc and the kernel (robust lists are simulated; real only in the deaths of processes), decisions of
 * leaders (src/node), and code that no story here calls.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "access/groups.h"

static const struct group {
	const char *name;
	void (*sweep)(const struct sweep_options *options);
	void (*seed)(void);
} groups[] = {
	{"names", names_group, names_seed}, {"mail", mail_group, mail_seed},	{"txn", txn_group, txn_seed},
	{"slot", slot_group, slot_seed},    {"trace", trace_group, trace_seed}, {"service", NULL, service_seed},
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static int usage(void)
{
	fprintf(stderr, "usage: access_test GROUP [option...]\n  groups:");
	for (size_t i = 0; i < GROUPS; i++)
		fprintf(stderr, " %s", groups[i].name);
	fprintf(stderr, "\n"
			"  --seed N     this schedule alone\n"
			"  --seeds N    so many schedules after the sweeps; --first N: from that one on\n"
			"  --seconds N  schedules for so long\n"
			"  --no-sweep   schedules alone\n"
			"  --no-real    no deaths of processes\n"
			"  --long       two deaths of recoverers, one after the other; every stop and every pair\n"
			"  --verbose    a line a story\n"
			"  --caught     succeed if something is found wrong: for mutants\n");
	return 2;
}

struct task {
	const struct group *group;
	struct sweep_options options;
	bool sweep, caught;
	long seeds, first, only;
	double limit;
};

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void run_seed(const struct group *g, long seed)
{
	engine_at = (struct engine_at){g->name, NULL, -1, -1, -1, seed, NULL, -1};
	random_seed((uint64_t)seed);
	g->seed();
	engine_at.seed = -1;
}

static void run(const struct task *t)
{
	const struct group *g = t->group;
	double began = seconds();
	long n = 0;

	engine_at.group = g->name;
	if (t->only >= 0) {
		run_seed(g, t->only);
		printf("%s: seed %ld: all is well\n", g->name, t->only);
		return;
	}
	if (t->sweep && g->sweep) {
		g->sweep(&t->options);
		printf("%s: swept in %.1f s\n", g->name, seconds() - began);
		fflush(stdout);
	}
	began = seconds();
	engine_points = schedule_turns = schedule_deaths = 0;
	for (; n < t->seeds && seconds() - began < t->limit; n++)
		run_seed(g, t->first + n);
	if (n)
		printf("%s: seeds %ld to %ld: %lu accesses, %lu turns, %lu deaths, in %.1f s\n", g->name,
		       t->first, t->first + n - 1, (unsigned long)engine_points, schedule_turns,
		       schedule_deaths, seconds() - began);
}

/* A mutant: it is to be found wrong, and not to break in some other way. */
static int run_caught(const struct task *t)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		run(t);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return 0;
	fprintf(stderr, "the mutant lives (is the line that it changes still there?)\n");
	return 1;
}

static bool option(struct task *t, const char *name, const char *value, bool *ret_used)
{
	*ret_used = false;
	if (strcmp(name, "--long") == 0)
		t->options.depth = 2, t->options.pairs = 0;
	else if (strcmp(name, "--verbose") == 0)
		t->options.verbose = true;
	else if (strcmp(name, "--no-real") == 0)
		t->options.real = false;
	else if (strcmp(name, "--no-sweep") == 0)
		t->sweep = false;
	else if (strcmp(name, "--caught") == 0)
		t->caught = true, t->options.pairs = 50;
	else if (!value)
		return false;
	else if (*ret_used = true, strcmp(name, "--seeds") == 0)
		t->seeds = atol(value);
	else if (strcmp(name, "--first") == 0)
		t->first = atol(value);
	else if (strcmp(name, "--seed") == 0)
		t->only = atol(value);
	else if (strcmp(name, "--seconds") == 0)
		t->limit = atof(value), t->seeds = LONG_MAX;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct task t = {.options = {.real = true, .depth = 1, .nth = 1, .pairs = 1000},
			 .sweep = true,
			 .seeds = 2000,
			 .first = 1,
			 .only = -1,
			 .limit = 1e9};
	bool used;

	for (size_t i = 0; argc > 1 && i < GROUPS; i++)
		if (strcmp(argv[1], groups[i].name) == 0)
			t.group = &groups[i];
	if (!t.group)
		return usage();
	for (int i = 2; i < argc; i += 1 + used)
		if (!option(&t, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used))
			return usage();
	world_open();
	if (t.caught)
		return run_caught(&t);
	run(&t);
	return 0;
}
