/* SPDX-License-Identifier: ISC */
#include "app/appstep.h"

#include "base/clock.h"
#include "base/patience.h"

static struct app_step act(enum app_action action)
{
	return (struct app_step){.action = action, .again = DEADLINE_NEVER};
}

static struct app_step wait_until(int64_t again)
{
	return (struct app_step){.action = DO_WAIT, .again = again};
}

static struct app_step start_as(enum app_action action, enum app_start type)
{
	return (struct app_step){.action = action, .type = type, .again = DEADLINE_NEVER};
}

static struct app_step bring_up(const struct app_view *v)
{
	if (v->gave_up || !v->able)
		return act(DO_WAIT);
	return (struct app_step){.action = DO_BRING_UP,
	                         .again = v->spawn_at > v->now ? v->spawn_at : DEADLINE_NEVER};
}

static struct app_step clear(const struct app_view *v, enum app_action how)
{
	return act(v->tree == TREE_EMPTY ? DO_WAIT : how);
}

/* What a node does that is neither to run the application now nor owns it. */
static struct app_step stand_by(const struct app_view *v)
{
	if (v->gave_up || v->duty != DUTY_RUN || !v->permitted)
		return clear(v, DO_STOP);
	if (!v->hot && !v->guest)
		return clear(v, DO_STOP);
	return v->tree == TREE_READY ? act(DO_WAIT) : bring_up(v);
}

/* It gave up, and nobody else is there that did not: the best of those tries again, until the
 * failovers are too many. */
static struct app_step after_giving_up(const struct app_view *v)
{
	if (v->tree != TREE_EMPTY)
		return act(DO_KILL);
	return act(!v->other_up && v->best ? DO_RETRY : DO_WAIT);
}

static struct app_step none(const struct app_view *v)
{
	struct app_step step;
	int64_t until = 0;

	if (v->duty != DUTY_RUN || !v->permitted || !v->able || !v->dependencies)
		return stand_by(v);
	if (v->asked)
		return act(DO_WAIT);
	if (v->gave_up)
		return after_giving_up(v);
	if (v->better_missing)
		until = v->grace_until;
	if (v->better_up && v->dead_since + v->start > until) /* its leader may be stopped */
		until = v->dead_since + v->start;
	if (v->now >= until && !v->driver) {
		if (v->led)
			return start_as(DO_ACQUIRE, APP_NORMAL);
		return v->tree == TREE_READY ? start_as(DO_START, APP_NORMAL) : bring_up(v);
	}
	step = stand_by(v);
	if (v->now < until)
		step.again = deadline_min(step.again, until);
	return step;
}

static struct app_step child_serves(const struct app_view *v)
{
	if (v->duty == DUTY_STOP)
		return act(DO_HOLD);
	if (v->handing)
		return act(DO_WAIT);
	if (v->duty == DUTY_LEAVE || !v->permitted)
		return act(v->target && !v->driver ? DO_HAND_OVER : v->driver ? DO_WAIT : DO_HOLD);
	if (v->gave_up)
		return act(v->other_ready && !v->in_place && !v->give_up_stop ? DO_KILL : DO_HOLD);
	if (v->heir_wrong)
		return act(DO_NAME_HEIR);
	return v->tree == TREE_READY ? act(DO_WAIT) : bring_up(v);
}

static struct app_step child(const struct app_view *v)
{
	switch (v->phase) {
	case APP_SERVING:
		return child_serves(v);
	case APP_HELD: /* which the leader did in order to stop it */
		return act(DO_STOP);
	case APP_MOVING:
	case APP_DOWN:
		break;
	}
	return v->tree == TREE_PARTIAL ? bring_up(v) : act(DO_WAIT);
}

/* This leader owns and is to let go. */
static struct app_step leader_ends(const struct app_view *v, enum app_action last)
{
	if (v->tree == TREE_EMPTY)
		return act(last);
	return act(v->phase == APP_SERVING ? DO_HOLD : DO_STOP);
}

