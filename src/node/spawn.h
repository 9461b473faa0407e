/* SPDX-License-Identifier: ISC */
/*
 * One process started: fork, exec, nothing else. The child gets a process group of its own, the
 * default for every signal, and SIGKILL when the thread that forked it ends; it stores nothing
 * shared between fork and exec, and calls only what is async-signal-safe. Only a main thread may
 * call this: a child dies with the thread that forked it.
 */
#ifndef HEIR_NODE_SPAWN_H
#define HEIR_NODE_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define SPAWN_FD_FIRST 3

struct spawn_fd {
	int from, to; /* `to` stays open across exec */
};

struct spawn {
	const char *path;
	char *const *argv, *const *envp;
	/* within envp: where the child's pid goes, with room for SPAWN_PID_WIDTH digits; NULL: nowhere */
	char *own_pid[2];
	const struct spawn_fd *fds;
	unsigned fd_count;
	const struct rlimit *files; /* how many it may have open; NULL: as the caller */
	int out;     /* standard output and error; -1: the caller's */
	int outlive; /* 1: goes on when the caller dies */
};

#define SPAWN_PID_WIDTH 10

struct spawned {
	pid_t pid;
	int pidfd;
	int exec; /* read it when readable: nothing once exec has succeeded, an int of errno if it
	             failed */
};

/* 0 or -errno. */
int spawn_process(const struct spawn *spawn, struct spawned *ret);
/* What `exec` says: 1 it runs, 0 not yet known, -errno. */
int spawn_result(int exec);

/* All children of this process, those included that it adopted. 0 or -errno. */
int spawn_children(void (*each)(pid_t pid, void *arg), void *arg);

#endif
