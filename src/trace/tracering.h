/* SPDX-License-Identifier: ISC */
/*
 * The trace: a ring of fixed records for each slot, written by the slot's thread alone, always on.
 * Whoever maps the segment reads, also read-only; nobody waits for anybody.
 *
 *   word 0   {number:56 | event:8}
 *   word 1   {b:16 | a:8 | application:8 | generation:32}
 *   word 2   at: CLOCK_MONOTONIC ns
 *   word 3   value
 *
 * Record `number` lies at index number modulo the ring's length. Numbers go on when the slot gets
 * its next incarnation, so a number means one record for ever, but for one that was never finished.
 *
 * A record is valid if and only if word 0 has its number and an event, before and after the other
 * words were read.
 *
 * Writer                                        Reader
 *   W1 word 0 := {number, no event}, relaxed      R1 word 0, acquire
 *   W2 words 1 to 3, release                      R2 words 1 to 3, acquire
 *   W3 word 0 := {number, event}, release         R3 word 0 again, relaxed
 *   W4 next := number + 1, release
 *
 * R1 that sees W3 sees that record's words (or later ones). R2 that sees a later record's W2 has
 * synchronised with it, hence R3 sees its W1 or something later still, and the two reads differ.
 *
 * Death and stop: after W1 or W2 the record is no event and nobody reads it; after W3 it is valid,
 * though next does not count it yet. The next incarnation begins at `next` and writes the same
 * number again, in the same place.
 */
#ifndef HEIR_TRACE_TRACERING_H
#define HEIR_TRACE_TRACERING_H

#include "shm/segment.h"
#include "trace/tracestep.h"

struct trace_record {
	enum trace_event event;
	uint32_t generation;
	uint8_t app;
	uint8_t a;
	uint16_t b;
	int64_t at_ns;
	uint64_t value;
};

/* Appends to the slot's ring; nothing where the slot is out of range or the mapping read-only. */
void trace_write(const struct shm *shm, uint32_t slot, const struct trace_record *record);

/* The numbers that may be there now: *ret_first to *ret_end - 1; none is certain to be. */
void trace_range(const struct shm *shm, uint32_t slot, uint64_t *ret_first, uint64_t *ret_end);

/* 1 and *ret if record `number` is there, else 0. The event is in range, the rest is as written. */
int trace_read(const struct shm *shm, uint32_t slot, uint64_t number, struct trace_record *ret);

const char *trace_event_name(enum trace_event event);

#endif
