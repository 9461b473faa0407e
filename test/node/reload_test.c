/* SPDX-License-Identifier: ISC */
/* A reload that dies, or is stopped, at each of its points; what fits and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heir.h"
#include "lib/handle.h"
#include "node/build.h"
#include "node/enact.h"
#include "node/reload.h"
#include "proc/bury.h"
#include "support/points.h"

#define LIMIT_S 60
#define APPLICATION(more) \
	"    standby: hot\n" more "    supervisor: {children: [{id: s, exec: [sh], on_death: failover, state: 1KiB}]}\n"

static const char first[] = "nodes: [a, b]\nlimits: {names: 64, processes: 16}\napplications:\n"
			    "  one:\n" APPLICATION("") "  two:\n" APPLICATION("");
static const char second[] =
	"nodes: [a, b]\nlimits: {names: 64, processes: 16}\napplications:\n"
	"  one:\n" APPLICATION("    step_timeout: 7s\n    claim_grace: 7ms\n    nodes: [b, a]\n")
	"  two:\n" APPLICATION("    step_timeout: 7s\n    claim_grace: 7ms\n    env: {A: x}\n");
static char domain[64], file[64];
static heir_t *h;

static struct conf *load(const char *text)
{
	struct conf_report report = {0};
	struct conf *conf = NULL;
	int rc = conf_load(NULL, text, &conf, &report);

	if (rc)
		fail_msg("%s", report.text ? report.text : strerror(-rc));
	return conf;
}

static int setup(void **state)
{
	struct conf *conf;
	char name[64];
	FILE *f;

	(void)state;
	alarm(LIMIT_S);
	snprintf(domain, sizeof(domain), "reloadtest%d", (int)getpid());
	snprintf(file, sizeof(file), "/tmp/heir-reload-test-%d.yaml", (int)getpid());
	f = fopen(file, "w");
	assert_non_null(f);
	assert_true(fputs(first, f) >= 0);
	fclose(f);
	assert_int_equal(build_domain(file, domain, false, name, sizeof(name), &conf), BUILD_MADE);
	conf_free(conf);
	assert_int_equal(lib_open(domain, (struct slot_place){KIND_CLIENT, -1, -1, -1}, &h), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	heir_close(h);
	h = NULL;
	(void)build_discard(NULL, domain);
	unlink(file);
	return 0;
}

/* 1 or 2: which of the two is in force, by its text, its signature and what it says of each application. */
static int in_force(void)
{
	struct conf *conf = NULL;
	uint32_t generation;
	int which;

	assert_int_equal(enact_load(&h->shm, &conf, &generation), 0); /* the text has the signature */
	which = conf->applications[0].step_timeout == 7 * CONF_SECOND ? 2 : 1;
	for (uint32_t i = 0; i < conf->application_count; i++) {
		const struct conf_application *a = &conf->applications[i];
		struct policy p = policy_of(&h->shm, &h->shm.apps[i]);

		assert_int_equal(p.step_timeout, a->step_timeout);
		assert_int_equal(p.claim_grace, a->claim_grace);
		assert_int_equal(p.claim_grace == 7 * (int64_t)CONF_MS, which == 2);
		for (uint32_t k = 0; k < a->candidate_count; k++)
			assert_int_equal(p.priority[a->candidates[k].node], a->candidates[k].group + 1);
	}
	conf_free(conf);
	return which;
}

static int reload(const char *text, size_t *ret_count, size_t *ret_refused)
{
	struct conf *given = load(text);
	struct conf_changes changes = {0};
	uint64_t other = 0;
	int rc = reload_conf(&h->shm, h->self, given, &changes, &other);

	*ret_count = changes.count;
	*ret_refused = changes.refused;
	conf_changes_finish(&changes);
	conf_free(given);
	return rc;
}

static void expect_reload(const char *text, size_t count, size_t refused)
{
	size_t got, got_refused;

	assert_int_equal(reload(text, &got, &got_refused), 0);
	assert_int_equal(got, count);
	assert_int_equal(got_refused, refused);
}

