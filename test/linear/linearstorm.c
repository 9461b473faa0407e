/* SPDX-License-Identifier: ISC */
/* Recording of histories, and the storm that they are made in (linearstorm.h). */
#include "linearstorm.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PRINTED	    40u
#define ROUND_LIMIT 60 /* seconds in which a round is over */

/* Of a mutated build: whether the mutation found its place. */
extern const int mutation_applied __attribute__((weak));

struct history *history;

static struct {
	pid_t pid[HISTORY_PLACES];
	bool stopped[HISTORY_PLACES];
	uint64_t random;
	const struct storm *storm;
	struct tally *tally;
	long mean_ns; /* between two strikes at a worker */
} sky;

static volatile sig_atomic_t overdue;

/* Of a worker. */
static struct {
	timer_t timer;
	uint64_t random;
	long mean_ns;
	bool spared;
} weather;

static void history_open(void)
{
	history = mmap(NULL, sizeof(*history), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (history == MAP_FAILED)
		abort();
}

bool history_goes_on(void)
{
	return !atom_load_acquire(&history->stop);
}

struct event *history_next(unsigned place)
{
	uint32_t n = atom_load_relaxed(&history->count[place]);
	struct event *e = n < HISTORY_EVENTS ? &history->event[place][n] : NULL;

	if (e)
		*e = (struct event){.by = place};
	return e;
}

void history_call(unsigned place, struct event *e)
{
	e->called = clock_ns();
	/* It counts from here on; its time was taken before its first access. */
	atom_store_release(&history->count[place], atom_load_relaxed(&history->count[place]) + 1);
	fence_seq();
}

void history_return(struct event *e)
{
	fence_seq(); /* what it stored is seen before its time is taken */
	e->returned = clock_ns();
}

void history_forget(unsigned place)
{
	atom_store_release(&history->count[place], atom_load_relaxed(&history->count[place]) - 1);
}

/*
 * In the worker, at whatever instruction the timer finds it: another one runs, or it stops until the parent lets
 * it go on, or it is killed. So it is met everywhere, however seldom the parent gets to run.
 */
static void strike(int signal_number)
{
	uint64_t what = draw(&weather.random, 100);
	struct itimerspec next = {.it_value.tv_nsec =
					  1000 + (long)draw(&weather.random, 2 * (uint64_t)weather.mean_ns)};
	(void)signal_number;

	timer_settime(weather.timer, 0, &next, NULL);
	if (what < 4 && !weather.spared)
		kill(getpid(), SIGKILL);
	else if (what < 50)
		kill(getpid(), SIGSTOP);
	else
		sched_yield();
}

static void expect_strikes(uint64_t seed, unsigned place)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct sigaction action = {.sa_handler = strike, .sa_flags = SA_RESTART};
	struct itimerspec first = {.it_value.tv_nsec = 1000};

	weather.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	weather.mean_ns = sky.mean_ns;
	weather.spared = place >= sky.storm->spared;
	sigaction(SIGUSR1, &action, NULL);
	if (timer_create(CLOCK_MONOTONIC, &event, &weather.timer) < 0 ||
	    timer_settime(weather.timer, 0, &first, NULL) < 0)
		abort();
}

static void start(unsigned place)
{
	uint64_t seed = draw(&sky.random, UINT32_MAX) + 1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		expect_strikes(seed, place);
		_exit(sky.storm->work(place, seed));
	}
	sky.pid[place] = pid;
	sky.stopped[place] = false;
}

/* Of a process that is reaped now: what it was doing is over. */
static void note_death(unsigned place)
{
	uint32_t n = atom_load_acquire(&history->count[place]);

	sky.pid[place] = 0;
	if (n && history->event[place][n - 1].returned == 0)
		history->event[place][n - 1].returned = -clock_ns(); /* below 0: it died in it */
}

static void go_on(unsigned place)
{
	sky.stopped[place] = false;
	kill(sky.pid[place], SIGCONT);
}

/* Some of the stopped go on, one at least if all are. */
static void let_some_go_on(bool all)
{
	unsigned stopped = 0, alive = 0;

	for (unsigned i = 0; i < sky.storm->workers; i++) {
		if (sky.stopped[i] && (all || draw(&sky.random, 4) == 0))
			go_on(i);
		stopped += sky.stopped[i];
		alive += sky.pid[i] != 0;
	}
	if (alive && stopped == alive)
		for (unsigned i = (unsigned)draw(&sky.random, HISTORY_PLACES);; i++)
			if (sky.stopped[i % HISTORY_PLACES]) {
				go_on(i % HISTORY_PLACES);
				break;
			}
}

/* The next thing that happens to a worker: false if one has failed. */
static bool watch_one(bool lasts)
{
	int status;
	pid_t pid = waitpid(-1, &status, WUNTRACED);
	unsigned place = 0;

	while (place < sky.storm->workers && sky.pid[place] != pid)
		place++;
	if (pid <= 0 || place == sky.storm->workers)
		return pid > 0;
	if (WIFSTOPPED(status)) {
		sky.stopped[place] = true;
		sky.tally->stops++;
		return true;
	}
	sky.stopped[place] = false;
	if (WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL) {
		printf("the worker in place %u ended with status %#x\n", place, (unsigned)status);
		note_death(place);
		return false;
	}
	sky.tally->kills += WIFSIGNALED(status);
	note_death(place);
	if (sky.storm->died)
		sky.storm->died(place);
	if (lasts && WIFSIGNALED(status))
		start(place);
	return true;
}

