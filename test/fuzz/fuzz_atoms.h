/* SPDX-License-Identifier: ISC */
/*
 * Included before every source of the library when the segment's fuzzer is built: each atomic access to shared
 * memory is a point at which the bytes may change. fuzz_point() makes the changes that the input has for this
 * point, so "the bytes change under the reader" is replayed exactly.
 */
#ifndef HEIR_TEST_FUZZ_ATOMS_H
#define HEIR_TEST_FUZZ_ATOMS_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/atom.h"

extern uint64_t fuzz_points, fuzz_next;
void fuzz_change(void);

static inline void fuzz_point(void)
{
	if (__builtin_expect(++fuzz_points >= fuzz_next, 0))
		fuzz_change();
}

#undef atom_load_relaxed
#undef atom_load_acquire
#undef atom_load_seq
#undef atom_cas
#undef atom_cas_seq
#define atom_load_relaxed(p) (fuzz_point(), atomic_load_explicit((p), memory_order_relaxed))
#define atom_load_acquire(p) (fuzz_point(), atomic_load_explicit((p), memory_order_acquire))
#define atom_load_seq(p) (fuzz_point(), atomic_load_explicit((p), memory_order_seq_cst))
#define atom_cas(p, expected, desired)                                                                        \
	(fuzz_point(), atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_acq_rel, \
							       memory_order_acquire))
#define atom_cas_seq(p, expected, desired)                                                                    \
	(fuzz_point(), atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_seq_cst, \
							       memory_order_seq_cst))

/* Answered by fuzz_kernel.c. */
long fuzz_syscall(long number, ...);
int fuzz_clock_gettime(clockid_t id, struct timespec *ts);
int fuzz_kill(pid_t pid, int signal_number);
int fuzz_poll(struct pollfd *fds, nfds_t n, int timeout);
int fuzz_open(const char *path, int flags, ...);
int fuzz_stat(const char *path, struct stat *st);
void *fuzz_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int fuzz_munmap(void *at, size_t size);
int fuzz_madvise(void *at, size_t size, int advice);
int fuzz_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int fuzz_mutex_lock(pthread_mutex_t *mutex);
int fuzz_mutex_unlock(pthread_mutex_t *mutex);

#ifndef FUZZ_KERNEL_ITSELF
#define syscall(...) fuzz_syscall(__VA_ARGS__, 0L, 0L, 0L, 0L, 0L, 0L) /* va_arg of six, however many are there */
#define clock_gettime(id, ts) fuzz_clock_gettime((id), (ts))
#define kill(pid, n) fuzz_kill((pid), (n))
#define poll(fds, n, timeout) fuzz_poll((fds), (n), (timeout))
#define open(...) fuzz_open(__VA_ARGS__)
#define stat(path, st) fuzz_stat((path), (st))
#define mmap(at, size, prot, flags, fd, offset) fuzz_mmap((at), (size), (prot), (flags), (fd), (offset))
#define munmap(at, size) fuzz_munmap((at), (size))
#define madvise(at, size, advice) fuzz_madvise((at), (size), (advice))
#define pthread_mutex_init(mutex, attr) fuzz_mutex_init((mutex), (attr))
#define pthread_mutex_lock(mutex) fuzz_mutex_lock((mutex))
#define pthread_mutex_unlock(mutex) fuzz_mutex_unlock((mutex))
#endif

#endif
