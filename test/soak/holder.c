/* SPDX-License-Identifier: ISC */
/*
 * A worker for found_story.sh that holds a lock from start() until its process is gone. "linger" ends its thread, and
 * with that the owner, but not the process, which stays until the file `hold` is removed. With the file `fat` it has
 * so much memory that its end takes a while; with `deaf` it outlives its leader. Events as story_worker's.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "heir.h"

#define FAT ((size_t)400 << 20)

static void say(const char *point)
{
	char line[256];
	struct timespec now;
	int fd = open("events", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600), n;

	clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(line, sizeof(line), "%lld %s %s %d\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec, point,
		     getenv("HEIR_NODE"), (int)getpid());
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		fprintf(stderr, "holder: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool is_there(const char *file)
{
	return access(file, F_OK) == 0;
}

static int init(heir_t *h, void *arg)
{
	char *memory = is_there("fat") ? mmap(NULL, FAT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
				       : MAP_FAILED;

	(void)h;
	(void)arg;
	for (size_t at = 0; memory != MAP_FAILED && at < FAT; at += 4096)
		memory[at] = 1;
	return is_there("deaf") && prctl(PR_SET_PDEATHSIG, 0) < 0 ? -errno : 0;
}

static int start(heir_t *h, const struct heir_start *start, void *arg)
{
	int fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)h;
	(void)start;
	(void)arg;
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		say("lock_refused");
		return -EWOULDBLOCK;
	}
	say("locked");
	return 0;
}

static void *stay(void *arg)
{
	while (is_there("hold"))
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	say("gone");
	_exit(0);
	return arg;
}

static int handle(heir_t *h, const struct heir_message *m, void *arg)
{
	pthread_t thread;

	(void)arg;
	if (m->size != 6 || memcmp(m->data, "linger", 6) != 0 || m->deliveries > 1)
		return heir_reply(h, "done", 4);
	if (pthread_create(&thread, NULL, stay, NULL))
		return HEIR_EINVAL;
	say("lingers");
	syscall(SYS_exit, 0);
	return 0;
}

int main(void)
{
	struct heir_worker worker = {
		.size = sizeof(worker), .version = 1, .init = init, .start = start, .handle = handle};
	const char *dir = getenv("STORY_DIR");
	heir_t *h;
	int rc = dir && chdir(dir) == 0 ? heir_worker_open(&worker, NULL, &h) : HEIR_EINVAL;

	if (rc == 0)
		rc = heir_serve(h);
	return rc != 0;
}
