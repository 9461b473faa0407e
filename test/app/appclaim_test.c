/* SPDX-License-Identifier: ISC */
/*
 * What a hot standby decides, without processes: one line a case. A case changes a plain view (a permitted standby
 * that is named as the heir, of an owner that lives under a living leader) and says the decision.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/appclaim.h"

#define MS  INT64_C(1000000)
#define NOW (100000 * MS)

struct claim_case {
	const char *what;
	struct claim_view view;
	enum claim_decision decision;
	int64_t again; /* since NOW; 0: none */
};

#pragma GCC diagnostic ignored "-Woverride-init"
#define PLAIN                                                                                                          \
	.permitted = true, .is_heir = true, .now = NOW, .since = -1, .turn = -1, .grace = 50 * MS, .held = 7000 * MS
#define IN(p)     PLAIN, .phase = PHASE_##p
#define DEAD(p)   IN(p), .owner_gone = true
#define LEADER    .owner_leader_gone = true
#define NODE      .owner_leader_gone = true, .node_died = true
#define SINCE(ms) .since = NOW - (ms) * MS
#define TURN(ms)  .turn = NOW - (ms) * MS
#define OTHER     .is_heir = false, .heir_alive = true  /* somebody else is named */
#define NONE      .is_heir = false, .heir_alive = false /* nobody, or a dead one */

static const char *name_of(enum claim_decision d)
{
	static const char *const names[] = {[CLAIM_NO] = "no",
					    [CLAIM_WAIT] = "wait",
					    [CLAIM_AFTER_HEIR] = "after the heir",
					    [CLAIM_NOW] = "now",
					    [CLAIM_SWITCH] = "switch"};

	return names[d];
}

static void run(const struct claim_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct claim_case *c = &cases[i];
		int64_t again = -7;
		enum claim_decision d = claim_decide(&c->view, &again);

		if (d != c->decision || again != (c->again ? NOW + c->again : -7))
			fail_msg("%s: %s (again %lld), expected %s", c->what, name_of(d),
				 (long long)(again == -7 ? 0 : again - NOW), name_of(c->decision));
	}
}
#define RUN(cases) run(cases, sizeof(cases) / sizeof((cases)[0]))

/* A crash: SERVING. */
static void test_serving(void **state)
{
	static const struct claim_case cases[] = {
		{"all live", {IN(SERVING)}, CLAIM_NO},
		{"the owner died", {DEAD(SERVING)}, CLAIM_NOW},
		{"with its leader", {DEAD(SERVING), NODE}, CLAIM_NOW},
		{"its leader alone died: the owner will", {IN(SERVING), NODE}, CLAIM_SWITCH},
		{"not permitted", {DEAD(SERVING), .permitted = false}, CLAIM_NO},
		{"not permitted, its leader died", {IN(SERVING), NODE, .permitted = false}, CLAIM_NO},
		{"somebody moves it", {DEAD(SERVING), .driven = true}, CLAIM_WAIT, 50 * MS},
		{"somebody moves it, no grace", {DEAD(SERVING), .driven = true, .grace = 0}, CLAIM_WAIT, 10 * MS},
		{"somebody moves it, for long", {DEAD(SERVING), .driven = true, SINCE(90000)}, CLAIM_WAIT, 50 * MS},
		{"who died, or is late", {DEAD(SERVING), SINCE(90000)}, CLAIM_NOW},
		{"beyond the intensity", {DEAD(SERVING), .exhausted = true}, CLAIM_NO},
		{"beyond the intensity, the node died", {DEAD(SERVING), NODE, .exhausted = true}, CLAIM_NO},
	};

	(void)state;
	RUN(cases);
}

/* Invariant 8: the control word names the heir; others claim only after its death or claim_grace. */
static void test_heir(void **state)
{
	static const struct claim_case cases[] = {
		{"nobody is named", {DEAD(SERVING), NONE}, CLAIM_NOW},
		{"another is", {DEAD(SERVING), OTHER}, CLAIM_AFTER_HEIR, 50 * MS},
		{"another is, a moment later", {DEAD(SERVING), OTHER, SINCE(20), TURN(20)}, CLAIM_AFTER_HEIR, 30 * MS},
		{"it does not claim", {DEAD(SERVING), OTHER, SINCE(50), TURN(50)}, CLAIM_NOW},
		{"it died", {DEAD(SERVING), NONE, SINCE(1), TURN(1)}, CLAIM_NOW},
		{"no grace", {DEAD(SERVING), OTHER, .grace = 0}, CLAIM_NOW},
		{"of an owner that will die", {IN(SERVING), NODE, OTHER}, CLAIM_AFTER_HEIR, 50 * MS},
		{"of an owner that will die, later", {IN(SERVING), NODE, OTHER, TURN(50)}, CLAIM_SWITCH},
		{"the time before its turn does not count", {DEAD(HELD), .instance_absent = true, OTHER, SINCE(9000)},
		 CLAIM_AFTER_HEIR, 50 * MS},
		{"nor that of a driver", {DEAD(MOVING), OTHER, SINCE(9000)}, CLAIM_AFTER_HEIR, 50 * MS},
	};

	(void)state;
	RUN(cases);
}