static struct app_step leader(const struct app_view *v)
{
	if (v->duty == DUTY_LEAVE || !v->permitted) {
		if (v->handing || v->driver)
			return v->led && v->tree != TREE_READY ? bring_up(v) : act(DO_WAIT);
		if (v->target && v->led && v->phase == APP_SERVING)
			return act(DO_HAND_OVER);
	}
	if (v->duty != DUTY_RUN || !v->permitted)
		return leader_ends(v, DO_RELEASE);
	if (v->gave_up)
		return leader_ends(v, v->give_up_stop ? DO_FAIL : DO_RELEASE);
	if (v->led && v->phase == APP_HELD) {
		if (v->driver || v->tree != TREE_EMPTY)
			return act(DO_WAIT);
		return v->now < v->dead_since + v->claim_grace
		               ? wait_until(v->dead_since + v->claim_grace)
		               : act(DO_RELEASE);
	}
	if (v->tree != TREE_READY)
		return bring_up(v);
	if (v->asked || v->phase == APP_SERVING)
		return act(DO_WAIT);
	return v->led ? act(DO_SERVE)
	              : start_as(DO_START, v->first_start ? APP_NORMAL : APP_FAILOVER);
}

static struct app_step other(const struct app_view *v)
{
	if (v->served && v->tree != TREE_EMPTY) {
		if (!v->lead_alive)
			return act(DO_KILL);
		/* while it moves it may be switched back */
		return act(v->phase == APP_MOVING ? DO_WAIT : DO_STOP);
	}
	if (v->duty == DUTY_RUN && v->permitted && v->take_back && !v->guest &&
	    v->phase == APP_SERVING && !v->driver && !v->gave_up && v->able &&
	    (!v->hot || v->tree == TREE_READY))
		return act(DO_TAKE_BACK);
	return stand_by(v);
}

/* For how long a standby elsewhere may take to claim before this node, whose owner died, starts it
 * in place; -1: no limit. */
static int64_t patience_here(const struct app_view *v)
{
	if (v->yielded)
		return v->claim_grace;
	/* A node that is back within the failover timeout has its applications again. */
	if (!v->served && v->failover_timeout != 0)
		return 0;
	if (!v->other_ready || v->phase == APP_HELD || (v->in_place && v->phase == APP_SERVING))
		return 0;
	return v->failover_timeout < 0 ? -1 : v->failover_timeout + patience_first(v->claim_grace);
}

static struct app_step dead_here_ends(const struct app_view *v)
{
	if (v->duty == DUTY_LEAVE && v->other_up && v->phase != APP_HELD)
		return clear(v, DO_KILL);
	if (v->duty == DUTY_STOP && v->phase == APP_SERVING)
		return act(DO_HOLD);
	return act(v->tree == TREE_EMPTY ? DO_RELEASE : DO_STOP);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static struct app_step dead_here(const struct app_view *v)
{
	int64_t patience = patience_here(v), until = later(v->dead_since, v->driven_until) + patience;

	if (v->duty != DUTY_RUN || !v->permitted)
		return dead_here_ends(v);
	if (v->asked || v->driver)
		return v->gave_up || v->driver ? act(DO_WAIT)
		       : v->tree == TREE_READY ? act(DO_WAIT)
		                               : bring_up(v);
	if (v->gave_up && v->give_up_stop)
		return act(v->tree == TREE_EMPTY ? DO_FAIL : DO_KILL);
	if (v->gave_up)
		return after_giving_up(v);
	if (patience < 0)
		return act(DO_WAIT);
	if (v->now < until)
		return wait_until(until);
	/* A standby is there, and did not claim because there were too many failovers. */
	if (v->exhausted && v->other_ready && !v->in_place && v->phase == APP_SERVING)
		return act(v->tree == TREE_EMPTY ? DO_FAIL : DO_KILL);
	if (v->led)
		return start_as(DO_ACQUIRE, APP_FAILOVER);
	if (v->uncounted)
		return act(DO_COUNT);
	if (v->phase == APP_SERVING)
		return act(DO_HOLD);
	if (v->tree != TREE_READY)
		return bring_up(v);
	if (v->phase == APP_MOVING)
		return start_as(DO_START, v->first_start ? APP_NORMAL : APP_FAILOVER);
	return start_as(DO_START, v->served && !v->yielded ? APP_LOCAL : APP_FAILOVER);
}

/* Until when others, who come first, may take to claim; -1: for ever. */
static int64_t others_until(const struct app_view *v)
{
	int64_t node = v->phase == APP_MOVING ? 0 : v->failover_timeout, standbys = 0;

	if (node < 0)
		return -1;
	if (v->phase == APP_SERVING && v->in_place && !v->abandoned)
		node += PATIENCE_LEADER;
	if (v->phase == APP_HELD && !v->abandoned)
		node += v->held;
	if (v->hot && v->tree == TREE_READY)
		standbys += patience_first(v->claim_grace); /* it claims by itself */
	if (v->named_heir || v->other_ready)
		standbys += v->claim_grace;
	if (v->better_up)
		standbys += patience_first(v->claim_grace);
	if (v->owner_here)
		standbys += 2 * PATIENCE_LEADER;
	return later(v->dead_since + node, v->driven_until) + standbys;
}

static struct app_step dead_elsewhere(const struct app_view *v)
{
	struct app_step step = stand_by(v);
	int64_t until = others_until(v);

