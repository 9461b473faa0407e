/* SPDX-License-Identifier: ISC */
/*
 * What a leader decides, without processes: one line a case. A case changes a plain view (a node
 * that may run a cold application of another live node) and says the decision.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/appstep.h"

#define MS INT64_C(1000000)
#define NOW (100000 * MS)
#define LATE_AT (NOW + 3000 * MS)

struct step_case {
	const char *what;
	struct app_view view;
	enum app_action action;
	enum app_start type;
	int64_t again; /* since NOW; 0: none */
};

#pragma GCC diagnostic ignored "-Woverride-init"
/* Every view has these, unless it sets them. */
#define PLAIN                                                                                      \
	.now = NOW, .permitted = true, .able = true, .dependencies = true, .best = true,           \
	.claim_grace = 50 * MS, .grace_until = NOW - MS, .held = 7000 * MS, .start = 5000 * MS,    \
	.late_at = LATE_AT
#define HOT PLAIN, .hot = true
#define LED PLAIN, .led = true
#define DOWN .owner = OWNER_NONE, .phase = APP_DOWN, .dead_since = NOW
#define OTHER(p) .owner = OWNER_OTHER, .phase = APP_##p, .other_up = true
#define MINE(p) .owner = OWNER_CHILD, .phase = APP_##p, .lead_alive = true, .owner_here = true
#define LEADER(p) .owner = OWNER_LEADER, .phase = APP_##p, .owner_here = true
#define DEAD_HERE(p) .owner = OWNER_DEAD, .phase = APP_##p, .owner_here = true, .dead_since = NOW
#define DEAD_THERE(p) .owner = OWNER_DEAD, .phase = APP_##p, .dead_since = NOW, .abandoned = true
#define EMPTY .tree = TREE_EMPTY
#define PARTIAL .tree = TREE_PARTIAL
#define READY .tree = TREE_READY

static void run(const struct step_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct step_case *c = &cases[i];
		struct app_step got = app_step(&c->view);
		int64_t again = c->again ? NOW + c->again : -1;

		if (c->view.driver && again < 0) /* a driver is looked at when it would be late */
			again = LATE_AT;
		if (got.action != c->action || (c->type && got.type != c->type) || got.again != again)
			fail_msg("%s: %s (type %d, again %lld), expected %s (type %d)", c->what,
			         app_action_name(got.action), (int)got.type,
			         (long long)(got.again < 0 ? -1 : got.again - NOW),
			         app_action_name(c->action), (int)c->type);
	}
}
#define RUN(cases) run(cases, sizeof(cases) / sizeof((cases)[0]))

static void test_down(void **state)
{
	static const struct step_case cases[] = {
		{"cold, best: spawned first", {PLAIN, DOWN, EMPTY}, DO_BRING_UP},
		{"then started", {PLAIN, DOWN, READY}, DO_START, APP_NORMAL},
		{"hot, best, ready", {HOT, DOWN, READY}, DO_START, APP_NORMAL},
		{"asked already", {HOT, DOWN, READY, .asked = true}, DO_WAIT},
		{"the leader's own", {LED, DOWN, EMPTY}, DO_ACQUIRE, APP_NORMAL},
		{"a better one is up",
	         {PLAIN, DOWN, EMPTY, .better_up = true},
	         DO_WAIT,
	         0,
	         5000 * MS},
		{"hot, a better one is up",
	         {HOT, DOWN, EMPTY, .better_up = true},
	         DO_BRING_UP,
	         0,
	         5000 * MS},
		{"its leader is stopped",
	         {PLAIN, DOWN, EMPTY, .better_up = true, .dead_since = NOW - 5000 * MS},
	         DO_BRING_UP},
		{"hot, its leader is stopped",
	         {HOT, DOWN, READY, .better_up = true, .dead_since = NOW - 5000 * MS},
	         DO_START,
	         APP_NORMAL},
		{"but another drives",
	         {HOT, DOWN, READY, .better_up = true, .dead_since = NOW - 5000 * MS,
	          .driver = true},
	         DO_WAIT,
	         0,
	         3000 * MS},
		{"a better one is waited for",
	         {PLAIN, DOWN, EMPTY, .better_missing = true, .grace_until = NOW + 9 * MS},
	         DO_WAIT,
	         0,
	         9 * MS},
		{"not for ever", {PLAIN, DOWN, EMPTY, .better_missing = true}, DO_BRING_UP},
		{"dependencies", {PLAIN, DOWN, EMPTY, .dependencies = false}, DO_WAIT},
		{"hot, dependencies", {HOT, DOWN, EMPTY, .dependencies = false}, DO_BRING_UP},
		{"no sockets yet", {HOT, DOWN, EMPTY, .able = false}, DO_WAIT},
		{"not permitted", {HOT, DOWN, READY, .permitted = false}, DO_STOP},
		{"to be down", {HOT, DOWN, READY, .duty = DUTY_STOP}, DO_STOP},
		{"is down", {HOT, DOWN, EMPTY, .duty = DUTY_STOP}, DO_WAIT},
		{"stopping goes on", {HOT, DOWN, .tree = TREE_STOPPING}, DO_WAIT},
		{"gave up, others are there",
	         {PLAIN, DOWN, EMPTY, .gave_up = true, .other_up = true},
	         DO_WAIT},
		{"gave up, nobody else", {PLAIN, DOWN, EMPTY, .gave_up = true}, DO_RETRY},
		{"gave up, nobody else, not the best",
	         {PLAIN, DOWN, EMPTY, .gave_up = true, .best = false},
	         DO_WAIT},
		{"the next child comes later",
	         {PLAIN, DOWN, PARTIAL, .spawn_at = NOW + MS},
	         DO_BRING_UP,
	         0,
	         MS},
	};

	(void)state;
	RUN(cases);
}

