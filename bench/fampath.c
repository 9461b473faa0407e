/* SPDX-License-Identifier: ISC */
/*
 * Where the time goes: each failover, and each takeover, cut into what the kernel did (ftrace), what heir did (its own
 * trace), and what lies between the two. The pieces of one move add up to the whole.
 */
#include "bench/kerneltrace.h"
#include "bench/setup.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS	     100
#define ROUNDS_QUICK 16
#define ROUNDS_LARGE 20
#define PIECES	     13

enum whose { KERNEL, HEIR, BOTH, WHOSE };

/* How the end of a piece is found, behind the end of the one before it. */
enum found_by { BY_EVENT, BY_STEP_BEGIN, BY_STEP_END, BY_REPLY };
enum who { VICTIM, TARGET, CALLER };

struct piece {
	const char *name; /* at most 31 bytes: it is a step in the picture */
	enum whose whose;
	enum found_by by;
	enum kernel_what what;
	enum who who;
	bool may_be_missing; /* it had a processor, or did not sleep */
	const char *step;
};

static const struct piece failover_pieces[PIECES] = {
	{"signal sent", KERNEL, BY_EVENT, KERNEL_SIGNAL, VICTIM, false, NULL},
	{"victim gets a processor", KERNEL, BY_EVENT, KERNEL_RUN, VICTIM, true, NULL},
	{"victim begins to exit", KERNEL, BY_EVENT, KERNEL_EXIT, VICTIM, false, NULL},
	{"it wakes the standby", KERNEL, BY_EVENT, KERNEL_WAKE, TARGET, false, NULL},
	{"standby gets a processor", KERNEL, BY_EVENT, KERNEL_RUN, TARGET, false, NULL},
	{"standby has returned", BOTH, BY_STEP_BEGIN, 0, 0, false, "notice"},
	{"notice", HEIR, BY_STEP_END, 0, 0, false, "notice"},
	{"claim", HEIR, BY_STEP_END, 0, 0, false, "claim"},
	{"start", HEIR, BY_STEP_END, 0, 0, false, "start"},
	{"go", HEIR, BY_STEP_END, 0, 0, false, "go"},
	{"answered, caller woken", HEIR, BY_EVENT, KERNEL_WAKE, CALLER, true, NULL},
	{"caller gets a processor", KERNEL, BY_EVENT, KERNEL_RUN, CALLER, true, NULL},
	{"caller has its reply", BOTH, BY_REPLY, 0, 0, false, NULL},
};

static const struct piece planned_pieces[PIECES] = {
	{"target woken", BOTH, BY_EVENT, KERNEL_WAKE, TARGET, false, NULL},
	{"target gets a processor", KERNEL, BY_EVENT, KERNEL_RUN, TARGET, false, NULL},
	{"it takes the request", BOTH, BY_STEP_BEGIN, 0, 0, false, "start"},
	{"start", HEIR, BY_STEP_END, 0, 0, false, "start"},
	{"switch", HEIR, BY_STEP_END, 0, 0, false, "switch"},
	{"takeover", HEIR, BY_STEP_END, 0, 0, false, "takeover"},
	{"go", HEIR, BY_STEP_END, 0, 0, false, "go"},
	{"next call answered", BOTH, BY_EVENT, KERNEL_WAKE, CALLER, true, NULL},
	{"caller gets a processor", KERNEL, BY_EVENT, KERNEL_RUN, CALLER, true, NULL},
	{"caller has its reply", BOTH, BY_REPLY, 0, 0, false, NULL},
	{0},
};

struct cut {
	int64_t piece[PIECES], total;
};

struct path {
	const char *family_word; /* "failover", "takeover" */
	const struct piece *piece;
	struct parameters with;
	struct cut *cut;
	size_t cuts, rounds;
};

struct round {
	const struct kernel_event *event;
	size_t count;
	struct heir_move move;
	int64_t began, move_began, replied; /* CLOCK_MONOTONIC */
	pid_t who[3];
};

static const struct heir_step *step_of(const struct heir_move *move, const char *name)
{
	for (size_t i = 0; i < move->steps; i++)
		if (!strcmp(move->step[i].name, name))
			return &move->step[i];
	return NULL;
}

/* When that piece ends, or -1. */
static int64_t end_of(const struct round *r, const struct piece *p, int64_t from)
{
	const struct heir_step *step = p->step ? step_of(&r->move, p->step) : NULL;

	if (p->by == BY_REPLY)
		return r->replied;
	if (p->by != BY_EVENT)
		return step ? r->move_began + step->start_ns + (p->by == BY_STEP_END ? step->duration_ns : 0) : -1;
	for (size_t i = 0; i < r->count && r->event[i].ns <= r->replied; i++)
		if (r->event[i].ns >= from && r->event[i].what == p->what && r->event[i].pid == r->who[p->who])
			return r->event[i].ns;
	return p->may_be_missing ? from : -1;
}