static void test_there_and_back(void **state)
{
	(void)state;
	assert_int_equal(in_force(), 1);
	expect_reload(first, 0, 0);
	expect_reload(second, 6, 0);
	assert_int_equal(in_force(), 2);
	expect_reload(second, 0, 0);
	assert_int_equal(in_force_generation(in_force_load(&h->shm)), 1);
	expect_reload(first, 6, 0);
	assert_int_equal(in_force(), 1);
	expect_reload("nodes: [a, b]\nlimits: {names: 64, processes: 16}\napplications:\n"
		      "  one:\n" APPLICATION("    step_timeout: 7s\n    takeover: exclusive\n")
		      "  two:\n" APPLICATION(""),
		      2, 1);
	assert_int_equal(in_force(), 1);
	assert_int_equal(in_force_generation(in_force_load(&h->shm)), 2);
}

/* The room is that of the text at the start, twice, and some. */
static void test_no_room(void **state)
{
	static char large[65536], value[32768];
	size_t count, refused;

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	snprintf(large, sizeof(large),
		 "nodes: [a, b]\nlimits: {names: 64, processes: 16}\napplications:\n"
		 "  one:\n    env: {A: %s}\n" APPLICATION("") "  two:\n" APPLICATION(""),
		 value);
	assert_int_equal(reload(large, &count, &refused), HEIR_ETOOBIG);
	assert_int_equal(in_force(), 1);
	expect_reload(second, 6, 0);
}

static int reload_in_child(enum points_how how, int n)
{
	struct conf_changes changes = {0};
	struct conf *given = load(second);
	uint64_t other = 0;
	heir_t *mine;
	int rc;

	if (lib_open(domain, (struct slot_place){KIND_CLIENT, -1, -1, -1}, &mine))
		return 98;
	points_arm(how, n);
	rc = reload_conf(&mine->shm, mine->self, given, &changes, &other);
	points_disarm();
	return rc ? 99 : (int)changes.count;
}

static pid_t fork_reload(enum points_how how, int n)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(LIMIT_S);
		_exit(reload_in_child(how, n));
	}
	return pid;
}

/* Invariant 2: all of the one or all of the other, and the next reload goes through. */
static void test_dies_at_each_point(void **state)
{
	enum points_end end = POINTS_DIED;
	unsigned before = 0, behind = 0;
	int status = 0, n;

	(void)state;
	for (n = 1; end == POINTS_DIED; n++) {
		end = points_wait(fork_reload(POINTS_DIE, n), &status);
		if (in_force() == 2)
			behind++;
		else
			before++;
		if (in_force() == 1)
			expect_reload(second, 6, 0);
		expect_reload(first, 6, 0);
		(void)bury_all(&h->shm, h->slot);
	}
	assert_int_equal(status, 6);
	assert_true(before >= 6 && behind >= 2);
}

/* Nobody passes one that may store yet; when it goes on, it ends what it began, or has begun nothing. */
static void test_stops_at_each_point(void **state)
{
	enum points_end end = POINTS_STOPPED;
	unsigned refused = 0;
	int status = 0;

	(void)state;
	for (int n = 1; end == POINTS_STOPPED; n++) {
		pid_t pid = fork_reload(POINTS_STOP, n);
		size_t count, bad;
		int rc;

		end = points_wait(pid, &status);
		rc = end == POINTS_STOPPED ? reload(first, &count, &bad) : 0;
		if (rc) {
			assert_int_equal(rc, HEIR_EBUSY);
			assert_int_equal(in_force(), 1);
			refused++;
		}
		if (end == POINTS_STOPPED) {
			points_continue(pid);
			assert_int_equal(points_wait(pid, &status), POINTS_ENDED);
			assert_int_equal(status, 6);
		}
		if (rc)
			assert_int_equal(in_force(), 2);
		assert_int_equal(reload(first, &count, &bad), 0);
		assert_int_equal(in_force(), 1);
		(void)bury_all(&h->shm, h->slot);
	}
	assert_true(refused >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dies_at_each_point, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stops_at_each_point, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
