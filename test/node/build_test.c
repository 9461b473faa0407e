/* SPDX-License-Identifier: ISC */
/* A configuration made into a segment: what it has to hold; who makes it when several do; when it
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heir.h"
#include "lib/handle.h"
#include "mail/mailbox.h"
#include "name/names.h"
#include "node/build.h"
#include "node/enact.h"

#define LIMIT_S 60

static char domain[64], file[64], other[64];
static const char text[] =
	"nodes: [a, b, c]\n"
	"limits: {names: 64, processes: 16, messages: 32, message: 1KiB, trace: 16}\n"
	"applications:\n"
	"  kv:\n"
	"    nodes: [b, [a, c]]\n"
	"    standby: hot\n"
	"    failover_timeout: infinity\n"
	"    supervisor:\n"
	"      children:\n"
	"        - {id: side, exec: [sh]}\n"
	"        - {id: server, exec: [sh], names: [kv, kv2], state: 10000B, on_death: "
	"restart}\n"
	"  led:\n"
	"    nodes: [a]\n"
	"    takeover: exclusive\n"
	"    supervisor: {children: [{id: s, exec: [sleep, '1'], ready: exec}]}\n";

static void write_file(const char *path, const char *content)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(content, f) >= 0);
	fclose(f);
}

static int setup(void **state)
{
	(void)state;
	alarm(LIMIT_S);
	snprintf(domain, sizeof(domain), "buildtest%d", (int)getpid());
	snprintf(file, sizeof(file), "/tmp/heir-build-test-%d.yaml", (int)getpid());
	snprintf(other, sizeof(other), "/tmp/heir-build-test-%d-other.yaml", (int)getpid());
	write_file(file, text);
	write_file(other, "nodes: [a]\napplications: {x: {supervisor: {children: [{id: x, exec: "
	                  "[x], ready: exec}]}}}\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)build_discard(NULL, domain);
	unlink(file);
	unlink(other);
	return 0;
}

static int make(const char *path, struct conf **ret)
{
	char name[64];
	struct conf *conf = NULL;
	int rc = build_domain(path, domain, false, name, sizeof(name), &conf);

	if (rc > 0)
		assert_string_equal(name, domain);
	if (ret)
		*ret = conf;
	else
		conf_free(conf);
	return rc;
}

static void test_contents(void **state)
{
	struct conf *conf;
	struct shm shm;
	struct shm_app *kv, *led;
	uint64_t binding;
	struct name_seen seen;
	uint32_t generation;

	(void)state;
	assert_int_equal(make(file, &conf), BUILD_MADE);
	assert_int_equal(shm_attach(&shm, domain, 0), 0);
	assert_int_equal(shm.limits.nodes, 3);
	assert_int_equal(shm.limits.slots, 17);
	assert_int_equal(shm.limits.message, 1024);
	kv = shm_app(&shm, (uint32_t)conf_find_application(conf, "kv"));
	led = shm_app(&shm, (uint32_t)conf_find_application(conf, "led"));
	assert_int_equal(kv->policy[0].priority[0], 2);
	assert_int_equal(kv->policy[0].priority[1], 1);
	assert_int_equal(kv->policy[0].priority[2], 2);
	assert_int_equal(atom_load_relaxed(&kv->permitted), 7);
	assert_int_equal(kv->flags, APP_HOT);
	assert_int_equal(kv->policy[0].flags, POLICY_RESTART_IN_PLACE);
	assert_string_equal(shm_role(&shm, kv->lead_role)->id,
	                    "server"); /* the role with the state */
	assert_int_equal(shm_role(&shm, kv->lead_role)->flags, ROLE_ATTACH | ROLE_STATE);
	assert_true(kv->state_size == 10000 && kv->undo_size > kv->state_size);
	assert_true(kv->policy[0].failover_timeout == UINT64_MAX);
	assert_int_equal(atom_load_relaxed(&kv->wanted), 1);
	assert_int_equal(led->flags & (APP_LED | APP_EXCLUSIVE | APP_HOT), APP_LED | APP_EXCLUSIVE);
	assert_string_equal(led->step[0], "stop_old");
	assert_int_equal(led->policy[0].priority[1], 0);
	assert_int_equal(names_lookup(&shm, "kv2", 3, &binding, &seen), 0);
	assert_true(binding == name_binding_role((uint32_t)(kv - shm.apps), kv->lead_role));
	for (uint32_t m = 0; m < shm_mailbox_count(&shm); m++)
		for (uint32_t i = 0; i < shm.ring_entries; i++)
			assert_true(atom_load_relaxed(&shm_ring(&shm, m)[i]) == (uint64_t)i << 32);
	conf_free(conf);
	assert_int_equal(enact_load(&shm, &conf, &generation), 0);
	assert_true(conf_signature(conf) == enact_signature(&shm));
	conf_free(conf);
	build_unlink(&shm);
	assert_false(build_is_current(&shm));
	shm_detach(&shm);
}

