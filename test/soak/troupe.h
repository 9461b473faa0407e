/* SPDX-License-Identifier: ISC */
/*
 * The processes of a run: started, found again, killed, stopped and continued. No signal goes to a process that
 * does not descend from this one: the pidfd is opened first, its ancestors are looked at then, and the signal
 * goes through the pidfd.
 */
#ifndef HEIR_TEST_TROUPE_H
#define HEIR_TEST_TROUPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

void troupe_begin(void); /* orphans among the descendants of this process become its children */
/*
 * Its output goes to the end of the file. With `alone` it is in a session of its own and outlives this process,
 * else it dies with it.
 */
pid_t troupe_start(const char *const *argv, const char *output, bool alone);
/* Children that have ended: each(pid, status) */
void troupe_reap(void (*each)(pid_t pid, int status));

bool troupe_kill(pid_t pid, int signal_number);
/* Stopped until that time (monotonic ns); already_stopped: by itself. */
bool troupe_stop(pid_t pid, int64_t until, bool already_stopped);
bool troupe_is_stopped(pid_t pid);
void troupe_wake(int64_t now); /* those whose time has come; INT64_MAX: all */
unsigned troupe_count(void);   /* descendants that live */
void troupe_end(void);         /* kills them all */

#endif
