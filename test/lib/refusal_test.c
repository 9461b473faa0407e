/* SPDX-License-Identifier: ISC */
/* heir_refusal(): each check of the gate says in words what it saw, and the code is that of heir_open(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heir.h"
#include "support/domain.h"

#define NOBODY 65534

static struct domain d;
static char text[256];

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

static void refused(int error, const char *words)
{
	heir_t *h = NULL;

	memset(text, 'x', sizeof(text));
	assert_int_equal(heir_refusal(d.name, text, sizeof(text)), error);
	assert_int_equal(heir_open(d.name, HEIR_OBSERVE, &h), error);
	if (!strstr(text, words))
		fail_msg("'%s' does not say '%s'", text, words);
}

static void refused_with(size_t at, const void *bytes, size_t size, int error, const char *words)
{
	unsigned char was[64];

	memcpy(was, d.shm.base + at, size);
	memcpy(d.shm.base + at, bytes, size);
	refused(error, words);
	memcpy(d.shm.base + at, was, size);
}

static void test_file(void **state)
{
	char words[64];
	(void)state;

	assert_int_equal(chmod(d.shm.path, 0644), 0);
	refused(HEIR_EFOREIGN, "mode 0644");
	assert_int_equal(chmod(d.shm.path, 0600), 0);
	assert_int_equal(truncate(d.shm.path, (off_t)d.shm.size + 4096), 0);
	snprintf(words, sizeof(words), "the file has %zu bytes, its head says %zu", d.shm.size + 4096, d.shm.size);
	refused(HEIR_ECORRUPT, words);
	assert_int_equal(truncate(d.shm.path, (off_t)d.shm.size + 1), 0);
	refused(HEIR_ECORRUPT, "not the size of a segment");
	assert_int_equal(truncate(d.shm.path, (off_t)d.shm.size), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(d.shm.path, NOBODY, (gid_t)-1), 0);
		refused(HEIR_EFOREIGN, "the file is of user 65534");
		assert_int_equal(chown(d.shm.path, 0, (gid_t)-1), 0);
	}
	assert_int_equal(heir_refusal(d.name, text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

static void test_no_regular_file(void **state)
{
	(void)state;
	assert_int_equal(unlink(d.shm.path), 0);
	refused(HEIR_ENODOMAIN, "no such file");
	assert_int_equal(mkfifo(d.shm.path, 0600), 0);
	refused(HEIR_EFOREIGN, "not a regular file");
	assert_int_equal(unlink(d.shm.path), 0);
	assert_int_equal(symlink("/dev/null", d.shm.path), 0);
	refused(-ELOOP, "a symbolic link");
	assert_int_equal(heir_refusal("a/b", text, sizeof(text)), HEIR_EINVAL);
	assert_string_equal(text, heir_strerror(HEIR_EINVAL));
}

static void test_head(void **state)
{
	const uint64_t magic = SHM_MAGIC + 1, signature = layout_signature() ^ 1, namespace = 0, many = 100;
	const uint32_t major = SHM_MAJOR + 1, uid = NOBODY, cells = 4096;
	char garbage[64];
	(void)state;

	memset(garbage, 'x', sizeof(garbage));
	refused_with(offsetof(struct shm_head, magic), &magic, 8, HEIR_EFOREIGN, "not a segment of heir");
	refused_with(offsetof(struct shm_head, major), &major, 4, HEIR_ELAYOUT, "major version 2");
	refused_with(offsetof(struct shm_head, signature), &signature, 8, HEIR_ELAYOUT, "types differ");
	refused_with(offsetof(struct shm_head, uid), &uid, 4, HEIR_EFOREIGN, "its head names user 65534");
	refused_with(offsetof(struct shm_head, pid_namespace), &namespace, 8, HEIR_EFOREIGN, "another pid namespace");
	refused_with(offsetof(struct shm_head, limits.cells), &cells, 4, HEIR_ECORRUPT, "limits in the head");
	refused_with(offsetof(struct shm_head, domain), garbage, 64, HEIR_ECORRUPT, "the domain's name");
#define AT(p) ((size_t)((unsigned char *)(p) - d.shm.base))
	refused_with(AT(d.shm.nodes[2].name), garbage, 64, HEIR_ECORRUPT, "the name of node 2");
	refused_with(AT(&d.shm.apps[0].steps), &many, 4, HEIR_ECORRUPT, "application 0");
	refused_with(AT(&d.shm.roles[0].app), &many, 4, HEIR_ECORRUPT, "role 0");
#undef AT
}

/* However little room there is. */
static void test_short_text(void **state)
{
	char small[8];
	(void)state;

	assert_int_equal(chmod(d.shm.path, 0644), 0);
	assert_int_equal(heir_refusal(d.name, small, sizeof(small)), HEIR_EFOREIGN);
	assert_string_equal(small, "the fil");
	assert_int_equal(heir_refusal(d.name, NULL, 0), HEIR_EFOREIGN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_regular_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_text, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
