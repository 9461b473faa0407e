/* SPDX-License-Identifier: ISC */
/* The simulated kernel (simkernel.h). */
#define SIMCALLS_NOT_RENAMED
#include "access/simkernel.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "access/engine.h"
#include "access/simcalls.h"

#define PID_FIRST 100
#define PIDFD	  1000000 /* and the pid: it is of that process, and of no other one in its place */
#define STAT_FD	  2000000 /* and the actor */
#define BEGIN	  INT64_C(1000000000000)

struct sim sim;
bool sim_real;
static int state_fd = -1;

void sim_reset(void)
{
	sim = (struct sim){.now = BEGIN, .last_pid = PID_FIRST};
	for (unsigned i = 0; i < ACTORS; i++)
		sim_spawn(i);
}

void sim_spawn(unsigned actor)
{
	pid_t pid = ++sim.last_pid;

	sim.process[actor] =
		(struct sim_process){.pid = pid, .started = (uint64_t)pid, .alive = true, .deadline = -1};
}

void sim_state_file(int fd)
{
	state_fd = fd;
}

static struct sim_process *self(void)
{
	return &sim.process[engine_current()];
}

static int find(pid_t pid)
{
	for (unsigned i = 0; i < ACTORS; i++)
		if (sim.process[i].alive && sim.process[i].pid == pid)
			return (int)i;
	return -1;
}

/* As many sleepers on the word as are told. */
static int wake(atom32 *word, int n)
{
	int woken = 0;

	for (unsigned i = 0; i < ACTORS && woken < n; i++) {
		struct sim_process *p = &sim.process[i];

		for (unsigned w = 0; w < p->words; w++) {
			if (p->word[w] != word)
				continue;
			p->woken = (int)w;
			p->words = 0;
			engine_wake(i);
			woken++;
		}
	}
	sim.wakes += (uint64_t)woken;
	return woken;
}

bool sim_oversleeps(unsigned actor, const atom32 *except)
{
	struct sim_process *p = &sim.process[actor];

	for (unsigned i = 0; i < p->words; i++)
		if (p->word[i] != except && atom_load_seq(p->word[i]) != p->expected[i])
			return true;
	return false;
}

void sim_timeout(unsigned actor)
{
	struct sim_process *p = &sim.process[actor];

	if (p->deadline > sim.now)
		sim.now = p->deadline;
	p->words = 0;
	p->woken = -ETIMEDOUT;
	engine_wake(actor);
}

