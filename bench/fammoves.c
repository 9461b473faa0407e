/* SPDX-License-Identifier: ISC */
/*
 * Planned takeovers and failovers along an axis: names, state, resident memory, children, callers,
 * kind. All domains of a group are up at once, and they, heir and its limit take turns, so that a
 * ratio of any two of them is of one time.
 */
#include "bench/bareswitch.h"
#include "bench/corefolder.h"
#include "bench/setup.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CASES_MAX	   5
#define STEPS_KEPT	   12
#define NAMES_MANY	   (UINT64_C(1) << 20)
#define NAMES_LOOKED_UP	   1024u
#define ROUNDS		   100
#define ROUNDS_QUICK	   16
#define ROUNDS_LARGE	   20 /* where a victim has much memory */
#define ROUNDS_LARGE_QUICK 3
#define ROUNDS_COLD_QUICK  4 /* where an owner that died often is started anew after seconds */
#define LARGE		   (64 * MIB)
#define SPINNING_CORES	   4 /* one for each that spins, one for the rest */

struct move_case {
	struct parameters with;
	const char *kind; /* "", or what is not the default of it */
	bool is_quick;	  /* part of a quick run */
	const char *low_latency; /* as in the configuration, or NULL */
};

struct group {
	const char *axis;
	struct move_case of[CASES_MAX];
};

#define BASE .names = 1, .children = 1, .callers = 1

