/* SPDX-License-Identifier: ISC */
/* What a leader does before others can see that it has held an application. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/act.h"
#include "node/leader.h"
#include "state/control.h"
#include "support/domain.h"

static struct domain d;

static int setup(void **state)
{
	(void)state;
	domain_init(&d, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	domain_finish(&d);
	return 0;
}

/* As held as it is seen to be let go it would be taken by a standby: HELD and ABSENT. Invariant 8 */
static void hold_from(uint32_t present, uint32_t expected)
{
	struct leader leader = {.shm = &d.shm, .node = 0};
	struct instance i = {.leader = &leader, .shm = shm_app(&d.shm, 0)};
	uint32_t owner = handle_slot(d.leader[0]);

	atom_store_release(&i.shm->instance[0], present);
	atom_store_release(&i.shm->control,
			   control_pack((struct control){.owner = owner, .generation = 7, .phase = PHASE_SERVING}));
	assert_int_equal(act_hold(&i, owner), 0);
	assert_int_equal(control_unpack(atom_load_acquire(&i.shm->control)).phase, PHASE_HELD);
	assert_int_equal(atom_load_acquire(&i.shm->instance[0]), expected);
}

static void test_held_is_not_absent(void **state)
{
	(void)state;
	hold_from(INSTANCE_ABSENT, INSTANCE_STARTING);
	hold_from(INSTANCE_RUNNING, INSTANCE_RUNNING);
	hold_from(INSTANCE_STOPPING, INSTANCE_STOPPING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_held_is_not_absent, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