static void test_child_owns(void **state)
{
	static const struct step_case cases[] = {
		{"serves", {HOT, MINE(SERVING), READY, .served = true}, DO_WAIT},
		{"is starting", {HOT, MINE(MOVING), READY, .asked = true}, DO_WAIT},
		{"another child is missing",
	         {PLAIN, MINE(SERVING), PARTIAL, .served = true},
	         DO_BRING_UP},
		{"the heir is not named",
	         {HOT, MINE(SERVING), READY, .heir_wrong = true},
	         DO_NAME_HEIR},
		{"stop", {HOT, MINE(SERVING), READY, .duty = DUTY_STOP}, DO_HOLD},
		{"held", {HOT, MINE(HELD), READY, .duty = DUTY_STOP}, DO_STOP},
		{"the node leaves",
	         {HOT, MINE(SERVING), READY, .duty = DUTY_LEAVE, .target = true},
	         DO_HAND_OVER},
		{"being handed over",
	         {HOT, MINE(SERVING), READY, .duty = DUTY_LEAVE, .handing = true},
	         DO_WAIT},
		{"somebody moves it",
	         {HOT, MINE(SERVING), READY, .duty = DUTY_LEAVE, .target = true, .driver = true},
	         DO_WAIT},
		{"the node leaves, no other",
	         {HOT, MINE(SERVING), READY, .duty = DUTY_LEAVE},
	         DO_HOLD},
		{"not permitted any more",
	         {HOT, MINE(SERVING), READY, .permitted = false, .target = true},
	         DO_HAND_OVER},
		{"gave up, a standby is ready",
	         {HOT, MINE(SERVING), PARTIAL, .gave_up = true, .other_ready = true},
	         DO_KILL},
		{"gave up, none is", {HOT, MINE(SERVING), PARTIAL, .gave_up = true}, DO_HOLD},
		{"gave up: stop",
	         {HOT, MINE(SERVING), PARTIAL, .gave_up = true, .other_ready = true,
	          .give_up_stop = true},
	         DO_HOLD},
	};

	(void)state;
	RUN(cases);
}

static void test_leader_owns(void **state)
{
	static const struct step_case cases[] = {
		{"claimed, spawns", {PLAIN, LEADER(MOVING), EMPTY}, DO_BRING_UP},
		{"claimed, starts", {PLAIN, LEADER(MOVING), READY}, DO_START, APP_FAILOVER},
		{"claimed, asked", {PLAIN, LEADER(MOVING), READY, .asked = true}, DO_WAIT},
		{"its own, ready", {LED, LEADER(MOVING), READY}, DO_SERVE},
		{"its own, a child died",
	         {LED, LEADER(SERVING), PARTIAL, .served = true},
	         DO_BRING_UP},
		{"its own, serves", {LED, LEADER(SERVING), READY, .served = true}, DO_WAIT},
		{"stop", {LED, LEADER(SERVING), READY, .duty = DUTY_STOP}, DO_HOLD},
		{"held", {LED, LEADER(HELD), READY, .duty = DUTY_STOP}, DO_STOP},
		{"stopped", {LED, LEADER(HELD), EMPTY, .duty = DUTY_STOP}, DO_RELEASE},
		{"leaves",
	         {LED, LEADER(SERVING), READY, .duty = DUTY_LEAVE, .target = true},
	         DO_HAND_OVER},
		{"leaves, no other", {LED, LEADER(SERVING), READY, .duty = DUTY_LEAVE}, DO_HOLD},
		{"gave up", {LED, LEADER(MOVING), PARTIAL, .gave_up = true}, DO_STOP},
		{"gave up, all is gone", {LED, LEADER(MOVING), EMPTY, .gave_up = true}, DO_RELEASE},
		{"gave up: stop",
	         {LED, LEADER(MOVING), EMPTY, .gave_up = true, .give_up_stop = true},
	         DO_FAIL},
		{"yielded to a takeover",
	         {LED, LEADER(HELD), EMPTY, .yielded = true, .driver = true},
	         DO_WAIT},
		{"which died",
	         {LED, LEADER(HELD), EMPTY, .yielded = true, .dead_since = NOW},
	         DO_WAIT,
	         0,
	         50 * MS},
		{"a while ago",
	         {LED, LEADER(HELD), EMPTY, .yielded = true, .dead_since = NOW - 50 * MS},
	         DO_RELEASE},
	};

	(void)state;
	RUN(cases);
}

