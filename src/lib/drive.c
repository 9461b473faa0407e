/* SPDX-License-Identifier: ISC */
/*
 * The moves that this process drives as their target: a start, a takeover, a failover. A move is a list of
 * steps that can be read in moveplan.c; run_steps() does them one after the other and records the time of each.
 *
 * Before the switch a failure changes nothing. After it: back to the old owner if that lives and understands
 * the state, else this process ends while it owns the application, and the next candidate claims.
 *
 * What happens when a driver, target or leader dies or stops at any step is checked by test/model/steps.pml.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/patience.h"
#include "base/text.h"
#include "lib/moveplan.h"
#include "lib/resolve.h"
#include "lib/txn.h"
#include "lib/worker.h"
#include "proc/recover.h"
#include "shm/policy.h"
#include "trace/moves.h"

#define MAIL_FIRST 32
#define STEP_TIMEOUT_MOST (3600 * NS_PER_SECOND)

struct drive {
	heir_t *h;
	struct shm_app *app;
	struct policy policy; /* as it was when the move began */
	enum heir_start_type type;
	uint32_t from; /* node + 1 */
	enum acquire_how how;
	struct trace_move trace;
	int switched, stopped_old, forced;
	struct acquired got;
	unsigned step; /* the one that failed, or TRACE_STEP_NONE */
};

int call_start(heir_t *h, enum heir_start_type type, uint32_t from_node)
{
	struct worker_run *run = h->run;
	struct shm_node *from = from_node ? shm_node(&h->shm, from_node - 1) : NULL;
	int rc;

	text_copy(run->from, sizeof(run->from), from ? from->name : "", from ? sizeof(from->name) : 1);
	run->start = (struct heir_start){type, run->from, heir_generation(h)};
	rc = run->cb.start ? run->cb.start(h, &run->start, run->arg) : 0;
	if (rc >= 0)
		run->started = 1;
	return rc < 0 ? rc : 0;
}

int call_phase(heir_t *h, const char *phase)
{
	struct worker_run *run = h->run;
	int rc;

	run->start.generation = heir_generation(h);
	rc = run->cb.start_phase ? run->cb.start_phase(h, phase, &run->start, run->arg) : 0;
	return rc < 0 ? rc : 0;
}

/* Ask one process of this or another node, and wait. */
static int ask(heir_t *h, uint64_t to, const struct request *r, int64_t timeout, struct reply *ret)
{
	struct heir_ticket ticket;
	struct reply reply = {0};
	size_t size = sizeof(reply);
	int rc = lib_request(h, to, r, &ticket);

	if (rc)
		return rc;
	rc = heir_call_finish(h, ticket, &reply, &size, timeout);
	if (rc)
		return rc;
	if (size != sizeof(reply))
		return HEIR_ECORRUPT;
	if (ret)
		*ret = reply;
	return reply.error;
}

/* Of a damaged segment, too, some time. */
static int64_t step_limit(const struct drive *d)
{
	int64_t limit = d->policy.step_timeout;

	return limit > STEP_TIMEOUT_MOST ? STEP_TIMEOUT_MOST : limit;
}

/* The process that fills that role here: one that is just being started, too, is waited for. 0: there is none. */
static uint64_t await_child(struct drive *d, struct shm_role *role, int64_t deadline)
{
	atom32 *changed = &d->h->shm.head->changed; /* +1 by a candidate that has come, app_changed() in worker.c */

	for (;;) {
		uint32_t seen = atom_load_acquire(changed);
		uint64_t child = atom_load_acquire(&role->candidate[d->h->run->node]);

		if (child && handle_alive(&d->h->shm, child))
			return child;
		if (deadline_passed(deadline))
			return 0;
		(void)futex_wait(changed, seen, deadline);
	}
}

/*
 * Whether that child has it. A planned move asks each to start, before the switch: one that does not answer, as it is
 * stopped, is not moved to.
 */
static bool is_asked(const struct drive *d, enum request_op op, uint64_t child)
{
	/* stored before it was a candidate, which await_child() has acquired */
	uint32_t word = atom_load_relaxed(&shm_slot(&d->h->shm, handle_slot(child))->unasked);
	uint32_t unasked = word == unasked_word(child, word & 3) ? word & 3 : 0;

	if (op == REQ_CHILD_PHASE)
		return !(unasked & UNASKED_PHASES);
	return d->type != HEIR_FAILOVER || unasked != (UNASKED_START | UNASKED_PHASES);
}

