/* SPDX-License-Identifier: ISC */
#include "app/apptree.h"

#include <string.h>

static bool is_restarted(enum tree_restart restart, bool normally)
{
	return restart == TREE_PERMANENT || (restart == TREE_TRANSIENT && !normally);
}

/* Counts one more; false when that is one too many within the period. */
static bool count_restart(struct tree_supervisor *s, int64_t now)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->count; i++)
		if (now - s->times[i] <= s->period)
			s->times[kept++] = s->times[i];
	s->count = kept;
	if (kept >= s->intensity)
		return false;
	s->times[s->count++] = now;
	return true;
}

static void range(const struct tree_supervisor *s, uint32_t first, uint32_t end,
                  uint32_t *ret_first, uint32_t *ret_end)
{
	*ret_first = s->strategy == TREE_ONE_FOR_ALL ? s->first : first;
	*ret_end = s->strategy == TREE_ONE_FOR_ONE ? end : s->end;
}

enum tree_verdict tree_died(struct tree *tree, uint32_t worker, bool normally, int64_t now,
                            uint32_t *ret_first, uint32_t *ret_end)
{
	uint32_t first = worker, end = worker + 1;
	int above = (int)tree->workers[worker].above;

	if (!is_restarted(tree->workers[worker].restart, normally))
		return TREE_LEAVE;
	while (above >= 0) {
		struct tree_supervisor *s = &tree->supervisors[above];

		if (count_restart(s, now)) {
			range(s, first, end, ret_first, ret_end);
			return TREE_RESTART;
		}
		s->count = 0;
		if (!is_restarted(s->restart, false))
			return TREE_GIVE_UP;
		first = s->first;
		end = s->end;
		above = s->above;
	}
	return TREE_GIVE_UP;
}

void tree_forget(struct tree *tree)
{
	for (uint32_t i = 0; i < tree->supervisor_count; i++)
		tree->supervisors[i].count = 0;
}