static const struct group groups[] = {
	{"names",
	 {{{.names = 1, .children = 1, .callers = 1}, "", true},
	  {{.names = 1024, .children = 1, .callers = 1}, "", false},
	  {{.names = 65536, .children = 1, .callers = 1}, "", false},
	  {{.names = NAMES_MANY, .children = 1, .callers = 1}, "", true}}},
	{"state",
	 {{{BASE}, "", true},
	  {{BASE, .state = MIB}, "", false},
	  {{BASE, .state = 64 * MIB}, "", false},
	  {{BASE, .state = GIB}, "", true}}},
	{"resident",
	 {{{BASE}, "", true},
	  {{BASE, .resident = 64 * MIB}, "", false},
	  {{BASE, .resident = 256 * MIB}, "", false},
	  {{BASE, .resident = GIB}, "", true}}},
	{"children",
	 {{{BASE}, "", false},
	  {{.names = 1, .children = 4, .callers = 1}, "", true},
	  {{.names = 1, .children = 16, .callers = 1}, "", false}}},
	{"callers",
	 {{{BASE}, "", false},
	  {{.names = 1, .children = 1, .callers = 4}, "", true},
	  {{.names = 1, .children = 1, .callers = 16}, "", false}}},
	{"kind",
	 {{{BASE}, "", false},
	  {{BASE}, "exclusive", true},
	  {{BASE}, "cold", true},
	  {{BASE}, "spinning", true}}},
	{"signal", {{{BASE, .resident = LARGE}, "core dump on", true}}},
	{"low_latency",
	 {{{BASE}, "", false},
	  {{BASE}, "spin", false, "{spin: 50us}"},
	  {{BASE}, "lock_memory", false, "{lock_memory: true}"},
	  {{BASE}, "prefault", false, "{prefault: true}"}}},
	/* These hold the whole host's idle states while they are up. */
	{"low_latency",
	 {{{BASE}, "cpu_dma_latency", false, "{cpu_dma_latency: 0us}"},
	  {{BASE}, "low_latency", true, "true"}}},
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

struct stepped {
	char name[32];
	struct samples took;
};

/* Of one way to move. */
struct moved {
	struct samples heir, limit, alike, done;
	struct stepped step[STEPS_KEPT];
	struct heir_move *move; /* each of them, for the median */
	size_t moves;
};

struct run {
	const struct move_case *of;
	struct stage stage;
	struct callers callers;
	struct bareswitch *bare; /* NULL: not beside it */
	bool has_bare;
	struct moved planned, failover;
	unsigned rounds;
	struct row *row[2]; /* planned, failover: the first of its rows */
};

struct turn {
	struct bench *bench;
	struct barelimit *limit, *spinning; /* the second where there are processors for it */
};

static bool keep_move(struct moved *moved, const struct heir_move *move)
{
	struct heir_move *grown = reallocarray(moved->move, moved->moves + 1, sizeof(*grown));

	if (!grown)
		return bench_complain("keeping a move", -ENOMEM);
	moved->move = grown;
	moved->move[moved->moves++] = *move;
	samples_add(&moved->done, move->total_ns);
	for (size_t i = 0; i < move->steps; i++) {
		struct stepped *s = moved->step;

		while (s < moved->step + STEPS_KEPT && s->name[0] && strcmp(s->name, move->step[i].name) != 0)
			s++;
		if (s == moved->step + STEPS_KEPT)
			continue;
		snprintf(s->name, sizeof(s->name), "%s", move->step[i].name);
		samples_add(&s->took, move->step[i].duration_ns);
	}
	return true;
}

static void forget(struct moved *moved)
{
	samples_finish(&moved->heir);
	samples_finish(&moved->limit);
	samples_finish(&moved->alike);
	samples_finish(&moved->done);
	for (size_t i = 0; i < STEPS_KEPT; i++)
		samples_finish(&moved->step[i].took);
	free(moved->move);
	*moved = (struct moved){0};
}

/* This process is the third one: it never registered a name. */
static bool names_follow(struct run *run, uint64_t count, pid_t owner)
{
	uint64_t names = run->of->with.names, step;
	struct heir_where where;
	char name[32];
	int error;

	count = count < names ? count : names;
	step = names / count;
	for (uint64_t i = 0; names > 1 && i < count; i++) {
		snprintf(name, sizeof(name), "name-%" PRIu64, i * step);
		error = heir_whereis(run->stage.domain.h, name, &where);
		if (error)
			return bench_complain(name, error);
		if (where.pid != owner)
			return bench_say("%s is at %d, not at the owner %d", name, where.pid, owner);
	}
	return true;
}

static pid_t owner_of(const struct heir_app_status *status)
{
	for (size_t i = 0; i < status->children; i++)
		if (!strcmp(status->child[i].id, "worker0"))
			return status->child[i].pid;
	return 0;
}

static bool is_spinning(const struct move_case *of)
{
	return !strcmp(of->kind, "spinning");
}

static struct barelimit *limit_of(struct turn *turn, const struct run *run)
{
	return is_spinning(run->of) ? turn->spinning : turn->limit;
}

static bool limit_planned(struct turn *turn, struct run *run)
{
	int64_t chain, loop = 0;
	int error = barelimit_planned(limit_of(turn, run), &chain);

	if (!error && run->bare)
		error = bareswitch_planned(run->bare, &loop);
	if (error)
		return bench_complain("the bare limit", error);
	samples_add(&run->planned.limit, chain);
	if (run->bare)
		samples_add(&run->planned.alike, loop);
	return true;
}

static bool heir_planned(struct run *run, unsigned round)
{
	const uint64_t looked_up = round ? NAMES_LOOKED_UP : run->of->with.names;
	struct heir_app_status status;
	struct heir_move move = {0};
	int error;

	if (!stage_protected(&run->stage, &status) || !callers_call(&run->callers))
		return false;
	callers_window(&run->callers);
	error = heir_takeover(run->stage.domain.h, "bench", strcmp(status.node, "a") ? "a" : "b",
			      HEIR_AS_CONFIGURED, BENCH_TIMEOUT, &move);
	if (!error && move.result != HEIR_DONE)
		error = HEIR_EFAILED;
	if (error == HEIR_EFAILED)
		return bench_say("takeover: step %s: %s", move.failed_step, heir_strerror(move.error));
	if (error)
		return bench_complain("takeover", error);
	callers_window(&run->callers);
	if (!callers_rest(&run->callers))
		return false;
	samples_add(&run->planned.heir, callers_silence(&run->callers));
	return keep_move(&run->planned, &move) && stage_protected(&run->stage, &status) &&
	       names_follow(run, looked_up, owner_of(&status));
}

static bool is_dumping(const struct move_case *of)
{
	return !strcmp(of->kind, "core dump on");
}

static bool limit_failover(struct turn *turn, struct run *run)
{
	const struct parameters *with = &run->of->with;
	struct barevictim victim = {
		.own = with->resident, .shared = with->state, .is_segv = is_dumping(run->of)};
	int64_t limit, loop = 0;
	int error = barelimit_crash(limit_of(turn, run), victim, &limit);

	if (!error && run->bare)
		error = bareswitch_crash(run->bare, &loop);
	if (error)
		return bench_complain("the bare limit", error);
	samples_add(&run->failover.limit, limit);
	if (run->bare)
		samples_add(&run->failover.alike, loop);
	return true;
}

static int kill_owner(pid_t pid, int signal_number, int64_t *ret_ns)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), error = 0;

	if (fd < 0)
		return -errno;
	*ret_ns = measure_now();
	if (syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0) < 0)
		error = -errno;
	close(fd);
	return error;
}

