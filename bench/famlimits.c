/* SPDX-License-Identifier: ISC */
/* The limits alone: bare programs. */
#include "bench/barepair.h"
#include "bench/barespawn.h"
#include "bench/bareswitch.h"
#include "bench/corefolder.h"
#include "bench/setup.h"

#include <errno.h>
#include <sched.h>

#define ROUNDS		   200
#define ROUNDS_QUICK	   20
#define ROUNDS_LARGE	   20
#define ROUNDS_LARGE_QUICK 2
#define PAIRS		   20000
#define PAIRS_QUICK	   2000
#define CAS_SAMPLES	   100000

static struct row *limit_row(struct bench *b, const char *what, enum unit unit, const char *wait)
{
	struct row *row = bench_row(b, "limits", unit, wait);

	snprintf(row->what, sizeof(row->what), "%s", what);
	return row;
}

/* Spinning, each end has a processor of its own: this process is moved for the while. */
static bool pairs(struct bench *b, enum bareway way, const char *what)
{
	struct row *row = limit_row(b, what, UNIT_US, way == BARE_LINE ? "spinning" : "blocking");
	unsigned count = bench_rounds(b, PAIRS, PAIRS_QUICK);
	int far = way == BARE_LINE ? bench_other_cpu(1) : bench_cpu(b, PART_WORKER), error;
	struct barepair *pair;
	cpu_set_t before;
	int64_t ns = 0;

	row->with.bytes = 8;
	if (way == BARE_LINE && b->machine.cores < 2) {
		snprintf(row->left_out, sizeof(row->left_out), "2 processors are needed");
		return true;
	}
	error = barepair_create(way, 8, far, &pair);
	if (error)
		return bench_complain(what, error);
	sched_getaffinity(0, sizeof(before), &before);
	if (way == BARE_LINE)
		barelimit_pin(bench_other_cpu(0));
	for (unsigned i = 0; i < count + count / 10 && !error; i++) {
		error = barepair_round_trip(pair, &ns);
		if (i >= count / 10) /* warm */
			samples_add(&row->limit, ns);
	}
	sched_setaffinity(0, sizeof(before), &before);
	barepair_destroy(pair);
	return !error || bench_complain(what, error);
}

struct death {
	const char *what;
	struct barevictim victim;
};

static const struct death deaths[] = {
	{"victim asleep", {0}},
	{"victim running", {.is_running = true}},
	{"victim of 8 threads", {.threads = 7}},
	{"victim of 1 GiB", {.own = GIB}},
	{"victim of 1 GiB shared", {.shared = GIB}},
};

#define DEATHS (sizeof(deaths) / sizeof(deaths[0]))

struct death_rows {
	struct row *notice, *reply;
	unsigned rounds;
};

static void death_rows(struct bench *b, const struct death *death, struct death_rows *ret)
{
	const struct barevictim *v = &death->victim;
	bool is_large = v->own || v->shared;
	char what[96];

	snprintf(what, sizeof(what), "kill -9 to the notice, %s", death->what);
	ret->notice = limit_row(b, what, UNIT_US, "blocking");
	snprintf(what, sizeof(what), "kill -9 to the reply, %s", death->what);
	ret->reply = limit_row(b, what, UNIT_US, "blocking");
	ret->rounds = is_large ? bench_rounds(b, ROUNDS_LARGE, ROUNDS_LARGE_QUICK)
			       : bench_rounds(b, ROUNDS, ROUNDS_QUICK);
	if (bench_has_memory(v->own + v->shared, 0))
		return;
	ret->rounds = 0;
	snprintf(ret->notice->left_out, sizeof(ret->notice->left_out), "not so much memory is free");
	snprintf(ret->reply->left_out, sizeof(ret->reply->left_out), "not so much memory is free");
}

static int one_death(struct barelimit *limit, const struct death *death, struct death_rows *rows)
{
	int64_t ns;
	int error = barelimit_crash(limit, death->victim, &ns);

	if (error)
		return error;
	samples_add(&rows->reply->limit, ns);
	samples_add(&rows->notice->limit, barelimit_notice(limit));
	return 0;
}

