/* SPDX-License-Identifier: ISC */
/*
 * Included in front of each source under test: its system calls go to simkernel.c, which simulates them for actors
 * that are fibres of one process, and passes them on where actors are processes. So does memcpy, which the
 * compilers do not tell of: it is made word by word.
 */
#ifndef HEIR_TEST_SIMCALLS_H
#define HEIR_TEST_SIMCALLS_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

long sim_syscall(long number, ...);
int sim_kill(pid_t pid, int signal_number);
pid_t sim_getpid(void);
int sim_open(const char *path, int flags, ...);
ssize_t sim_read(int fd, void *buf, size_t size);
int sim_close(int fd);
int sim_poll(struct pollfd *fds, nfds_t n, int timeout);
int sim_stat(const char *path, struct stat *ret);
int sim_clock_gettime(clockid_t id, struct timespec *ret);
void *sim_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int sim_munmap(void *address, size_t size);
int sim_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int sim_mutex_lock(pthread_mutex_t *mutex);
int sim_mutex_unlock(pthread_mutex_t *mutex);
void *sim_memcpy(void *to, const void *from, size_t size);

#ifndef SIMCALLS_NOT_RENAMED
#define syscall(...)		  sim_syscall(__VA_ARGS__)
#define kill(...)		  sim_kill(__VA_ARGS__)
#define getpid()		  sim_getpid()
#define open(...)		  sim_open(__VA_ARGS__)
#define read(...)		  sim_read(__VA_ARGS__)
#define close(...)		  sim_close(__VA_ARGS__)
#define poll(...)		  sim_poll(__VA_ARGS__)
#define stat(path, ret)		  sim_stat(path, ret)
#define clock_gettime(...)	  sim_clock_gettime(__VA_ARGS__)
#define mmap(...)		  sim_mmap(__VA_ARGS__)
#define munmap(...)		  sim_munmap(__VA_ARGS__)
#define pthread_mutex_init(...)	  sim_mutex_init(__VA_ARGS__)
#define pthread_mutex_lock(...)	  sim_mutex_lock(__VA_ARGS__)
#define pthread_mutex_unlock(...) sim_mutex_unlock(__VA_ARGS__)
#undef memcpy
#define memcpy(...) sim_memcpy(__VA_ARGS__)
#endif

#endif
