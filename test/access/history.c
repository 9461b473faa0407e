/* SPDX-License-Identifier: ISC */
/* Search for an order of the events (history.h). */
#include "access/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool placed[EVENTS_MAX];

struct event *history_begin(unsigned actor, int op, uint64_t which, uint64_t binding, uint64_t expected)
{
	struct history *h = &ledger->history;
	struct event *e = &h->event[h->count];

	if (h->count++ == EVENTS_MAX)
		abort();
	*e = (struct event){.actor = actor,
			    .op = op,
			    .which = which,
			    .binding = binding,
			    .expected = expected,
			    .begin = ++ledger->history.instant};
	return e;
}

void history_end(struct event *e, int result)
{
	e->result = result;
	e->ended = true;
	e->end = ++ledger->history.instant;
}

void history_died(unsigned actor)
{
	for (unsigned i = 0; i < ledger->history.count; i++)
		if (ledger->history.event[i].actor == actor && !ledger->history.event[i].ended &&
		    !ledger->history.event[i].end)
			ledger->history.event[i].end = ++ledger->history.instant;
}

/* Nothing that is not placed has ended before it began. */
static bool may_be_next(unsigned which)
{
	for (unsigned i = 0; i < ledger->history.count; i++)
		if (!placed[i] && i != which && ledger->history.event[i].end &&
		    ledger->history.event[i].end < ledger->history.event[which].begin)
			return false;
	return true;
}

static bool search(const uint64_t *state, unsigned left, bool (*apply)(uint64_t *state, const struct event *e))
{
	uint64_t next[SEEN_MAX];

	if (left == 0)
		return true;
	for (unsigned i = 0; i < ledger->history.count; i++) {
		bool found;

		if (placed[i] || !may_be_next(i))
			continue;
		placed[i] = true;
		memcpy(next, state, sizeof(next));
		found = apply(next, &ledger->history.event[i]) && search(next, left - 1, apply);
		if (!found && !ledger->history.event[i].ended) /* or it never happened */
			found = search(state, left - 1, apply);
		placed[i] = false;
		if (found)
			return true;
	}
	return false;
}

bool history_linear(const uint64_t *initial, bool (*apply)(uint64_t *state, const struct event *e))
{
	memset(placed, 0, sizeof(placed));
	return search(initial, ledger->history.count, apply);
}

void history_print(void)
{
	for (unsigned i = 0; i < ledger->history.count; i++) {
		const struct event *e = &ledger->history.event[i];

		fprintf(stderr, "  %3lu..%-3lu actor %u op %d name %lu binding %#lx expected %#lx: ",
			(unsigned long)e->begin, (unsigned long)e->end, e->actor, e->op,
			(unsigned long)e->which, (unsigned long)e->binding, (unsigned long)e->expected);
		fprintf(stderr, e->ended ? "%d," : "did not end (%d)", e->result);
		for (unsigned s = 0; s < SEEN_MAX && e->ended; s++)
			fprintf(stderr, " %#lx", (unsigned long)e->seen[s]);
		fprintf(stderr, "\n");
	}
}
