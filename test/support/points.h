/* SPDX-License-Identifier: ISC */
/*
 * testpoint() for tests that are compiled with HEIR_TESTPOINTS. Until a process arms it, it does
 * nothing. Then the n-th point that this process passes, from 1, kills it by SIGKILL, or stops it
 * by SIGSTOP until its parent continues it. A process that ends by itself has fewer points than
 * that: the end of a sweep.
 */
#ifndef HEIR_TEST_POINTS_H
#define HEIR_TEST_POINTS_H

#include <sys/types.h>

enum points_how { POINTS_DIE = 1, POINTS_STOP };
enum points_end { POINTS_ENDED, POINTS_DIED, POINTS_STOPPED };

void points_arm(enum points_how how, int n);
/* Only points of that label are counted. */
void points_arm_at(enum points_how how, const char *label, int n);
void points_disarm(void);

/* In the parent: until the child has ended in one of these ways; POINTS_ENDED: *ret_status is its
 * exit status. */
enum points_end points_wait(pid_t child, int *ret_status);
/* In the parent: go on. */
void points_continue(pid_t child);
/* In the parent: where a child died or stopped last. */
const char *points_label(void);

#endif
