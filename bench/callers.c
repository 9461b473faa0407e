/* SPDX-License-Identifier: ISC */
/* Callers: each a process with a handle of its own, in a closed loop. Its state is in shared memory. */
#include "bench/setup.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void pause_a_little(void)
{
	struct timespec little = {.tv_nsec = 100000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &little, NULL);
}

int ask(heir_t *h, const char *name, struct ask ask, void *reply, size_t size)
{
	return heir_call(h, name, &ask, sizeof(ask), reply, &size, BENCH_TIMEOUT);
}

static void call_on(struct caller *c, heir_t *h)
{
	int64_t last = 0, now;
	uint32_t before = 0, window;
	pid_t pid = 0;
	int error;

	while (atomic_load(&c->run)) {
		error = ask(h, "bench", (struct ask){.op = ASK_PID}, &pid, sizeof(pid));
		now = measure_now();
		if (error) {
			atomic_store(&c->error, error);
			return;
		}
		if (pid != atomic_load(&c->server)) {
			atomic_store(&c->first_ns, now);
			atomic_store(&c->server, pid);
		}
		window = atomic_load(&c->window);
		if (last && (window & 1 || window != before) && now - last > atomic_load(&c->silence))
			atomic_store(&c->silence, now - last);
		last = now;
		before = window;
		atomic_fetch_add(&c->rounds, 1);
	}
}

static _Noreturn void run_caller(struct caller *c, const char *domain, pid_t parent, int cpu)
{
	heir_t *h;
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	if (getppid() != parent)
		_exit(1);
	barelimit_pin(cpu);
	error = heir_open(domain, 0, &h);
	atomic_store(&c->error, error);
	while (!error && !atomic_load(&c->error)) {
		call_on(c, h);
		pause_a_little();
	}
	_exit(1);
}

void callers_end(struct callers *callers)
{
	for (unsigned i = 0; i < callers->count; i++) {
		pid_t pid = callers->caller[i].pid;

		if (pid <= 0)
			continue;
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	if (callers->caller)
		munmap(callers->caller, CALLERS_MAX * sizeof(struct caller));
	*callers = (struct callers){0};
}

bool callers_start(struct callers *callers, unsigned count, const char *domain, int cpu)
{
	struct caller *c =
		mmap(NULL, CALLERS_MAX * sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t self = getpid();

	*callers = (struct callers){0};
	if (c == MAP_FAILED)
		return bench_complain("callers", -errno);
	callers->caller = c;
	for (; callers->count < count && callers->count < CALLERS_MAX; callers->count++, c++) {
		pid_t pid = fork();

		if (pid == 0)
			run_caller(c, domain, self, cpu);
		c->pid = pid;
		if (pid < 0)
			return bench_complain("fork of a caller", -errno);
	}
	return true;
}

static bool replies(struct caller *c, uint32_t more)
{
	uint32_t from = atomic_load(&c->rounds);
	int64_t deadline = measure_now() + BENCH_TIMEOUT;

	while (atomic_load(&c->rounds) - from < more) {
		if (atomic_load(&c->error) || measure_now() > deadline)
			return bench_complain("a caller",
					      atomic_load(&c->error) ? atomic_load(&c->error) : HEIR_ETIMEDOUT);
		pause_a_little();
	}
	return true;
}

bool callers_call(struct callers *callers)
{
	bool is_well = true;

	for (unsigned i = 0; i < callers->count; i++) {
		atomic_store(&callers->caller[i].silence, 0);
		atomic_store(&callers->caller[i].run, 1);
	}
	for (unsigned i = 0; i < callers->count && is_well; i++)
		is_well = replies(&callers->caller[i], 1);
	barelimit_rest();
	return is_well;
}

bool callers_rest(struct callers *callers)
{
	bool is_well = true;

	for (unsigned i = 0; i < callers->count && is_well; i++)
		is_well = replies(&callers->caller[i], 2);
	for (unsigned i = 0; i < callers->count; i++)
		atomic_store(&callers->caller[i].run, 0);
	return is_well;
}

void callers_window(struct callers *callers)
{
	for (unsigned i = 0; i < callers->count; i++)
		atomic_fetch_add(&callers->caller[i].window, 1);
}

int64_t callers_silence(const struct callers *callers)
{
	int64_t longest = 0;

	for (unsigned i = 0; i < callers->count; i++)
		if (atomic_load(&callers->caller[i].silence) > longest)
			longest = atomic_load(&callers->caller[i].silence);
	return longest;
}

static int64_t first_of(const struct callers *callers, pid_t pid)
{
	int64_t first = 0;

	for (unsigned i = 0; i < callers->count; i++) {
		struct caller *c = &callers->caller[i];
		int64_t at = atomic_load(&c->first_ns);

		if (atomic_load(&c->server) != pid && (!first || at < first))
			first = at;
	}
	return first;
}

/* Looked for now and then, so that this process is not in the way of those that make it so. */
bool callers_answered(struct callers *callers, pid_t pid, int64_t *ret_ns)
{
	int64_t deadline = measure_now() + BENCH_TIMEOUT;
	bool all;

	do {
		all = true;
		for (int i = 0; i < 5; i++)
			pause_a_little();
		for (unsigned i = 0; i < callers->count; i++) {
			int error = atomic_load(&callers->caller[i].error);

			if (error)
				return bench_complain("a caller", error);
			all &= atomic_load(&callers->caller[i].server) != pid;
		}
		if (all) {
			*ret_ns = first_of(callers, pid);
			return true;
		}
	} while (measure_now() < deadline);
	return bench_complain("after a kill", HEIR_ETIMEDOUT);
}
