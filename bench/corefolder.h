/* SPDX-License-Identifier: ISC */
/* A folder for the cores of those that are to dump one: this process and its children work there meanwhile. */
#ifndef HEIR_BENCH_COREFOLDER_H
#define HEIR_BENCH_COREFOLDER_H

#include <limits.h>
#include <stdbool.h>

struct corefolder {
	char path[64], before[PATH_MAX];
};

/* Cores go to the folder of a process, and may. */
bool corefolder_is_possible(void);
int corefolder_enter(struct corefolder *folder);  /* negative errno */
void corefolder_leave(struct corefolder *folder); /* removes it with what is in it */

#endif