static int64_t to_ns(const struct timespec *ts)
{
	return ts ? (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec : -1;
}

static int sleep_on(unsigned n, int64_t deadline)
{
	struct sim_process *p = self();

	p->words = n;
	p->deadline = deadline;
	if (!engine_in_fibre()) {
		if (deadline < 0)
			access_fail(__FILE__, __LINE__, "the test sleeps, and nobody will wake it");
		p->words = 0;
		sim.now = deadline > sim.now ? deadline : sim.now;
		return -ETIMEDOUT;
	}
	engine_yield(ACTOR_BLOCKED);
	return p->woken;
}

static int futex(atom32 *word, int op, uint32_t value, const struct timespec *until)
{
	if (op == FUTEX_WAKE) {
		engine_access(ACCESS_CALL, word, __builtin_return_address(0));
		return wake(word, (int)value);
	}
	engine_access(ACCESS_READ, word, __builtin_return_address(0));
	if (atom_load_seq(word) != value)
		return -EAGAIN;
	self()->word[0] = word;
	self()->expected[0] = value;
	return sleep_on(1, to_ns(until)) == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

static int futex_many(const struct futex_waitv *words, unsigned n, const struct timespec *until)
{
	if (n < 1 || n > SIM_WORDS)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		atom32 *word = (atom32 *)(uintptr_t)words[i].uaddr;

		engine_access(ACCESS_READ, word, __builtin_return_address(0));
	}
	for (unsigned i = 0; i < n; i++) {
		self()->word[i] = (atom32 *)(uintptr_t)words[i].uaddr;
		self()->expected[i] = (uint32_t)words[i].val;
		if (atom_load_seq(self()->word[i]) != (uint32_t)words[i].val)
			return -EAGAIN;
	}
	return sleep_on(n, to_ns(until));
}

static long simulate(long number, const long *a)
{
	int actor;

	switch (number) {
	case SYS_futex:
		return futex((atom32 *)a[0], (int)a[1] & 0x7f, (uint32_t)a[2], (const struct timespec *)a[3]);
	case SYS_futex_waitv:
		return futex_many((const struct futex_waitv *)a[0], (unsigned)a[1],
				  (const struct timespec *)a[3]);
	case SYS_gettid:
		return self()->pid;
	case SYS_sched_getattr: /* of no importance to what is shared: this kernel has no time slices */
		return -ENOSYS;
	case SYS_pidfd_open:
		actor = find((pid_t)a[0]);
		return actor < 0 ? -ESRCH : PIDFD + (long)a[0];
	case SYS_pidfd_send_signal:
		engine_access(ACCESS_CALL, NULL, __builtin_return_address(0));
		actor = find((pid_t)a[0] - PIDFD);
		if (actor < 0)
			return -ESRCH;
		actor_kill((unsigned)actor);
		return 0;
	default:
		access_fail(__FILE__, __LINE__, "a system call that is not simulated");
	}
}

long sim_syscall(long number, ...)
{
	long a[6], rc;
	va_list args;

	va_start(args, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (sim_real) {
		engine_access(ACCESS_CALL, NULL, __builtin_return_address(0));
		return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	rc = simulate(number, a);
	if (rc < 0) {
		errno = (int)-rc;
		return -1;
	}
	return rc;
}

int sim_kill(pid_t pid, int signal_number)
{
	if (sim_real)
		return kill(pid, signal_number);
	if (find(pid) >= 0)
		return 0;
	errno = ESRCH;
	return -1;
}

pid_t sim_getpid(void)
{
	return sim_real ? getpid() : self()->pid;
}

int sim_open(const char *path, int flags, ...)
{
	int pid, actor;

	if (strncmp(path, "/dev/shm/", 9) == 0)
		return fcntl(state_fd, F_DUPFD_CLOEXEC, 3);
	if (sim_real || sscanf(path, "/proc/%d/stat", &pid) != 1)
		return open(path, flags);
	actor = find((pid_t)pid);
	if (actor < 0) {
		errno = ENOENT;
		return -1;
	}
	return STAT_FD + actor;
}

ssize_t sim_read(int fd, void *buf, size_t size)
{
	const struct sim_process *p = &sim.process[fd >= STAT_FD ? fd - STAT_FD : 0];

	if (sim_real || fd < STAT_FD)
		return read(fd, buf, size);
	return snprintf(buf, size, "%d (actor) S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 %lu 0\n", (int)p->pid,
			(unsigned long)p->started);
}

int sim_close(int fd)
{
	return fd >= PIDFD ? 0 : close(fd);
}

/* Of one pidfd: until its process is gone. */
int sim_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	pid_t pid = fds->fd - PIDFD;

	if (sim_real || n != 1 || fds->fd < PIDFD)
		return poll(fds, n, timeout);
	engine_access(ACCESS_READ, NULL, __builtin_return_address(0));
	if (find(pid) >= 0 && timeout != 0) {
		self()->exit_of = pid;
		(void)sleep_on(0, timeout < 0 ? -1 : sim.now + (int64_t)timeout * 1000000);
		self()->exit_of = 0;
	}
	if (find(pid) >= 0)
		return 0;
	fds->revents = POLLIN;
	return 1;
}

int sim_stat(const char *path, struct stat *ret)
{
	int pid;

	if (sim_real || sscanf(path, "/proc/%d", &pid) != 1)
		return stat(path, ret);
	memset(ret, 0, sizeof(*ret));
	ret->st_uid = geteuid();
	if (find((pid_t)pid) >= 0)
		return 0;
	errno = ENOENT;
	return -1;
}

int sim_clock_gettime(clockid_t id, struct timespec *ret)
{
	if (sim_real)
		return clock_gettime(id, ret);
	*ret = (struct timespec){.tv_sec = sim.now / 1000000000, .tv_nsec = sim.now % 1000000000};
	return 0;
}

static struct {
	void *base;
	size_t size;
} mapped[ACTORS];

void *sim_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *base = mmap(address, size, protection, flags, fd, offset);

	if (base == MAP_FAILED)
		return base;
	engine_watch(base, size);
	for (unsigned i = 0; i < ACTORS; i++)
		if (!mapped[i].base) {
			mapped[i].base = base;
			mapped[i].size = size;
			return base;
		}
	access_fail(__FILE__, __LINE__, "more mapped than there are actors");
}

int sim_munmap(void *address, size_t size)
{
	engine_unwatch(address);
	for (unsigned i = 0; i < ACTORS; i++)
		if (mapped[i].base == address)
			mapped[i].base = NULL;
	return munmap(address, size);
}

void sim_unmap(void)
{
	for (unsigned i = 0; i < ACTORS; i++)
		if (mapped[i].base)
			(void)sim_munmap(mapped[i].base, mapped[i].size);
}

/* The lock word is the first of a mutex: glibc's, and what slot_life() takes for it. */
static atom32 *lock_of(pthread_mutex_t *mutex)
{
	return (atom32 *)(void *)mutex;
}

int sim_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	engine_access(ACCESS_WRITE, mutex, __builtin_return_address(0));
	if (sim_real)
		return pthread_mutex_init(mutex, attr);
	memset(mutex, 0, sizeof(*mutex));
	return 0;
}

