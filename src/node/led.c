/* SPDX-License-Identifier: ISC */
#include "node/led.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/patience.h"
#include "node/ask.h"
#include "node/instance.h"
#include "node/loop.h"
#include "proc/recover.h"
#include "trace/moves.h"

enum progress { STEP_WAITS, STEP_DONE, STEP_FAILED };

static const struct conf_step *step_of(const struct instance *i)
{
	return &i->conf->steps[i->led.plan[i->led.at]];
}

static struct trace_move trace_of(const struct instance *i)
{
	const struct led *d = &i->led;

	return (struct trace_move){.app = i->app,
	                           .generation = d->generation,
	                           .kind = (enum heir_start_type)d->type,
	                           .from = (uint32_t)(d->from + 1),
	                           .to = i->leader->node + 1,
	                           .began = d->began};
}

static void begin_step(struct instance *i)
{
	struct led *d = &i->led;
	struct leader *l = i->leader;
	int64_t limit = i->policy.step_timeout;

	d->child = 0;
	d->sent = false;
	d->step_began = clock_ns();
	if (d->at < d->count && step_of(i)->kind == CONF_STEP_STOP_OLD)
		limit = patience_stop(i->policy.stop_timeout, limit);
	d->deadline = d->step_began + limit;
	if (d->at < d->count)
		move_step(l->shm, i->app, l->h->self, d->plan[d->at], d->deadline);
	loop_again(l, d->deadline);
}

static void plan_kind(struct led *d, const struct instance *i, enum conf_step_kind kind)
{
	for (uint32_t k = 0; k < i->conf->step_count; k++)
		if (i->conf->steps[k].kind == kind)
			d->plan[d->count++] = (uint8_t)k;
}

static void make_plan(struct led *d, const struct instance *i, uint32_t how)
{
	bool moves = d->type == APP_TAKEOVER, exclusive = how & HEIR_EXCLUSIVE,
	     overlap = how & HEIR_OVERLAP;

	d->count = 0;
	if (moves && exclusive)
		plan_kind(d, i, CONF_STEP_STOP_OLD);
	for (uint32_t k = 0; k < i->conf->step_count; k++) {
		enum conf_step_kind kind = i->conf->steps[k].kind;

		if (!moves && (kind == CONF_STEP_SWITCH || kind == CONF_STEP_STOP_OLD ||
		               kind == CONF_STEP_TAKEOVER))
			continue;
		if (moves && (exclusive || overlap) && kind == CONF_STEP_STOP_OLD)
			continue;
		if (moves && exclusive && kind == CONF_STEP_TAKEOVER)
			continue;
		d->plan[d->count++] = (uint8_t)k;
	}
}

static int begin(struct instance *i, enum app_start type, int from, uint32_t how,
                 struct move_word *winner)
{
	struct leader *l = i->leader;
	struct led d = {.active = true,
	                .type = type,
	                .from = from,
	                .began = l->now,
	                .generation =
	                        control_unpack(atom_load_acquire(&i->shm->control)).generation};
	struct trace_move move;
	int rc = move_begin(l->shm, i->app, l->h->self, (uint32_t)type, (uint32_t)(from + 1),
	                    l->node + 1, winner);

	if (rc)
		return rc;
	make_plan(&d, i, how);
	i->led = d;
	i->start_type = type;
	i->start_from = from;
	move = trace_of(i);
	trace_move_begin(l->shm, l->h->slot, &move);
	begin_step(i);
	return 0;
}

void led_start(struct instance *i, enum app_start type, int from)
{
	if (begin(i, type, from, 0, NULL))
		return; /* another drives: looked at again when it has ended */
	i->led.switched = true;
}

int led_take_over(struct instance *i, const struct request *r, struct reply *ret)
{
	struct move_word winner = {0};
	struct seen s;
	int rc;

	view_fill(i, &s);
	rc = begin(i, APP_TAKEOVER, s.owner_node, r->how, &winner);
	if (rc) {
		ret->node = winner.to;
		return rc;
	}
	return 0;
}

