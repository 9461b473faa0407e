/* SPDX-License-Identifier: ISC */
#include "node/act.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/ask.h"
#include "node/child.h"
#include "node/instance.h"
#include "node/led.h"
#include "node/loop.h"
#include "node/remains.h"
#include "proc/recover.h"
#include "trace/moves.h"

#define ROUNDS 16
#define SOON INT64_C(1000000)
#define REFUSED INT64_C(50000000)
#define SETTLE INT64_C(5000000)

static const char *node_name(const struct leader *l, int node)
{
	return node >= 0 ? l->conf->nodes[node] : "nowhere";
}

int act_hold(struct instance *i, uint32_t owner_slot)
{
	uint32_t absent = INSTANCE_ABSENT;
	uint64_t old, new;
	int rc;

	/* Not let go, before it is held: standbys take HELD and ABSENT for theirs. */
	(void)atom_cas(&i->shm->instance[i->leader->node], &absent, INSTANCE_STARTING);
	rc = control_apply(&i->shm->control, &old, &new, control_hold, owner_slot);
	if (rc == 0)
		app_changed(i->leader->shm, i->app);
	return rc;
}

/*
 * What an earlier leader of this node ran is started here again once it is held, whoever else comes up meanwhile;
 * unless that one is quicker, where the node is not waited for.
 */
static void hold(struct instance *i, const struct seen *s)
{
	if (act_hold(i, s->control.owner) || s->view.owner != OWNER_DEAD || i->served || i->policy.failover_timeout)
		return;
	i->yielded = true;
	i->dead_since = i->leader->now;
}

/* How children are told that they start, where that is known when they are spawned. */
static void choose_type(struct instance *i, const struct seen *s)
{
	const struct app_view *v = &s->view;

	if (v->tree == TREE_EMPTY)
		i->spawn_began = clock_ns();
	if (v->owner == OWNER_LEADER || v->tree != TREE_EMPTY || i->led.active)
		return;
	i->start_from = -1;
	if (v->owner == OWNER_NONE)
		i->start_type = APP_NORMAL;
	else if (i->guest.active)
		i->start_type = APP_TAKEOVER;
	else if (v->owner == OWNER_DEAD)
		i->start_type = i->served ? APP_LOCAL : APP_FAILOVER;
	else
		i->start_type = 0;
	if (i->start_type == APP_TAKEOVER || i->start_type == APP_FAILOVER)
		i->start_from = s->owner_node;
}

static void fail(struct instance *i)
{
	struct leader *l = i->leader;
	uint32_t zero = 0;

	if (atomic_compare_exchange_strong(&i->shm->failed, &zero, 1))
		log_error("%s failed too often and stays down; its state is kept, `heir start %s` "
		          "tries again",
		          i->conf->name, i->conf->name);
	(void)app_release(l->shm, i->app, l->h->self);
	app_changed(l->shm, i->app);
	if (i->conf->restart_type == CONF_PERMANENT ||
	    (i->conf->restart_type == CONF_TRANSIENT && !i->ended_normally)) {
		log_error("%s is permanent and no candidate is left: node %s stops", i->conf->name,
		          l->conf->nodes[l->node]);
		l->leaving = true;
	}
}

static bool count_failover(struct instance *i)
{
	if (failover_count(i->leader->shm, i->app, i->leader->now) == 0)
		return true;
	fail(i);
	return false;
}

/* What was done for a move before its driver, the lead child, begins it. */
static void trace_before(struct instance *i, uint32_t generation, uint64_t driver)
{
	const struct shm *shm = i->leader->shm;
	uint32_t slot = i->leader->h->slot;
	struct trace_move move = {.app = i->app, .generation = generation, .driver = driver};

	if (i->claim_began) {
		trace_step(shm, slot, &move, TRACE_STEP_NOTICE, i->noticed,
		           i->claim_began - i->noticed);
		trace_step(shm, slot, &move, TRACE_STEP_CLAIM, i->claim_began,
		           i->claim_ended - i->claim_began);
	}
	if (i->spawn_began && driver != i->leader->h->self)
		trace_step(shm, slot, &move, TRACE_STEP_SPAWN, i->spawn_began,
		           clock_ns() - i->spawn_began);
	i->claim_began = i->spawn_began = 0;
}