/* Invariant 8: the policy in shared memory says failover, or not. */
static void test_restart_in_place(void **state)
{
	static const struct claim_case cases[] = {
		{"its leader restarts it", {DEAD(SERVING), .restart_in_place = true}, CLAIM_WAIT, 7000 * MS},
		{"and takes its time", {DEAD(SERVING), .restart_in_place = true, SINCE(6000)}, CLAIM_WAIT, 1000 * MS},
		{"and is stopped", {DEAD(SERVING), .restart_in_place = true, SINCE(7000)}, CLAIM_NOW},
		{"or has died", {DEAD(SERVING), .restart_in_place = true, LEADER}, CLAIM_NOW},
		{"or has died, before the owner", {IN(SERVING), .restart_in_place = true, LEADER}, CLAIM_SWITCH},
		{"all live", {IN(SERVING), .restart_in_place = true, SINCE(90000)}, CLAIM_NO},
		{"in a move there is nothing to restart", {DEAD(MOVING), .restart_in_place = true}, CLAIM_NOW},
	};

	(void)state;
	RUN(cases);
}

/* An ordered death: HELD. */
static void test_held(void **state)
{
	static const struct claim_case cases[] = {
		{"its leader stops it", {IN(HELD)}, CLAIM_NO},
		{"it is stopped, its leader goes on", {DEAD(HELD)}, CLAIM_WAIT, 7000 * MS},
		{"and takes its time", {DEAD(HELD), SINCE(6999)}, CLAIM_WAIT, 1 * MS},
		{"and is stopped itself", {DEAD(HELD), SINCE(7000)}, CLAIM_NOW},
		{"and is stopped itself: the heir first", {DEAD(HELD), SINCE(7000), OTHER}, CLAIM_AFTER_HEIR, 50 * MS},
		{"and is stopped itself: then others", {DEAD(HELD), SINCE(7050), TURN(50), OTHER}, CLAIM_NOW},
		{"has let it go", {DEAD(HELD), .instance_absent = true}, CLAIM_NOW},
		{"absent, but the owner lives", {IN(HELD), .instance_absent = true, SINCE(90000)}, CLAIM_NO},
		{"has died", {DEAD(HELD), LEADER}, CLAIM_NOW},
		{"has died, and the owner lives", {IN(HELD), LEADER}, CLAIM_SWITCH},
		{"a driver goes on", {DEAD(HELD), .instance_absent = true, .driven = true}, CLAIM_WAIT, 50 * MS},
		{"a driver waits for that leader", {DEAD(HELD), .driven = true, SINCE(90000)}, CLAIM_WAIT, 50 * MS},
		{"a driver that died, or is late", {DEAD(HELD), .instance_absent = true, SINCE(90000)}, CLAIM_NOW},
		{"a driver, and the leader died", {DEAD(HELD), LEADER, .driven = true}, CLAIM_WAIT, 50 * MS},
		{"restarted in place", {DEAD(HELD), .restart_in_place = true}, CLAIM_WAIT, 7000 * MS},
		{"not permitted", {DEAD(HELD), .permitted = false, SINCE(90000)}, CLAIM_NO},
		{"beyond the intensity", {DEAD(HELD), SINCE(90000), .exhausted = true}, CLAIM_NO},
		{"no failover timeout", {DEAD(HELD), NODE, .failover_timeout = 700 * MS}, CLAIM_NOW},
	};

	(void)state;
	RUN(cases);
}

/* In a move: its driver goes on, or the owner is the driver. */
static void test_moving(void **state)
{
	static const struct claim_case cases[] = {
		{"the owner drives", {IN(MOVING)}, CLAIM_NO},
		{"its leader died", {IN(MOVING), LEADER}, CLAIM_SWITCH},
		{"it died", {DEAD(MOVING)}, CLAIM_NOW},
		{"nobody is named in a move", {DEAD(MOVING), NONE}, CLAIM_NOW},
		{"another drives", {DEAD(MOVING), .driven = true}, CLAIM_WAIT, 50 * MS},
		{"it recovers", {IN(RECOVERING)}, CLAIM_NO},
		{"it died over that", {DEAD(RECOVERING), NONE}, CLAIM_NOW},
		{"another drives over that", {DEAD(RECOVERING), .driven = true}, CLAIM_WAIT, 50 * MS},
		{"not permitted", {DEAD(MOVING), .permitted = false}, CLAIM_NO},
		{"beyond the intensity", {DEAD(MOVING), NONE, .exhausted = true}, CLAIM_NO},
		{"no failover timeout", {DEAD(MOVING), NODE, .failover_timeout = -1}, CLAIM_NOW},
		{"down: nobody claims", {DEAD(DOWN), LEADER, SINCE(90000)}, CLAIM_NO},
	};

	(void)state;
	RUN(cases);
}

