/* SPDX-License-Identifier: ISC */
/*
 * The time slice of the calling thread under the kernel's fair scheduler (EEVDF): whoever is woken goes before a
 * running thread of the same weight whose slice is longer, if it is not ahead of its share. Needs no privilege, and
 * changes no share. Linux 6.12 and newer; older ones have no such thing.
 */
#ifndef HEIR_BASE_TIMESLICE_H
#define HEIR_BASE_TIMESLICE_H

#include <stdint.h>

#define SLICE_OWNER 2 /* times the kernel's own, of a process that serves */

/* In ns; 0: the kernel has none, or the thread is not scheduled by that scheduler. */
int64_t slice_get(void);
/* 0: the kernel's own. 0, or negative: what sched_setattr(2) says; the slice is as it was. */
int slice_set(int64_t ns);

#endif