static void start(struct instance *i, const struct seen *s, enum app_start type)
{
	struct leader *l = i->leader;
	struct child *lead = instance_lead(i);
	int from = type == APP_FAILOVER
	                   ? (s->view.owner == OWNER_LEADER ? i->start_from : s->owner_node)
	                   : -1;
	struct request r = {.op = REQ_START,
	                    .app = i->app,
	                    .type = (uint32_t)type,
	                    .from_node = (uint32_t)(from + 1),
	                    .generation = s->control.generation};

	if (s->view.owner == OWNER_DEAD && !s->view.owner_here && !count_failover(i))
		return;
	i->yielded = false;
	if (type == APP_FAILOVER && s->view.owner == OWNER_LEADER)
		trace_before(i, s->control.generation, lead->handle);
	i->asked = lib_request(l->h, lead->handle, &r, &i->ask) == 0;
	i->ask_until = deadline_from(l->now, i->policy.step_timeout);
	if (!i->asked)
		i->ask_after = l->now + REFUSED;
}

static bool owns(struct instance *i)
{
	struct control c = control_unpack(atom_load_acquire(&i->shm->control));

	return c.phase != PHASE_DOWN && c.owner == handle_slot(instance_lead(i)->handle);
}

static void collect_start(struct instance *i)
{
	struct leader *l = i->leader;
	struct reply reply = {0};
	int rc;

	if (!i->asked)
		return;
	rc = lib_reply(l->h, i->ask, &reply);
	if (rc == HEIR_EAGAIN)
		return;
	i->asked = false;
	if (rc == 0 && reply.error == 0) {
		if (!i->served)
			log_note("%s runs", i->conf->name);
		return;
	}
	i->ask_after = l->now + REFUSED;
	if (rc == 0 && reply.error == HEIR_EALREADY && !reply.result && !owns(i) &&
	    instance_lead(i)->pid)
		child_kill(instance_lead(i)); /* it has served before, and cannot start again */
	/* Without a result it was not begun; with one, the error is the worker's own. */
	if (rc || (!reply.result && (reply.error == HEIR_EALREADY || reply.error == HEIR_EAGAIN ||
	                             reply.error == HEIR_EBUSY)))
		return;
	log_error("%s could not start%s%s: %s", i->conf->name, reply.step[0] ? ", step " : "",
	          reply.step, heir_strerror(reply.error));
	if (instance_lead(i)->pid) /* what a failed start left is not trusted; its end counts as a
	                              restart */
		child_kill(instance_lead(i));
}

static void acquire(struct instance *i, const struct seen *s, enum app_start type)
{
	struct leader *l = i->leader;
	struct acquired got;
	int rc;

	if (type == APP_FAILOVER && !count_failover(i))
		return;
	i->noticed = i->dead_since;
	i->claim_began = clock_ns();
	rc = app_acquire(l->shm, i->app, l->h->self, ACQUIRE_CLAIM, NULL, &got);
	i->claim_ended = clock_ns();
	if (rc) {
		if (rc != HEIR_EAGAIN && rc != HEIR_EALREADY)
			log_error("%s cannot be claimed: %s", i->conf->name, heir_strerror(rc));
		i->ask_after = l->now + REFUSED;
		i->claim_began = 0;
		loop_again(l, i->ask_after);
		return;
	}
	i->start_type = type;
	i->start_from = type == APP_FAILOVER ? s->owner_node : -1;
	i->yielded = false;
	i->owner_node = -1;
	if (s->owner_node >= 0) { /* what a dead leader left goes first */
		i->fenced |= UINT64_C(1) << s->owner_node;
		remains_fence(i, s->owner_node);
	}
	app_changed(l->shm, i->app);
	if (type == APP_FAILOVER)
		log_note("%s fails over from %s to %s", i->conf->name, node_name(l, s->owner_node),
		         l->conf->nodes[l->node]);
	if (type != APP_FAILOVER)
		i->claim_began = 0;
	if (s->view.led)
		led_start(i, type, i->start_from);
	if (s->view.led && i->led.active)
		trace_before(i, i->led.generation, l->h->self);
}