/* start() or a phase, in every child of this instance that has it, in start order, one after the other. */
static int in_each_child(struct drive *d, enum request_op op, const char *phase)
{
	heir_t *h = d->h;
	struct request r = {.op = op, .app = h->run->app, .type = d->type, .from_node = d->from};
	int64_t deadline = deadline_after(step_limit(d));
	int rc = 0;

	text_copy(r.phase, sizeof(r.phase), phase, sizeof(r.phase));
	for (uint32_t i = 0; i < d->app->roles && i < SHM_APP_ROLES_MAX && rc == 0; i++) {
		struct shm_role *role = shm_role(&h->shm, d->app->first_role + i);
		uint64_t child;

		if (!role || !(role->flags & ROLE_ATTACH))
			continue;
		if ((int)(d->app->first_role + i) == h->place.role) {
			rc = op == REQ_CHILD_START ? call_start(h, d->type, d->from) : call_phase(h, phase);
			continue;
		}
		child = await_child(d, role, deadline);
		if (!child)
			rc = HEIR_ENOTREADY;
		else if (is_asked(d, op, child))
			rc = ask(h, child, &r, step_limit(d), NULL);
	}
	return rc;
}

/* The state has the version that this program writes, or is brought to it. After the switch only. */
static int adopt_version(struct drive *d)
{
	heir_t *h = d->h;
	struct worker_run *run = h->run;
	uint64_t have;
	int rc;

	if (!h->state.head)
		return 0;
	have = atom_load_acquire(&h->state.head->version);
	if (have == run->cb.version)
		return 0;
	rc = heir_begin(h);
	if (rc)
		return rc;
	if (have != 0)
		rc = run->cb.upgrade ? run->cb.upgrade(h, have, run->arg) : HEIR_EVERSION;
	if (rc < 0) {
		(void)heir_abort(h);
		return rc;
	}
	/* Part of the transaction: undone with the contents if this process dies before the commit. */
	rc = heir_mark(h, &h->state.head->version, sizeof(h->state.head->version));
	if (rc) {
		(void)heir_abort(h);
		return rc;
	}
	atom_store_release(&h->state.head->version, run->cb.version);
	return heir_commit(h);
}

static int version_fits(struct drive *d)
{
	struct worker_run *run = d->h->run;
	uint64_t have = d->h->state.head ? atom_load_acquire(&d->h->state.head->version) : 0;

	return have == 0 || have == run->cb.version || run->cb.upgrade ? 0 : HEIR_EVERSION;
}

static int do_switch(struct drive *d)
{
	int rc = version_fits(d);

	if (rc)
		return rc;
	do {
		rc = app_acquire(&d->h->shm, d->h->run->app, d->h->self, d->how, &d->h->state, &d->got);
	} while (rc == HEIR_EAGAIN && d->how == ACQUIRE_SWITCH);
	if (rc) {
		/* Owner, but it could not be put in order: this process has to end, for the next candidate to claim. */
		d->switched = heir_is_owner(d->h);
		return rc;
	}
	d->switched = 1;
	d->forced = d->got.forced;
	d->h->run->start.generation = d->got.generation;
	return adopt_version(d);
}

/* Of a step; an overrun is its failure. */
static int64_t limit_of(const struct drive *d, enum step_kind kind)
{
	int64_t step_timeout = step_limit(d);

	switch (kind) {
	case STEP_STOP_OLD:
		return patience_stop(d->policy.stop_timeout, step_timeout);
	case STEP_SWITCH:
		return patience_switch(step_timeout, d->policy.yield_timeout);
	case STEP_START:
	case STEP_PHASE:
		break;
	}
	return step_timeout;
}

static bool is_serving(struct drive *d)
{
	return control_unpack(atom_load_acquire(&d->app->control)).phase == PHASE_SERVING;
}

static int do_stop_old(struct drive *d)
{
	struct shm_node *from = d->from ? shm_node(&d->h->shm, d->from - 1) : NULL;
	struct request r = {.op = REQ_STOP_INSTANCE, .app = d->h->run->app, .generation = d->trace.generation};
	uint64_t leader = from ? atom_load_acquire(&from->leader) : 0;
	int rc;

	if (d->switched) /* done by the old node's leader, when it sees that the application is served here */
		return 0;
	if (!leader)
		return HEIR_EDEAD;
	rc = ask(d->h, leader, &r, limit_of(d, STEP_STOP_OLD), NULL);
	d->stopped_old = rc == 0 || !is_serving(d); /* no answer from a leader that has held: others may go on */
	return rc;
}

