/* SPDX-License-Identifier: ISC */
#include "node/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROCESS_EXITING 4u /* PF_EXITING */
#define FD_ABOVE 300 /* beyond every descriptor that a child is promised (conf.h: at most 255) */

static void reset_signals(void)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &standard, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void write_pid(char *at)
{
	unsigned pid = (unsigned)getpid();

	for (int i = SPAWN_PID_WIDTH - 1; i >= 0; i--) {
		at[i] = (char)('0' + pid % 10);
		pid /= 10;
	}
}

static int place_fds(const struct spawn *s, int *error)
{
	int up[64], in, out = -1, e = *error;

	if (s->fd_count > 64)
		return -EINVAL;
	if ((e = fcntl(e, F_DUPFD_CLOEXEC, FD_ABOVE)) < 0)
		return -errno;
	*error = e;
	for (unsigned i = 0; i < s->fd_count; i++)
		if ((up[i] = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, FD_ABOVE)) < 0)
			return -errno;
	if (s->out >= 0 && (out = fcntl(s->out, F_DUPFD_CLOEXEC, FD_ABOVE)) < 0)
		return -errno;
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

static _Noreturn void run_child(const struct spawn *s, pid_t parent, int error)
{
	int rc;

	if (!s->outlive && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(127);
	(void)setpgid(0, 0);
	rc = place_fds(s, &error);
	if (rc == 0) {
		if (s->listen_pid)
			write_pid(s->listen_pid);
		reset_signals();
		execve(s->path, s->argv, s->envp);
		rc = -errno;
	}
	rc = -rc;
	(void)!write(error, &rc, sizeof(rc));
	_exit(127);
}

int spawn_process(const struct spawn *s, struct spawned *ret)
{
	pid_t parent = getpid(), pid;
	int error[2], pidfd;

	if (pipe2(error, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run_child(s, parent, error[1]);
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

int spawn_children(pid_t *pids, unsigned max)
{
	char path[64], text[4096];
	unsigned count = 0;
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
				if (count < max)
					pids[count++] = pid;
				pid = 0;
			}
		}
	}
	close(fd);
	return (int)count;
}

/* Whether the environment with which a process was started has all of these. */
static int has_environment(pid_t pid, const char *const *wanted, unsigned count)
{
	static char text[65536];
	char path[64];
	unsigned found = 0;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	for (char *at = text; at < text + n; at += strlen(at) + 1)
		for (unsigned i = 0; i < count; i++)
			found += strcmp(at, wanted[i]) == 0;
	return found >= count;
}

static void marks(char words[3][320], const char **wanted, const char *domain, const char *node,
                  const char *application)
{
	snprintf(words[0], 320, "HEIR_DOMAIN=%s", domain);
	snprintf(words[1], 320, "HEIR_NODE=%s", node);
	snprintf(words[2], 320, "HEIR_APPLICATION=%s", application);
	for (int i = 0; i < 3; i++)
		wanted[i] = words[i];
}

/*
 * A process that is being torn down has no memory any more, and no environment to know it by, while
 * its files and locks may not be closed yet. Whoever it was, it is soon reaped.
 */
static int is_ending(pid_t pid)
{
	char path[64], text[16] = "";
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	return n >= 2 && text[0] == '0' && text[1] == ' ';
}

unsigned spawn_kill_adopted(const char *domain, const char *node, const char *application,
                            int (*is_known)(pid_t pid, void *arg), void *arg)
{
	char words[3][320];
	const char *wanted[3];
	pid_t pids[1024];
	int count = spawn_children(pids, 1024);
	unsigned alive = 0;

	marks(words, wanted, domain, node, application);
	for (int i = 0; i < count; i++) {
		if (is_known(pids[i], arg))
			continue;
		if (is_ending(pids[i])) {
			alive++;
			continue;
		}
		if (!has_environment(pids[i], wanted, 3))
			continue;
		alive++;
		/* a child that this process has not reaped: the pid is no other's */
		(void)kill(pids[i], SIGKILL);
	}
	return alive;
}

unsigned spawn_kill_survivors(const char *domain, const char *node, const char *application,
                              const char *except, void (*killed)(pid_t pid, int pidfd, void *arg),
                              void *arg)
{
	char words[3][320];
	const char *wanted[3];
	DIR *proc = opendir("/proc");
	struct dirent *e;
	unsigned count = 0;

	marks(words, wanted, domain, node, application);
	while (proc && (e = readdir(proc))) {
		pid_t pid = (pid_t)atoi(e->d_name);
		int fd;

		if (pid <= 1 || pid == getpid() || !has_environment(pid, wanted, 3) ||
		    has_environment(pid, &except, 1))
			continue;
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (fd < 0)
			continue;
		/* After the open, so that it is the pidfd of that process. */
		if (!has_environment(pid, wanted, 3)) {
			close(fd);
			continue;
		}
		(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		killed(pid, fd, arg);
		count++;
	}
	if (proc)
		closedir(proc);
	return count;
}

bool spawn_is_exiting(pid_t pid)
{
	char path[64], text[512], *p, state = 0;
	unsigned flags = 0;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return false;
	return state != 'Z' && state != 'X' && (flags & PROCESS_EXITING);
}