	if (v->duty == DUTY_STOP && v->abandoned && v->best && v->tree == TREE_EMPTY)
		return act(DO_RELEASE);
	/* Taken over from here, and not stopped yet: such an instance does not start again. */
	if (v->served && v->tree != TREE_EMPTY)
		return act(DO_KILL);
	if (v->duty != DUTY_RUN || !v->permitted || v->driver || v->asked || until < 0)
		return step;
	if (v->gave_up)
		return after_giving_up(v);
	if (!v->able || !v->dependencies)
		return step;
	if (v->now < until) {
		step.again = deadline_min(step.again, until);
		return step;
	}
	if (v->hot && v->tree == TREE_READY)
		return start_as(DO_START, APP_FAILOVER);
	return start_as(DO_ACQUIRE, APP_FAILOVER);
}

static struct app_step decide(const struct app_view *v)
{
	switch (v->owner) {
	case OWNER_NONE:
		return none(v);
	case OWNER_CHILD:
		return child(v);
	case OWNER_LEADER:
		return leader(v);
	case OWNER_OTHER:
		return other(v);
	case OWNER_DEAD:
		/* What a leader before this one ran, and that died with it, is for others first. */
		return v->owner_here && (v->phase == APP_HELD || v->served || v->yielded || v->first_start ||
		                         !v->other_up ||
		                         v->failover_timeout != 0 || v->duty != DUTY_RUN)
		               ? dead_here(v)
		               : dead_elsewhere(v);
	}
	return act(DO_WAIT);
}

struct app_step app_step(const struct app_view *v)
{
	struct app_step step = v->tree == TREE_STOPPING ? act(DO_WAIT) : decide(v);

	if (v->driver && v->tree != TREE_STOPPING) /* by a word that is no futex */
		step.again = deadline_min(step.again, v->late_at);
	return step;
}

const char *app_action_name(enum app_action action)
{
	static const char *const names[] = {
		[DO_WAIT] = "wait",           [DO_BRING_UP] = "bring up",
		[DO_START] = "start",         [DO_ACQUIRE] = "acquire",
		[DO_SERVE] = "serve",         [DO_COUNT] = "count",
		[DO_RETRY] = "retry",         [DO_HOLD] = "hold",
		[DO_STOP] = "stop",           [DO_KILL] = "kill",
		[DO_RELEASE] = "release",     [DO_FAIL] = "fail",
		[DO_NAME_HEIR] = "name heir", [DO_HAND_OVER] = "hand over",
		[DO_TAKE_BACK] = "take back",
	};

	return names[action];
}
