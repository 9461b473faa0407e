/* SPDX-License-Identifier: ISC */
/*
 * The yardstick of lookups: liburcu's lfht in this process (QSBR flavour, whose read side is free),
 * with the hash of heir's table and its number of buckets. Without liburcu there is none.
 */
#ifndef HEIR_BENCH_LFHTSIDE_H
#define HEIR_BENCH_LFHTSIDE_H

#include <stddef.h>
#include <stdint.h>

struct lfhtside;

/* With name-0 to name-(names - 1), each bound to its number + 1. NULL: no liburcu, or no memory. */
struct lfhtside *lfhtside_create(uint32_t names);
void lfhtside_destroy(struct lfhtside *side);					  /* NULL is allowed */
uint64_t lfhtside_lookup(struct lfhtside *side, const char *name, size_t length); /* 0: none */

#endif
