/* SPDX-License-Identifier: ISC */
/*
 * The bare limits: the chains of wake-ups that a takeover and a failover cannot do without, run by
 * processes that know nothing of heir. They sleep in futex waits in one shared mapping, each until
 * it is woken by the one before it:
 *
 *   planned: command -> new -> caller
 *   crash:   kill -9 -> (the kernel's robust-futex notice) -> new -> caller
 *
 * The process that asks for the sample is command, and in a crash the killer.
 */
#ifndef HEIR_BENCH_BARELIMIT_H
#define HEIR_BENCH_BARELIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct barelimit;

/* Starts `new` and `caller`. Negative errno. */
int barelimit_create(struct barelimit **ret);
void barelimit_destroy(struct barelimit *limit); /* NULL is allowed */

/* One sample in nanoseconds. -ETIMEDOUT where the chain broke, or another negative errno. */
int barelimit_planned(struct barelimit *limit, int64_t *ret_ns);
/* The victim has touched that much memory of its own and that much that others keep; it sleeps. */
struct barevictim {
	size_t own, shared;
};
int barelimit_crash(struct barelimit *limit, struct barevictim victim, int64_t *ret_ns);
/* What a victim would have to touch to be as large as this process; 0 where /proc is silent. */
struct barevictim barelimit_size_of(pid_t pid);

/* Private memory of that size, every page of it present, 4 KiB each as far as one may ask. NULL
 * where there is not so much. */
void *barelimit_touch(size_t resident);
/* Its main thread sleeps, as /proc says; false after a second. */
bool barelimit_asleep(pid_t pid);
/* The same rest before every sample, so that processors are found idle: 5 ms. */
void barelimit_rest(void);

#endif
