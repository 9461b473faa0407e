/* SPDX-License-Identifier: ISC */
/*
 * The bare limits: the chains of wake-ups that a takeover and a failover cannot do without, run by
 * processes that know nothing of heir. They sleep in futex waits in one shared mapping, each until
 * it is woken by the one before it:
 *
 *   planned: command -> new -> caller
 *   crash:   kill -9 -> (the kernel's robust-futex notice) -> new -> caller
 *
 * command, and in a crash the caller too, is the process that asks for the sample.
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
/* The victim has touched `resident` bytes and sleeps. */
int barelimit_crash(struct barelimit *limit, size_t resident, int64_t *ret_ns);

/* Private memory of that size, every page of it present, 4 KiB each as far as one may ask. NULL
 * where there is not so much. */
void *barelimit_touch(size_t resident);
/* Its main thread sleeps, as /proc says; false after a second. */
bool barelimit_asleep(pid_t pid);
/* The same rest before every sample, so that processors are found idle: 5 ms. */
void barelimit_rest(void);

#endif