static void name_heir(struct instance *i, const struct seen *s)
{
	uint64_t old, new;

	if (control_apply(&i->shm->control, &old, &new, control_name_heir, s->heir) == 0)
		app_changed(i->leader->shm, i->app);
}

static void serve(struct instance *i)
{
	uint64_t old, new;

	if (control_apply(&i->shm->control, &old, &new, control_serve, i->leader->h->slot) == 0)
		app_changed(i->leader->shm, i->app);
}

/* The move that took the application from here, for the record of how long its old instance took to
 * stop. */
static void begin_stop_old(struct instance *i, const struct seen *s)
{
	struct heir_move moves[4];
	uint64_t drivers[4];
	int n = moves_read(i->leader->shm, (int)i->app, 0, moves, drivers, 4);

	i->stop_old = false;
	for (int k = 0; k < n && !i->stop_old; k++) {
		if (drivers[k] != s->owner || moves[k].kind != HEIR_TAKEOVER)
			continue;
		i->stop_old = true;
		i->stop_driver = drivers[k];
		i->stop_generation = moves[k].generation;
	}
}

static void end_stop_old(struct instance *i)
{
	struct leader *l = i->leader;
	struct trace_move move = {.app = i->app,
	                          .generation = i->stop_generation,
	                          .driver = i->stop_driver};
	unsigned step = TRACE_STEP_STOP_OLD;

	if (!i->stop_old || i->stop.how != STOP_NOT)
		return;
	i->stop_old = false;
	for (unsigned k = 0; k < i->conf->step_count; k++)
		if (i->conf->steps[k].kind == CONF_STEP_STOP_OLD)
			step = k;
	trace_step(l->shm, l->h->slot, &move, step, i->stop.since, clock_ns() - i->stop.since);
}

static void stop(struct instance *i, const struct seen *s, enum stop_how how)
{
	if (s->view.owner == OWNER_OTHER && s->view.served && i->stop.how == STOP_NOT)
		begin_stop_old(i, s);
	instance_stop(i, how, 0, i->count);
	instance_advance(i);
	end_stop_old(i);
}

/* Who led the owner's node when that was last seen alive: another leader of it by now has not run it. */
static void note_owner(struct instance *i, const struct seen *s)
{
	struct leader *l = i->leader;

	if (s->owner_node < 0 || s->owner_node == (int)l->node)
		return;
	if (s->view.owner == OWNER_OTHER)
		i->owner_leader = atom_load_acquire(&shm_node(l->shm, (uint32_t)s->owner_node)->leader);
	else if (i->owner_node != s->owner_node)
		i->owner_leader = 0;
	i->owner_node = s->owner_node;
}

static bool has_children_written(const struct instance *i, uint32_t node)
{
	for (uint32_t k = 0; k < i->count; k++)
		if (atom_load_relaxed(&shm_role(i->leader->shm, i->first_role + k)->child[node]) & 0xffffff)
			return true;
	return false;
}

/* Of that node's instance there may be processes that no leader ends: the one that has run them is dead. */
static bool is_left_behind(struct instance *i, uint32_t node)
{
	struct leader *l = i->leader;
	uint64_t leader = atom_load_acquire(&shm_node(l->shm, node)->leader);
	uint64_t bit = UINT64_C(1) << node;

	if (leader && !handle_gone(l->shm, leader)) {
		if (handle_noticed(l->shm, leader)) /* its life words fall one by one */
			loop_again(l, l->now + SOON);
		if ((int)node != i->owner_node || !i->owner_leader || leader == i->owner_leader)
			i->fenced &= ~bit;
		return (int)node == i->owner_node && i->owner_leader && leader != i->owner_leader && !(i->fenced & bit);
	}
	return !(i->fenced & bit) && ((int)node == i->owner_node || has_children_written(i, node));
}