static bool heir_failover(struct run *run)
{
	struct heir_app_status status;
	struct heir_move move;
	int64_t from = 0, first;
	pid_t owner;
	int error;

	if (!stage_protected(&run->stage, &status) || !callers_call(&run->callers))
		return false;
	owner = owner_of(&status);
	error = kill_owner(owner, is_dumping(run->of) ? SIGSEGV : SIGKILL, &from);
	if (error)
		return bench_complain("kill of the owner", error);
	if (!callers_answered(&run->callers, owner, &first))
		return false;
	samples_add(&run->failover.heir, first - from);
	if (!callers_rest(&run->callers) || !stage_protected(&run->stage, &status) ||
	    !names_follow(run, NAMES_LOOKED_UP, owner_of(&status)))
		return false;
	error = heir_moves(run->stage.domain.h, "bench", &move, 1);
	if (error < 0)
		return bench_complain("the failover's steps", error);
	if (error == 1 && move.kind == HEIR_LOCAL && !strcmp(run->of->kind, "cold"))
		return true; /* its leader may do that where nobody is ready */
	if (error != 1 || move.kind != HEIR_FAILOVER)
		return bench_say("the newest move is of type %d, no failover", error ? (int)move.kind : 0);
	return keep_move(&run->failover, &move);
}

/* Whose turn is first alternates. */
static bool one_round(struct turn *turn, struct run *run, unsigned round)
{
	struct bench *b = turn->bench;
	bool is_well = true;

	for (unsigned i = 0; i < 2 && is_well && b->is_planned && !is_dumping(run->of); i++)
		is_well = (round + i) % 2 ? limit_planned(turn, run) : heir_planned(run, round);
	for (unsigned i = 0; i < 2 && is_well && b->is_failover; i++)
		is_well = (round + i) % 2 ? limit_failover(turn, run) : heir_failover(run);
	return is_well;
}

/* Into rows. */

static const char *wait_of(const struct move_case *of)
{
	return is_spinning(of) ? "spinning" : "blocking";
}

static struct row *row_of(struct turn *turn, const struct group *g, const struct move_case *of,
			  const char *family, const char *what)
{
	struct row *row = bench_row(turn->bench, family, UNIT_US, wait_of(of));

	row->axis = g->axis;
	row->with = of->with;
	snprintf(row->what, sizeof(row->what), "%s%s%s", what, of->kind[0] ? ", " : "", of->kind);
	return row;
}

/* The goals of a takeover and of a failover beside their limits are set for the plainest case, and that of a
   failover for a large victim as well. */
static bool is_plain(const struct group *g, const struct move_case *of)
{
	return g == &groups[0] && of == &g->of[0];
}

static int by_total(const void *a, const void *b)
{
	const struct heir_move *x = a, *y = b;

	return (x->total_ns > y->total_ns) - (x->total_ns < y->total_ns);
}

static void add_timeline(struct bench *b, const struct row *row, struct moved *moved)
{
	struct timeline *t;

	if (moved->moves == 0 || b->timelines == BENCH_TIMELINES_MAX)
		return;
	qsort(moved->move, moved->moves, sizeof(moved->move[0]), by_total);
	t = &b->timeline[b->timelines++];
	*t = (struct timeline){.family = row->family,
			       .axis = row->axis,
			       .with = row->with,
			       .move = moved->move[(moved->moves - 1) / 2]};
	snprintf(t->what, sizeof(t->what), "%s", row->what);
}

static void add_steps(struct turn *turn, const struct group *g, const struct move_case *of, const char *family,
		      struct moved *moved)
{
	char what[64];

	for (size_t i = 0; i < STEPS_KEPT && moved->step[i].name[0]; i++) {
		struct row *row;

		snprintf(what, sizeof(what), "step %s", moved->step[i].name);
		row = row_of(turn, g, of, family, what);
		row->heir = moved->step[i].took;
		moved->step[i].took = (struct samples){0};
	}
}

/* Beside the bare processes that are called in the same closed loop. */
static void add_alike(struct turn *turn, const struct group *g, const struct run *run, struct moved *moved,
		      const char *family, const char *what)
{
	struct row *row;

	if (!run->has_bare)
		return;
	row = row_of(turn, g, run->of, family, what);
	samples_copy(&row->heir, &moved->heir);
	row->limit = moved->alike;
	snprintf(row->limit_is, sizeof(row->limit_is), "bare, called in the same closed loop");
}

