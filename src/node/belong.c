/* SPDX-License-Identifier: ISC */
#include "node/belong.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node/spawn.h"

#define TASK_EXITING 0x4u       /* PF_EXITING */
#define TASK_KERNEL  0x200000u  /* PF_KTHREAD */
#define NOT_SHOWN    1u         /* in place of start_code, where this process may not see it */
#define LOOKS        4

/* What /proc/PID/stat tells of the memory of a process. */
struct image {
	char state;
	unsigned flags;
	long threads;
	unsigned long start_code, env_start, env_end;
};

static int read_image(pid_t pid, struct image *ret)
{
	char path[64], text[1024], *p;
	struct image i;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1,
	                 " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %*u %*u"
	                 " %*d %*u %lu %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %*d %*u %*u %*u %*u"
	                 " %*d %*u %*u %*u %*u %*u %lu %lu",
	                 &i.state, &i.flags, &i.threads, &i.start_code, &i.env_start, &i.env_end) != 6)
		return -ESRCH;
	*ret = i;
	return 0;
}

static bool is_word(const char *at, const char *name, const char *value)
{
	size_t length = strlen(name);

	return value && strncmp(at, name, length) == 0 && strcmp(at + length, value) == 0;
}

static unsigned match(const char *at, const struct belong_to *to)
{
	return (unsigned)is_word(at, "HEIR_DOMAIN=", to->domain) |
	       (unsigned)is_word(at, "HEIR_NODE=", to->node) << 1 |
	       (unsigned)is_word(at, "HEIR_APPLICATION=", to->application) << 2 |
	       (unsigned)is_word(at, "HEIR_CHILD=", to->child) << 3 |
	       (unsigned)is_word(at, "HEIR_LEADER=", to->leader) << 4 |
	       (unsigned)is_word(at, "HEIR_SPAWN=", to->spawn) << 5;
}

/* The words that are there, and how many bytes were read; -errno. */
static ssize_t read_environment(const char *path, const struct belong_to *to, unsigned *ret_found)
{
	static char text[65536];
	size_t used = 0;
	ssize_t n, total = 0;
	bool cut = false; /* what is at the start of the text is the rest of a word too long to matter */
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_found = 0;
	while ((n = read(fd, text + used, sizeof(text) - 1 - used)) > 0) {
		char *at = text, *end;

		total += n;
		used += (size_t)n;
		text[used] = 0;
		while ((end = memchr(at, 0, (size_t)(text + used - at)))) {
			*ret_found |= cut ? 0 : match(at, to);
			cut = false;
			at = end + 1;
		}
		used = (size_t)(text + used - at);
		memmove(text, at, used);
		if (used == sizeof(text) - 1) {
			cut = true;
			used = 0;
		}
	}
	if (n < 0)
		total = -errno;
	else if (used && !cut)
		*ret_found |= match(text, to);
	close(fd);
	return total;
}

static enum belong judge(const struct belong_to *to, unsigned found)
{
	unsigned wanted = to->child ? 0xf : 0x7;

	return (found & wanted) == wanted && !(found & 0x30) ? BELONG_YES : BELONG_NOT;
}

/* Its first thread has ended, and took its view of the memory along; others run. */
static enum belong look_at_threads(pid_t pid, const struct belong_to *to)
{
	enum belong b = BELONG_UNKNOWN;
	char path[300];
	struct dirent *e;
	unsigned found;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && b == BELONG_UNKNOWN && (e = readdir(tasks))) {
		if (!isdigit((unsigned char)e->d_name[0]) || atoi(e->d_name) == pid)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/environ", (int)pid, e->d_name);
		if (read_environment(path, to, &found) > 0)
			b = judge(to, found);
	}
	if (tasks)
		closedir(tasks);
	return b;
}

/*
 * An exec makes new memory, then maps the program, then says where the environment lies, and last where the
 * code begins: until then the environment reads as empty whatever it will be. Where the memory is gone, all
 * that reads as 0 again.
 */
enum belong belong_look(pid_t pid, const struct belong_to *to)
{
	struct image i;
	char path[64];
	unsigned found;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	for (int look = 0; look < LOOKS; look++) {
		ssize_t n = read_environment(path, to, &found);

		if (n > 0)
			return judge(to, found);
		if (n == -EACCES || n == -EPERM)
			return BELONG_NOT;
		rc = read_image(pid, &i);
		if (rc == -ENOENT || rc == -ESRCH)
			return BELONG_NOT;
		if (rc < 0)
			continue;
		if (i.start_code == 0)
			return i.threads > 1 && i.state == 'Z' ? look_at_threads(pid, to) : BELONG_UNKNOWN;
		if (i.start_code != NOT_SHOWN && i.env_start == i.env_end)
			return BELONG_NOT;
	}
	return BELONG_UNKNOWN;
}

struct adopted {
	const struct belong_to *to;
	bool (*is_known)(pid_t pid, void *arg);
	void *arg;
	unsigned alive;
};

static void kill_adopted(pid_t pid, void *arg)
{
	struct adopted *a = arg;
	enum belong b;

	if (a->is_known(pid, a->arg))
		return;
	b = belong_look(pid, a->to);
	a->alive += b != BELONG_NOT;
	if (b == BELONG_YES)
		(void)kill(pid, SIGKILL); /* a child that this process has not reaped: the pid is no other's */
}

unsigned belong_kill_adopted(const struct belong_to *to, bool (*is_known)(pid_t pid, void *arg), void *arg)
{
	struct adopted a = {to, is_known, arg, 0};

	return spawn_children(kill_adopted, &a) < 0 ? 1 : a.alive;
}

/* One of this user's that runs programs and has not ended. */
static bool may_belong(pid_t pid)
{
	char path[64];
	struct image i;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return stat(path, &st) == 0 && st.st_uid == geteuid() && read_image(pid, &i) == 0 &&
	       !(i.flags & TASK_KERNEL) && !((i.state == 'Z' || i.state == 'X') && i.threads <= 1);
}

/* 1: it belongs to it and is killed; -1: it cannot be told yet. */
static int kill_survivor(pid_t pid, const struct belong_to *to, int *ret_pidfd)
{
	enum belong b = belong_look(pid, to);
	int fd;

	if (b == BELONG_UNKNOWN)
		return may_belong(pid) ? -1 : 0;
	if (b == BELONG_NOT)
		return 0;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH ? 0 : -1;
	/* After the open, so that it is the pidfd of that process. */
	if (belong_look(pid, to) != BELONG_YES) {
		close(fd);
		return -1;
	}
	(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	*ret_pidfd = fd;
	return 1;
}

unsigned belong_kill_survivors(const struct belong_to *to, void (*killed)(pid_t pid, int pidfd, void *arg),
                               void *arg, bool *ret_unsure)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	unsigned count = 0;
	bool unsure = !proc;

	while (proc && (e = readdir(proc))) {
		pid_t pid = (pid_t)atoi(e->d_name);
		int fd = -1, rc;

		if (pid <= 1 || pid == getpid())
			continue;
		rc = kill_survivor(pid, to, &fd);
		unsure |= rc < 0;
		count += rc > 0;
		if (rc > 0)
			killed(pid, fd, arg);
	}
	if (proc)
		closedir(proc);
	*ret_unsure = unsure;
	return count;
}

bool belong_is_exiting(pid_t pid)
{
	struct image i;

	return read_image(pid, &i) == 0 && i.state != 'Z' && i.state != 'X' && (i.flags & TASK_EXITING);
}