/* False: not all that it was made of has been seen. */
static bool cut_up(struct path *path, const struct round *r)
{
	struct cut cut = {0};
	int64_t at = r->began;

	for (size_t i = 0; i < PIECES && path->piece[i].name; i++) {
		int64_t end = end_of(r, &path->piece[i], at);

		if (end < at)
			return false;
		cut.piece[i] = end - at;
		at = end;
	}
	cut.total = at - r->began;
	path->cut[path->cuts++] = cut;
	return true;
}

static int64_t wall_minus_monotonic(void)
{
	struct timespec ts;
	int64_t before = measure_now();

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * BENCH_SECOND + ts.tv_nsec - (before + measure_now()) / 2;
}

static pid_t worker_of(const struct heir_app_status *status)
{
	return status->children ? status->child[0].pid : 0;
}

/* The process that fills the application's role on the other node. */
static pid_t standby_of(struct stage *stage, const struct heir_app_status *status)
{
	struct heir_where where;

	return heir_whereis(stage->domain.h, strcmp(status->node, "a") ? "bench@a" : "bench@b", &where) == 0
		       ? where.pid
		       : 0;
}

static bool read_back(struct path *path, struct stage *stage, struct kerneltrace *trace, struct callers *callers,
		      struct round *r)
{
	int error = kerneltrace_stop(trace, &r->event, &r->count);

	if (!error && heir_moves(stage->domain.h, "bench", &r->move, 1) != 1)
		error = HEIR_ENOENT;
	if (error)
		return bench_complain("the trace", error);
	r->move_began = r->move.at_ns - wall_minus_monotonic();
	r->replied = atomic_load(&callers->caller[0].first_ns);
	r->who[CALLER] = callers->caller[0].pid;
	path->rounds++;
	(void)cut_up(path, r);
	return true;
}