static void add_rows(struct turn *turn, const struct group *g, struct run *run)
{
	const struct move_case *of = run->of;
	struct row *row;

	if (turn->bench->is_planned && !is_dumping(of)) {
		row = row_of(turn, g, of, "planned", "longest silence of a caller");
		run->row[0] = row;
		row->heir = run->planned.heir;
		row->limit = run->planned.limit;
		row->goal = is_plain(g, of) ? 1.5 : 0;
		snprintf(row->limit_is, sizeof(row->limit_is), "bare futex wakes");
		add_timeline(turn->bench, row, &run->planned);
		add_alike(turn, g, run, &run->planned, "planned", "longest silence beside a bare switch");
		row = row_of(turn, g, of, "planned", "first step to done");
		row->heir = run->planned.done;
		add_steps(turn, g, of, "planned", &run->planned);
	}
	if (turn->bench->is_failover) {
		row = row_of(turn, g, of, "failover",
			     is_dumping(of) ? "SIGSEGV to the first reply" : "kill -9 to the first reply");
		run->row[1] = row;
		row->heir = run->failover.heir;
		row->limit = run->failover.limit;
		row->goal = is_plain(g, of) || of->with.resident == GIB ? 1.25 : 0;
		snprintf(row->limit_is, sizeof(row->limit_is), "bare notice, bare wake");
		add_timeline(turn->bench, row, &run->failover);
		add_alike(turn, g, run, &run->failover, "failover", "first reply beside a bare failover");
		row = row_of(turn, g, of, "failover", "notice to done");
		row->heir = run->failover.done;
		if (row->heir.count == 0)
			snprintf(row->left_out, sizeof(row->left_out), "each was started again in place");
		add_steps(turn, g, of, "failover", &run->failover);
	}
	free(run->planned.move);
	free(run->failover.move);
}

/* How the last of an axis stands to the first of it. */
static void add_flat(struct turn *turn, const struct group *g, const struct run *run, size_t runs)
{
	if (runs < 2 || (strcmp(g->axis, "names") != 0 && strcmp(g->axis, "state") != 0))
		return;
	for (size_t i = 0; i < 2; i++) {
		const struct row *first = run[0].row[i], *last = run[runs - 1].row[i];
		struct row *row;

		if (!first || !last)
			continue;
		row = bench_row(turn->bench, last->family, UNIT_US, "blocking");
		row->axis = g->axis;
		row->with = last->with;
		row->goal = 1.2;
		snprintf(row->what, sizeof(row->what), "%.60s, against the least", last->what);
		snprintf(row->limit_is, sizeof(row->limit_is), "heir with %s",
			 strcmp(g->axis, "names") ? "no state" : "one name");
		samples_copy(&row->heir, &last->heir);
		samples_copy(&row->limit, &first->heir);
	}
}

static void leave_out(struct turn *turn, const struct group *g, const struct move_case *of, const char *why)
{
	struct row *row = row_of(turn, g, of, turn->bench->is_planned ? "planned" : "failover", "moves");

	snprintf(row->left_out, sizeof(row->left_out), "%s", why);
}

static bool is_possible(struct turn *turn, const struct group *g, const struct move_case *of)
{
	const size_t own = of->with.resident, shared = of->with.state;

	/* Two instances, a victim and two bare servers; the state, the victim's and the servers'. */
	if (!bench_has_memory(5 * own + 3 * shared, shared)) {
		leave_out(turn, g, of, "not so much memory is free");
		return false;
	}
	if (is_spinning(of) && turn->bench->machine.cores < SPINNING_CORES) {
		leave_out(turn, g, of, "4 processors are needed, for those that spin");
		return false;
	}
	if (is_dumping(of) && !corefolder_is_possible()) {
		leave_out(turn, g, of, "cores do not go to the folder of the process");
		return false;
	}
	return true;
}

static bool is_large(const struct move_case *of)
{
	return of->with.resident > LARGE || of->with.state > LARGE || is_dumping(of);
}

static struct bareoptions options_of(const struct bench *b)
{
	return (struct bareoptions){.cpu_new = bench_cpu(b, PART_WORKER),
				    .cpu_caller = bench_cpu(b, PART_CALLER),
				    .cpu_victim = bench_cpu(b, PART_WORKER)};
}

/* The bare move under calls has one caller and one child. */
static bool open_bare(struct turn *turn, struct run *run)
{
	const struct parameters *with = &run->of->with;
	struct barevictim size = {.own = with->resident, .shared = with->state};
	struct bareoptions options = options_of(turn->bench);
	int error;

	if (run->of->kind[0] || with->callers > 1 || with->children > 1)
		return true;
	if (turn->bench->is_quick && is_large(run->of)) /* it takes too long to make such processes */
		return true;
	error = bareswitch_create(&options, size, &run->bare);
	run->has_bare = !error;
	return !error || bench_complain("the bare move", error);
}