static bool chains(struct bench *b)
{
	struct bareoptions options = {.cpu_new = bench_cpu(b, PART_WORKER),
				      .cpu_caller = bench_cpu(b, PART_CALLER),
				      .cpu_victim = bench_cpu(b, PART_WORKER)};
	struct row *planned = limit_row(b, "command, new, caller: two wakes", UNIT_US, "blocking");
	struct row *loop = limit_row(b, "the same under calls: longest silence", UNIT_US, "blocking");
	struct row *crash = limit_row(b, "kill -9 to the reply, victim under calls", UNIT_US, "blocking");
	struct death_rows rows[DEATHS];
	struct bareswitch *bare = NULL;
	struct barelimit *limit = NULL;
	int64_t ns;
	int error = barelimit_create_with(&options, &limit);

	if (!error)
		error = bareswitch_create(&options, (struct barevictim){0}, &bare);
	for (size_t i = 0; i < DEATHS; i++)
		death_rows(b, &deaths[i], &rows[i]);
	for (unsigned round = 0; round < bench_rounds(b, ROUNDS, ROUNDS_QUICK) && !error; round++) {
		error = barelimit_planned(limit, &ns);
		if (!error && !samples_add(&planned->limit, ns))
			error = bareswitch_planned(bare, &ns);
		if (!error && !samples_add(&loop->limit, ns))
			error = bareswitch_crash(bare, &ns);
		if (!error)
			samples_add(&crash->limit, ns);
		for (size_t i = 0; i < DEATHS && !error; i++)
			if (round < rows[i].rounds)
				error = one_death(limit, &deaths[i], &rows[i]);
	}
	barelimit_destroy(limit);
	bareswitch_destroy(bare);
	return !error || bench_complain("the bare chains", error);
}

static int core_deaths(struct bench *b, struct row *row)
{
	unsigned rounds = bench_rounds(b, ROUNDS_LARGE, ROUNDS_LARGE_QUICK);
	struct barelimit *limit = NULL;
	int error = barelimit_create(&limit);
	int64_t ns;

	for (unsigned i = 0; i < rounds && !error; i++) {
		error = barelimit_crash(limit, (struct barevictim){.own = 64 * MIB, .is_segv = true}, &ns);
		if (!error)
			samples_add(&row->limit, barelimit_notice(limit));
	}
	barelimit_destroy(limit);
	return error;
}

static bool cores(struct bench *b)
{
	struct row *row = limit_row(b, "SIGSEGV to the notice, core dump on", UNIT_US, "blocking");
	struct corefolder folder;
	int error;

	row->with.resident = 64 * MIB;
	if (!corefolder_is_possible()) {
		snprintf(row->left_out, sizeof(row->left_out), "cores do not go to the folder of the process");
		return true;
	}
	error = corefolder_enter(&folder);
	if (error)
		return bench_complain("a folder for cores", error);
	error = core_deaths(b, row);
	corefolder_leave(&folder);
	return !error || bench_complain("core dumps", error);
}

static bool spawns(struct bench *b)
{
	struct row *row = limit_row(b, "spawn to main()", UNIT_US, "blocking");
	char path[64];
	char *argv[] = {(char *)b->child, path, NULL};
	struct share *share;
	int fd, error = 0;
	int64_t ns = 0;

	if (!b->child) {
		snprintf(row->left_out, sizeof(row->left_out), "heir-bench-child was not found");
		return true;
	}
	share = share_create(&fd, path, sizeof(path));
	for (unsigned i = 0; share && !error && i < bench_rounds(b, ROUNDS, ROUNDS_QUICK); i++) {
		error = child_spawned(&share->child, argv, &ns);
		if (!error)
			samples_add(&row->limit, ns);
	}
	share_destroy(share, fd);
	return share && (!error || bench_complain("spawn", error));
}

static void swaps(struct bench *b)
{
	static _Alignas(64) _Atomic uint64_t word;
	struct row *row = limit_row(b, "two compare-and-swaps of one word", UNIT_NS, "");
	uint64_t t, empty = UINT64_MAX, old;
	double ps = bench_ps_per_tick();

	for (unsigned i = 0; i < CAS_SAMPLES; i++) {
		t = bench_ticks();
		t = bench_ticks() - t;
		empty = t < empty ? t : empty;
	}
	for (unsigned i = 0; i < CAS_SAMPLES; i++) {
		old = atomic_load(&word);
		t = bench_ticks();
		atomic_compare_exchange_strong(&word, &old, old | 1);
		old |= 1;
		atomic_compare_exchange_strong(&word, &old, old + 1);
		samples_add(&row->limit, (int64_t)((double)(bench_ticks() - t - empty) * ps));
	}
}

bool limits_run(struct bench *b)
{
	bool is_well =
		pairs(b, BARE_FUTEX, "futex round trip") && pairs(b, BARE_LINE, "cache-line round trip") &&
		pairs(b, BARE_SOCKET, "Unix socket round trip") && pairs(b, BARE_PIPE, "pipe round trip");

	swaps(b);
	return is_well && chains(b) && cores(b) && spawns(b);
}
