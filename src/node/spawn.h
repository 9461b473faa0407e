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
#include <sys/types.h>

#define SPAWN_FD_FIRST 3

struct spawn_fd {
	int from, to; /* `to` stays open across exec */
};

struct spawn {
	const char *path;
	char *const *argv, *const *envp;
	char *listen_pid; /* within envp: where the child's pid goes, SPAWN_PID_WIDTH digits; NULL:
	                     nowhere */
	const struct spawn_fd *fds;
	unsigned fd_count;
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

/* Pids of all children of this process, those included that it adopted. How many, at most max;
 * -errno. */
int spawn_children(pid_t *pids, unsigned max);
/* Kills by pidfd the adopted children whose environment has HEIR_APPLICATION=application, but those
 * of which is_known says true. How many live. */
unsigned spawn_kill_adopted(const char *domain, const char *node, const char *application,
                            int (*is_known)(pid_t pid, void *arg), void *arg);
/*
 * Kills, by pidfd, all processes whose environment has these, and not the word `except`: what a
 * dead leader left. killed gets each pidfd, to be closed. How many there were.
 */
unsigned spawn_kill_survivors(const char *domain, const char *node, const char *application,
                              const char *except, void (*killed)(pid_t pid, int pidfd, void *arg),
                              void *arg);
/* It is on its way out, but may still hold files open. */
bool spawn_is_exiting(pid_t pid);

#endif
