/* SPDX-License-Identifier: ISC */
/* fsck: what it prints of findings, and its exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_SECONDS 20

static const struct heir_finding passed = {HEIR_DAMAGE, "mailbox", 3, 1, "its head has passed its tail"};
static const struct heir_finding dead = {HEIR_LEFTOVER, "process", 5, 1, "it is dead and not buried"};
static const struct heir_finding names = {HEIR_LEFTOVER, "names", 0, 12, "names of processes that are dead"};

static int setup(void **state)
{
	(void)state;
	alarm(LIMIT_SECONDS);
	fake_reset();
	return 0;
}

static void clean(void **state)
{
	(void)state;
	fake.check.processes = 5;
	EXPECT(0, "shop: clean; 5 processes alive\n", "", "fsck", "-d", "shop");
	assert_int_equal(fake.open_flags, HEIR_OBSERVE);
	assert_string_equal(fake.domain, "shop");
	fake.check.processes = 1;
	fake.check.unjudged = 2;
	EXPECT(0, "default: clean, 2 not judged; 1 process alive\n", "", "fsck");
}

static void leftovers_are_no_failure(void **state)
{
	(void)state;
	fake.finding[0] = dead;
	fake.finding[1] = names;
	fake.findings = 2;
	fake.check.leftovers = 2;
	EXPECT(0,
		"leftover  process 5: it is dead and not buried\n"
		"leftover  12 names of processes that are dead\n"
		"default: clean, 2 leftovers of the dead; nobody is alive\n",
		"", "fsck");
}

static void damage_is(void **state)
{
	(void)state;
	fake.finding[0] = passed;
	fake.finding[1] = dead;
	fake.findings = 2;
	fake.check = (struct heir_check){.damage = 1, .leftovers = 1, .processes = 2};
	EXPECT(1,
		"damage    mailbox 3: its head has passed its tail\n"
		"leftover  process 5: it is dead and not buried\n"
		"default: damaged: 1 finding, 1 leftover of the dead; 2 processes alive\n",
		"", "fsck");
	fake.findings = 0;
	fake.check = (struct heir_check){.damage = HEIR_FINDINGS_MAX, .is_cut = 1};
	EXPECT(1,
		"default: damaged: 1000 findings; nobody is alive\n"
		"default: ended after 1000 findings; there may be more\n",
		"", "fsck");
}

static void as_json(void **state)
{
	(void)state;
	fake.finding[0] = passed;
	fake.finding[1] = names;
	fake.findings = 2;
	fake.check = (struct heir_check){.damage = 1, .leftovers = 1, .unjudged = 3, .processes = 2};
	EXPECT(1,
		"{\"domain\":\"default\",\"findings\":["
		"{\"severity\":\"damage\",\"part\":\"mailbox\",\"index\":3,\"count\":1,"
		"\"what\":\"its head has passed its tail\"},"
		"{\"severity\":\"leftover\",\"part\":\"names\",\"index\":null,\"count\":12,"
		"\"what\":\"names of processes that are dead\"}],"
		"\"damage\":1,\"leftovers\":1,\"unjudged\":3,\"processes\":2,\"cut\":false}\n",
		"", "fsck", "--json");
	fake.findings = 0;
	fake.check = (struct heir_check){.processes = 2};
	EXPECT(0,
		"{\"domain\":\"default\",\"findings\":[],\"damage\":0,\"leftovers\":0,\"unjudged\":0,"
		"\"processes\":2,\"cut\":false}\n",
		"", "fsck", "--json");
}

static void refusals(void **state)
{
	(void)state;
	fake.refusal_error = HEIR_EFOREIGN;
	EXPECT(4, "", "heir: domain `default`: refused: the file has mode 0644\n", "fsck");
	assert_int_equal(fake.opened, 0);
	fake.refusal_error = HEIR_ECORRUPT;
	EXPECT(1, "", "heir: domain `shop`: refused: the file has mode 0644\n", "fsck", "-d", "shop");
	fake.refusal_error = HEIR_EPERM;
	EXPECT(4, "", "heir: domain `default`: refused: the file has mode 0644\n", "fsck");
	fake.refusal_error = fake.open_error = HEIR_ENODOMAIN;
	EXPECT(7, "", "heir: no domain `default` is running (start it with: heir up)\n", "fsck");
}

static void errors(void **state)
{
	(void)state;
	fake.check_error = -ENOMEM;
	EXPECT(1, "", "heir: domain `default`: Cannot allocate memory\n", "fsck");
	fake.check_error = 0;
	EXPECT(2, "", "heir: fsck: too many arguments, from `kv` on: heir fsck [-d DOMAIN] [--json]\n", "fsck", "kv");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(clean, setup),
		cmocka_unit_test_setup(leftovers_are_no_failure, setup),
		cmocka_unit_test_setup(damage_is, setup),
		cmocka_unit_test_setup(as_json, setup),
		cmocka_unit_test_setup(refusals, setup),
		cmocka_unit_test_setup(errors, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
