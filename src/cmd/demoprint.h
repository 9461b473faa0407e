/* SPDX-License-Identifier: ISC */
/* The result of a run of the demo: a table for a person, or one JSON document. */
#ifndef HEIR_CMD_DEMOPRINT_H
#define HEIR_CMD_DEMOPRINT_H

#include "cmdout.h"
#include "demorun.h"

/* Both sort the samples of the run. */
void demo_print(struct out *out, struct demo_run *run);
void demo_json(struct out *out, struct demo_run *run);

#endif