bool led_has_begun(const struct instance *i)
{
	const struct led *d = &i->led;

	for (uint32_t k = 0; d->active && k <= d->at && k < d->count; k++)
		if (i->conf->steps[d->plan[k]].kind == CONF_STEP_START)
			return true;
	return false;
}

static void trace_end(struct instance *i, enum heir_result result, int error, unsigned step)
{
	struct trace_move move = trace_of(i);

	trace_move_end(i->leader->shm, i->leader->h->slot, &move, result, error, step);
	move_end(i->leader->shm, i->app, i->leader->h->self);
	app_changed(i->leader->shm, i->app);
}

static void answer(struct instance *i, const struct reply *reply)
{
	if (i->guest.active)
		ask_end_guest(i, reply);
}

/* To an instance that served when it was switched from, and was not stopped before. */
static bool switch_back(struct instance *i)
{
	struct led *d = &i->led;
	struct leader *l = i->leader;

	return d->type == APP_TAKEOVER && d->from_serving && !d->stopped_old && handle_alive(l->shm, d->previous) &&
	       app_give_back(l->shm, i->app, l->h->self, d->previous) == 0;
}

static void fail(struct instance *i, int error)
{
	struct led *d = &i->led;
	struct leader *l = i->leader;
	unsigned step = d->at < d->count ? d->plan[d->at] : TRACE_STEP_NONE;
	struct reply reply = {.error = error,
	                      .generation = d->generation,
	                      .result = d->stopped_old ? HEIR_FAILED_OVER : HEIR_ABORTED};

	if (d->at < d->count)
		snprintf(reply.step, sizeof(reply.step), "%s", step_of(i)->name);
	if (d->switched) {
		i->gave_up = !switch_back(i);
		reply.result = !i->gave_up                                          ? HEIR_SWITCHED_BACK
		               : d->type == APP_TAKEOVER || d->type == APP_FAILOVER ? HEIR_FAILED_OVER
		                                                                    : HEIR_FAILED;
	}
	if (d->sent)
		lib_forget(l->h, d->ticket);
	log_error("%s: step %s failed: %s", i->conf->name, reply.step, heir_strerror(error));
	trace_end(i, (enum heir_result)reply.result, error, step);
	d->active = false;
	answer(i, &reply);
}

/* One request, to a process: sent, then its answer. */
static enum progress ask(struct instance *i, uint64_t to, const struct request *r, int *ret_error)
{
	struct led *d = &i->led;
	struct leader *l = i->leader;
	struct reply reply;
	int rc;

	if (!d->sent) {
		rc = lib_request(l->h, to, r, &d->ticket);
		if (rc == HEIR_EFULL || rc == HEIR_EAGAIN)
			return STEP_WAITS;
		d->sent = rc == 0;
		*ret_error = rc;
		return rc ? STEP_FAILED : STEP_WAITS;
	}
	rc = lib_reply(l->h, d->ticket, &reply);
	if (rc == HEIR_EAGAIN)
		return STEP_WAITS;
	d->sent = false;
	*ret_error = rc ? rc : reply.error;
	return *ret_error ? STEP_FAILED : STEP_DONE;
}

/* The children that know heir, one after the other. */
static enum progress ask_children(struct instance *i, enum request_op op, const char *phase,
                                  int *ret_error)
{
	struct led *d = &i->led;
	struct request r = {.op = op,
	                    .app = i->app,
	                    .type = (uint32_t)d->type,
	                    .from_node = (uint32_t)(d->from + 1)};

	snprintf(r.phase, sizeof(r.phase), "%s", phase);
	for (; d->child < i->count; d->child++) {
		struct child *c = &i->children[d->child];
		enum progress p;

		if (!c->handle)
			continue;
		p = ask(i, c->handle, &r, ret_error);
		if (p != STEP_DONE)
			return p;
	}
	return STEP_DONE;
}