/*
 * What is exclusive may be held by the dead until the kernel has taken it from them; and by an earlier target that was
 * late, if whoever took its place has died before he ended it. The old owner is none of those: it was stopped before,
 * or is to live until the switch.
 */
static int confirm(struct drive *d)
{
	bool rivals = d->type != HEIR_TAKEOVER || d->stopped_old;

	if (!(d->app->flags & APP_EXCLUSIVE))
		return 0;
	return app_confirm(&d->h->shm, d->h->run->app, d->h->self, rivals, deadline_after(step_limit(d)));
}

static int run_step(struct drive *d, enum step_kind kind, const char *name)
{
	int rc;

	switch (kind) {
	case STEP_START:
		rc = confirm(d);
		return rc ? rc : in_each_child(d, REQ_CHILD_START, "");
	case STEP_SWITCH:
		return do_switch(d);
	case STEP_STOP_OLD:
		return do_stop_old(d);
	case STEP_PHASE:
		return in_each_child(d, REQ_CHILD_PHASE, name);
	}
	return HEIR_EINVAL;
}

static int run_steps(struct drive *d, const struct moveplan *p)
{
	heir_t *h = d->h;
	int64_t at = clock_ns();
	int rc = 0;

	for (unsigned i = 0; i < p->count && rc == 0; i++) {
		const char *name = d->app->step[p->step[i].index];
		int64_t limit = limit_of(d, p->step[i].kind), now;

		if (p->step[i].kind == STEP_STOP_OLD && d->switched)
			continue;
		/* Late, and another has gone on; once this one owns, the control word says so. */
		if (!move_step(&h->shm, h->run->app, h->self, p->step[i].index, deadline_from(at, limit)) &&
		    !d->switched)
			rc = HEIR_EBUSY;
		else
			rc = run_step(d, p->step[i].kind, name);
		now = clock_ns();
		if (rc == 0 && p->step[i].kind != STEP_STOP_OLD && now - at > limit)
			rc = HEIR_ETIMEDOUT;
		trace_step(&h->shm, h->slot, &d->trace, p->step[i].index, at, now - at);
		at = now;
		if (rc)
			d->step = p->step[i].index;
	}
	return rc;
}

/* Serving: what waits in the mailbox is answered before anybody but its callers is woken. */
static int serve(struct drive *d)
{
	heir_t *h = d->h;
	int rc = app_serve(&h->shm, h->run->app, h->self, d->type, d->from, &h->run->since);

	if (rc)
		return rc;
	worker_state(h, WORKER_SERVING);
	h->run->claim_since = DEADLINE_NEVER;
	return 0;
}

static bool may_give_back(struct drive *d)
{
	heir_t *h = d->h;
	uint64_t to = d->type == HEIR_TAKEOVER ? d->got.previous : 0;
	struct shm_slot *old = shm_slot(&h->shm, handle_slot(to));

	return to && handle_alive(&h->shm, to) && atom_load_relaxed(&old->ready) >= WORKER_SERVING &&
	       (!h->state.head || atom_load_relaxed(&old->version) == atom_load_relaxed(&h->state.head->version));
}

/* The old owner looks by itself once it knows that it is none: this process may be stopped before it rings. */
static bool give_back(struct drive *d)
{
	heir_t *h = d->h;

	if (!may_give_back(d))
		return false;
	app_wake(&h->shm, h->run->app);
	return app_give_back(&h->shm, h->run->app, h->self, d->got.previous) == 0;
}

static enum heir_result fail_after_switch(struct drive *d)
{
	if (d->h->open)
		(void)heir_abort(d->h);
	if (give_back(d))
		return HEIR_SWITCHED_BACK;
	return d->type == HEIR_NORMAL || d->type == HEIR_LOCAL ? HEIR_FAILED : HEIR_FAILED_OVER;
}

