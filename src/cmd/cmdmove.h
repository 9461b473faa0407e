/* SPDX-License-Identifier: ISC */
/* A takeover or failover for a person, a timeline to scale, and as JSON. */
#ifndef HEIR_CMD_MOVE_H
#define HEIR_CMD_MOVE_H

#include "cmd/cmdjson.h"
#include "cmd/cmdout.h"

#include <heir.h>

void move_print(struct out *out, const struct heir_move *move);
void move_json(struct json *json, const struct heir_move *move);
const char *move_result(enum heir_result result);

/*
 * The bar of a step, `columns` cells for total_ns; at least half a cell, and `…` past the end for
 * what goes beyond. buffer has 3 bytes for each cell and 8 more.
 */
void move_bar(const struct heir_step *step, int64_t total_ns, int columns, bool utf8, char *buffer);
/* RFC 3339 in UTC with microseconds. */
void move_time(int64_t at_ns, char *buffer, size_t size);

#endif
