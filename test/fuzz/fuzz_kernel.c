/* SPDX-License-Identifier: ISC */
/*
 * What the library asks of the kernel, answered here (fuzz_atoms.h names the calls anew), so that hostile bytes
 * sleep on nothing, signal nobody and open nothing: time passes by being looked at or slept through, a pidfd and
 * /proc/PID/stat are memory files, life words are locked without glibc's list, odd pids are of nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FUZZ_KERNEL_ITSELF
#include "fuzz/fuzz_atoms.h"
#include "base/futex.h"
#include "fuzz/fuzz_kernel.h"

#define SLEEPS_MAX 1000000u /* in one operation: a fence takes 20 000 */

static int64_t now;
static unsigned sleeps;
static int stat_fd = -1;

void kernel_reset(void)
{
	now = INT64_C(1000) * NS_PER_SECOND;
	sleeps = 0;
	if (stat_fd >= 0)
		return;
	stat_fd = memfd_create("stat", MFD_CLOEXEC);
	if (stat_fd < 0 || dprintf(stat_fd, "1 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n") < 0)
		abort();
}

static void stuck(const char *what)
{
	fprintf(stderr, "stuck: %s\n", what);
	abort();
}

void kernel_again(void)
{
	sleeps = 0;
}

void kernel_pass(int64_t until)
{
	if (until > now && until < INT64_MAX / 2)
		now = until;
	else
		now += 1000000;
}

/* Nobody wakes a sleeper here. Time has passed then, or it is woken for nothing, one time in eight. */
static long sleep_until(const struct timespec *until)
{
	int64_t deadline = until ? (int64_t)until->tv_sec * NS_PER_SECOND + until->tv_nsec : -1;

	if (++sleeps > SLEEPS_MAX)
		stuck(until ? "it sleeps again and again" : "it sleeps for ever");
	if (sleeps % 8 == 0)
		return 0;
	if (deadline > now && deadline < INT64_MAX / 2)
		now = deadline;
	else
		now += NS_PER_SECOND;
	errno = ETIMEDOUT;
	return -1;
}

long fuzz_syscall(long number, ...)
{
	long a[6];
	va_list list;

	va_start(list, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	switch (number) {
	case SYS_futex:
		return ((int)a[1] & 127) == FUTEX_WAKE ? 0 : sleep_until((const struct timespec *)a[3]);
	case SYS_futex_waitv:
		return sleep_until((const struct timespec *)a[3]);
	case SYS_pidfd_open:
		if ((int)a[0] <= 1)
			stuck("a pidfd of init, or of a group");
		if (a[0] & 1) {
			errno = ESRCH;
			return -1;
		}
		return fcntl(stat_fd, F_DUPFD_CLOEXEC, 100);
	case SYS_pidfd_send_signal:
		return 0;
	case SYS_gettid:
		return getpid();
	default:
		errno = ENOSYS;
		return -1;
	}
}

int fuzz_clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	now += 100;
	ts->tv_sec = now / NS_PER_SECOND;
	ts->tv_nsec = now % NS_PER_SECOND;
	return 0;
}

int fuzz_kill(pid_t pid, int signal_number)
{
	if (signal_number && pid >= -1 && pid <= 1)
		stuck("a signal to everybody");
	errno = ESRCH;
	return pid & 1 ? -1 : 0;
}

int fuzz_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (timeout < 0)
		stuck("poll for ever");
	now += (int64_t)timeout * 1000000;
	for (nfds_t i = 0; i < n; i++)
		fds[i].revents = POLLIN;
	return (int)n;
}

int fuzz_open(const char *path, int flags, ...)
{
	(void)flags;
	if (strncmp(path, "/dev/shm/heir.", 14) == 0)
		return fcntl(image_state_fd(), F_DUPFD_CLOEXEC, 100);
	if (strncmp(path, "/proc/", 6) == 0 && atoi(path + 6) % 2 == 0) {
		lseek(stat_fd, 0, SEEK_SET);
		return fcntl(stat_fd, F_DUPFD_CLOEXEC, 100);
	}
	errno = ENOENT;
	return -1;
}

int fuzz_stat(const char *path, struct stat *st)
{
	(void)path;
	memset(st, 0, sizeof(*st));
	st->st_uid = geteuid();
	return 0;
}

void *fuzz_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (fd < 0) /* memory of its own */
		return mmap(at, size, prot, flags, fd, offset);
	if (fd < 100)
		stuck("a mapping of something else");
	return image_state_map(size);
}

int fuzz_munmap(void *at, size_t size)
{
	return image_state_unmap(at, size) ? 0 : munmap(at, size);
}

int fuzz_madvise(void *at, size_t size, int advice)
{
	(void)at, (void)size, (void)advice;
	return 0;
}

/*
 * glibc keeps the list of a thread's robust mutexes in the mutexes themselves; a real lock here would tie the
 * fuzzer's own thread to bytes that change.
 */
int fuzz_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	(void)attr;
	memset(mutex, 0, sizeof(*mutex));
	return 0;
}

int fuzz_mutex_lock(pthread_mutex_t *mutex)
{
	*(atom32 *)(void *)mutex = (uint32_t)getpid();
	return 0;
}

int fuzz_mutex_unlock(pthread_mutex_t *mutex)
{
	*(atom32 *)(void *)mutex = 0;
	return 0;
}

/* The gate, over the image that is to be looked at. */
static void *gate_base;
static size_t gate_size;

void kernel_segment(void *base, size_t size)
{
	gate_base = base;
	gate_size = size;
}

int __wrap_shm_attach(struct shm *s, const char *domain, int writable);
int __wrap_shm_attach(struct shm *s, const char *domain, int writable)
{
	struct shm n = {.path = "/dev/shm/heir.0.fuzz"};
	int rc = shm_view(&n, gate_base, gate_size, writable);

	(void)domain;
	if (rc == 0)
		*s = n;
	return rc;
}

void __wrap_shm_detach(struct shm *s);
void __wrap_shm_detach(struct shm *s)
{
	s->base = NULL;
}