/* OTP's third element of `distributed`: how long a node that died may take to come back. */
static void test_failover_timeout(void **state)
{
#define LATER .failover_timeout = 700 * MS
	static const struct claim_case cases[] = {
		{"the owner alone died", {DEAD(SERVING), LATER}, CLAIM_NOW},
		{"its node", {DEAD(SERVING), NODE, LATER}, CLAIM_WAIT, 700 * MS},
		{"and its next leader is there", {DEAD(SERVING), .node_died = true, LATER, SINCE(300)}, CLAIM_WAIT,
		 400 * MS},
		{"is not back in time", {DEAD(SERVING), NODE, LATER, SINCE(700)}, CLAIM_NOW},
		{"the heir first", {DEAD(SERVING), NODE, LATER, SINCE(700), OTHER}, CLAIM_AFTER_HEIR, 50 * MS},
		{"then others", {DEAD(SERVING), NODE, LATER, SINCE(750), TURN(50), OTHER}, CLAIM_NOW},
		{"never", {DEAD(SERVING), NODE, .failover_timeout = -1, SINCE(90000)}, CLAIM_NO},
		{"an owner that will die with it", {IN(SERVING), NODE, LATER}, CLAIM_WAIT, 700 * MS},
		{"restarted in place", {DEAD(SERVING), NODE, LATER, .restart_in_place = true}, CLAIM_WAIT, 700 * MS},
		{"by its next leader",
		 {DEAD(SERVING), .node_died = true, LATER, .restart_in_place = true, SINCE(700)},
		 CLAIM_WAIT, 7000 * MS},
	};

	(void)state;
	RUN(cases);
}

/*
 * Whatever is seen: an owner that lives under a living leader is never claimed from; who waits says until when; who is
 * the heir never waits for it; what is waited for is over at last.
 */
static void test_every_view(void **state)
{
	unsigned long claims = 0;

	(void)state;
	for (uint64_t n = 0; n < 1 << 19; n++) {
		struct claim_view v = {PLAIN};
		bool *bits[] = {&v.permitted,	    &v.exhausted,	&v.restart_in_place, &v.owner_gone,
				&v.owner_leader_gone, &v.instance_absent, &v.driven,	     &v.is_heir,
				&v.heir_alive,	    &v.node_died};
		enum claim_decision d;
		int64_t again = -7;

		for (size_t b = 0; b < sizeof(bits) / sizeof(bits[0]); b++)
			*bits[b] = n >> b & 1;
		v.phase = (enum control_phase)(n >> 10 & 7) % 5;
		v.since = (int64_t[]){-1, NOW, NOW - 5000 * MS, NOW - 90000 * MS}[n >> 13 & 3];
		v.turn = (int64_t[]){-1, NOW, NOW - 50 * MS, NOW - 90000 * MS}[n >> 15 & 3];
		v.failover_timeout = (int64_t[]){0, 700 * MS, -1, 60000 * MS}[n >> 17 & 3];
		d = claim_decide(&v, &again);
		assert_in_range(d, CLAIM_NO, CLAIM_SWITCH);
		assert_int_equal(again == -7, d != CLAIM_WAIT && d != CLAIM_AFTER_HEIR);
		if (again != -7)
			assert_true(again > NOW);
		if (v.phase == PHASE_DOWN || !v.permitted || v.exhausted || (!v.owner_gone && !v.owner_leader_gone))
			assert_int_equal(d, CLAIM_NO);
		else if (v.failover_timeout >= 0)
			assert_true(d != CLAIM_NO);
		if (v.driven || !v.owner_gone)
			assert_true(d != CLAIM_NOW);
		if (v.is_heir)
			assert_true(d != CLAIM_AFTER_HEIR);
		if (d == CLAIM_WAIT && !v.driven) {
			v.since = v.turn = NOW - 90000 * MS;
			d = claim_decide(&v, &again);
			assert_true(d == CLAIM_NOW || d == CLAIM_SWITCH);
		}
		claims += d == CLAIM_NOW || d == CLAIM_SWITCH;
	}
	assert_true(claims > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serving),	 cmocka_unit_test(test_heir),
		cmocka_unit_test(test_restart_in_place), cmocka_unit_test(test_held),
		cmocka_unit_test(test_moving),	 cmocka_unit_test(test_failover_timeout),
		cmocka_unit_test(test_every_view),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