/*
 * What dead leaders left of the application is killed once it is this node's, by whatever way it came here, and nothing
 * is spawned before it is gone; a leader that lives does it itself. The path of a standby that has claimed is not
 * touched by this.
 */
static void fence_remains(struct instance *i)
{
	struct leader *l = i->leader;

	for (uint32_t n = 0; n < l->conf->node_count && i->fence_node < 0; n++) {
		if (n == l->node || !is_left_behind(i, n))
			continue;
		i->fenced |= UINT64_C(1) << n;
		remains_fence(i, (int)n);
	}
	if (i->fence_node < 0)
		i->owner_node = -1;
}

static enum worker_state state_of_child(const struct instance *i, const struct child *c)
{
	const struct shm *shm = i->leader->shm;

	if (!c->pid || !c->handle || !handle_alive(shm, c->handle))
		return WORKER_INIT;
	return (enum worker_state)atom_load_acquire(&shm_slot(shm, handle_slot(c->handle))->ready);
}

static bool lead_has_served(struct instance *i)
{
	enum worker_state state = state_of_child(i, instance_lead(i));

	return state == WORKER_SERVING || state == WORKER_LOST;
}

/*
 * A child that was started beside an earlier lead, while the present one is a standby: it is no standby, and starts
 * anew. Its state is looked at first: the lead's changes before it tells the others to start.
 */
static void stop_left_behind(struct instance *i, const struct seen *s)
{
	for (uint32_t k = 0; k < i->count && i->stop.how == STOP_NOT && s->view.owner == OWNER_OTHER; k++)
		if (k != i->lead && state_of_child(i, &i->children[k]) > WORKER_STANDBY &&
		    state_of_child(i, instance_lead(i)) == WORKER_STANDBY)
			instance_stop(i, STOP_ORDERLY, k, k + 1);
}

/* What follows from what is seen, before anything is decided. */
static void note(struct instance *i, const struct seen *s)
{
	const struct app_view *v = &s->view;
	bool mine = v->owner == OWNER_CHILD || v->owner == OWNER_LEADER;

	if (mine) {
		fence_remains(i);
	} else {
		note_owner(i, s);
		i->fenced = 0;
	}
	stop_left_behind(i, s);
	if (mine && v->phase == APP_SERVING && !i->served) {
		i->served = true;
		i->tried = 0;
		i->take_back = false;
		for (uint32_t k = 0; k < i->count; k++)
			i->children[k].begun = i->children[k].ready;
	}
	/* It served, and was taken over from, between two looks. */
	if (v->owner == OWNER_OTHER && !i->served && lead_has_served(i))
		i->served = true;
	if (v->owner == OWNER_OTHER && v->tree == TREE_EMPTY)
		i->served = i->uncounted = false;
	if (v->owner == OWNER_OTHER && v->phase == APP_SERVING)
		i->tried = 0;
	if (v->owner != OWNER_DEAD && !(v->owner == OWNER_LEADER && v->phase == APP_HELD))
		i->yielded = false;
	if (v->owner == OWNER_CHILD)
		i->uncounted = false;
}

static enum instance_state state_of(const struct instance *i, const struct seen *s)
{
	const struct app_view *v = &s->view;
	bool mine = v->owner == OWNER_CHILD || v->owner == OWNER_LEADER;

	if (v->tree == TREE_STOPPING)
		return INSTANCE_STOPPING;
	if (mine && v->phase == APP_SERVING)
		return INSTANCE_RUNNING;
	if (v->tree == TREE_READY && v->hot && !v->asked && !i->led.active &&
	    (v->owner == OWNER_OTHER || v->owner == OWNER_NONE))
		return INSTANCE_STANDBY;
	if (v->tree != TREE_EMPTY || mine)
		return v->tree == TREE_READY && v->hot && !mine ? INSTANCE_STANDBY
		                                                : INSTANCE_STARTING;
	/* A dead owner of this node that is to be started again here: not let go. */
	if (v->owner == OWNER_DEAD && v->owner_here && v->duty == DUTY_RUN && !v->gave_up &&
	    !v->yielded)
		return INSTANCE_STARTING;
	return INSTANCE_ABSENT;
}

