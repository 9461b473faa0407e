/* SPDX-License-Identifier: ISC */
#include "node/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FD_ABOVE 300 /* beyond every descriptor that a child is promised (conf.h: at most 255); for a moment */

/* What execve(2) would leave as it is. Once: after its first child a leader ignores no other signals. */
static const sigset_t *ignored_signals(void)
{
	static sigset_t ignored;
	static bool is_known;
	struct sigaction now;

	if (!is_known)
		sigemptyset(&ignored);
	for (int i = 1; i < NSIG && !is_known; i++)
		if (sigaction(i, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
			sigaddset(&ignored, i);
	is_known = true;
	return &ignored;
}

static void reset_signals(const sigset_t *ignored)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		if (sigismember(ignored, i) == 1)
			(void)sigaction(i, &standard, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In decimal, and nothing in front of it: there are readers to whom a leading 0 means octal. */
static void write_pid(char *at)
{
	unsigned pid = (unsigned)getpid(), digits = 0;

	for (unsigned n = pid; n; n /= 10)
		digits++;
	at[digits] = 0;
	for (; digits; pid /= 10)
		at[--digits] = (char)('0' + pid % 10);
}

/* Beyond the limit of descriptors: -EMFILE, too. */
static int dup_above(int fd)
{
	int rc = fcntl(fd, F_DUPFD_CLOEXEC, FD_ABOVE);

	return rc >= 0 ? rc : errno == EINVAL ? -EMFILE : -errno;
}

static int place_fds(const struct spawn *s, int *error)
{
	int up[64], in, out = -1, e = *error;

	if (s->fd_count > 64)
		return -EINVAL;
	if ((e = dup_above(e)) < 0)
		return e;
	*error = e;
	for (unsigned i = 0; i < s->fd_count; i++)
		if ((up[i] = dup_above(s->fds[i].from)) < 0)
			return up[i];
	if (s->out >= 0 && (out = dup_above(s->out)) < 0)
		return out;
	if ((in = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		return -errno;
	if (dup2(in, STDIN_FILENO) < 0)
		return -errno;
	if (out >= 0 && (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0))
		return -errno;
	/* Whatever this process had inherited itself is not passed on. */
	if (close_range(SPAWN_FD_FIRST, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	for (unsigned i = 0; i < s->fd_count; i++)
		if (dup2(up[i], s->fds[i].to) < 0)
			return -errno;
	return 0;
}

static _Noreturn void run_child(const struct spawn *s, pid_t parent, const sigset_t *ignored, int error)
{
	struct rlimit files = {1024, 1024};
	int rc;

	if (!s->outlive && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(127);
	(void)setpgid(0, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		(void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){files.rlim_max, files.rlim_max});
	rc = place_fds(s, &error);
	if (rc == 0) {
		for (int i = 0; i < 2; i++)
			if (s->own_pid[i])
				write_pid(s->own_pid[i]);
		reset_signals(ignored);
		(void)setrlimit(RLIMIT_NOFILE, s->files ? s->files : &files);
		execve(s->path, s->argv, s->envp);
		rc = -errno;
	}
	rc = -rc;
	(void)!write(error, &rc, sizeof(rc));
	_exit(127);
}

int spawn_process(const struct spawn *s, struct spawned *ret)
{
	const sigset_t *ignored = ignored_signals();
	pid_t parent = getpid(), pid;
	int error[2], pidfd;

	if (pipe2(error, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run_child(s, parent, ignored, error[1]);
	if (pid > 0) /* the child first, where both are on one processor: each page written to from here on is copied */
		(void)sched_yield();
	close(error[1]);
	if (pid < 0) {
		pidfd = -errno;
		close(error[0]);
		return pidfd;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		pidfd = -errno;
		(void)kill(pid, SIGKILL);
		close(error[0]);
		return pidfd;
	}
	*ret = (struct spawned){pid, pidfd, error[0]};
	return 0;
}

int spawn_result(int exec)
{
	int error = 0;
	ssize_t n = read(exec, &error, sizeof(error));

	if (n == (ssize_t)sizeof(error) && error > 0)
		return -error;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : 1;
}

int spawn_children(void (*each)(pid_t pid, void *arg), void *arg)
{
	char path[64], text[4096];
	int fd;
	ssize_t n;
	pid_t pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
			} else if (pid > 0) {
				each(pid, arg);
				pid = 0;
			}
		}
	}
	n = n < 0 ? -errno : 0;
	close(fd);
	return (int)n;
}