static void test_other_owns(void **state)
{
	static const struct step_case cases[] = {
		{"cold", {PLAIN, OTHER(SERVING), EMPTY}, DO_WAIT},
		{"cold, left over", {PLAIN, OTHER(SERVING), READY}, DO_STOP},
		{"hot", {HOT, OTHER(SERVING), EMPTY}, DO_BRING_UP},
		{"hot, ready", {HOT, OTHER(SERVING), READY}, DO_WAIT},
		{"hot, gave up", {HOT, OTHER(SERVING), EMPTY, .gave_up = true}, DO_WAIT},
		{"switched away",
	         {HOT, OTHER(MOVING), READY, .served = true, .lead_alive = true},
	         DO_WAIT},
		{"taken over",
	         {HOT, OTHER(SERVING), READY, .served = true, .lead_alive = true},
	         DO_STOP},
		{"failed over: survivors", {HOT, OTHER(MOVING), PARTIAL, .served = true}, DO_KILL},
		{"a takeover to here", {PLAIN, OTHER(SERVING), EMPTY, .guest = true}, DO_BRING_UP},
		{"which is passed on", {PLAIN, OTHER(SERVING), READY, .guest = true}, DO_WAIT},
		{"taken back", {HOT, OTHER(SERVING), READY, .take_back = true}, DO_TAKE_BACK},
		{"not during a move",
	         {HOT, OTHER(SERVING), READY, .take_back = true, .driver = true},
	         DO_WAIT},
		{"not before it is ready",
	         {HOT, OTHER(SERVING), PARTIAL, .take_back = true},
	         DO_BRING_UP},
		{"this node leaves", {HOT, OTHER(SERVING), READY, .duty = DUTY_LEAVE}, DO_STOP},
	};

	(void)state;
	RUN(cases);
}