static enum progress do_switch(struct instance *i, int *ret_error)
{
	struct leader *l = i->leader;
	struct acquired got;
	int rc = app_acquire(l->shm, i->app, l->h->self, ACQUIRE_SWITCH, NULL, &got);

	if (rc == HEIR_EAGAIN)
		return STEP_WAITS;
	*ret_error = rc;
	if (rc)
		return STEP_FAILED;
	i->led.switched = true;
	i->led.previous = got.previous;
	i->led.from_serving = control_unpack(got.old_word).phase == PHASE_SERVING;
	app_changed(l->shm, i->app);
	return STEP_DONE;
}

static enum progress do_stop_old(struct instance *i, int *ret_error)
{
	struct led *d = &i->led;
	struct leader *l = i->leader;
	struct request r = {.op = REQ_STOP_INSTANCE, .app = i->app, .generation = d->generation};
	uint64_t leader =
		d->from >= 0 ? atom_load_acquire(&shm_node(l->shm, (uint32_t)d->from)->leader) : 0;
	enum progress p;

	if (d->switched) /* its leader does it once the application is served here */
		return STEP_DONE;
	*ret_error = HEIR_EDEAD;
	if (!leader)
		return STEP_FAILED;
	p = ask(i, leader, &r, ret_error);
	d->stopped_old = p == STEP_DONE;
	return p;
}

static enum progress run_step(struct instance *i, int *ret_error)
{
	const struct conf_step *step = step_of(i);

	switch (step->kind) {
	case CONF_STEP_START:
		if (instance_tree(i) != TREE_READY)
			return STEP_WAITS;
		return ask_children(i, REQ_CHILD_START, "", ret_error);
	case CONF_STEP_SWITCH:
		return do_switch(i, ret_error);
	case CONF_STEP_STOP_OLD:
		return do_stop_old(i, ret_error);
	case CONF_STEP_TAKEOVER:
	case CONF_STEP_PHASE:
		return ask_children(i, REQ_CHILD_PHASE, step->name, ret_error);
	}
	return STEP_FAILED;
}

static void finish(struct instance *i)
{
	struct led *d = &i->led;
	struct leader *l = i->leader;
	struct reply reply = {.generation = d->generation, .result = HEIR_DONE};
	uint32_t generation;
	int rc = app_serve(l->shm, i->app, l->h->self, (uint32_t)d->type, (uint32_t)(d->from + 1),
	                   &generation);

	if (rc) {
		fail(i, rc);
		return;
	}
	trace_end(i, HEIR_DONE, 0, TRACE_STEP_NONE);
	d->active = false;
	log_note("%s runs", i->conf->name);
	answer(i, &reply);
}

static bool is_over(const struct instance *i)
{
	return i->gave_up || i->guest_failed || i->stop.how != STOP_NOT || i->leader->leaving ||
	       atom_load_acquire(&i->leader->shm->head->stopping);
}

void led_advance(struct instance *i)
{
	struct led *d = &i->led;
	struct leader *l = i->leader;

	while (d->active) {
		struct trace_move move;
		int error = HEIR_EDEAD;
		enum progress p;

		if (d->at == d->count) {
			finish(i);
			return;
		}
		/* Late, and another has gone on. */
		if (!d->switched && !move_is_mine(l->shm, i->app, l->h->self)) {
			error = HEIR_EBUSY;
			p = STEP_FAILED;
		} else {
			p = is_over(i) ? STEP_FAILED : run_step(i, &error);
		}
		if (p == STEP_WAITS && l->now >= d->deadline) {
			error = HEIR_ETIMEDOUT;
			p = STEP_FAILED;
		}
		if (p == STEP_WAITS) {
			loop_again(l, d->deadline);
			return;
		}
		move = trace_of(i);
		if (!d->switched || step_of(i)->kind != CONF_STEP_STOP_OLD)
			trace_step(l->shm, l->h->slot, &move, d->plan[d->at], d->step_began,
			           clock_ns() - d->step_began);
		if (p == STEP_FAILED) {
			fail(i, error);
			return;
		}
		d->at++;
		begin_step(i);
	}
}
