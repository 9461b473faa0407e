/* SPDX-License-Identifier: ISC */
/* The steps of each type of move (DESIGN, section 2, its table). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/moveplan.h"

static struct shm_app app;

static int overlapped(void **state)
{
	(void)state;
	app = (struct shm_app){.steps = 5, .step = {"start", "switch", "takeover", "go", "stop_old"}};
	return 0;
}

static int exclusive(void **state)
{
	(void)state;
	app = (struct shm_app){.steps = 4, .step = {"stop_old", "start", "switch", "go"}};
	return 0;
}

static void expect(enum heir_start_type type, uint32_t how, const char *expected)
{
	char text[128] = "";
	struct moveplan p;

	moveplan(&app, type, how, &p);
	for (unsigned i = 0; i < p.count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, app.step[p.step[i].index]);
		assert_int_equal(p.step[i].kind == STEP_SWITCH, strcmp(app.step[p.step[i].index], "switch") == 0);
	}
	assert_string_equal(text, expected);
}

static void test_overlapped(void **state)
{
	(void)state;
	expect(HEIR_NORMAL, 0, "start switch go");
	expect(HEIR_TAKEOVER, 0, "start switch takeover go stop_old");
	expect(HEIR_TAKEOVER, HEIR_OVERLAP, "start switch takeover go stop_old");
	expect(HEIR_TAKEOVER, HEIR_EXCLUSIVE, "stop_old start switch go");
	expect(HEIR_FAILOVER, 0, "switch start go");
	expect(HEIR_LOCAL, 0, "switch start");
}

static void test_exclusive(void **state)
{
	(void)state;
	expect(HEIR_NORMAL, 0, "start switch go");
	expect(HEIR_TAKEOVER, 0, "stop_old start switch go");
	expect(HEIR_TAKEOVER, HEIR_OVERLAP, "start switch go stop_old");
	expect(HEIR_TAKEOVER, HEIR_EXCLUSIVE, "stop_old start switch go");
	expect(HEIR_FAILOVER, 0, "switch start go");
	expect(HEIR_LOCAL, 0, "switch start");
}

/* Of a damaged segment, no more than there is room for. */
static void test_damaged(void **state)
{
	struct moveplan p;

	(void)state;
	app.steps = UINT32_MAX;
	moveplan(&app, HEIR_NORMAL, 0, &p);
	assert_in_range(p.count, 0, SHM_STEPS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_overlapped, overlapped),
		cmocka_unit_test_setup(test_exclusive, exclusive),
		cmocka_unit_test_setup(test_damaged, overlapped),
	};

	alarm(10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
