/* SPDX-License-Identifier: ISC */
/*
 * What actors did, with begin and end, and the question whether there is an order of all of it, each operation at
 * one instant between its begin and its end, in which every result is right. An operation whose actor died may have
 * happened or not.
 */
#ifndef HEIR_TEST_HISTORY_H
#define HEIR_TEST_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENTS_MAX 48u
#define SEEN_MAX   8u

struct event {
	unsigned actor;
	int op;
	uint64_t which, binding, expected;
	int result;
	uint64_t seen[SEEN_MAX];
	uint64_t begin, end;
	bool ended;
};

/* Part of what is saved and restored with the segment, and shared with forked actors. */
struct history {
	unsigned count;
	uint64_t instant;
	struct event event[EVENTS_MAX];
};

struct event *history_begin(unsigned actor, int op, uint64_t which, uint64_t binding, uint64_t expected);
void history_end(struct event *e, int result);
/* Its last operation, if it has not ended, may have happened until now. */
void history_died(unsigned actor);
/* apply: changes the state (SEEN_MAX words); false: that is not the result that was seen. */
bool history_linear(const uint64_t *initial, bool (*apply)(uint64_t *state, const struct event *e));
void history_print(void);

#endif
