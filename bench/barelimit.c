/* SPDX-License-Identifier: ISC */
/*
 * `new` waits on `job`, and is woken by it in the planned chain; in the crash chain it is told so
 * to wait on the victim's word. The victim's word is on its robust list: at its death the kernel
 * sets FUTEX_OWNER_DIED there and wakes one waiter.
 */
#include "bench/barelimit.h"

#include "base/mapfile.h"
#include "base/timeslice.h"
#include "bench/measure.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define TIMEOUT (20 * SECOND)
#define REST_NS 5000000

typedef _Atomic uint32_t word;

enum job { JOB_NONE, JOB_PLANNED, JOB_CRASH };

struct line {
	_Alignas(64) word word;
};

struct shared {
	struct line job;    /* number of the job << 2 | enum job */
	struct line armed;  /* number of the job that `new` has prepared for */
	struct line reply;  /* number of the last job that `new` has answered */
	struct line told;   /* the same, by the caller */
	struct line ready;  /* the victim's: it is about to sleep */
	struct line park;
	_Alignas(64) struct robust_list node; /* of the victim's robust list */
	word life;
	_Alignas(64) _Atomic int64_t seen_ns; /* by the caller */
	_Alignas(64) _Atomic int64_t notice_ns; /* by `new` */
};

struct barelimit {
	struct shared *shared;
	pid_t new, caller;
	uint32_t number;
	int64_t notice;
	struct bareoptions options;
	char *memory; /* for victims to share */
	size_t memory_size;
};

static void wake(word *w)
{
	syscall(SYS_futex, w, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Sleep while *w is `value`, until a deadline or for ever (0). False: the deadline passed. */
static bool wait_while(word *w, uint32_t value, int64_t deadline)
{
	struct timespec ts = {.tv_sec = deadline / SECOND, .tv_nsec = deadline % SECOND};

	while (atomic_load(w) == value)
		if (syscall(SYS_futex, w, FUTEX_WAIT_BITSET, value, deadline ? &ts : NULL, NULL,
			    FUTEX_BITSET_MATCH_ANY) < 0 &&
			errno == ETIMEDOUT)
			return atomic_load(w) != value;
	return true;
}

static void spin_while(word *w, uint32_t value)
{
	while (atomic_load_explicit(w, memory_order_acquire) == value)
		barelimit_relax();
}

static bool wait_until(word *w, uint32_t value)
{
	int64_t deadline = measure_now() + TIMEOUT;
	uint32_t now;

	while ((now = atomic_load(w)) != value)
		if (!wait_while(w, now, deadline))
			return false;
	return true;
}

static _Noreturn void run_new(struct shared *s, bool spin)
{
	uint32_t job = 0, life;

	for (;;) {
		if (spin)
			spin_while(&s->job.word, job);
		wait_while(&s->job.word, job, 0);
		job = atomic_load(&s->job.word);
		if ((job & 3) == JOB_CRASH) {
			life = atomic_load(&s->life);
			atomic_store(&s->armed.word, job >> 2);
			wake(&s->armed.word);
			if (spin && !(life & FUTEX_OWNER_DIED))
				spin_while(&s->life, life);
			else if (!(life & FUTEX_OWNER_DIED))
				wait_while(&s->life, life, 0);
			atomic_store(&s->notice_ns, measure_now());
		}
		atomic_store(&s->reply.word, job >> 2);
		wake(&s->reply.word);
	}
}

static _Noreturn void run_caller(struct shared *s)
{
	uint32_t told = 0;

	for (;;) {
		wait_while(&s->reply.word, told, 0);
		atomic_store(&s->seen_ns, measure_now());
		told = atomic_load(&s->reply.word);
		atomic_store(&s->told.word, told);
		wake(&s->told.word);
	}
}

static void touch(char *memory, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < size; i += page)
		*(volatile char *)&memory[i] = 1;
}

static void *sleep_on(void *arg)
{
	struct shared *s = arg;

	for (;;)
		wait_while(&s->park.word, 0, 0);
	return NULL;
}

static bool start_threads(struct shared *s, unsigned threads)
{
	pthread_t thread;

	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, sleep_on, s))
			return false;
	return true;
}

