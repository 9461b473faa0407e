/* SPDX-License-Identifier: ISC */
/*
 * As much of a kernel as the code under test asks for, for actors that are fibres: futexes, robust lists, pidfds,
 * the pid and start time of a process, and a clock that stands still until all sleep.
 */
#ifndef HEIR_TEST_SIMKERNEL_H
#define HEIR_TEST_SIMKERNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/atom.h"

#define ACTORS	  7u /* 0 is the test's own process */
#define SIM_HELD  24u
#define SIM_WORDS 10u

struct sim_process {
	pid_t pid;
	uint64_t started;
	bool alive;    /* not gone: it may be on its way out */
	bool exiting;  /* its robust list is being walked */
	unsigned held; /* robust mutexes, the one locked last is the last */
	atom32 *mutex[SIM_HELD];
	/* asleep */
	unsigned words;
	atom32 *word[SIM_WORDS];
	uint32_t expected[SIM_WORDS];
	pid_t exit_of;	  /* until that one is gone; 0: nobody */
	int64_t deadline; /* -1: none */
	int woken;	  /* which word, or -errno */
};

/* All of its state: saved and restored with the image of the segment. */
struct sim {
	int64_t now;
	pid_t last_pid;
	uint64_t wakes; /* that found somebody asleep */
	struct sim_process process[ACTORS];
};
extern struct sim sim;
extern bool sim_real; /* actors are processes: everything is passed on */

void sim_reset(void);
/* A process begins. */
void sim_spawn(unsigned actor);
/* Killed: it runs no more. walk: one mutex of its robust list a call; true while there are more. */
void sim_exit_begin(unsigned actor);
bool sim_exit_walk(unsigned actor);
/* It sleeps although one of its words, but for `except`, has changed: nobody has woken it. */
bool sim_oversleeps(unsigned actor, const atom32 *except);
/* Its sleep is over, at its deadline. */
void sim_timeout(unsigned actor);
/* The file that stands for the state's: any path that begins so. */
void sim_state_file(int fd);

/* What the dead have left mapped. */
void sim_unmap(void);

#endif
