/* SPDX-License-Identifier: ISC */
/*
 * A request is a number in one word, its answer the same number in another. The server `owner` answers;
 * the other one sleeps on its own job word and on the owner's life word, which is on the owner's robust
 * list. Told to, or at that death, it makes itself the owner, answers what is there and goes on; an old
 * one that lives sees that it is not the owner any more, and is the standby.
 */
#include "bench/bareswitch.h"

#include "base/timeslice.h"
#include "bench/measure.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT INT64_C(20000000000)
#define CALLER	2u

typedef _Atomic uint32_t word;

struct cacheline {
	_Alignas(64) word word;
};

struct server {
	_Alignas(64) word job; /* counts the commands to take over */
	_Alignas(64) struct robust_list node;
	word life;
	_Alignas(64) word ready; /* it is the standby, or about to sleep as one */
};

struct shared {
	struct cacheline request, answer, owner, run, done;
	struct server server[2];
	_Alignas(64) _Atomic uint32_t rounds;
	_Atomic uint32_t window;
	_Atomic int64_t silence, first_ns;
	_Atomic uint32_t by, seen_by; /* who answered last; as the caller has seen it */
};

struct bareswitch {
	struct shared *shared;
	struct bareoptions options;
	struct barevictim size;
	char *memory; /* of the size that is shared */
	pid_t pid[3];
};

static void wake(word *w, int count)
{
	syscall(SYS_futex, w, FUTEX_WAKE, count, NULL, NULL, 0);
}

