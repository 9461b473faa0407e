/* SPDX-License-Identifier: ISC */
/* Moves, written to and assembled from the trace rings. */
#include "trace/moves.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#else
#define DTRACE_PROBE4(provider, probe, a, b, c, d) ((void)0)
#endif

#include "base/clock.h"

static uint64_t handle_of(const struct shm *shm, uint32_t slot)
{
	const struct shm_slot *s = shm_slot(shm, slot);

	return s ? handle_make(slot, (uint32_t)(atom_load_relaxed(&s->word) >> 32)) : 0;
}

static uint16_t driver_slot(uint32_t slot, uint64_t driver)
{
	if (driver == TRACE_DRIVER_UNKNOWN)
		return 0;
	return (uint16_t)(driver ? handle_slot(driver) : slot);
}

void trace_move_begin(const struct shm *shm, uint32_t slot, const struct trace_move *move)
{
	struct trace_record r = {
		.event = TRACE_MOVE_BEGIN,
		.generation = move->generation,
		.app = (uint8_t)move->app,
		.a = (uint8_t)move->kind,
		.b = (uint16_t)(move->from | move->to << 8),
		.at_ns = move->began,
		.value = move->driver ? move->driver : handle_of(shm, slot),
	};

	trace_write(shm, slot, &r);
	DTRACE_PROBE4(heir, move_begin, move->app, move->generation, move->kind, move->to);
}

void trace_step(const struct shm *shm, uint32_t slot, const struct trace_move *move, unsigned step,
		int64_t start_ns, int64_t duration_ns)
{
	struct trace_record r = {
		.event = TRACE_STEP,
		.generation = move->generation,
		.app = (uint8_t)move->app,
		.a = (uint8_t)step,
		.b = driver_slot(slot, move->driver),
		.at_ns = start_ns,
		.value = (uint64_t)duration_ns,
	};

	trace_write(shm, slot, &r);
	DTRACE_PROBE4(heir, step, move->app, move->generation, step, duration_ns);
}

void trace_move_end(const struct shm *shm, uint32_t slot, const struct trace_move *move,
		    enum heir_result result, int error, unsigned failed_step)
{
	struct trace_record r = {
		.event = TRACE_MOVE_END,
		.generation = move->generation,
		.app = (uint8_t)move->app,
		.a = (uint8_t)result,
		.b = (uint16_t)failed_step,
		.at_ns = clock_ns(),
		.value = (uint32_t)error,
	};

	trace_write(shm, slot, &r);
	DTRACE_PROBE4(heir, move_end, move->app, move->generation, result, error);
}

/*
 * Reading: first the begins, of which the newest are kept in order; then everything that belongs to
 * one of these.
 */

struct kept {
	uint64_t number; /* of the begin, in the ring of: */
	uint32_t slot;
	uint32_t app;
	int64_t begin_ns, last_ns, end_ns; /* last: end of the last step that counts; -1: none */
	struct trace_record begin;
};

struct reading {
	const struct shm *shm;
	int app; /* -1: all */
	struct kept *kept;
	struct heir_move *moves;
	size_t count, max;
};

static int span_valid(const struct trace_record *r)
{
	return r->at_ns >= 0 && r->value <= INT64_MAX && (int64_t)r->value <= INT64_MAX - r->at_ns;
}

static int node_valid(const struct shm *shm, unsigned node_plus_1)
{
	return node_plus_1 <= shm->limits.nodes;
}

static int begin_valid(const struct reading *rd, const struct trace_record *r)
{
	return r->event == TRACE_MOVE_BEGIN && shm_app(rd->shm, r->app) && r->at_ns >= 0 &&
	       (rd->app < 0 || r->app == rd->app) && r->a >= HEIR_NORMAL && r->a <= HEIR_LOCAL &&
	       node_valid(rd->shm, r->b & 0xff) && node_valid(rd->shm, r->b >> 8);
}