int sim_mutex_lock(pthread_mutex_t *mutex)
{
	struct sim_process *p = self();

	engine_access(ACCESS_WRITE, mutex, __builtin_return_address(0));
	if (sim_real)
		return pthread_mutex_lock(mutex);
	if (p->held == SIM_HELD)
		return ENOMEM;
	atom_store_seq(lock_of(mutex), (uint32_t)p->pid);
	p->mutex[p->held++] = lock_of(mutex);
	return 0;
}

int sim_mutex_unlock(pthread_mutex_t *mutex)
{
	struct sim_process *p = self();
	uint32_t old;

	engine_access(ACCESS_WRITE, mutex, __builtin_return_address(0));
	if (sim_real)
		return pthread_mutex_unlock(mutex);
	old = atomic_exchange(lock_of(mutex), 0);
	for (unsigned i = 0; i < p->held; i++)
		if (p->mutex[i] == lock_of(mutex)) {
			p->held--;
			memmove(&p->mutex[i], &p->mutex[i + 1], (p->held - i) * sizeof(p->mutex[0]));
		}
	if (old & FUTEX_WAITERS)
		wake(lock_of(mutex), 1);
	return 0;
}

void sim_exit_begin(unsigned actor)
{
	sim.process[actor].exiting = true;
	sim.process[actor].words = 0;
}

bool sim_exit_walk(unsigned actor)
{
	struct sim_process *p = &sim.process[actor];

	if (p->held) {
		atom32 *word = p->mutex[--p->held];
		uint32_t v = atom_load_seq(word);

		if ((v & FUTEX_TID_MASK) == (uint32_t)p->pid) {
			atom_store_seq(word, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
			if (v & FUTEX_WAITERS)
				wake(word, 1);
		}
		if (p->held)
			return true;
	}
	p->alive = p->exiting = false;
	for (unsigned i = 0; i < ACTORS; i++)
		if (sim.process[i].exit_of == p->pid)
			engine_wake(i);
	return false;
}

void *sim_memcpy(void *to, const void *from, size_t size)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	for (size_t i = 0; i < size; i += 8) {
		size_t n = size - i < 8 ? size - i : 8;

		engine_access(ACCESS_READ, f + i, __builtin_return_address(0));
		engine_access(ACCESS_WRITE, t + i, __builtin_return_address(0));
		memcpy(t + i, f + i, n);
	}
	return to;
}
