/* SPDX-License-Identifier: ISC */
/*
 * The bare limits: the chains of wake-ups that a takeover and a failover cannot do without, run by
 * processes that know nothing of heir. They sleep in futex waits in one shared mapping, each until
 * it is woken by the one before it:
 *
 *   planned: command -> new -> caller
 *   crash:   kill -9 -> (the kernel's robust-futex notice) -> new -> caller
 *
 * The process that asks for the sample is command, and in a crash the killer. A victim has an owner's time slice, as
 * heir's has (base/timeslice.h).
 */
#ifndef HEIR_BENCH_BARELIMIT_H
#define HEIR_BENCH_BARELIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct barelimit;

/* Processors of the three, -1: any; and whether `new` spins on its words instead of sleeping. */
struct bareoptions {
	int cpu_new, cpu_caller, cpu_victim;
	bool spin;
};

/* Starts `new` and `caller`. Negative errno. The first: on any processor, sleeping. */
int barelimit_create(struct barelimit **ret);
int barelimit_create_with(const struct bareoptions *options, struct barelimit **ret);
void barelimit_destroy(struct barelimit *limit); /* NULL is allowed */

/* One sample in nanoseconds. -ETIMEDOUT where the chain broke, or another negative errno. */
int barelimit_planned(struct barelimit *limit, int64_t *ret_ns);
/*
 * The victim has touched that much memory of its own and that much that others keep; it sleeps, or
 * runs; it has so many more threads, which sleep; it dies by SIGKILL, or by SIGSEGV, writing its
 * core to where the kernel has been told to.
 */
struct barevictim {
	size_t own, shared;
	unsigned threads;
	bool is_running, is_segv;
};
int barelimit_crash(struct barelimit *limit, struct barevictim victim, int64_t *ret_ns);
/* Of the last crash: from the kill until `new` ran. */
int64_t barelimit_notice(const struct barelimit *limit);
/* What a victim would have to touch to be as large as this process; 0 where /proc is silent. */
struct barevictim barelimit_size_of(pid_t pid);

/* Private memory of that size, every page of it present, 4 KiB each as far as one may ask. NULL
 * where there is not so much. */
void *barelimit_touch(size_t resident);
/*
 * Memory for children to share, in pages of the kind that heir's segment and states have (base/mapfile.h); nothing is
 * touched. NULL where there is not so much.
 */
void *barelimit_share(size_t size);
/* Its main thread sleeps, as /proc says; false after a second. */
bool barelimit_asleep(pid_t pid);
/* This process may dump a core as large as it can be, or none. */
void barelimit_allow_core(bool core);
/* This thread on that processor from now on; -1: wherever. */
void barelimit_pin(int cpu);
static inline void barelimit_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}
/* The same rest before every sample, so that processors are found idle: 5 ms. */
void barelimit_rest(void);

#endif
