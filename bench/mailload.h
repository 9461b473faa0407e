/* SPDX-License-Identifier: ISC */
/*
 * Calls and sends of one and of many processes at a fixed rate in all. Each is timed from when it was
 * meant to start, so that one that is late makes those behind it late as well.
 */
#ifndef HEIR_BENCH_MAILLOAD_H
#define HEIR_BENCH_MAILLOAD_H

#include "bench/setup.h"

bool loads_run(struct bench *bench);

#endif