void barelimit_allow_core(bool core)
{
	struct rlimit rlimit = {0};

	getrlimit(RLIMIT_CORE, &rlimit);
	rlimit.rlim_cur = core ? rlimit.rlim_max : 0;
	setrlimit(RLIMIT_CORE, &rlimit);
}

static _Noreturn void run_victim(
	struct shared *s, struct barevictim victim, const struct barelimit *limit)
{
	struct robust_list_head head = {.list.next = &s->node};

	barelimit_pin(limit->options.cpu_victim);
	barelimit_allow_core(victim.is_segv);
	(void)slice_set(SLICE_OWNER * slice_get()); /* as one of heir's owners */
	signal(SIGSEGV, SIG_DFL);
	if (!start_threads(s, victim.threads))
		_exit(1);

	if (victim.own && !barelimit_touch(victim.own))
		_exit(1);
	touch(limit->memory, victim.shared);
	s->node.next = &head.list;
	head.futex_offset = (char *)&s->life - (char *)&s->node;
	atomic_store(&s->life, (uint32_t)syscall(SYS_gettid) | FUTEX_WAITERS);
	if (syscall(SYS_set_robust_list, &head, sizeof(head)) < 0)
		_exit(1);
	atomic_store(&s->ready.word, 1);
	wake(&s->ready.word);
	while (victim.is_running)
		barelimit_relax();
	sleep_on(s);
	_exit(1);
}

/* A child that cannot outlive its parent and takes no signal that was meant for that one. */
static pid_t start_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_IGN);
	return 0;
}

