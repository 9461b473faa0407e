/* SPDX-License-Identifier: ISC */
/* A segment for the tests of the trace: carved by the real gate, over memory of the test's own. */
#ifndef HEIR_TEST_TRACEFIX_H
#define HEIR_TEST_TRACEFIX_H

#include <stddef.h>

#include "shm/segment.h"

struct tracefix {
	struct shm rw, ro; /* two mappings of one file */
};

#define TRACEFIX_SLOTS 6u
#define TRACEFIX_RECORDS 16u
#define TRACEFIX_NODES 3u
#define TRACEFIX_APPS 4u

/* Nodes a, b, c; applications app0 to app3 with the default steps; every slot in incarnation 7. */
void tracefix_init(struct tracefix *f, uint32_t records);
void tracefix_finish(struct tracefix *f);

#endif
