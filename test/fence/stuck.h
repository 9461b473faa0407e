/* SPDX-License-Identifier: ISC */
/*
 * Processes that no signal ends, SIGKILL included, until they are let go: frozen in a freezer cgroup (v1; what v2
 * freezes still dies), or in a system call on a FUSE file system whose server does not answer. Both need privileges
 * that a machine may not give: then the functions say why not.
 */
#ifndef HEIR_TEST_STUCK_H
#define HEIR_TEST_STUCK_H

#include <stdbool.h>
#include <sys/types.h>

/* NULL, or why not. */
const char *freezer_begin(void);
const char *freezer_freeze(pid_t pid);
void freezer_thaw(void); /* this and the next are harmless at any time */
void freezer_end(void);  /* when its process is gone */

const char *mute_begin(void);      /* mounts it, for this process and its children alone */
void mute_enter(void);             /* never returns while it is mute */
bool mute_holds(pid_t pid);        /* it is within that call, and beyond signals */
void mute_end(void);               /* whoever is in it gets an error; harmless at any time */

#endif