static bool open_case(struct turn *turn, const struct move_case *of, struct run *run)
{
	struct bench *b = turn->bench;
	struct setup setup = {.with = of->with,
			      .is_cold = !strcmp(of->kind, "cold"),
			      .is_exclusive = !strcmp(of->kind, "exclusive"),
			      .is_spinning = is_spinning(of),
			      .is_dumping = is_dumping(of),
			      .low_latency = of->low_latency};

	run->of = of;
	run->rounds = is_large(of) ? bench_rounds(b, ROUNDS_LARGE, ROUNDS_LARGE_QUICK)
				   : bench_rounds(b, ROUNDS, setup.is_cold ? ROUNDS_COLD_QUICK : ROUNDS_QUICK);
	return stage_start(&run->stage, b, &setup) && stage_fill(&run->stage) && open_bare(turn, run) &&
	       callers_start(&run->callers, (unsigned)of->with.callers, run->stage.domain.name,
			     bench_cpu(b, PART_CALLER));
}

static bool run_rounds(struct turn *turn, struct run *run, size_t runs)
{
	unsigned most = 0;
	bool is_well = true;

	for (size_t i = 0; i < runs; i++)
		most = run[i].rounds > most ? run[i].rounds : most;
	for (unsigned round = 0; round < most && is_well; round++)
		for (size_t i = 0; i < runs && is_well; i++)
			if ((round + 1) * run[i].rounds / most != round * run[i].rounds / most)
				is_well = one_round(turn, &run[i], 1 + round * run[i].rounds / most);
	return is_well;
}

static bool open_turn(struct turn *turn, const struct group *g)
{
	struct bench *b = turn->bench;
	struct bareoptions options = options_of(b);
	int error;

	error = barelimit_create_with(&options, &turn->limit);
	options.spin = true;
	if (!error && !strcmp(g->axis, "kind") && b->machine.cores >= SPINNING_CORES)
		error = barelimit_create_with(&options, &turn->spinning);
	return !error || bench_complain("the bare limits", error);
}

/* One round for each that does not count; the first of a large one has touched all that it touches. */
static bool warm_up(struct turn *turn, struct run *run, size_t runs)
{
	bool is_well = true;

	for (size_t i = 0; i < runs && is_well; i++) {
		if (is_large(run[i].of))
			continue;
		is_well = one_round(turn, &run[i], 0);
		forget(&run[i].planned);
		forget(&run[i].failover);
	}
	return is_well;
}

static bool run_one_group(struct bench *b, const struct group *g)
{
	struct run run[CASES_MAX] = {0};
	struct turn turn = {.bench = b};
	size_t runs = 0;
	bool is_well = open_turn(&turn, g);

	for (size_t i = 0; i < CASES_MAX && g->of[i].with.names && is_well; i++)
		if ((g->of[i].is_quick || !b->is_quick) && is_possible(&turn, g, &g->of[i]))
			is_well = open_case(&turn, &g->of[i], &run[runs++]);
	is_well = is_well && warm_up(&turn, run, runs) && run_rounds(&turn, run, runs);
	barelimit_destroy(turn.limit);
	barelimit_destroy(turn.spinning);
	for (size_t i = 0; i < runs; i++) {
		callers_end(&run[i].callers);
		bareswitch_destroy(run[i].bare);
	}
	for (size_t i = 0; i < runs; i++) {
		is_well &= stage_stop(&run[i].stage);
		add_rows(&turn, g, &run[i]);
	}
	add_flat(&turn, g, run, runs);
	bench_print_new(b);
	return is_well;
}

/* Where cores are to be dumped, in a folder for them. */
static bool run_group(struct bench *b, const struct group *g)
{
	struct corefolder folder;
	bool is_well;
	int error;

	if (is_dumping(&g->of[0]) && !b->is_failover)
		return true;
	if (!is_dumping(&g->of[0]) || !corefolder_is_possible())
		return run_one_group(b, g);
	error = corefolder_enter(&folder);
	if (error)
		return bench_complain("a folder for cores", error);
	is_well = run_one_group(b, g);
	corefolder_leave(&folder);
	return is_well;
}

bool moves_run(struct bench *b)
{
	bool is_well = true;

	if (b->has_moved)
		return true;
	b->has_moved = true;
	for (size_t i = 0; i < GROUPS; i++)
		is_well &= run_group(b, &groups[i]);
	return is_well;
}