static void test_dead_here(void **state)
{
	static const struct step_case cases[] = {
		{"counted first",
	         {PLAIN, DEAD_HERE(SERVING), EMPTY, .served = true, .uncounted = true},
	         DO_COUNT},
		{"then held", {PLAIN, DEAD_HERE(SERVING), EMPTY, .served = true}, DO_HOLD},
		{"then spawned", {PLAIN, DEAD_HERE(HELD), EMPTY, .served = true}, DO_BRING_UP},
		{"then started in place",
	         {PLAIN, DEAD_HERE(HELD), READY, .served = true},
	         DO_START,
	         APP_LOCAL},
		{"held by the leader before this one, others are up: nobody else sees to it",
	         {HOT, DEAD_HERE(HELD), READY, .other_up = true, .other_ready = true},
	         DO_START,
	         APP_FAILOVER},
		{"after this leader's restart",
	         {PLAIN, DEAD_HERE(HELD), READY},
	         DO_START,
	         APP_FAILOVER},
		{"a failed start",
	         {PLAIN, DEAD_HERE(MOVING), READY, .first_start = true},
	         DO_START,
	         APP_NORMAL},
		{"a standby claims",
	         {HOT, DEAD_HERE(SERVING), EMPTY, .served = true, .other_ready = true},
	         DO_WAIT,
	         0,
	         150 * MS},
		{"unless in place",
	         {HOT, DEAD_HERE(SERVING), EMPTY, .served = true, .other_ready = true,
	          .in_place = true},
	         DO_HOLD},
		{"or it did not",
	         {HOT, DEAD_HERE(SERVING), EMPTY, .other_ready = true,
	          .dead_since = NOW - 150 * MS},
	         DO_HOLD},
		{"somebody moves it",
	         {HOT, DEAD_HERE(HELD), EMPTY, .yielded = true, .driver = true},
	         DO_WAIT},
		{"who died", {HOT, DEAD_HERE(HELD), EMPTY, .yielded = true}, DO_WAIT, 0, 50 * MS},
		{"who died, and held it up: a standby claims",
	         {HOT, DEAD_HERE(SERVING), EMPTY, .served = true, .other_ready = true,
	          .dead_since = 0, .driven_until = NOW},
	         DO_WAIT,
	         0,
	         150 * MS},
		{"a while ago",
	         {HOT, DEAD_HERE(HELD), READY, .yielded = true, .dead_since = 0},
	         DO_START,
	         APP_FAILOVER},
		{"gave up", {PLAIN, DEAD_HERE(HELD), PARTIAL, .gave_up = true}, DO_KILL},
		{"gave up, others are there",
	         {PLAIN, DEAD_HERE(HELD), EMPTY, .gave_up = true, .other_up = true},
	         DO_WAIT},
		{"gave up, nobody else",
	         {PLAIN, DEAD_HERE(HELD), EMPTY, .gave_up = true},
	         DO_RETRY},
		{"gave up: stop",
	         {PLAIN, DEAD_HERE(HELD), EMPTY, .gave_up = true, .give_up_stop = true},
	         DO_FAIL},
		{"the leader's own", {LED, DEAD_HERE(SERVING), EMPTY}, DO_ACQUIRE, APP_FAILOVER},
		{"stop", {PLAIN, DEAD_HERE(SERVING), EMPTY, .duty = DUTY_STOP}, DO_HOLD},
		{"stopped", {PLAIN, DEAD_HERE(HELD), EMPTY, .duty = DUTY_STOP}, DO_RELEASE},
		{"leaves: others claim",
	         {HOT, DEAD_HERE(SERVING), PARTIAL, .duty = DUTY_LEAVE, .other_up = true},
	         DO_KILL},
		{"leaves, no other", {HOT, DEAD_HERE(HELD), EMPTY, .duty = DUTY_LEAVE}, DO_RELEASE},
	};

	(void)state;
	RUN(cases);
}

static void test_dead_elsewhere(void **state)
{
	static const struct step_case cases[] = {
		{"cold", {PLAIN, DEAD_THERE(SERVING), EMPTY}, DO_ACQUIRE, APP_FAILOVER},
		{"its leader lives",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .abandoned = false},
	         DO_ACQUIRE,
	         APP_FAILOVER},
		{"and restarts it",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .abandoned = false, .in_place = true},
	         DO_WAIT,
	         0,
	         1000 * MS},
		{"unless it does not",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .abandoned = false, .in_place = true,
	          .dead_since = NOW - 1000 * MS},
	         DO_ACQUIRE,
	         APP_FAILOVER},
		{"or has let it go", {PLAIN, DEAD_THERE(HELD), EMPTY}, DO_ACQUIRE, APP_FAILOVER},
		{"a better one comes first",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .better_up = true},
	         DO_WAIT,
	         0,
	         150 * MS},
		{"or the heir",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .named_heir = true},
	         DO_WAIT,
	         0,
	         50 * MS},
		{"hot, ready: claims by itself",
	         {HOT, DEAD_THERE(SERVING), READY},
	         DO_WAIT,
	         0,
	         150 * MS},
		{"or is told to",
	         {HOT, DEAD_THERE(SERVING), READY, .dead_since = 0},
	         DO_START,
	         APP_FAILOVER},
		{"taken over from here", {HOT, DEAD_THERE(MOVING), READY, .served = true}, DO_KILL},
		{"hot, not ready", {HOT, DEAD_THERE(SERVING), PARTIAL}, DO_ACQUIRE, APP_FAILOVER},
		{"failover_timeout",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .failover_timeout = 700 * MS},
	         DO_WAIT,
	         0,
	         700 * MS},
		{"failover_timeout: never",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .failover_timeout = -1},
	         DO_WAIT},
		{"failed over, failed there",
	         {PLAIN, DEAD_THERE(MOVING), EMPTY, .failover_timeout = -1},
	         DO_ACQUIRE},
		{"somebody moves it",
	         {PLAIN, DEAD_THERE(MOVING), EMPTY, .driver = true},
	         DO_WAIT,
	         0,
	         3000 * MS},
		{"dependencies",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .dependencies = false},
	         DO_WAIT},
		{"not permitted", {PLAIN, DEAD_THERE(SERVING), EMPTY, .permitted = false}, DO_WAIT},
		{"this node leaves",
	         {HOT, DEAD_THERE(SERVING), READY, .duty = DUTY_LEAVE},
	         DO_STOP},
		{"stop: the best releases",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .duty = DUTY_STOP},
	         DO_RELEASE},
		{"gave up, nobody else",
	         {PLAIN, DEAD_THERE(SERVING), EMPTY, .gave_up = true, .dead_since = 0},
	         DO_RETRY},
	};

	(void)state;
	RUN(cases);
}