static void keep(struct reading *rd, uint32_t slot, uint64_t number, const struct trace_record *r)
{
	size_t at = rd->count;

	while (at > 0 && rd->kept[at - 1].begin_ns < r->at_ns)
		at--;
	if (at == rd->max)
		return;
	if (rd->count < rd->max)
		rd->count++;
	memmove(&rd->kept[at + 1], &rd->kept[at], (rd->count - 1 - at) * sizeof(rd->kept[0]));
	rd->kept[at] = (struct kept){
		.number = number,
		.slot = slot,
		.app = r->app,
		.begin_ns = r->at_ns,
		.last_ns = -1,
		.end_ns = -1,
		.begin = *r,
	};
}

static void read_begins(struct reading *rd, uint32_t slot)
{
	struct trace_record r;
	uint64_t first, end;

	trace_range(rd->shm, slot, &first, &end);
	for (uint64_t number = first; number != end; number++)
		if (trace_read(rd->shm, slot, number, &r) && begin_valid(rd, &r))
			keep(rd, slot, number, &r);
}

/* size of `to` at most; what has no end within `from` is cut. */
static void copy_text(char *to, size_t size, const char *from, size_t room)
{
	size_t n = strnlen(from, room < size ? room : size - 1);

	memcpy(to, from, n < size ? n : size - 1);
	to[n < size ? n : size - 1] = 0;
}

static void copy_node(const struct shm *shm, char *to, size_t size, unsigned node_plus_1)
{
	const struct shm_node *node = node_plus_1 ? shm_node(shm, node_plus_1 - 1) : NULL;

	if (node)
		copy_text(to, size, node->name, sizeof(node->name));
}

static void step_name(const struct shm_app *app, unsigned step, char *to, size_t size)
{
	static const char *const names[] = {
#define X(step, name) [TRACE_STEP_##step - TRACE_STEP_BUILT_IN] = name,
		TRACE_STEPS(X)
#undef X
	};

	if (step < SHM_STEPS_MAX && step < app->steps)
		copy_text(to, size, app->step[step], sizeof(app->step[step]));
	else if (step >= TRACE_STEP_BUILT_IN && step < TRACE_STEPS_END)
		snprintf(to, size, "%s", names[step - TRACE_STEP_BUILT_IN]);
	else
		snprintf(to, size, "step %u", step);
}

static void fill_begin(const struct reading *rd, size_t i)
{
	const struct trace_record *r = &rd->kept[i].begin;
	const struct shm_app *app = shm_app(rd->shm, r->app);
	struct heir_move *move = &rd->moves[i];

	*move = (struct heir_move){
		.kind = (enum heir_start_type)r->a,
		.generation = r->generation,
	};
	copy_text(move->application, sizeof(move->application), app->name, sizeof(app->name));
	copy_node(rd->shm, move->from, sizeof(move->from), r->b & 0xff);
	copy_node(rd->shm, move->to, sizeof(move->to), r->b >> 8);
}

/* Start times stay absolute until finish_times(). */
static void add_step(struct reading *rd, struct kept *k, const struct trace_record *r)
{
	struct heir_move *move = &rd->moves[k - rd->kept];
	struct heir_step step = {.start_ns = r->at_ns, .duration_ns = (int64_t)r->value};
	size_t at = move->steps;

	step_name(shm_app(rd->shm, k->app), r->a, step.name, sizeof(step.name));
	if (strcmp(step.name, "stop_old") != 0 && r->at_ns + step.duration_ns > k->last_ns)
		k->last_ns = r->at_ns + step.duration_ns;
	if (r->at_ns < k->begin_ns)
		k->begin_ns = r->at_ns;
	while (at > 0 && move->step[at - 1].start_ns > step.start_ns)
		at--;
	if (at == HEIR_STEPS_MAX)
		return;
	if (move->steps < HEIR_STEPS_MAX)
		move->steps++;
	memmove(&move->step[at + 1], &move->step[at], (move->steps - 1 - at) * sizeof(step));
	move->step[at] = step;
}

