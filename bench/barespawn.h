/* SPDX-License-Identifier: ISC */
/*
 * A child that says when it reached main(), and a bare supervisor of it: sleeps on the child's robust word, spawns the
 * next at once, reaps afterwards; of a program that has no such word it learns by wait(2). No heir code.
 */
#ifndef HEIR_BENCH_BARESPAWN_H
#define HEIR_BENCH_BARESPAWN_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* In memory that bench, supervisor and child share. */
struct child_share {
	_Atomic int64_t main_ns; /* when the last of them reached main() */
	_Atomic uint32_t starts; /* after main_ns and pid */
	_Atomic int32_t pid;
	_Atomic uint32_t stop;	 /* the supervisor is to end */
	struct robust_list node; /* of the child's robust list */
	_Atomic uint32_t life;	 /* its word */
};

/* In the child: says that it is there, then sleeps for ever; `holds`: with the life word held. */
_Noreturn void child_sleep(struct child_share *share, int64_t main_ns, bool holds);

/* Says so and goes on. */
void child_tell(struct child_share *share, int64_t main_ns);

/* The supervisor as a process of its own; the first child, which holds that word or not, is there when it returns.
   Negative errno. */
struct barespawn {
	pid_t pid;
	struct child_share *share;
};
int barespawn_start(struct barespawn *bare, struct child_share *share, char *const argv[], bool holds);
void barespawn_end(struct barespawn *bare);
/* Kill the child that is there; from then to main() of the next, in ns. Negative errno. */
int child_killed(struct child_share *share, int64_t *ret_ns);
/* vfork and exec of it, to its main(); it is ended again. */
int child_spawned(struct child_share *share, char *const argv[], int64_t *ret_ns);

#endif
