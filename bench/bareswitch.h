/* SPDX-License-Identifier: ISC */
/*
 * The bare takeover and failover under a calling client: a caller in a closed loop with a server, both
 * in futex waits; at a command, or at the server's death, another one answers from then on. The standby
 * waits for both at once, and the owner has a long time slice, as one of heir's does. No heir code but for that call.
 */
#ifndef HEIR_BENCH_BARESWITCH_H
#define HEIR_BENCH_BARESWITCH_H

#include "bench/barelimit.h"

struct bareswitch;

/* Each server has touched that much memory; the other fields of size are not used. */
int bareswitch_create(const struct bareoptions *options, struct barevictim size, struct bareswitch **ret);
void bareswitch_destroy(struct bareswitch *bare); /* NULL is allowed */
/* One sample: the longest time between two replies that touches the switch. Negative errno. */
int bareswitch_planned(struct bareswitch *bare, int64_t *ret_ns);
/* kill -9 of the server to the first reply of the other one; then there is a standby again. */
int bareswitch_crash(struct bareswitch *bare, int64_t *ret_ns);

#endif