static void test_found_and_refused(void **state)
{
	struct conf *conf = NULL;
	char name[64];
	struct shm shm;
	heir_t *h;

	(void)state;
	assert_int_equal(build_domain(NULL, domain, true, name, sizeof(name), &conf),
	                 HEIR_ENODOMAIN);
	assert_int_equal(make(file, NULL), BUILD_MADE);
	assert_int_equal(build_domain(NULL, domain, true, name, sizeof(name), &conf), BUILD_FOUND);
	conf_free(conf);
	assert_int_equal(make(file, NULL), BUILD_FOUND);
	assert_int_equal(make(NULL, NULL), BUILD_FOUND);
	assert_int_equal(make(other, NULL), HEIR_EEXIST);
	assert_int_equal(make("/nonexistent.yaml", NULL), -ENOENT);
	assert_int_equal(heir_open(domain, 0, &h), 0);
	assert_int_equal(build_discard(NULL, domain), HEIR_EBUSY);
	heir_close(h);
	assert_int_equal(build_discard(NULL, domain), 0);
	assert_int_equal(shm_attach(&shm, domain, 0), HEIR_ENODOMAIN);
	assert_int_equal(make(other, NULL), BUILD_MADE);
}

static void damage(off_t at)
{
	char path[128];
	int fd;

	assert_int_equal(shm_path(domain, path, sizeof(path)), 0);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "damage", 6, at), 6);
	close(fd);
}

static void test_damaged(void **state)
{
	heir_t *h;

	(void)state;
	assert_int_equal(make(file, NULL), BUILD_MADE);
	damage((off_t)offsetof(struct shm_head, limits));
	assert_int_equal(make(file, NULL), HEIR_ECORRUPT);
	assert_int_equal(build_discard(NULL, domain), 0);
	assert_int_equal(make(file, NULL), BUILD_MADE);
	damage((off_t)offsetof(struct shm_head, signature));
	assert_int_equal(make(file, NULL), HEIR_ELAYOUT);
	assert_int_equal(build_discard(NULL, domain), 0);
	/* Behind the gate: found where nobody is alive, and not looked for among those who are at work. */
	assert_int_equal(make(file, NULL), BUILD_MADE);
	assert_int_equal(heir_open(domain, 0, &h), 0);
	damage((const char *)&shm_app(&h->shm, 0)->control - (const char *)h->shm.base);
	assert_int_equal(make(file, NULL), BUILD_FOUND);
	heir_close(h);
	assert_int_equal(make(file, NULL), HEIR_ECORRUPT);
	assert_int_equal(build_discard(NULL, domain), 0);
}

/* A state file of a domain that is not there any more does not become the next one's. */
/* Invariant 11: a text that is not what the segment was carved by. */
static void test_other_text(void **state)
{
	struct conf *conf = NULL, *again = (struct conf *)&conf;
	struct shm shm = {0};
	static char was[16384];
	uint32_t generation;
	char *at;

	(void)state;

	assert_int_equal(make(file, &conf), BUILD_MADE);
	conf_free(conf);
	assert_int_equal(shm_attach(&shm, domain, 1), 0);
	assert_int_equal(enact_load(&shm, &conf, &generation), 0);
	conf_free(conf);
	at = strstr(shm.conf, "\"c\"");
	assert_non_null(at);
	at[1] = 'd'; /* another name for a node */
	assert_int_equal(enact_load(&shm, &again, &generation), HEIR_ECORRUPT);
	at[1] = 'c';
	assert_true(shm.limits.conf <= sizeof(was));
	memcpy(was, shm.conf, shm.limits.conf);
	memset(shm.conf, 0, shm.limits.conf);
	snprintf(shm.conf, shm.limits.conf, "{nodes: [a, b, c, d, e], applications: {x: {supervisor: {children: "
	                                    "[{id: x, exec: [x], ready: exec}]}}}}");
	assert_int_equal(enact_load(&shm, &again, &generation), HEIR_ECORRUPT);
	assert_ptr_equal(again, (struct conf *)&conf);
	memcpy(shm.conf, was, shm.limits.conf);
	assert_int_equal(enact_load(&shm, &conf, &generation), 0);
	conf_free(conf);
	shm.apps[0].roles--;
	assert_int_equal(enact_load(&shm, &again, &generation), HEIR_ECORRUPT);
	shm_detach(&shm);
}

static void test_leftovers(void **state)
{
	char path[128], stale[192];
	struct stat st;

	(void)state;
	assert_int_equal(shm_path(domain, path, sizeof(path)), 0);
	snprintf(stale, sizeof(stale), "%s.kv", path);
	write_file(stale, "old");
	assert_int_equal(make(file, NULL), BUILD_MADE);
	assert_int_equal(stat(stale, &st), 0);
	assert_true(st.st_size > 10000);
	snprintf(stale, sizeof(stale), "%s:lock", path);
	assert_int_equal(stat(stale, &st), -1);
}

/* Of several at once, one makes it. */
static void test_race(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		pid_t pids[6];
		int made = 0;

		for (int i = 0; i < 6; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				struct conf *conf = NULL;
				char name[64];
				int rc = build_domain(file, domain, false, name, sizeof(name),
				                      &conf);

				_exit(rc > 0 ? rc : 99);
			}
			assert_true(pids[i] > 0);
		}
		for (int i = 0; i < 6; i++) {
			int status;

			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 99);
			made += WEXITSTATUS(status) == BUILD_MADE;
		}
		assert_int_equal(made, 1);
		assert_int_equal(build_discard(NULL, domain), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_found_and_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leftovers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_race, setup, teardown),
	};

	unsetenv("HEIR_DOMAIN");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