static void publish(struct instance *i, const struct seen *s)
{
	struct leader *l = i->leader;
	uint32_t state = state_of(i, s);

	if (i->fence_node !=
	    (int)l->node) /* else what an earlier leader wrote down is still needed */
		instance_publish(i);
	if (atom_load_relaxed(&i->shm->instance[l->node]) == state)
		return;
	atom_store_release(&i->shm->instance[l->node], state);
	app_changed(l->shm, i->app);
}

/* Whether to look again at once. */
static bool perform(struct instance *i, const struct seen *s, struct app_step step)
{
	struct leader *l = i->leader;

	switch (step.action) {
	case DO_WAIT:
		return false;
	case DO_BRING_UP:
		choose_type(i, s);
		instance_bring_up(i);
		return false;
	case DO_START:
		start(i, s, step.type);
		return true;
	case DO_ACQUIRE:
		acquire(i, s, step.type);
		return true;
	case DO_SERVE:
		serve(i);
		return true;
	case DO_COUNT:
		i->uncounted = false;
		instance_restart(i, i->lead, i->ended_normally);
		return true;
	case DO_RETRY:
		if (count_failover(i))
			instance_forget_restarts(i);
		return true;
	case DO_HOLD:
		hold(i, s);
		return true;
	case DO_STOP:
		stop(i, s, STOP_ORDERLY);
		return true;
	case DO_KILL:
		stop(i, s, STOP_KILL);
		return true;
	case DO_RELEASE:
		(void)app_release(l->shm, i->app, l->h->self);
		return true;
	case DO_FAIL:
		fail(i);
		return true;
	case DO_NAME_HEIR:
		name_heir(i, s);
		return true;
	case DO_HAND_OVER:
		ask_hand_over(i, s);
		return true;
	case DO_TAKE_BACK:
		ask_take_back(i, s);
		return true;
	}
	return false;
}

/*
 * What is left to do after a move takes processors from those who wait for their answers, and is
 * not urgent: an old instance is stopped, and the next standby brought up, a moment later.
 */
static bool may_settle(struct instance *i, const struct seen *s, struct app_step *step)
{
	const struct app_view *v = &s->view;
	bool later = (step->action == DO_BRING_UP && v->hot && !v->guest) ||
	             (step->action == DO_STOP && v->served);

	if (i->last_owner != s->owner) {
		i->last_owner = s->owner;
		i->owner_since = v->now;
	}
	if (!later || v->duty != DUTY_RUN || v->owner != OWNER_OTHER || v->phase != APP_SERVING ||
	    v->now >= i->owner_since + SETTLE)
		return false;
	step->again = deadline_min(step->again, i->owner_since + SETTLE);
	return true;
}

void act_on(struct instance *i)
{
	struct leader *l = i->leader;
	struct app_step step = {0};
	struct seen s;
	bool more = true;

	collect_start(i); /* first: what was answered is not late */
	instance_advance(i);
	end_stop_old(i);
	for (unsigned round = 0; more && round < ROUNDS; round++) {
		view_fill(i, &s);
		note(i, &s);
		ask_advance(i, &s);
		led_advance(i);
		view_fill(i, &s);
		step = app_step(&s.view);
		if (step.action != i->last && step.action != DO_WAIT)
			log_detail("%s: %s", i->conf->name, app_action_name(step.action));
		i->last = step.action;
		more = !may_settle(i, &s, &step) && perform(i, &s, step);
	}
	remains_sweep(i); /* after what is started anew */
	loop_again(l, step.again);
	if (more) /* it goes on, but others come in between */
		loop_again(l, l->now);
	if (l->now < i->ask_after)
		loop_again(l, i->ask_after);
	view_fill(i, &s);
	publish(i, &s);
}

bool act_is_settled(struct instance *i)
{
	struct seen s;

	view_fill(i, &s);
	return s.view.tree == TREE_EMPTY && s.view.owner != OWNER_CHILD &&
	       s.view.owner != OWNER_LEADER &&
	       !(s.view.owner == OWNER_DEAD && s.view.owner_here &&
	         app_step(&s.view).action != DO_WAIT);
}
