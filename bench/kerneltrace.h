/* SPDX-License-Identifier: ISC */
/*
 * What the kernel did on the way of a wake, by ftrace: who was sent a signal, was woken, was given a processor, began
 * to exit; each with its time on CLOCK_MONOTONIC. In an instance of its own, so that no other tracing is disturbed.
 */
#ifndef HEIR_BENCH_KERNELTRACE_H
#define HEIR_BENCH_KERNELTRACE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum kernel_what {
	KERNEL_SIGNAL, /* SIGKILL is sent to pid */
	KERNEL_WAKE,   /* pid is being woken, by `by` */
	KERNEL_RUN,    /* pid is given a processor, of which `by` had been */
	KERNEL_EXIT,   /* pid begins to exit */
};

struct kernel_event {
	int64_t ns;
	enum kernel_what what;
	pid_t pid, by;
};

struct kerneltrace;

/* 0; -ENOSYS: built without libtracefs; -EACCES: no tracefs, or not for this user; -ENOMEM. */
int kerneltrace_open(struct kerneltrace **ret);
int kerneltrace_start(struct kerneltrace *trace);
/* What has happened since, in order of time; of `trace` until the next start. 0 or -errno. */
int kerneltrace_stop(struct kerneltrace *trace, const struct kernel_event **ret, size_t *ret_count);
void kerneltrace_close(struct kerneltrace *trace); /* NULL: nothing */

#endif