static void end_child(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

int barelimit_create(struct barelimit **ret)
{
	return barelimit_create_with(&(struct bareoptions){-1, -1, -1, false}, ret);
}

int barelimit_create_with(const struct bareoptions *options, struct barelimit **ret)
{
	struct barelimit *limit = calloc(1, sizeof(*limit));
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int error = -ENOMEM;

	if (s == MAP_FAILED)
		s = NULL;
	if (!limit || !s)
		goto fail;
	limit->shared = s;
	limit->options = *options;
	limit->new = start_child();
	if (limit->new == 0) {
		barelimit_pin(options->cpu_new);
		run_new(s, options->spin);
	}
	error = limit->new;
	if (error < 0)
		goto fail;
	limit->caller = start_child();
	if (limit->caller == 0) {
		barelimit_pin(options->cpu_caller);
		run_caller(s);
	}
	error = limit->caller;
	if (error < 0)
		goto fail;
	*ret = limit;
	return 0;
fail:
	if (limit)
		end_child(limit->new);
	if (s)
		munmap(s, sizeof(*s));
	free(limit);
	return error;
}

void barelimit_destroy(struct barelimit *limit)
{
	if (!limit)
		return;
	end_child(limit->new);
	end_child(limit->caller);
	munmap(limit->shared, sizeof(*limit->shared));
	if (limit->memory)
		munmap(limit->memory, limit->memory_size);
	free(limit);
}

/* Kept by this process: a victim's end unmaps it and frees nothing of it. */
static int grow_memory(struct barelimit *limit, size_t size)
{
	char *memory;

	if (size <= limit->memory_size)
		return 0;
	memory = barelimit_share(size);
	if (!memory)
		return -ENOMEM;
	touch(memory, size);
	if (limit->memory)
		munmap(limit->memory, limit->memory_size);
	limit->memory = memory;
	limit->memory_size = size;
	return 0;
}

static bool is_settled(const struct barelimit *limit)
{
	return (limit->options.spin || barelimit_asleep(limit->new)) && barelimit_asleep(limit->caller);
}

int barelimit_planned(struct barelimit *limit, int64_t *ret_ns)
{
	struct shared *s = limit->shared;
	uint32_t number = ++limit->number;
	int64_t from;

	if (!is_settled(limit))
		return -ETIMEDOUT;
	barelimit_rest();
	from = measure_now();
	atomic_store(&s->job.word, number << 2 | JOB_PLANNED);
	wake(&s->job.word);
	if (!wait_until(&s->told.word, number))
		return -ETIMEDOUT;
	*ret_ns = atomic_load(&s->seen_ns) - from;
	return 0;
}

static int crash(struct barelimit *limit, struct barevictim victim, pid_t pid, uint32_t number,
	int64_t *ret_ns)
{
	struct shared *s = limit->shared;
	int64_t from;

	if (!wait_until(&s->ready.word, 1))
		return -ETIMEDOUT;
	atomic_store(&s->job.word, number << 2 | JOB_CRASH);
	wake(&s->job.word);
	if (!wait_until(&s->armed.word, number))
		return -ETIMEDOUT;
	if ((!victim.is_running && !barelimit_asleep(pid)) || !is_settled(limit))
		return -ETIMEDOUT;
	barelimit_rest();
	from = measure_now();
	kill(pid, victim.is_segv ? SIGSEGV : SIGKILL);
	if (!wait_until(&s->told.word, number))
		return -ETIMEDOUT;
	limit->notice = atomic_load(&s->notice_ns) - from;
	*ret_ns = atomic_load(&s->seen_ns) - from;
	return 0;
}

int barelimit_crash(struct barelimit *limit, struct barevictim victim, int64_t *ret_ns)
{
	struct shared *s = limit->shared;
	uint32_t number = ++limit->number;
	int error = grow_memory(limit, victim.shared);
	pid_t pid;

	if (error)
		return error;
	atomic_store(&s->ready.word, 0);
	pid = start_child();
	if (pid == 0)
		run_victim(s, victim, limit);
	if (pid < 0)
		return pid;
	error = crash(limit, victim, pid, number, ret_ns);
	end_child(pid);
	return error;
}

int64_t barelimit_notice(const struct barelimit *limit)
{
	return limit->notice;
}

struct barevictim barelimit_size_of(pid_t pid)
{
	struct barevictim size = {0};
	char path[64], line[128];
	FILE *file;
	size_t kib;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "RssAnon: %zu", &kib) == 1)
			size.own = kib << 10;
		else if (sscanf(line, "RssShmem: %zu", &kib) == 1)
			size.shared = kib << 10;
	if (file)
		fclose(file);
	return size;
}

void *barelimit_touch(size_t resident)
{
	char *p = mmap(NULL, resident, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, resident, MADV_NOHUGEPAGE);
	touch(p, resident);
	return p;
}

void *barelimit_share(size_t size)
{
	int fd = memfd_create("heir-bench", MFD_CLOEXEC);
	void *p = NULL;

	if (fd < 0)
		return NULL;
	if (mapfile_reserve(fd, size) == 0 && mapfile_map(fd, size, 1, &p) == 0)
		(void)madvise(p, size, MADV_DOFORK);
	close(fd);
	return p;
}

static bool sleeps(const char *path)
{
	char line[512];
	FILE *file = fopen(path, "re");
	const char *end;
	bool is_asleep = false;

	if (!file)
		return false;
	end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	if (end)
		is_asleep = !strncmp(end, ") S", 3);
	fclose(file);
	return is_asleep;
}

bool barelimit_asleep(pid_t pid)
{
	int64_t deadline = measure_now() + SECOND;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (!sleeps(path)) {
		if (measure_now() > deadline)
			return false;
		sched_yield();
	}
	return true;
}

void barelimit_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void barelimit_rest(void)
{
	struct timespec rest = {.tv_nsec = REST_NS};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
}