/* A leader that has held is left alone, for as long as it may need. */
static void test_held_elsewhere(void **state)
{
	static const struct step_case cases[] = {
		{"a leader has held",
	         {PLAIN, DEAD_THERE(HELD), EMPTY, .abandoned = false},
	         DO_WAIT,
	         0,
	         7000 * MS},
		{"and is stopped",
	         {PLAIN, DEAD_THERE(HELD), EMPTY, .abandoned = false,
	          .dead_since = NOW - 7000 * MS},
	         DO_ACQUIRE,
	         APP_FAILOVER},
		{"and is stopped, a better one comes first",
	         {PLAIN, DEAD_THERE(HELD), EMPTY, .abandoned = false, .better_up = true,
	          .dead_since = NOW - 7000 * MS},
	         DO_WAIT,
	         0,
	         150 * MS},
		{"and is stopped, hot: claims by itself",
	         {HOT, DEAD_THERE(HELD), READY, .abandoned = false,
	          .dead_since = NOW - 7000 * MS},
	         DO_WAIT,
	         0,
	         150 * MS},
		{"and is stopped, somebody moves it",
	         {PLAIN, DEAD_THERE(HELD), EMPTY, .abandoned = false, .driver = true,
	          .dead_since = NOW - 7000 * MS},
	         DO_WAIT,
	         0,
	         3000 * MS},
		{"and is stopped, as somebody was who moved it",
	         {HOT, DEAD_THERE(HELD), READY, .abandoned = false, .driven_until = NOW - 50 * MS,
	          .dead_since = NOW - 9000 * MS},
	         DO_WAIT,
	         0,
	         100 * MS},
		{"and is stopped, not permitted here",
	         {PLAIN, DEAD_THERE(HELD), EMPTY, .abandoned = false, .permitted = false,
	          .dead_since = 0},
	         DO_WAIT},
	};

	(void)state;
	RUN(cases);
}

/* Whatever is seen, something is decided; an owner that lives elsewhere is never claimed from, nor
 * its application released. */
static void test_every_view(void **state)
{
	unsigned long seen = 0;

	(void)state;
	for (uint64_t n = 0; n < UINT64_C(1) << 27;
	     n += 131) { /* a prime: all combinations of a few bits come up */
		struct app_view v = {PLAIN};
		bool *bits[] = {&v.hot,        &v.led,         &v.in_place, &v.give_up_stop,
		                &v.permitted,  &v.able,        &v.gave_up,  &v.served,
		                &v.lead_alive, &v.asked,       &v.guest,    &v.yielded,
		                &v.driver,     &v.other_ready, &v.other_up, &v.best};
		struct app_step step;

		for (size_t b = 0; b < sizeof(bits) / sizeof(bits[0]); b++)
			*bits[b] = n >> b & 1;
		v.duty = (enum app_duty)(n >> 16 & 3) % 3;
		v.tree = (enum app_tree)(n >> 18 & 3);
		v.phase = (enum app_phase)(n >> 20 & 3);
		v.owner = (enum app_owner)(n >> 22 & 7) % 5;
		v.owner_here = n >> 25 & 1;
		v.uncounted = n >> 26 & 1;
		step = app_step(&v);
		assert_in_range(step.action, DO_WAIT, DO_TAKE_BACK);
		if (v.owner == OWNER_OTHER)
			assert_true(step.action != DO_ACQUIRE && step.action != DO_RELEASE &&
			            step.action != DO_HOLD && step.action != DO_START &&
			            step.action != DO_FAIL && step.action != DO_NAME_HEIR);
		if (v.tree == TREE_STOPPING)
			assert_int_equal(step.action, DO_WAIT);
		if (!v.permitted || v.duty != DUTY_RUN)
			assert_true(step.action != DO_ACQUIRE && step.action != DO_START &&
			            step.action != DO_RETRY);
		seen++;
	}
	assert_true(seen > 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_down),        cmocka_unit_test(test_child_owns),
		cmocka_unit_test(test_leader_owns), cmocka_unit_test(test_other_owns),
		cmocka_unit_test(test_dead_here),   cmocka_unit_test(test_dead_elsewhere),
		cmocka_unit_test(test_held_elsewhere),
		cmocka_unit_test(test_every_view),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
