/* SPDX-License-Identifier: ISC */
#include "nth/nth_calls.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

/*
 * Left out: what cannot fail with sound arguments (getpid, sigprocmask, futex wakes, clock_gettime …), exits, close
 * (after an error the descriptor is closed all the same), brk (it returns no errors, but the old break).
 */
#define CALL(name, ...) {SYS_##name, #name, {__VA_ARGS__}}

const struct nth_call nth_calls[] = {
	CALL(accept4, EMFILE, ECONNABORTED, EINTR),
	CALL(bind, EADDRINUSE, EACCES),
	CALL(chdir, EACCES),
	CALL(clone, EAGAIN, ENOMEM),
	CALL(clone3, EAGAIN, ENOMEM),
	CALL(close_range, ENOMEM),
	CALL(connect, ECONNREFUSED, EAGAIN, EINTR),
	CALL(dup3, EMFILE, EINTR),
	CALL(epoll_create1, EMFILE, ENOMEM),
	CALL(epoll_ctl, ENOMEM, ENOSPC),
	CALL(epoll_pwait, EINTR),
	CALL(eventfd2, EMFILE, ENOMEM),
	CALL(execve, ENOMEM, EACCES, EMFILE),
	CALL(fallocate, ENOSPC, EINTR, EOPNOTSUPP),
	CALL(fchmod, EPERM),
	CALL(fcntl, EMFILE, EINTR),
	CALL(fstat, ENOMEM),
	CALL(ftruncate, ENOSPC, EINTR),
	CALL(futex, EINTR, EAGAIN), /* waits */
	CALL(futex_waitv, EINTR, ENOMEM),
	CALL(getdents64, ENOENT),
	CALL(getrandom, EINTR, ENOSYS),
	CALL(getsockopt, ENOBUFS),
	CALL(io_uring_enter, EINTR, EAGAIN, EBUSY),
	CALL(io_uring_setup, ENOMEM, EMFILE, EPERM),
	CALL(io_uring_register, ENOMEM),
	CALL(kill, EPERM), /* ESRCH is no failure, but an answer: nobody has that pid */
	CALL(linkat, ENOSPC, EPERM),
	CALL(listen, EADDRINUSE),
	CALL(lseek, EINVAL),
	CALL(madvise, ENOMEM, EAGAIN),
	CALL(memfd_create, EMFILE, ENOMEM),
	CALL(mmap, ENOMEM, EAGAIN),
	CALL(mprotect, ENOMEM),
	CALL(mremap, ENOMEM),
	CALL(munmap, ENOMEM),
	CALL(newfstatat, ENOMEM, EACCES),
	CALL(openat, EMFILE, ENOMEM, EINTR, ENOSPC),
	CALL(pidfd_open, EMFILE, ENOMEM, ESRCH),
	CALL(pidfd_send_signal, EPERM, ESRCH),
	CALL(pipe2, EMFILE, ENFILE),
	CALL(ppoll, EINTR, ENOMEM),
	CALL(prctl, EPERM),
	CALL(pread64, EINTR, EIO),
	CALL(prlimit64, EPERM),
	CALL(pwrite64, ENOSPC, EINTR),
	CALL(read, EINTR, EIO),
	CALL(readlinkat, EACCES, ENOMEM),
	CALL(recvfrom, EINTR, EAGAIN),
	CALL(recvmsg, EINTR, ENOMEM),
	CALL(rt_sigaction, ENOMEM),
	CALL(sendmsg, EINTR, ENOBUFS, EPIPE),
	CALL(sendto, EINTR, ENOBUFS, EPIPE),
	CALL(setpgid, EPERM),
	CALL(setsid, EPERM),
	CALL(setsockopt, ENOMEM),
	CALL(sigaltstack, ENOMEM),
	CALL(signalfd4, EMFILE, ENOMEM),
	CALL(socket, EMFILE, ENOBUFS),
	CALL(socketpair, EMFILE, ENFILE),
	CALL(statx, ENOMEM),
	CALL(timerfd_create, EMFILE, ENOMEM),
	CALL(timerfd_settime, ECANCELED),
	CALL(unlinkat, EPERM, EBUSY),
	CALL(wait4, EINTR, ECHILD),
	CALL(waitid, EINTR, ECHILD),
	CALL(write, EINTR, EIO, ENOSPC),
	CALL(writev, EINTR, EIO),
#ifdef SYS_open /* calls of which newer machines have the second form alone */
	CALL(access, ENOMEM),
	CALL(dup2, EMFILE, EINTR, EBUSY),
	CALL(epoll_wait, EINTR),
	CALL(fork, EAGAIN, ENOMEM),
	CALL(link, ENOSPC, EPERM),
	CALL(open, EMFILE, ENOMEM, EINTR, ENOSPC),
	CALL(pipe, EMFILE, ENFILE),
	CALL(poll, EINTR, ENOMEM),
	CALL(readlink, EACCES, ENOMEM),
	CALL(stat, ENOMEM, EACCES),
	CALL(unlink, EPERM, EBUSY),
	CALL(vfork, EAGAIN, ENOMEM),
#endif
};
const unsigned nth_calls_count = sizeof(nth_calls) / sizeof(nth_calls[0]);

const struct nth_call *nth_call_by_number(int number)
{
	for (unsigned i = 0; i < nth_calls_count; i++)
		if (nth_calls[i].number == number)
			return &nth_calls[i];
	return NULL;
}

const struct nth_call *nth_call_by_name(const char *name)
{
	for (unsigned i = 0; i < nth_calls_count; i++)
		if (strcmp(nth_calls[i].name, name) == 0)
			return &nth_calls[i];
	return NULL;
}

const char *nth_error_name(int error)
{
	return strerrorname_np(error);
}

int nth_error_by_name(const char *name)
{
	for (int e = 1; e < 134; e++)
		if (strerrorname_np(e) && strcmp(strerrorname_np(e), name) == 0)
			return e;
	return 0;
}
