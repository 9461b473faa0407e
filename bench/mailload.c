/* SPDX-License-Identifier: ISC */
/* Loaders are processes; each has its own histogram in shared memory. */
#include "bench/mailload.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOADERS_MAX   16
#define LOAD_NS	      (4 * BENCH_SECOND)
#define LOAD_QUICK_NS (BENCH_SECOND / 2)
#define LEAD_NS	      (BENCH_SECOND / 20) /* until the first is due */

struct loader {
	struct histogram delay;
	_Atomic uint32_t done;
	_Atomic int32_t error;
	pid_t pid;
};

struct load {
	const char *what;
	bool is_send;
	unsigned loaders, rate; /* of all, a second */
};

static const struct load loads[] = {
	{"call at a fixed rate: meant to start to reply", false, 1, 2000},
	{"call at a fixed rate: meant to start to reply", false, 4, 8000},
	{"call at a fixed rate: meant to start to reply", false, 16, 8000},
	{"send at a fixed rate: meant to start to handled", true, 1, 5000},
	{"send at a fixed rate: meant to start to handled", true, 16, 20000},
};

static void sleep_until(int64_t at)
{
	struct timespec ts = {.tv_sec = at / BENCH_SECOND, .tv_nsec = at % BENCH_SECOND};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		continue;
}

/* Full is late: it is tried again, and what is behind it waits. */
static int send_at(heir_t *h, int64_t at)
{
	struct ask a = {.op = ASK_NOTE, .at = (uint64_t)at};
	int error;

	while ((error = heir_send(h, "bench", &a, sizeof(a))) == HEIR_EAGAIN)
		pause_a_little();
	return error;
}

static int call_at(heir_t *h, struct loader *l, int64_t at)
{
	pid_t pid;
	int error = ask(h, "bench", (struct ask){.op = ASK_PID}, &pid, sizeof(pid));

	if (!error)
		histogram_add(&l->delay, measure_now() - at);
	return error;
}

static _Noreturn void run_loader(const struct load *of, struct loader *l, const char *domain, int64_t from,
				 int64_t until, pid_t parent)
{
	int64_t every = BENCH_SECOND * of->loaders / of->rate;
	heir_t *h;
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1);
	signal(SIGINT, SIG_IGN);
	if (getppid() != parent)
		_exit(1);
	error = heir_open(domain, 0, &h);
	for (int64_t at = from; at < until && !error; at += every) {
		if (measure_now() < at)
			sleep_until(at);
		error = of->is_send ? send_at(h, at) : call_at(h, l, at);
		if (!error)
			atomic_fetch_add(&l->done, 1);
	}
	atomic_store(&l->error, error);
	if (!error)
		heir_close(h);
	_exit(error ? 1 : 0);
}

static uint32_t all_done(const struct loader *l, unsigned count)
{
	uint32_t done = 0;

	for (unsigned i = 0; i < count; i++)
		done += atomic_load(&l[i].done);
	return done;
}

static int end_all(struct loader *l, unsigned count)
{
	int error = 0;

	for (unsigned i = 0; i < count; i++) {
		while (l[i].pid > 0 && waitpid(l[i].pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		if (!error)
			error = l[i].pid < 0 ? -EAGAIN : atomic_load(&l[i].error);
	}
	return error;
}

static void add_histogram(struct samples *samples, const struct histogram *histogram)
{
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
		int64_t value = histogram_value(i);

		for (uint64_t n = 0; n < histogram->cell[i]; n++)
			samples_add(samples, value < histogram->max ? value : histogram->max);
	}
}

/* Sends are timed by whoever handles them: all of them, or it is an error. */
static int collect(const struct load *of, const struct loader *l, struct share *share, uint32_t before,
		   struct row *row)
{
	int64_t deadline = measure_now() + BENCH_TIMEOUT;
	uint32_t done = all_done(l, of->loaders);
	struct histogram sum = {0};

	while (of->is_send && atomic_load(&share->received) - before < done) {
		if (measure_now() > deadline)
			return HEIR_ETIMEDOUT;
		pause_a_little();
	}
	for (unsigned i = 0; i < of->loaders; i++)
		histogram_merge(&sum, &l[i].delay);
	add_histogram(&row->heir, of->is_send ? &share->delay : &sum);
	return 0;
}

static bool run_load(struct bench *b, struct stage *stage, const struct load *of, struct loader *l)
{
	struct row *row = bench_row(b, "mail", UNIT_US, "blocking");
	uint32_t before = atomic_load(&stage->share->received);
	int64_t from = measure_now() + LEAD_NS, until = from + (b->is_quick ? LOAD_QUICK_NS : LOAD_NS);
	pid_t self = getpid();
	int error;

	snprintf(row->what, sizeof(row->what), "%s", of->what);
	row->axis = "callers";
	row->with.callers = of->loaders;
	row->with.rate = of->rate;
	stage->share->delay = (struct histogram){0};
	for (unsigned i = 0; i < of->loaders; i++) {
		l[i] = (struct loader){0};
		l[i].pid = fork();
		if (l[i].pid == 0)
			run_loader(of, &l[i], stage->domain.name, from + (int64_t)i * BENCH_SECOND / of->rate,
				   until, self);
	}
	error = end_all(l, of->loaders);
	if (!error)
		error = collect(of, l, stage->share, before, row);
	return !error || bench_complain(of->what, error);
}

bool loads_run(struct bench *b)
{
	struct loader *l =
		mmap(NULL, LOADERS_MAX * sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct setup setup = {.with = {.names = 1}};
	struct stage stage;
	bool is_well;

	if (l == MAP_FAILED)
		return bench_complain("loaders", -errno);
	is_well = stage_start(&stage, b, &setup);
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]) && is_well; i++)
		is_well = run_load(b, &stage, &loads[i], l);
	munmap(l, LOADERS_MAX * sizeof(*l));
	return stage_stop(&stage) && is_well;
}
