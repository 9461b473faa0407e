/* SPDX-License-Identifier: ISC */
/* The state file: its gate, marks and their bounds, undo cut off anywhere, logs full of anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "heir.h"
#include "state/state.h"
#include "support/domain.h"
#include "support/points.h"

#define WORDS (DOMAIN_STATE / sizeof(uint64_t))
#define ENTRY 24u /* bytes of the log beside the old ones */

static struct domain d;
static struct state st;

static int setup(void **state)
{
	(void)state;
	domain_init(&d, NULL);
	assert_int_equal(state_map(&d.shm, 0, 0, &st), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	state_unmap(&st);
	domain_finish(&d);
	return 0;
}

static uint64_t *words(void)
{
	return (uint64_t *)(void *)st.data;
}

/* The file, changed by hand, and the gate's answer. */
static int gate(off_t at, uint64_t value)
{
	char path[512];
	uint64_t was;
	struct state other;
	int fd, rc;

	assert_int_equal(state_path(&d.shm, 0, path, sizeof(path)), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &was, 8, at), 8);
	assert_int_equal(pwrite(fd, &value, 8, at), 8);
	rc = state_map(&d.shm, 0, 1, &other);
	assert_int_equal(pwrite(fd, &was, 8, at), 8);
	close(fd);
	if (rc == 0)
		state_unmap(&other);
	return rc;
}

static void test_gate(void **state)
{
	static const uint64_t sizes[] = {
		0, 1, DOMAIN_STATE - 1, DOMAIN_STATE + 1, UINT64_MAX, UINT64_MAX - 4095};
	char path[512];
	struct state other;
	struct stat s;
	(void)state;

	assert_int_equal(state_path(&d.shm, 0, path, sizeof(path)), 0);
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(s.st_mode & 07777, 0600);
	assert_true((uint64_t)s.st_blocks * 512 >=
		    (uint64_t)s.st_size); /* Invariant 11: reserved in full */
	assert_int_equal(state_create(&d.shm, 0), -EEXIST);

	assert_int_equal(gate(0, STATE_MAGIC), 0);
	assert_int_equal(gate(0, STATE_MAGIC + 1), HEIR_EFOREIGN);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t at = offsetof(struct shm_state_head, size);
		     at <= offsetof(struct shm_state_head, file_size); at += 8)
			assert_int_equal(gate((off_t)at, sizes[i]), HEIR_ECORRUPT);

	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(state_map(&d.shm, 0, 0, &other), HEIR_EFOREIGN);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, s.st_size - 4096), 0);
	assert_int_equal(state_map(&d.shm, 0, 0, &other), HEIR_ECORRUPT);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(state_map(&d.shm, 0, 0, &other), HEIR_EFOREIGN);
	assert_int_equal(state_unlink(&d.shm, 0), 0);
	assert_int_equal(state_map(&d.shm, 0, 0, &other), -ENOENT);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(state_map(&d.shm, 0, 0, &other), -ELOOP);
}

/* Sizes so large that their sum comes round to the size of the file, in segment and file alike. */
static void test_gate_of_sizes_that_wrap(void **state)
{
	struct shm_app *a = &d.shm.apps[0];
	uint64_t was = a->undo_size, data = a->state_size;
	(void)state;

	a->undo_size = UINT64_MAX - 4000;
	a->state_size = st.head->file_size - st.head->undo_offset;
	st.head->undo_size = a->undo_size;
	st.head->size = a->state_size;
	st.head->data_offset = st.head->undo_offset;
	struct state other;

	assert_int_equal(state_map(&d.shm, 0, 0, &other), HEIR_ECORRUPT); /* Invariant 11 */
	a->undo_size = was;
	a->state_size = data;
}

static void test_path(void **state)
{
	struct shm_app *a = &d.shm.apps[0];
	char path[512], small[32];
	(void)state;

	strcpy(a->name, "shard/east");
	assert_int_equal(state_path(&d.shm, 0, path, sizeof(path)), 0);
	assert_non_null(strstr(path, ".shard:east"));
	assert_int_equal(state_path(&d.shm, 0, small, sizeof(small)), HEIR_EINVAL);
	assert_int_equal(state_path(&d.shm, 1, path, sizeof(path)), HEIR_ECORRUPT);
	memset(a->name, 'x', sizeof(a->name));
	assert_int_equal(state_path(&d.shm, 0, path, sizeof(path)), HEIR_ECORRUPT);
	memset(a->name, 0, sizeof(a->name));
	strcpy(a->name, "app");
}