static void sleep_while(word *w, uint32_t value)
{
	while (atomic_load(w) == value)
		syscall(SYS_futex, w, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void be_standby(struct shared *s, uint32_t self, uint32_t *job)
{
	struct server *me = &s->server[self], *other = &s->server[!self];
	struct futex_waitv wait[2] = {{.uaddr = (uintptr_t)&me->job, .flags = FUTEX_32},
				      {.uaddr = (uintptr_t)&other->life, .flags = FUTEX_32}};
	uint32_t life;

	(void)slice_set(0);
	atomic_store(&me->ready, 1);
	for (;;) {
		life = atomic_load(&other->life);
		if (atomic_load(&me->job) != *job || life & FUTEX_OWNER_DIED)
			break;
		wait[0].val = *job;
		wait[1].val = life;
		syscall(SYS_futex_waitv, wait, 2, 0, NULL, 0);
	}
	atomic_store(&me->ready, 0);
	*job = atomic_load(&me->job);
	atomic_store(&s->owner.word, self);
}

static _Noreturn void run_server(struct shared *s, uint32_t self)
{
	uint32_t job = atomic_load(&s->server[self].job), done = 0, request, before;
	bool is_new = false;

	for (;;) {
		if (atomic_load(&s->owner.word) != self) {
			be_standby(s, self, &job);
			is_new = true;
			done = atomic_load(&s->answer.word);
			/* The dead may have answered and not woken. */
			if (atomic_load(&s->request.word) == done)
				wake(&s->answer.word, 1);
		}
		request = atomic_load(&s->request.word);
		if (request == done) {
			syscall(SYS_futex, &s->request.word, FUTEX_WAIT, done, NULL, NULL, 0);
			continue;
		}
		if (atomic_load(&s->owner.word) != self)
			continue;
		done = request;
		atomic_store(&s->by, self);
		/* By whoever comes first: an old owner that was late here would take back a later answer. */
		before = request - 1;
		atomic_compare_exchange_strong(&s->answer.word, &before, request);
		wake(&s->answer.word, 1);
		if (is_new) {
			atomic_fetch_add(&s->done.word, 1);
			wake(&s->done.word, 1);
			(void)slice_set(SLICE_OWNER * slice_get());
			is_new = false;
		}
	}
}

static void call_on(struct shared *s, uint32_t *number)
{
	int64_t last = 0, now;
	uint32_t before = 0, window, by;

	while (atomic_load(&s->run.word)) {
		uint32_t request = ++*number;

		atomic_store(&s->request.word, request);
		wake(&s->request.word, 2); /* the old owner may still sleep there beside the new one */
		sleep_while(&s->answer.word, request - 1);
		now = measure_now();
		by = atomic_load(&s->by);
		if (by != atomic_load(&s->seen_by)) {
			atomic_store(&s->first_ns, now);
			atomic_store(&s->seen_by, by);
		}
		window = atomic_load(&s->window);
		if (last && (window & 1 || window != before) && now - last > atomic_load(&s->silence))
			atomic_store(&s->silence, now - last);
		last = now;
		before = window;
		atomic_fetch_add(&s->rounds, 1);
	}
}

static _Noreturn void run_caller(struct shared *s)
{
	uint32_t number = 0;

	for (;;) {
		sleep_while(&s->run.word, 0);
		call_on(s, &number);
	}
}

static bool prepare_server(struct bareswitch *bare, uint32_t self)
{
	static struct robust_list_head head;
	struct server *me = &bare->shared->server[self];

	if (bare->size.own && !barelimit_touch(bare->size.own))
		return false;
	for (size_t i = 0; i < bare->size.shared; i += 4096)
		*(volatile char *)&bare->memory[i] = 1;
	head = (struct robust_list_head){.list.next = &me->node,
					 .futex_offset = (char *)&me->life - (char *)&me->node};
	me->node.next = &head.list;
	atomic_store(&me->life, (uint32_t)syscall(SYS_gettid) | FUTEX_WAITERS);
	return syscall(SYS_set_robust_list, &head, sizeof(head)) == 0;
}

static pid_t start(struct bareswitch *bare, uint32_t what)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	if (getppid() != parent)
		_exit(1);
	barelimit_pin(what == CALLER ? bare->options.cpu_caller : bare->options.cpu_new);
	if (what == CALLER)
		run_caller(bare->shared);
	if (!prepare_server(bare, what))
		_exit(1);
	run_server(bare->shared, what);
}

static void end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

void bareswitch_destroy(struct bareswitch *bare)
{
	if (!bare)
		return;
	for (uint32_t i = CALLER + 1; i > 0; i--)
		end(bare->pid[i - 1]);
	munmap(bare->shared, sizeof(*bare->shared));
	if (bare->memory)
		munmap(bare->memory, bare->size.shared);
	free(bare);
}

static void *map_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int bareswitch_create(const struct bareoptions *options, struct barevictim size, struct bareswitch **ret)
{
	struct bareswitch *bare = calloc(1, sizeof(*bare));

	if (!bare)
		return -ENOMEM;
	*bare = (struct bareswitch){.options = *options, .size = size};
	bare->shared = map_shared(sizeof(*bare->shared));
	bare->memory = size.shared ? barelimit_share(size.shared) : NULL;
	if (!bare->shared || (size.shared && !bare->memory)) {
		if (bare->shared)
			munmap(bare->shared, sizeof(*bare->shared));
		free(bare);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i <= CALLER; i++) {
		bare->pid[i] = start(bare, i);
		if (bare->pid[i] < 0) {
			bareswitch_destroy(bare);
			return -EAGAIN;
		}
	}
	*ret = bare;
	return 0;
}

static void pause_for(int64_t ns)
{
	struct timespec ts = {.tv_nsec = ns};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* Not in what is measured, nor in the way of those that are. */
static bool rounds_more(struct shared *s, uint32_t more)
{
	uint32_t from = atomic_load(&s->rounds);
	int64_t deadline = measure_now() + TIMEOUT;

	while (atomic_load(&s->rounds) - from < more) {
		if (measure_now() > deadline)
			return false;
		pause_for(100000);
	}
	return true;
}

/* The caller calls, and the other server waits to be told. Which one, or negative. */
static int begin(struct bareswitch *bare)
{
	struct shared *s = bare->shared;
	uint32_t to = !atomic_load(&s->owner.word);
	int64_t deadline = measure_now() + TIMEOUT;

	atomic_store(&s->silence, 0);
	atomic_store(&s->run.word, 1);
	wake(&s->run.word, 1);
	if (!rounds_more(s, 1))
		return -ETIMEDOUT;
	while (!atomic_load(&s->server[to].ready) || !barelimit_asleep(bare->pid[to])) {
		if (measure_now() > deadline)
			return -ETIMEDOUT;
		pause_for(100000);
	}
	barelimit_rest();
	return (int)to;
}

static int await_done(struct shared *s, uint32_t before)
{
	struct timespec second = {.tv_sec = 1};
	int64_t deadline = measure_now() + TIMEOUT;

	while (atomic_load(&s->done.word) == before) {
		if (measure_now() > deadline)
			return -ETIMEDOUT;
		syscall(SYS_futex, &s->done.word, FUTEX_WAIT, before, &second, NULL, 0);
	}
	return 0;
}

static int finish(struct shared *s)
{
	if (!rounds_more(s, 2))
		return -ETIMEDOUT;
	atomic_store(&s->run.word, 0);
	return 0;
}

int bareswitch_planned(struct bareswitch *bare, int64_t *ret_ns)
{
	struct shared *s = bare->shared;
	uint32_t before = atomic_load(&s->done.word);
	int to = begin(bare), error;

	if (to < 0)
		return to;
	atomic_fetch_add(&s->window, 1);
	atomic_fetch_add(&s->server[to].job, 1);
	wake(&s->server[to].job, 1);
	error = await_done(s, before);
	atomic_fetch_add(&s->window, 1);
	if (!error)
		error = finish(s);
	*ret_ns = atomic_load(&s->silence);
	return error;
}

int bareswitch_crash(struct bareswitch *bare, int64_t *ret_ns)
{
	struct shared *s = bare->shared;
	uint32_t before = atomic_load(&s->done.word), old;
	int64_t from;
	int to = begin(bare), error;

	if (to < 0)
		return to;
	old = !to;
	from = measure_now();
	kill(bare->pid[old], SIGKILL);
	error = await_done(s, before);
	if (!error)
		error = finish(s);
	*ret_ns = atomic_load(&s->first_ns) - from;
	end(bare->pid[old]);
	bare->pid[old] = start(bare, old);
	return bare->pid[old] < 0 ? bare->pid[old] : error;
}
