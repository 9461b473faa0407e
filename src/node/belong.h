/* SPDX-License-Identifier: ISC */
/*
 * Which instance a process belongs to, by the environment that it was started with: whatever the children of a
 * leader have started themselves has it too, unless it was taken from it. Of a process that is in the middle of
 * an exec, or whose memory is gone already while its files and locks may not be, nothing can be said yet.
 */
#ifndef HEIR_NODE_BELONG_H
#define HEIR_NODE_BELONG_H

#include <stdbool.h>
#include <sys/types.h>

struct belong_to {
	const char *domain, *node, *application;
	const char *leader; /* HEIR_LEADER of those that do not belong; NULL: of none */
	const char *child;  /* NULL: whichever */
	const char *spawn;  /* HEIR_SPAWN of those that do not belong; NULL: of none */
};

enum belong { BELONG_NOT, BELONG_YES, BELONG_UNKNOWN };

/*
 * A cleared environment belongs to nobody, and one that this process may not see neither. Not yet reaped:
 * BELONG_UNKNOWN.
 */
enum belong belong_look(pid_t pid, const struct belong_to *to);

/*
 * Kills those children of this process, adopted ones included, that belong to it, but those of which is_known
 * says true. How many live, or are not known not to; look again until it is 0.
 */
unsigned belong_kill_adopted(const struct belong_to *to, bool (*is_known)(pid_t pid, void *arg), void *arg);

/*
 * Kills, by pidfd, all processes that belong to it: what a dead leader left. killed gets each pidfd, to be
 * closed. How many there were; *ret_unsure if some of this user's cannot be told yet.
 */
unsigned belong_kill_survivors(const struct belong_to *to, void (*killed)(pid_t pid, int pidfd, void *arg),
                               void *arg, bool *ret_unsure);

/* It is on its way out, but may still hold files open. */
bool belong_is_exiting(pid_t pid);

#endif