static bool one_failover(struct path *path, struct stage *stage, struct kerneltrace *trace, struct callers *callers)
{
	struct heir_app_status status;
	struct round r = {0};
	int64_t first;
	int fd, error;

	if (!stage_protected(stage, &status) || !callers_call(callers))
		return false;
	r.who[VICTIM] = worker_of(&status);
	r.who[TARGET] = standby_of(stage, &status);
	fd = (int)syscall(SYS_pidfd_open, r.who[VICTIM], 0);
	error = fd < 0 ? -errno : kerneltrace_start(trace);
	r.began = measure_now();
	if (!error && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	if (error)
		return bench_complain("kill of the owner", error);
	return callers_answered(callers, r.who[VICTIM], &first) && callers_rest(callers) &&
	       read_back(path, stage, trace, callers, &r);
}

static bool one_takeover(struct path *path, struct stage *stage, struct kerneltrace *trace, struct callers *callers)
{
	struct heir_app_status status;
	struct round r = {0};
	int64_t first;
	int error;

	if (!stage_protected(stage, &status) || !callers_call(callers))
		return false;
	r.who[VICTIM] = worker_of(&status);
	r.who[TARGET] = standby_of(stage, &status);
	error = kerneltrace_start(trace);
	if (error)
		return bench_complain("the trace", error);
	r.began = measure_now();
	error = heir_takeover(stage->domain.h, "bench", strcmp(status.node, "a") ? "a" : "b", HEIR_AS_CONFIGURED,
			      BENCH_TIMEOUT, &r.move);
	if (error)
		return bench_complain("takeover", error);
	return callers_answered(callers, r.who[VICTIM], &first) && callers_rest(callers) &&
	       read_back(path, stage, trace, callers, &r);
}

static struct row *path_row(struct bench *b, const struct path *path, const char *what, const char *whose)
{
	struct row *row = bench_row(b, "path", UNIT_US, "blocking");

	row->axis = path->family_word;
	row->with = path->with;
	snprintf(row->what, sizeof(row->what), "%s: %s%s%s", path->family_word, what, *whose ? ", " : "", whose);
	return row;
}

static int by_total(const void *a, const void *b)
{
	const struct cut *x = a, *y = b;

	return (x->total > y->total) - (x->total < y->total);
}

/* The pieces of the median one, drawn as steps. */
static void add_timeline(struct bench *b, struct path *path, const struct row *row)
{
	struct timeline *t;
	int64_t at = 0;

	if (path->cuts == 0 || b->timelines == BENCH_TIMELINES_MAX)
		return;
	qsort(path->cut, path->cuts, sizeof(path->cut[0]), by_total);
	t = &b->timeline[b->timelines++];
	*t = (struct timeline){.family = row->family, .axis = row->axis, .with = row->with};
	snprintf(t->what, sizeof(t->what), "%s", row->what);
	t->move.kind = strcmp(path->family_word, "failover") ? HEIR_TAKEOVER : HEIR_FAILOVER;
	t->move.result = HEIR_DONE;
	for (size_t i = 0; i < PIECES && path->piece[i].name; i++) {
		struct heir_step *step = &t->move.step[t->move.steps++];

		snprintf(step->name, sizeof(step->name), "%s", path->piece[i].name);
		step->start_ns = at;
		step->duration_ns = path->cut[(path->cuts - 1) / 2].piece[i];
		at += step->duration_ns;
	}
	t->move.total_ns = at;
}

static void add_rows(struct bench *b, struct path *path)
{
	static const char *const whose_words[WHOSE] = {"kernel", "heir", "kernel and heir"};
	static const char *const parts[WHOSE] = {"all that is the kernel's", "all that is heir's",
						 "all that is between the two"};
	struct row *row = path_row(b, path, "from the call to the first reply", "");

	if (path->cuts == 0)
		snprintf(row->left_out, sizeof(row->left_out), "the kernel's events were not seen in any of %zu rounds",
			 path->rounds);
	for (size_t k = 0; k < path->cuts; k++)
		samples_add(&row->heir, path->cut[k].total);
	add_timeline(b, path, row);
	for (enum whose w = KERNEL; w < WHOSE && path->cuts; w++) {
		row = path_row(b, path, parts[w], "");
		for (size_t k = 0; k < path->cuts; k++) {
			int64_t sum = 0;

			for (size_t i = 0; i < PIECES && path->piece[i].name; i++)
				sum += path->piece[i].whose == w ? path->cut[k].piece[i] : 0;
			samples_add(&row->heir, sum);
		}
	}
	for (size_t i = 0; i < PIECES && path->piece[i].name && path->cuts; i++) {
		row = path_row(b, path, path->piece[i].name, whose_words[path->piece[i].whose]);
		for (size_t k = 0; k < path->cuts; k++)
			samples_add(&row->heir, path->cut[k].piece[i]);
	}
}

static bool run_paths(struct bench *b, struct kerneltrace *trace, size_t resident)
{
	const struct parameters with = {.names = 1, .children = 1, .callers = 1, .resident = resident};
	const struct setup setup = {.with = with};
	const unsigned rounds = resident ? ROUNDS_LARGE : bench_rounds(b, ROUNDS, ROUNDS_QUICK);
	struct path failover = {.family_word = "failover", .piece = failover_pieces, .with = with},
		    planned = {.family_word = "takeover", .piece = planned_pieces, .with = with};
	struct callers callers = {0};
	struct stage stage;
	bool is_well = stage_start(&stage, b, &setup) && stage_fill(&stage) &&
		       callers_start(&callers, 1, stage.domain.name, bench_cpu(b, PART_CALLER));

	failover.cut = calloc(rounds, sizeof(struct cut));
	planned.cut = calloc(rounds, sizeof(struct cut));
	if (!failover.cut || !planned.cut)
		is_well = bench_complain("rounds", -ENOMEM);
	for (unsigned i = 0; i < rounds && is_well; i++)
		is_well = one_takeover(&planned, &stage, trace, &callers) &&
			  one_failover(&failover, &stage, trace, &callers);
	callers_end(&callers);
	is_well &= stage_stop(&stage);
	if (is_well) {
		add_rows(b, &failover);
		add_rows(b, &planned);
	}
	free(failover.cut);
	free(planned.cut);
	return is_well;
}

bool path_run(struct bench *b)
{
	struct kerneltrace *trace;
	struct row *row;
	bool is_well;
	int error = kerneltrace_open(&trace);

	if (error) {
		row = bench_row(b, "path", UNIT_US, "");
		snprintf(row->what, sizeof(row->what), "where the time goes");
		snprintf(row->left_out, sizeof(row->left_out), "%s",
			 error == -ENOSYS ? "built without libtracefs"
					  : "tracefs is not mounted, or not for this user: root, /sys/kernel/tracing");
		return true;
	}
	is_well = run_paths(b, trace, 0);
	if (is_well && !b->is_quick && bench_has_memory(3 * GIB, 0))
		is_well = run_paths(b, trace, GIB);
	kerneltrace_close(trace);
	return is_well;
}