/* The end of a move that failed: this instance cannot go on as it is; its leader starts it anew. */
static void fail(struct drive *d, int rc, struct reply *ret)
{
	heir_t *h = d->h;
	enum heir_result result = d->switched	   ? fail_after_switch(d)
				  : d->stopped_old ? HEIR_FAILED_OVER
						   : HEIR_ABORTED;

	trace_move_end(&h->shm, h->slot, &d->trace, result, rc, d->step);
	move_end(&h->shm, h->run->app, h->self);
	app_changed(&h->shm, h->run->app);
	ret->error = rc;
	ret->result = result;
	if (d->step < SHM_STEPS_MAX)
		TEXT_COPY(ret->step, d->app->step[d->step]);
	if (h->run->started || d->switched) {
		h->run->finish = 1;
		h->run->exit_code = rc;
	}
}

static void finish(struct drive *d, struct reply *ret)
{
	heir_t *h = d->h;
	enum heir_result result = d->forced ? HEIR_FORCED : HEIR_DONE;

	trace_move_end(&h->shm, h->slot, &d->trace, result, 0, TRACE_STEP_NONE);
	(void)serve_mail(h, MAIL_FIRST);
	move_end(&h->shm, h->run->app, h->self);
	ret->result = result;
}

/*
 * A worker whose place as the driver was taken has failed, and is stopped as it is: its own leader would have killed
 * it. What is exclusive may be in its hands until the kernel has confirmed its end.
 */
static int end_late(struct drive *d, uint64_t late, bool is_exclusive)
{
	heir_t *h = d->h;
	struct slot_place place = slot_place(&h->shm, handle_slot(late));
	struct control c = control_unpack(atom_load_acquire(&d->app->control));
	int64_t deadline = deadline_after(step_limit(d));
	int fd, rc;

	if (!late || place.kind != KIND_WORKER || place.app != (int)h->run->app || c.owner == handle_slot(late))
		return 0;
	fd = handle_exit_fd(&h->shm, late);
	rc = handle_fence(&h->shm, late, deadline);
	if (rc == 0 && fd >= 0 && is_exclusive)
		rc = exit_await(fd, deadline);
	if (fd >= 0)
		close(fd);
	return is_exclusive ? rc : 0;
}

static bool is_exclusive(const struct drive *d, uint32_t how)
{
	return how & (HEIR_OVERLAP | HEIR_EXCLUSIVE) ? how & HEIR_EXCLUSIVE : d->app->flags & APP_EXCLUSIVE;
}

static void drive(struct drive *d, uint32_t how, uint64_t late, struct reply *ret)
{
	struct moveplan p;
	int rc;

	moveplan(d->app, d->type, how, &p);
	worker_state(d->h, WORKER_STARTING);
	rc = end_late(d, late, is_exclusive(d, how));
	if (rc == 0)
		rc = run_steps(d, &p);
	if (rc == 0)
		rc = serve(d);
	ret->generation = d->trace.generation;
	if (rc) {
		worker_state(d->h, WORKER_STANDBY);
		fail(d, rc, ret);
	} else {
		finish(d, ret);
	}
}

static void prepare(struct drive *d, heir_t *h, enum heir_start_type type, uint32_t from, int64_t began)
{
	*d = (struct drive){.h = h, .app = worker_app(h), .type = type, .from = from, .step = TRACE_STEP_NONE};
	d->policy = policy_of(&h->shm, d->app);
	d->trace = (struct trace_move){.app = h->run->app,
				       .kind = type,
				       .from = from,
				       .to = h->run->node + 1,
				       .generation =
					       control_unpack(atom_load_acquire(&d->app->control)).generation,
				       .began = began};
}

static uint32_t owner_node(heir_t *h, struct control c)
{
	return c.phase == PHASE_DOWN ? 0 : (uint32_t)(slot_place(&h->shm, c.owner).node + 1);
}

void drive_start(heir_t *h, const struct request *request, struct reply *ret)
{
	struct shm_app *a = worker_app(h);
	struct control c = control_unpack(atom_load_acquire(&a->control));
	struct slot_place owner = slot_place(&h->shm, c.owner);
	uint64_t late = move_late(&h->shm, h->run->app, clock_ns());
	struct drive d;
	int rc;

	if (h->run->state != WORKER_STANDBY) {
		ret->error = HEIR_EALREADY;
		return;
	}
	prepare(&d, h, (enum heir_start_type)request->type, request->from_node, clock_ns());
	d.how = c.phase != PHASE_DOWN && owner.kind == KIND_LEADER && owner.node == h->place.node
			? ACQUIRE_SWITCH
			: ACQUIRE_CLAIM;
	rc = move_begin(&h->shm, h->run->app, h->self, request->type, request->from_node, h->run->node + 1,
			NULL);
	if (rc) {
		ret->error = rc;
		return;
	}
	trace_move_begin(&h->shm, h->slot, &d.trace);
	drive(&d, 0, late, ret);
}