static void test_bounds(void **state)
{
	unsigned char *p = st.data;
	(void)state;

	assert_int_equal(st.size, DOMAIN_STATE);
	state_begin(&st, 0);
	assert_int_equal(state_mark(&st, p, 0), 0);
	assert_int_equal(state_mark(&st, p + DOMAIN_STATE, 0), 0);
	assert_int_equal(state_mark(&st, p, 1), 0);
	assert_int_equal(state_mark(&st, p + DOMAIN_STATE - 1, 1), 0);
	assert_int_equal(state_mark(&st, p + DOMAIN_STATE - 1, 2), HEIR_EINVAL);
	assert_int_equal(state_mark(&st, p + DOMAIN_STATE, 1), HEIR_EINVAL);
	assert_int_equal(state_mark(&st, p + DOMAIN_STATE + 1, 0), HEIR_EINVAL);
	assert_int_equal(state_mark(&st, p - 1, 1), HEIR_EINVAL);
	assert_int_equal(state_mark(&st, p - 1, 0), HEIR_EINVAL);
	assert_int_equal(state_mark(&st, p + 8, SIZE_MAX), HEIR_EINVAL);
	assert_int_equal(state_mark(&st, p + 8, SIZE_MAX - 7), HEIR_EINVAL);
	assert_int_equal(state_mark(&st, NULL, 1), HEIR_EINVAL);
	assert_int_equal(state_mark(&(struct state){0}, NULL, 0), HEIR_EINVAL);
	assert_int_equal(state_undo(&st, 0), 2);
	assert_int_equal(state_undo(&(struct state){0}, 0), 0);
}

/* Invariant 12: a transaction is bounded by its log, and what was marked before stays marked. */
static void test_log_full(void **state)
{
	size_t most = DOMAIN_STATE - ENTRY;
	(void)state;

	state_begin(&st, 0);
	assert_int_equal(state_mark(&st, st.data, most + 1), HEIR_ETOOBIG);
	assert_int_equal(state_mark(&st, st.data, DOMAIN_STATE), HEIR_ETOOBIG);
	assert_int_equal(state_mark(&st, st.data, most), 0);
	memset(st.data, 1, most);
	assert_int_equal(state_mark(&st, st.data, 1), HEIR_ETOOBIG);
	assert_int_equal(state_undo(&st, 0), 1);
	for (size_t i = 0; i < most; i++)
		assert_int_equal(st.data[i], 0);

	state_begin(&st, 0);
	for (size_t i = 0; i < DOMAIN_STATE / (ENTRY + 8); i++) {
		assert_int_equal(state_mark(&st, &words()[i], 8), 0);
		words()[i] = i + 1;
	}
	assert_int_equal(state_mark(&st, &words()[0], 8), HEIR_ETOOBIG);
	assert_int_equal(state_undo(&st, 0), DOMAIN_STATE / (ENTRY + 8));
	for (size_t i = 0; i < WORDS; i++)
		assert_int_equal(words()[i], 0);
}

/*
 * A commit forgets nothing before its CAS, and everything with it: the next transaction has the
 * other parity, whose count is 0 from the CAS that opens it. Invariant 5: what is committed is
 * never undone.
 */
static void test_commit_forgets(void **state)
{
	unsigned parity = 0;
	(void)state;

	assert_int_equal(state_mark(&st, words(), 8), HEIR_EINVAL); /* nothing is open */
	for (uint64_t i = 1; i <= 6; i++) {
		state_begin(&st, parity);
		assert_int_equal(state_mark(&st, words(), 8), 0);
		words()[0] = i;
		if (i % 3 == 0) { /* dead before the CAS: back to what was committed */
			state_commit(&st, parity);
			assert_int_equal(state_undo(&st, parity), 1);
			assert_int_equal(words()[0], i - 1);
			words()[0] = i;
			continue;
		}
		state_commit(&st, parity);
		parity = !parity;
		/* dead before anything else, at rest or just open: nothing to undo */
		assert_int_equal(state_undo(&st, parity), 0);
		assert_int_equal(words()[0], i);
	}
}

/* The version of the contents is part of a transaction that upgrades them. */
static void test_version(void **state)
{
	(void)state;
	atom_store_seq(&st.head->version, 1);
	state_begin(&st, 0);
	assert_int_equal(state_mark(&st, words(), 8), 0);
	words()[0] = 2;
	assert_int_equal(state_mark(&st, &st.head->version, 8), 0);
	assert_int_equal(state_mark(&st, &st.head->version, 4), HEIR_EINVAL);
	assert_int_equal(state_mark(&st, &st.head->undo_used[0], 8), HEIR_EINVAL);
	atom_store_seq(&st.head->version, 2);
	assert_int_equal(state_undo(&st, 0), 2);
	assert_int_equal(words()[0], 0);
	assert_int_equal(atom_load_seq(&st.head->version), 1);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Overlapping ranges of all sizes, each marked and changed; then undone to the byte. Invariant 5 */
static void test_overlaps(void **state)
{
	static unsigned char before[DOMAIN_STATE];
	unsigned parity = 0;
	uint32_t seed = 1;
	(void)state;

	for (size_t i = 0; i < DOMAIN_STATE; i++)
		st.data[i] = (unsigned char)next_random(&seed);
	for (int round = 0; round < 200; round++) {
		int n = 0, marked;

		memcpy(before, st.data, DOMAIN_STATE);
		state_begin(&st, parity);
		for (marked = 0; n < 100; n++) {
			size_t size = next_random(&seed) % 900, at = next_random(&seed) % 2000;

			if (state_mark(&st, st.data + at, size))
				break;
			marked += size > 0;
			for (size_t i = 0; i < size; i++)
				st.data[at + i] = (unsigned char)next_random(&seed);
		}
		if (round % 3 == 0) { /* kept: the next round begins from there */
			state_commit(&st, parity);
			parity = !parity;
			continue;
		}
		assert_int_equal(state_undo(&st, parity), marked);
		assert_memory_equal(st.data, before, DOMAIN_STATE);
		assert_int_equal(state_undo(&st, parity), 0);
	}
}

/* A child of this test alone: it maps the file again, as nothing is inherited. */
static pid_t spawn(void (*body)(struct state *s, int n), int n)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct shm shm;
		struct state s;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(20);
		if (shm_attach(&shm, d.name, 1) || state_map(&shm, 0, 0, &s))
			_exit(1);
		body(&s, n);
		_exit(0);
	}
	return pid;
}

