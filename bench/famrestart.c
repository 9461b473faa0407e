/* SPDX-License-Identifier: ISC */
/*
 * A crashed child started anew in place: kill -9 to its successor's main(), beside a bare supervisor
 * that does nothing else, with the same program; for a program that knows nothing of heir, and for a
 * worker, which is also called.
 */
#include "bench/setup.h"

#include <signal.h>
#include <string.h>

#define ROUNDS	     200
#define ROUNDS_QUICK 20

/* Started anew, as the leader sees it and as it says itself. */
static bool is_back(struct stage *stage, uint32_t restarts)
{
	int64_t deadline = measure_now() + BENCH_TIMEOUT;
	struct heir_app_status status;
	int error;

	do {
		error = heir_app_status(stage->domain.h, "bench", &status);
		if (error)
			return bench_complain("status", error);
		if (status.state == HEIR_APP_RUNNING && status.children == 1 &&
		    status.child[0].restarts >= restarts && atomic_load(&stage->share->child.starts) > restarts)
			return true;
		pause_a_little();
	} while (measure_now() < deadline);
	return bench_complain("the child that was restarted", HEIR_ETIMEDOUT);
}

static bool in_turns(struct bench *b, struct stage *stage, struct child_share *bare, struct row *row)
{
	bool is_well = true;

	for (unsigned i = 0; i < bench_rounds(b, ROUNDS, ROUNDS_QUICK) && is_well; i++) {
		int64_t heir = 0, limit = 0;
		int error = 0;

		for (unsigned turn = 0; turn < 2 && !error; turn++)
			error = (i + turn) % 2 ? child_killed(bare, &limit)
					       : child_killed(&stage->share->child, &heir);
		if (error)
			return bench_complain("a restart", error);
		samples_add(&row->heir, heir);
		samples_add(&row->limit, limit);
		is_well = is_back(stage, i + 1);
	}
	return is_well;
}

/* Its bare supervisor learns of the end by wait(2), as heir does, or of the death before it by the notice. */
enum restarted { PLAIN, WORKER, WORKER_AT_NOTICE };

static bool beside_bare(struct bench *b, enum restarted what)
{
	const bool is_plain = what == PLAIN, at_notice = what == WORKER_AT_NOTICE;
	struct row *row = bench_row(b, "restart", UNIT_US, "blocking");
	struct setup setup = {
		.with = {.names = 1}, .is_cold = true, .is_restarted = true, .is_plain = is_plain};
	char path[64], word[96];
	char *argv[] = {(char *)(is_plain ? b->child : b->self), is_plain ? path : "worker",
			is_plain ? NULL : word, is_plain ? NULL : "bare=1", NULL};
	struct barespawn bare = {0};
	struct stage stage;
	struct share *share;
	bool is_well;
	int fd, error;

	snprintf(row->what, sizeof(row->what), "kill -9 to main() of the successor, %s",
		 is_plain ? "a plain program" : "a worker");
	snprintf(row->limit_is, sizeof(row->limit_is), "bare %s, bare spawn", at_notice ? "notice" : "wait(2)");
	row->goal = what == WORKER ? 0 : 1.3;
	if (!argv[0]) {
		snprintf(row->left_out, sizeof(row->left_out), "heir-bench-child was not found");
		return true;
	}
	share = share_create(&fd, path, sizeof(path));
	if (!share)
		return false;
	snprintf(word, sizeof(word), "share=%s", path);
	error = barespawn_start(&bare, &share->child, argv, at_notice);
	is_well = !error || bench_complain("the bare supervisor", error);
	is_well = stage_start(&stage, b, &setup) && is_well && is_back(&stage, 0) &&
		  in_turns(b, &stage, &share->child, row);
	barespawn_end(&bare);
	share_destroy(share, fd);
	return stage_stop(&stage) && is_well;
}

/* The call waits until there is somebody again. */
static bool called(struct bench *b)
{
	struct row *row = bench_row(b, "restart", UNIT_US, "blocking");
	struct setup setup = {.with = {.names = 1}, .is_cold = true, .is_restarted = true};
	struct callers callers = {0};
	struct stage stage;
	bool is_well = stage_start(&stage, b, &setup) &&
		       callers_start(&callers, 1, stage.domain.name, bench_cpu(b, PART_CALLER));

	snprintf(row->what, sizeof(row->what), "kill -9 to the first reply of the successor");
	for (unsigned i = 0; i < bench_rounds(b, ROUNDS, ROUNDS_QUICK) && is_well; i++) {
		int64_t ns, from, first;
		pid_t pid;

		is_well = is_back(&stage, i) && callers_call(&callers);
		pid = atomic_load(&stage.share->child.pid);
		from = measure_now();
		if (!is_well || kill(pid, SIGKILL) < 0)
			break;
		is_well = callers_answered(&callers, pid, &first) && callers_rest(&callers);
		ns = first - from;
		if (is_well)
			samples_add(&row->heir, ns);
	}
	callers_end(&callers);
	return stage_stop(&stage) && is_well;
}

bool restart_run(struct bench *b)
{
	bool is_well = beside_bare(b, PLAIN);

	is_well &= beside_bare(b, WORKER_AT_NOTICE);
	is_well &= beside_bare(b, WORKER);
	return called(b) && is_well;
}