static bool somebody_lives(void)
{
	for (unsigned i = 0; i < sky.storm->workers; i++)
		if (sky.pid[i])
			return true;
	return false;
}

/* A round that does not end, or is told to, is ended, so that what it made is cleaned up. */
static void end_it(int signal_number)
{
	(void)signal_number;
	overdue = 1;
	for (unsigned i = 0; i < sky.storm->workers; i++)
		if (sky.pid[i])
			kill(sky.pid[i], SIGKILL);
}

bool storm_run(const struct storm *storm, struct tally *tally)
{
	int64_t end = deadline_after(storm->length);
	bool good = true, lasts = true;

	history->stop = 0;
	for (unsigned i = 0; i < HISTORY_PLACES; i++)
		history->count[i] = 0;
	memset(&sky, 0, sizeof(sky));
	sky.random = storm->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	sky.mean_ns = 15000l << draw(&sky.random, 4); /* 15 to 120 us: wild, or more work in between */
	sky.storm = storm;
	sky.tally = tally;
	signal(SIGALRM, end_it);
	signal(SIGTERM, end_it);
	signal(SIGINT, end_it);
	alarm(ROUND_LIMIT);
	for (unsigned i = 0; i < storm->workers; i++)
		start(i);
	while (good && somebody_lives()) {
		good = watch_one(lasts) && !overdue;
		if (lasts && deadline_passed(end)) {
			lasts = false;
			atom_store_release(&history->stop, 1);
		}
		let_some_go_on(!lasts);
	}
	for (unsigned i = 0; i < storm->workers; i++)
		if (sky.pid[i]) {
			kill(sky.pid[i], SIGKILL);
			(void)waitpid(sky.pid[i], NULL, 0);
			note_death(i);
		}
	alarm(0);
	if (overdue)
		printf("the workers did not come to an end of themselves\n");
	for (unsigned i = 0; i < storm->workers; i++)
		tally->operations += history->count[i];
	return good;
}

static int by_call(const void *a, const void *b)
{
	const struct operation *x = a, *y = b;

	return x->called < y->called ? -1 : x->called > y->called;
}

struct operation *history_operations(bool (*happens)(const struct event *e, uint32_t key), uint32_t key,
				     size_t *ret)
{
	struct operation *ops = calloc(HISTORY_PLACES * HISTORY_EVENTS, sizeof(*ops));
	size_t n = 0;

	if (!ops)
		abort();
	for (unsigned place = 0; place < HISTORY_PLACES; place++)
		for (uint32_t i = 0; i < history->count[place]; i++) {
			const struct event *e = &history->event[place][i];

			if (!happens(e, key))
				continue;
			ops[n++] = (struct operation){.called = e->called,
						      .died = e->returned < 0,
						      .what = e,
						      .returned = e->returned < 0 ? -e->returned : e->returned};
		}
	qsort(ops, n, sizeof(*ops), by_call);
	*ret = n;
	return ops;
}

static void print_stuck(const struct operation *ops, size_t count, size_t stuck, const char *object,
			void (*print)(const struct event *e))
{
	size_t printed = 0;

	printf("not linearizable: %s; no order explains what the operation marked * returned\n", object);
	for (size_t i = 0; i < count; i++) {
		const struct event *e = ops[i].what;

		/* What overlaps it, and a few before. */
		if (ops[i].called > ops[stuck].returned ||
		    (ops[i].returned < ops[stuck].called && i + 12 < stuck))
			continue;
		if (++printed > PRINTED && i != stuck)
			continue;
		printf("%c %u %+9.3f to %+9.3f us%s: ", i == stuck ? '*' : ' ', e->by,
		       (double)(ops[i].called - ops[stuck].called) / 1e3,
		       (double)(ops[i].returned - ops[stuck].called) / 1e3, ops[i].died ? " died" : "");
		print(e);
	}
	if (printed > PRINTED)
		printf("and %zu more\n", printed - PRINTED);
}

bool history_check(const struct specification *spec, const struct operation *ops, size_t count,
		   const char *object, void (*print)(const struct event *e), struct tally *tally)
{
	struct linear_report report;

	switch (linear_check(spec, ops, count, &report)) {
	case LINEAR:
		return true;
	case LINEAR_TOO_LARGE:
		tally->undecided++;
		return true;
	case NOT_LINEAR:
		break;
	}
	print_stuck(ops, count, report.stuck, object, print);
	return false;
}

int storm_main(int argc, char **argv, const char *name, bool (*round)(uint64_t seed, struct tally *tally))
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)clock_real_ns() % 1000000;
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 5;
	int64_t end = deadline_after((int64_t)(seconds * 1e9));
	struct tally tally = {0};
	unsigned long rounds = 0;
	bool good = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (&mutation_applied && !mutation_applied) {
		printf("the mutation found nothing to change: its expression is out of date\n");
		return 2;
	}
	history_open();
	do {
		good = round(seed + rounds, &tally);
		rounds++;
	} while (good && !deadline_passed(end));
	if (!good)
		printf("not ok - %s: round of seed %llu\n", name, (unsigned long long)(seed + rounds - 1));
	printf("%s%s: seeds %llu to %llu, %lu operations, %lu kills, %lu stops, %lu objects undecided\n",
	       good ? "ok - " : "", name, (unsigned long long)seed, (unsigned long long)(seed + rounds - 1),
	       tally.operations, tally.kills, tally.stops, tally.undecided);
	return good && tally.undecided * 100 <= rounds ? 0 : 1;
}
