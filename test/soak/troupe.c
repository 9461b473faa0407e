/* SPDX-License-Identifier: ISC */
/* Processes by pidfd, and by their ancestors (troupe.h). */
#include "troupe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOPPED_MAX 64
#define DEPTH_MAX   32

static struct {
	pid_t pid;
	int fd;
	int64_t until;
} stopped[STOPPED_MAX];

void troupe_begin(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

pid_t troupe_start(const char *const *argv, const char *output, bool alone)
{
	pid_t parent = getpid(), pid = fork();
	sigset_t none;

	if (pid)
		return pid;
	if (alone)
		setsid();
	else
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!alone && getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int signal_number = 1; signal_number < 32; signal_number++)
		(void)signal(signal_number, SIG_DFL);

	int fd = open(output, O_WRONLY | O_APPEND | O_CREAT, 0600);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(127);
	close(fd);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

void troupe_reap(void (*each)(pid_t pid, int status))
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (each)
			each(pid, status);
}

/* Its parent, and the letter of its state; 0: there is no such process. */
static pid_t parent_of(pid_t pid, char *ret_state)
{
	char path[64], text[512], *end;
	ssize_t n;
	int fd, parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	end = strrchr(text, ')');
	return end && sscanf(end + 1, " %c %d", ret_state, &parent) == 2 ? parent : 0;
}

static bool is_ours(pid_t pid)
{
	char state;

	for (unsigned depth = 0; pid > 1 && depth < DEPTH_MAX; depth++) {
		pid = parent_of(pid, &state);
		if (pid == getpid())
			return true;
	}
	return false;
}

static int open_ours(pid_t pid)
{
	int fd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (fd >= 0 && !is_ours(pid)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool send_signal(int fd, int signal_number)
{
	return syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0) == 0;
}

bool troupe_kill(pid_t pid, int signal_number)
{
	int fd = open_ours(pid);
	bool done = fd >= 0 && send_signal(fd, signal_number);

	if (fd >= 0)
		close(fd);
	return done;
}

bool troupe_stop(pid_t pid, int64_t until, bool already_stopped)
{
	unsigned i = 0;
	int fd;

	while (i < STOPPED_MAX && stopped[i].pid && stopped[i].pid != pid)
		i++;
	if (i == STOPPED_MAX)
		return false;
	fd = open_ours(pid);
	if (fd < 0 || (!already_stopped && !send_signal(fd, SIGSTOP))) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (stopped[i].pid)
		close(stopped[i].fd);
	stopped[i].pid = pid;
	stopped[i].fd = fd;
	stopped[i].until = until;
	return true;
}

bool troupe_is_stopped(pid_t pid)
{
	char state = 0;

	return parent_of(pid, &state) && (state == 'T' || state == 't');
}

void troupe_wake(int64_t now)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < STOPPED_MAX && stopped[i].pid; i++) {
		if (stopped[i].until > now) {
			stopped[kept++] = stopped[i];
			continue;
		}
		(void)send_signal(stopped[i].fd, SIGCONT);
		close(stopped[i].fd);
	}
	for (unsigned i = kept; i < STOPPED_MAX; i++)
		stopped[i].pid = 0;
}

static unsigned each_of_ours(bool kill)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	unsigned n = 0;
	char state = 0;

	while (proc && (d = readdir(proc))) {
		pid_t pid = atoi(d->d_name);

		if (pid <= 1 || pid == getpid() || !is_ours(pid) || !parent_of(pid, &state) || state == 'Z' ||
		    state == 'X')
			continue;
		n++;
		if (kill)
			(void)troupe_kill(pid, SIGKILL);
	}
	if (proc)
		closedir(proc);
	return n;
}

unsigned troupe_count(void)
{
	return each_of_ours(false);
}

void troupe_end(void)
{
	for (unsigned i = 0; i < 1000 && each_of_ours(true); i++) {
		troupe_reap(NULL);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	troupe_reap(NULL);
}
