/* SPDX-License-Identifier: ISC */
#include "node/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define PATIENCE_MS 5000

static int report = -1; /* the background's end: a byte when it is done, EOF when it has failed */

/* The descriptor of the file for what is printed from now on, or -errno. */
static int open_log(const char *domain, char *path, size_t size)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	int fd;

	snprintf(path, size, "%s/heir.%u.%s.log", dir && *dir == '/' ? dir : "/tmp",
	         (unsigned)geteuid(), domain);
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

static void copy(int fd, off_t from)
{
	char text[4096];
	ssize_t n;

	while ((n = pread(fd, text, sizeof(text), from)) > 0) {
		(void)!write(STDERR_FILENO, text, (size_t)n);
		from += n;
	}
}

/* It has closed its end without a word: it is ending, or could not say it. */
static bool has_ended(pid_t pid)
{
	struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	int n = 1;

	if (p.fd >= 0) {
		n = poll(&p, 1, PATIENCE_MS);
		close(p.fd);
	}
	return n == 1;
}

static int wait_for(pid_t pid, int pipe_end, int log, off_t from, const char *path)
{
	char byte;
	ssize_t n;
	int status = 0;

	do {
		n = read(pipe_end, &byte, 1);
	} while (n < 0 && errno == EINTR);
	copy(log, from);
	if (n != 0 || !has_ended(pid)) { /* or it cannot be told */
		fprintf(stderr, "heir: it goes on in the background; what it prints is in %s\n",
		        path);
		return 0;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

static void become_background(int log)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)setsid();
	if (null >= 0)
		(void)dup2(null, STDIN_FILENO);
	(void)dup2(log, STDOUT_FILENO);
	(void)dup2(log, STDERR_FILENO);
}

bool detach(const char *domain, int *ret_status)
{
	char path[4096];
	int ends[2], log = open_log(domain, path, sizeof(path));
	off_t from;
	pid_t pid;

	if (log < 0) {
		log_error("%s: %s", path, strerror(-log));
		*ret_status = 1;
		return true;
	}
	from = lseek(log, 0, SEEK_END);
	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		log_error("cannot go into the background: %s", strerror(errno));
		*ret_status = 1;
		return true;
	}
	if (pid == 0) {
		close(ends[0]);
		report = ends[1];
		become_background(log);
		return false;
	}
	close(ends[1]);
	*ret_status = wait_for(pid, ends[0], log, from, path);
	return true;
}

void detach_done(void)
{
	if (report < 0)
		return;
	while (write(report, "1", 1) < 0 && errno == EINTR)
		;
	close(report);
	report = -1;
}