static void change_five(struct state *s, int n)
{
	uint64_t *w = (uint64_t *)(void *)s->data;

	state_begin(s, 0);
	points_arm(POINTS_DIE, n);
	for (unsigned i = 0; i < 5; i++) {
		if (state_mark(s, &w[i], 16))
			_exit(2);
		w[i] += 100;
		w[i + 1] += 1000;
	}
}

static void undo_in_child(struct state *s, int n)
{
	points_arm(POINTS_DIE, n);
	if (state_undo(s, 0) < 0)
		_exit(2);
}

/*
 * The writer dies at each point, then whoever undoes at each point, and the next one at the same:
 * repeated from the start, the undo comes to the same. Invariant 2: a repair may itself die.
 */
static void test_deaths(void **state)
{
	int status = 0, deaths = 0, nested = 0;
	enum points_end wrote = POINTS_DIED, undid;
	(void)state;

	for (int n = 1; wrote != POINTS_ENDED; n++) {
		undid = POINTS_DIED;
		for (int m = 1; undid != POINTS_ENDED; m++) {
			for (size_t i = 0; i < 6; i++)
				words()[i] = i + 1;
			wrote = points_wait(spawn(change_five, n), &status);
			assert_int_equal(status, 0);
			undid = points_wait(spawn(undo_in_child, m), &status);
			(void)points_wait(spawn(undo_in_child, m), &status);
			assert_int_equal(status, 0);
			assert_true(state_undo(&st, 0) >= 0);
			for (size_t i = 0; i < 6; i++)
				assert_int_equal(words()[i], i + 1);
			assert_int_equal(state_undo(&st, 0), 0);
			nested += undid == POINTS_DIED;
		}
		deaths += wrote == POINTS_DIED;
	}
	print_message("a writer died at %d points, whoever undoes %d times\n", deaths, nested);
	assert_true(deaths == 10 && nested >= 25);
}

/* Whatever bytes are in the log: undone within the state, or refused with nothing applied.
 * Invariant 11 */
static void test_corrupt_logs(void **state)
{
	static unsigned char before[DOMAIN_STATE];
	uint32_t seed = 1;
	int corrupt = 0, undone = 0;
	(void)state;

	for (int round = 0; round < 20000; round++) {
		uint64_t used = 8 * (next_random(&seed) % 100);
		int rc;

		atom_store_relaxed(&st.head->undo_used[0], 0);
		state_begin(&st, 0);
		for (int i = 0; i < 4; i++)
			assert_int_equal(
				state_mark(&st, st.data + 64 * i, 8 + next_random(&seed) % 32), 0);
		/* One to three words of the log, or all of it; or its length. */
		if (round % 4 == 3)
			for (size_t i = 0; i < 800; i++)
				st.undo[i] = (unsigned char)next_random(&seed);
		for (int i = 0; i < round % 4; i++) {
			uint64_t word = next_random(&seed) % (round % 8 < 4 ? 200 : UINT32_MAX);

			if (round % 3 == 0)
				word = -word;
			memcpy(st.undo + 8 * (next_random(&seed) % 32), &word, 8);
		}
		if (round % 5 == 0)
			atom_store_relaxed(&st.head->undo_used[0],
					   round % 10 ? used : st.undo_size + used + 8);
		memcpy(before, st.data, DOMAIN_STATE);
		rc = state_undo(&st, 0);
		if (rc == HEIR_ECORRUPT)
			assert_memory_equal(st.data, before, DOMAIN_STATE);
		else
			assert_true(rc >= 0);
		corrupt += rc < 0;
		undone += rc > 0;
	}
	assert_true(corrupt > 1000 && undone > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gate_of_sizes_that_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commit_forgets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlaps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_corrupt_logs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