void drive_takeover(heir_t *h, const struct request *request, struct reply *ret)
{
	struct shm_app *a = worker_app(h);
	struct control c = control_unpack(atom_load_acquire(&a->control));
	uint64_t late = move_late(&h->shm, h->run->app, clock_ns());
	uint32_t from = owner_node(h, c);
	struct move_word winner = {.to = h->run->node + 1};
	struct drive d;
	int rc = 0;

	if (c.owner == h->slot && c.phase == PHASE_SERVING)
		rc = HEIR_EALREADY;
	else if (c.phase == PHASE_DOWN || h->run->state != WORKER_STANDBY)
		rc = HEIR_ENOTREADY;
	else if (c.generation >= CONTROL_GENERATION_PLANNED)
		rc = HEIR_EGENERATION;
	else if (!(atom_load_relaxed(&a->permitted) >> h->run->node & 1))
		rc = HEIR_EPERM;
	else if (from == h->run->node + 1) /* dead, or the leader: it is started here by that one */
		rc = HEIR_EBUSY;
	else
		rc = move_begin(&h->shm, h->run->app, h->self, HEIR_TAKEOVER, from, h->run->node + 1, &winner);
	if (rc) {
		ret->error = rc;
		ret->node = winner.to;
		return;
	}
	prepare(&d, h, HEIR_TAKEOVER, from, clock_ns());
	d.how = ACQUIRE_SWITCH;
	trace_move_begin(&h->shm, h->slot, &d.trace);
	drive(&d, request->how & (HEIR_OVERLAP | HEIR_EXCLUSIVE), late, ret);
}

/*
 * The claim comes first, and alone decides: nothing but the clock and the count of failovers is
 * touched before it. (An owner that lives, its
 * leader being dead, is switched from: that is for a driver.)
 */
int drive_failover(heir_t *h, int planned, int64_t noticed)
{
	struct shm_app *a = worker_app(h);
	struct control c = control_unpack(atom_load_acquire(&a->control));
	uint32_t from = owner_node(h, c);
	struct reply reply = {0};
	uint64_t late;
	struct moveplan p;
	struct drive d;
	int64_t decided, claimed;
	int rc;

	prepare(&d, h, HEIR_FAILOVER, from, noticed);
	d.how = planned ? ACQUIRE_SWITCH : ACQUIRE_CLAIM;
	if (planned && move_begin(&h->shm, h->run->app, h->self, HEIR_FAILOVER, from, h->run->node + 1, NULL))
		return HEIR_EAGAIN;
	rc = failover_count(&h->shm, h->run->app, noticed); /* beyond the intensity: leaders see to it */
	decided = clock_ns();
	if (rc == 0)
		rc = do_switch(&d);
	if (rc && !d.switched) {
		move_end(&h->shm, h->run->app, h->self);
		return HEIR_EAGAIN;
	}
	claimed = clock_ns();
	late = move_late(&h->shm, h->run->app, claimed);
	(void)move_begin(&h->shm, h->run->app, h->self, HEIR_FAILOVER, from, h->run->node + 1, NULL);
	trace_move_begin(&h->shm, h->slot, &d.trace);
	trace_step(&h->shm, h->slot, &d.trace, TRACE_STEP_NOTICE, noticed, decided - noticed);
	trace_step(&h->shm, h->slot, &d.trace, TRACE_STEP_CLAIM, decided, claimed - decided);
	worker_state(h, WORKER_STARTING);
	if (rc == 0)
		rc = end_late(&d, late, a->flags & APP_EXCLUSIVE);
	if (rc == 0 && (a->flags & APP_EXCLUSIVE)) {
		rc = confirm(&d);
		trace_step(&h->shm, h->slot, &d.trace, TRACE_STEP_CONFIRM, claimed, clock_ns() - claimed);
	}
	moveplan(a, HEIR_FAILOVER, 0, &p);
	for (unsigned i = 0; i + 1 < p.count; i++) /* the switch is done */
		p.step[i] = p.step[i + 1];
	p.count -= p.count > 0;
	if (rc == 0)
		rc = run_steps(&d, &p);
	if (rc == 0)
		rc = serve(&d);
	if (rc)
		fail(&d, rc, &reply);
	else
		finish(&d, &reply);
	worker_announce(h);
	return rc;
}
