/* SPDX-License-Identifier: ISC */
/* story_worker.c is a worker, story_client.c what the stories need of clients that bash has not. */
#ifndef HEIR_STORY_WORKER_H
#define HEIR_STORY_WORKER_H

#include "heir.h"

/* argv[0] is what to do. The exit status. */
int story_client(int argc, char **argv, int (*usage)(void));

#endif