static void add_end(struct reading *rd, struct kept *k, const struct trace_record *r)
{
	struct heir_move *move = &rd->moves[k - rd->kept];

	if (r->a < HEIR_DONE || r->a > HEIR_FAILED || r->at_ns < 0)
		return;
	move->result = (enum heir_result)r->a;
	move->error = (int)(int32_t)(uint32_t)r->value;
	k->end_ns = r->at_ns;
	if (r->b != TRACE_STEP_NONE && r->a != HEIR_DONE)
		step_name(shm_app(rd->shm, k->app), r->b, move->failed_step,
			  sizeof(move->failed_step));
}

static struct kept *find_begin(struct reading *rd, uint32_t slot, uint64_t number)
{
	for (size_t i = 0; i < rd->count; i++)
		if (rd->kept[i].slot == slot && rd->kept[i].number == number)
			return &rd->kept[i];
	return NULL;
}

/* kept[] is the newest first: the first that had begun, else the first to begin after. */
static struct kept *find_other(struct reading *rd, uint32_t slot, const struct trace_record *r)
{
	struct kept *after = NULL;

	for (size_t i = 0; i < rd->count; i++) {
		struct kept *k = &rd->kept[i];

		if (k->app != r->app || k->begin.generation != r->generation)
			continue;
		if (k->slot == slot || (r->b && k->slot != r->b))
			continue;
		if (k->begin.at_ns <= r->at_ns)
			return k;
		after = k;
	}
	return after;
}

static void read_rest(struct reading *rd, uint32_t slot)
{
	struct kept *now[SHM_APPS_MAX] = {NULL};
	struct trace_record r;
	uint64_t first, end;

	trace_range(rd->shm, slot, &first, &end);
	for (uint64_t number = first; number != end; number++) {
		struct kept *k;

		if (!trace_read(rd->shm, slot, number, &r) || r.app >= SHM_APPS_MAX)
			continue;
		k = now[r.app];
		if (k && k->begin.generation != r.generation)
			k = NULL;
		if (r.event == TRACE_MOVE_BEGIN)
			now[r.app] = find_begin(rd, slot, number);
		else if (r.event == TRACE_MOVE_END && k)
			add_end(rd, k, &r);
		else if (r.event == TRACE_STEP && span_valid(&r)) {
			if (r.b != slot)
				k = find_other(rd, slot, &r);
			if (k)
				add_step(rd, k, &r);
		}
	}
}

static void finish_times(const struct kept *k, struct heir_move *move, int64_t to_real)
{
	int64_t last = k->last_ns >= 0 ? k->last_ns : k->end_ns;

	for (size_t i = 0; i < move->steps; i++)
		move->step[i].start_ns -= k->begin_ns;
	move->total_ns = last > k->begin_ns ? last - k->begin_ns : 0;
	if (__builtin_add_overflow(k->begin_ns, to_real, &move->at_ns))
		move->at_ns = INT64_MAX;
}

int moves_read(const struct shm *shm, int app, uint32_t slot, struct heir_move *ret,
	       uint64_t *ret_drivers, size_t max)
{
	struct reading rd = {.shm = shm, .app = app, .moves = ret, .max = max};
	int64_t to_real = clock_real_ns() - clock_ns();
	uint32_t first = slot ? slot : 1, end = slot ? slot + 1 : shm->limits.slots;

	if (rd.max > INT_MAX)
		rd.max = INT_MAX;
	if (rd.max == 0)
		return 0;
	rd.kept = calloc(rd.max, sizeof(rd.kept[0]));
	if (!rd.kept)
		return -ENOMEM;
	for (uint32_t s = first; s < end; s++)
		read_begins(&rd, s);
	for (size_t i = 0; i < rd.count; i++)
		fill_begin(&rd, i);
	for (uint32_t s = first; rd.count && s < end; s++)
		read_rest(&rd, s);
	for (size_t i = 0; i < rd.count; i++) {
		finish_times(&rd.kept[i], &ret[i], to_real);
		if (ret_drivers)
			ret_drivers[i] = rd.kept[i].begin.value;
	}
	free(rd.kept);
	return (int)rd.count;
}
