/* SPDX-License-Identifier: ISC */
/* begin and commit, measured in the owner itself in turns with two bare compare-and-swaps of one word. */
#include "bench/setup.h"

#include <string.h>

#define SAMPLES	      100000u
#define SAMPLES_QUICK 20000u

static bool one(struct bench *b, struct stage *stage, const char *node, uint64_t marked)
{
	struct row *row = bench_row(b, "state", UNIT_NS, "");
	char name[80];
	pid_t pid;
	int error;

	snprintf(row->what, sizeof(row->what),
		 marked ? "begin, mark, commit" : "begin, commit: an empty transaction");
	snprintf(row->limit_is, sizeof(row->limit_is), "two bare CASes");
	row->with.bytes = marked;
	row->goal = marked ? 0 : 4;
	snprintf(name, sizeof(name), "bench@%s", node);
	error = ask(stage->domain.h, name,
		    (struct ask){.op = ASK_TRANSACTIONS,
				 .at = marked,
				 .count = bench_rounds(b, SAMPLES, SAMPLES_QUICK)},
		    &pid, sizeof(pid));
	if (error)
		return bench_complain("transactions", error);
	for (uint32_t i = 0; i < stage->share->count; i++) {
		samples_add(&row->heir, stage->share->heir[i]);
		samples_add(&row->limit, stage->share->limit[i]);
	}
	return true;
}

bool state_run(struct bench *b)
{
	static const uint64_t marks[] = {0, 8, 64, 4096};
	struct setup setup = {.with = {.names = 1, .state = MIB}};
	struct heir_app_status status;
	struct stage stage;
	bool is_well = stage_start(&stage, b, &setup) && stage_fill(&stage) && stage_protected(&stage, &status);

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]) && is_well; i++)
		is_well = one(b, &stage, status.node, marks[i]);
	return stage_stop(&stage) && is_well;
}
