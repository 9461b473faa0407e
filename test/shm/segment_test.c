/* SPDX-License-Identifier: ISC */
/* The segment: limits at their edges, creation, the race to publish, the gate, what is carved from
 * whatever bytes. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "heir.h"
#include "shm/segment.h"

#define NOBODY	65534
#define SKIPPED 77

static char name[64], path[128];
static struct shm shm;

static const struct shm_limits small = {.nodes = 2,
					.apps = 1,
					.roles = 1,
					.slots = 9,
					.cells = 17,
					.message = 128,
					.buckets = 16,
					.name_cells = 65,
					.trace = 16,
					.conf = 64};

static int setup(void **state)
{
	(void)state;
	alarm(60);
	snprintf(name, sizeof(name), "segment-test-%d", (int)getpid());
	assert_int_equal(shm_path(name, path, sizeof(path)), 0);
	memset(&shm, 0, sizeof(shm));
	return 0;
}

static int setup_published(void **state)
{
	setup(state);
	assert_int_equal(shm_create(&shm, name, &small, 7), 0);
	assert_int_equal(shm_publish(&shm), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shm_detach(&shm);
	unlink(path);
	alarm(0);
	return 0;
}

/* Runs body in a child: its exit status, or minus the signal that killed it. */
static int in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGSEGV, SIG_DFL); /* cmocka has handlers */
		signal(SIGBUS, SIG_DFL);
		alarm(20);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_path_of_domain(void **state)
{
	static const char *const bad[] = {"", "a/b", "a.b", "..", "a b", "\xc3\xa4", "a\n"};
	char buf[128], long_name[65];
	(void)state;

	assert_int_equal(shm_path("A-z_09", buf, sizeof(buf)), 0);
	assert_non_null(strstr(buf, ".A-z_09"));
	assert_memory_equal(buf, "/dev/shm/heir.", 14);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(shm_path(bad[i], buf, sizeof(buf)), HEIR_EINVAL);
		assert_int_equal(shm_attach(&shm, bad[i], 1), HEIR_EINVAL);
		assert_int_equal(shm_create(&shm, bad[i], &small, 1), HEIR_EINVAL);
		assert_int_equal(shm_unlink(bad[i]), HEIR_EINVAL);
	}
	memset(long_name, 'x', 64);
	long_name[64] = 0;
	assert_int_equal(shm_path(long_name, buf, sizeof(buf)), HEIR_EINVAL);
	long_name[63] = 0;
	assert_int_equal(shm_path(long_name, buf, sizeof(buf)), 0);
	assert_int_equal(shm_path(long_name, buf, 63), HEIR_EINVAL);
}

/* Invariant 12: every limit at its edges. */
static void test_limits(void **state)
{
	static const struct edge {
		size_t at;
		uint32_t least, most, bad;
	} edges[] = {
		{offsetof(struct shm_limits, nodes), 1, SHM_NODES_MAX, 0},
		{offsetof(struct shm_limits, apps), 1, SHM_APPS_MAX, 0},
		{offsetof(struct shm_limits, roles), 1, SHM_ROLES_MAX, 0},
		{offsetof(struct shm_limits, slots), 2, SHM_SLOTS_MAX, 1},
		{offsetof(struct shm_limits, cells), 2, SHM_CELLS_MAX + 1, 1},
		{offsetof(struct shm_limits, message), 64, 1u << 24, 100},
		{offsetof(struct shm_limits, buckets), 1, SHM_NAMES_MAX, 3},
		{offsetof(struct shm_limits, name_cells), 2, 16 * SHM_NAMES_MAX, 1},
		{offsetof(struct shm_limits, trace), 2, 1u << 16, 6},
		{offsetof(struct shm_limits, conf), 0, 1u << 24, 65},
	};
	(void)state;

	assert_true(shm_size(&small) > 0 && shm_size(&small) % 4096 == 0);
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		const struct edge *e = &edges[i];
		const uint32_t good[] = {e->least, e->most},
			       bad[] = {e->bad, e->most + 1, e->most * 2, UINT32_MAX};

		for (int k = 0; k < 2; k++) {
			struct shm_limits l = small;

			memcpy((char *)&l + e->at, &good[k], 4);
			assert_true(shm_size(&l) >= sizeof(struct shm_head));
		}
		for (int k = 0; k < 4; k++) {
			struct shm_limits l = small;

			memcpy((char *)&l + e->at, &bad[k], 4);
			assert_int_equal(shm_size(&l), 0);
			assert_int_equal(shm_create(&shm, name, &l, 1), HEIR_EINVAL);
		}
	}
	/* Each in its range, and all together too much. */
	struct shm_limits l = {SHM_NODES_MAX,
			       SHM_APPS_MAX,
			       SHM_ROLES_MAX,
			       SHM_SLOTS_MAX,
			       SHM_CELLS_MAX + 1,
			       1u << 24,
			       SHM_NAMES_MAX,
			       16 * SHM_NAMES_MAX,
			       1u << 16,
			       1u << 24,
			       {0}};

	assert_int_equal(shm_size(&l), 0);
}

static void test_create(void **state)
{
	struct shm other;
	struct stat st;
	char temporary[160];
	(void)state;

	snprintf(temporary, sizeof(temporary), "%s.%d.new", path, (int)getpid());
	assert_int_equal(shm_attach(&other, name, 1), HEIR_ENODOMAIN);
	assert_int_equal(shm_create(&shm, name, &small, 7), 0);
	/* Not to be seen before it is published. */
	assert_int_equal(shm_attach(&other, name, 1), HEIR_ENODOMAIN);
	assert_int_equal(stat(temporary, &st), 0);
	assert_int_equal(shm_publish(&shm), 0);
	assert_int_equal(stat(temporary, &st), -1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, shm_size(&small));
	assert_true((size_t)st.st_blocks * 512 >=
		    shm_size(&small)); /* Invariant 11: no SIGBUS later */

	assert_int_equal(shm_attach(&other, name, 1), 0);
	assert_memory_equal(&other.limits, &small, sizeof(small));
	assert_int_equal(other.head->conf_signature[0], 7);
	assert_string_equal(other.head->domain, name);
	assert_true(other.base != shm.base);
	atom_store_seq(&other.slots[3].word, 99);
	assert_int_equal(atom_load_seq(&shm.slots[3].word), 99);
	shm_detach(&other);
	assert_null(other.base);
	shm_detach(&other);
	assert_int_equal(shm_unlink(name), 0);
	assert_int_equal(shm_unlink(name), -ENOENT);
}

static int create_and_publish(void)
{
	int rc = shm_create(&shm, name, &small, (uint64_t)getpid());

	if (rc == 0)
		rc = shm_publish(&shm);
	return rc == 0 ? 0 : rc == -EEXIST ? 1 : 2;
}

static int attach_until_there(void)
{
	int rc;

	do {
		rc = shm_attach(&shm, name, 1);
	} while (rc == HEIR_ENODOMAIN);
	return rc || shm.head->conf_signature[0] == 0 ? 3 : 10;
}

/* Whoever publishes first made the domain, the others are told; nobody sees one half-made. */
static void test_publish_race(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		int created = 0, attached = 0, status;

		for (int i = 0; i < 6; i++) {
			pid_t pid = fork();

			assert_true(pid >= 0);
			if (pid == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				alarm(20);
				_exit(i % 3 == 2 ? attach_until_there() : create_and_publish());
			}
		}
		for (int i = 0; i < 6; i++) {
			assert_true(wait(&status) > 0);
			assert_true(WIFEXITED(status));
			assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 1 ||
				    WEXITSTATUS(status) == 10);
			created += WEXITSTATUS(status) == 0;
			attached += WEXITSTATUS(status) == 10;
		}
		assert_int_equal(created, 1);
		assert_int_equal(attached, 2);
		assert_int_equal(shm_unlink(name), 0);
	}
}

static int create_and_die(void)
{
	if (shm_create(&shm, name, &small, 1))
		return 1;
	kill(getpid(), SIGKILL);
	return 2;
}

static void test_creator_dies(void **state)
{
	struct shm other;
	char temporary[160];
	pid_t pid = fork();
	int status;
	(void)state;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(create_and_die());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	/* Invariant 2: what it left stands in nobody's way. */
	assert_int_equal(shm_attach(&other, name, 1), HEIR_ENODOMAIN);
	assert_int_equal(shm_create(&shm, name, &small, 1), 0);
	assert_int_equal(shm_publish(&shm), 0);
	assert_int_equal(shm_attach(&other, name, 1), 0);
	shm_detach(&other);
	snprintf(temporary, sizeof(temporary), "%s.%d.new", path, (int)pid);
	assert_int_equal(unlink(temporary), 0);
}

static int gate(void)
{
	struct shm other = {0};
	int rc = shm_attach(&other, name, 1);

	if (rc == 0)
		shm_detach(&other);
	else
		assert_null(other.base); /* untouched */
	return rc;
}

static int gate_with(size_t at, const void *bytes, size_t size)
{
	unsigned char was[SHM_NAME_MAX + 1];
	int rc;

	memcpy(was, shm.base + at, size);
	memcpy(shm.base + at, bytes, size);
	rc = gate();
	memcpy(shm.base + at, was, size);
	return rc;
}

/* Invariant 11: the gate. */
static void test_gate_of_heads(void **state)
{
	const uint64_t magic = SHM_MAGIC + 1, signature = layout_signature() ^ 1, zero = 0,
		       size = shm.size + 4096;
	const uint32_t major = SHM_MAJOR + 1, minor = SHM_MINOR + 1, uid = NOBODY, cells = 4096;
	unsigned char garbage[64];
	(void)state;

	memset(garbage, 0xee, sizeof(garbage));
	assert_int_equal(gate(), 0);
	assert_int_equal(gate_with(offsetof(struct shm_head, magic), &magic, 8), HEIR_EFOREIGN);
	assert_int_equal(gate_with(0, garbage, 64), HEIR_EFOREIGN);
	assert_int_equal(gate_with(offsetof(struct shm_head, major), &major, 4), HEIR_ELAYOUT);
	assert_int_equal(gate_with(offsetof(struct shm_head, minor), &minor, 4), 0); /* additive */
	assert_int_equal(gate_with(offsetof(struct shm_head, signature), &signature, 8),
			 HEIR_ELAYOUT);
	assert_int_equal(gate_with(offsetof(struct shm_head, size), &size, 8), HEIR_ECORRUPT);
	assert_int_equal(gate_with(offsetof(struct shm_head, uid), &uid, 4), HEIR_EFOREIGN);
	assert_int_equal(gate_with(offsetof(struct shm_head, pid_namespace), &zero, 8),
			 HEIR_EFOREIGN);
	assert_int_equal(gate_with(offsetof(struct shm_head, domain), garbage, 64), HEIR_ECORRUPT);
	assert_int_equal(gate_with(offsetof(struct shm_head, limits.cells), &cells, 4),
			 HEIR_ECORRUPT);
	assert_int_equal(gate_with(offsetof(struct shm_head, limits), garbage, 40), HEIR_ECORRUPT);
	assert_int_equal(gate_with(offsetof(struct shm_head, limits), &zero, 8), HEIR_ECORRUPT);
	assert_int_equal(gate(), 0);
}

/* Invariant 11: what follows the head and never changes. */
static void test_gate_of_fixed_parts(void **state)
{
#define AT(p) ((size_t)((unsigned char *)(p) - shm.base))
	unsigned char garbage[SHM_NAME_MAX + 1];
	uint32_t two = 2, many = 100, last = UINT32_MAX;
	(void)state;

	memset(garbage, 'x', sizeof(garbage));
	assert_int_equal(gate_with(AT(shm.nodes[1].name), garbage, 64), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(shm.nodes[1].name), garbage, 63), 0);
	assert_int_equal(gate_with(AT(shm.apps[0].name), garbage, SHM_NAME_MAX + 1), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(shm.apps[0].step[SHM_STEPS_MAX - 1]), garbage, 32), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(shm.roles[0].id), garbage, 64), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(&shm.apps[0].first_role), &two, 4), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(&shm.apps[0].first_role), &last, 4), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(&shm.apps[0].roles), &two, 4), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(&shm.apps[0].lead_role), &two, 4), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(&shm.apps[0].steps), &many, 4), HEIR_ECORRUPT);
	assert_int_equal(gate_with(AT(&shm.roles[0].app), &two, 4), HEIR_ECORRUPT);
	assert_int_equal(gate(), 0);
#undef AT
}

static void test_gate_of_files(void **state)
{
	static const mode_t modes[] = {0644, 0660, 0606, 0700, 0610, 0604, 0602, 0601};
	off_t size = (off_t)shm.size;
	(void)state;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_int_equal(gate(), HEIR_EFOREIGN);
	}
	assert_int_equal(chmod(path, 0640), 0); /* a group of observers */
	assert_int_equal(gate(), 0);
	assert_int_equal(chmod(path, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, NOBODY, (gid_t)-1), 0);
		assert_int_equal(gate(), HEIR_EFOREIGN);
		assert_int_equal(chown(path, 0, (gid_t)-1), 0);
	}
	assert_int_equal(truncate(path, size + 4096), 0);
	assert_int_equal(gate(), HEIR_ECORRUPT);
	assert_int_equal(truncate(path, size + 1), 0);
	assert_int_equal(gate(), HEIR_ECORRUPT);
	assert_int_equal(truncate(path, size - 4096), 0);
	assert_int_equal(gate(), HEIR_ECORRUPT);
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(gate(), HEIR_ECORRUPT);
	assert_int_equal(truncate(path, 64), 0);
	assert_int_equal(gate(), HEIR_ECORRUPT);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(gate(), HEIR_ECORRUPT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(gate(), HEIR_ENODOMAIN);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(gate(), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(gate(), HEIR_EFOREIGN);
	assert_int_equal(shm_attach(&shm, name, 0), HEIR_EFOREIGN); /* at once: nobody writes to it */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(gate(), -EISDIR);
	assert_int_equal(rmdir(path), 0);
}

static int gate_of_unreadable(void)
{
	char mine[128];
	int rc;

	if (geteuid() == 0 && seteuid(NOBODY) < 0)
		return SKIPPED;
	if (shm_create(&shm, name, &small, 1) || shm_publish(&shm) ||
	    shm_path(name, mine, sizeof(mine)))
		return 1;
	rc = chmod(mine, 0400) < 0 ? 2 : shm_attach(&shm, name, 1) != HEIR_EPERM;
	unlink(mine);
	return rc;
}

static void test_gate_of_permissions(void **state)
{
	int rc = in_child(gate_of_unreadable);
	(void)state;

	if (rc == SKIPPED)
		skip();
	assert_int_equal(rc, 0);
}

static int store_into_view(void)
{
	struct shm view;

	if (shm_attach(&view, name, 0) || view.writable)
		return 1;
	if (atom_load_seq(&view.slots[3].word) != 99 || view.head->conf_signature[0] != 7)
		return 2;
	atom_store_seq(&view.slots[3].word, 1);
	return 3;
}

static int touch_inherited(void)
{
	return *(volatile unsigned char *)shm.base & 1;
}

static void test_views(void **state)
{
	(void)state;
	atom_store_seq(&shm.slots[3].word, 99);
	assert_int_equal(in_child(store_into_view), -SIGSEGV); /* an observer stores nothing */
	assert_int_equal(atom_load_seq(&shm.slots[3].word), 99);
	assert_int_equal(in_child(touch_inherited), -SIGSEGV); /* a forked child has no mapping */
}

static int create_where_full(void)
{
	struct stat st;
	char temporary[160];

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=16k") < 0)
		return SKIPPED;
	snprintf(temporary, sizeof(temporary), "%s.%d.new", path, (int)getpid());
	if (shm_create(&shm, name, &small, 1) != -ENOSPC)
		return 1;
	return stat(temporary, &st) == 0 ? 2 : 0;
}

static int create_beyond_limit(void)
{
	struct rlimit limit = {8192, 8192};
	struct stat st;
	char temporary[160];

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return SKIPPED;
	snprintf(temporary, sizeof(temporary), "%s.%d.new", path, (int)getpid());
	if (shm_create(&shm, name, &small, 1) != -EFBIG)
		return 1;
	return stat(temporary, &st) == 0 ? 2 : 0;
}

/* Invariant 11: a full /dev/shm fails here, with nothing left behind. */
static void test_full(void **state)
{
	int rc;
	(void)state;

	assert_int_equal(in_child(create_beyond_limit), 0);
	rc = in_child(create_where_full);
	if (rc == SKIPPED)
		skip();
	assert_int_equal(rc, 0);
}

static void test_accessors(void **state)
{
	(void)state;
	assert_non_null(shm_node(&shm, 1));
	assert_null(shm_node(&shm, 2));
	assert_null(shm_app(&shm, 1));
	assert_null(shm_role(&shm, UINT64_MAX));
	assert_null(shm_slot(&shm, 0));
	assert_non_null(shm_slot(&shm, 8));
	assert_null(shm_slot(&shm, 9));
	assert_null(shm_cell(&shm, 0));
	assert_non_null(shm_cell(&shm, 16));
	assert_null(shm_cell(&shm, 17));
	assert_null(shm_cell(&shm, UINT32_MAX));
	assert_null(shm_name_cell(&shm, 0));
	assert_non_null(shm_name_cell(&shm, 64));
	assert_null(shm_name_cell(&shm, 65));
	assert_null(shm_trace(&shm, 0));
	assert_null(shm_trace(&shm, 9));
	assert_int_equal(shm_mailbox_count(&shm), 10);
	assert_non_null(shm_mailbox(&shm, 9));
	assert_null(shm_mailbox(&shm, 10));
	assert_null(shm_ring(&shm, 10));
	assert_int_equal(shm.ring_entries, 32);
	assert_ptr_equal(shm_bucket(&shm, 16 + 3), shm.buckets + 3);

	assert_int_equal(handle_slot(handle_make(4095, 0x7fffffff)), 4095);
	assert_int_equal(handle_incarnation(handle_make(4095, 0x7fffffff)), 0x7fffffff);
}

/* The parts in their order: each begins where the one before ends, or behind; the last ends in the
 * segment. */
static void assert_carved(const struct shm *s)
{
	const struct shm_limits *l = &s->limits;
	const struct {
		const void *at;
		size_t size;
	} parts[] = {
		{s->head, sizeof(struct shm_head)},
		{s->nodes, l->nodes * sizeof(struct shm_node)},
		{s->apps, l->apps * sizeof(struct shm_app)},
		{s->roles, l->roles * sizeof(struct shm_role)},
		{s->slots, l->slots * sizeof(struct shm_slot)},
		{s->mailboxes, shm_mailbox_count(s) * sizeof(struct shm_mailbox)},
		{s->rings, (size_t)shm_mailbox_count(s) * s->ring_entries * sizeof(atom64)},
		{s->cells, l->cells * s->cell_stride},
		{s->buckets, l->buckets * sizeof(struct shm_bucket)},
		{s->name_cells, l->name_cells * sizeof(struct shm_name_cell)},
		{s->traces, l->slots * s->trace_stride},
		{s->conf, 2 * l->conf},
	};
	const unsigned char *end = s->base;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		assert_true((const unsigned char *)parts[i].at >= end);
		assert_int_equal((uintptr_t)parts[i].at % CACHE_LINE, 0);
		end = (const unsigned char *)parts[i].at + parts[i].size;
	}
	assert_true(end <= s->base + s->size);
	assert_true(s->ring_entries >= l->cells && (s->ring_entries & (s->ring_entries - 1)) == 0);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void test_carving(void **state)
{
	uint32_t seed = 1;
	(void)state;

	for (int i = 0; i < 300; i++) {
		struct shm_limits l = {.nodes = 1 + next_random(&seed) % 16,
				       .apps = 1 + next_random(&seed) % 64,
				       .roles = 1 + next_random(&seed) % 100,
				       .slots = 2 + next_random(&seed) % 100,
				       .cells = 2 + next_random(&seed) % 200,
				       .message = 64 * (1 + next_random(&seed) % 20),
				       .buckets = 1u << next_random(&seed) % 10,
				       .name_cells = 2 + next_random(&seed) % 1000,
				       .trace = 2u << next_random(&seed) % 8,
				       .conf = 64 * (next_random(&seed) % 100)};

		assert_int_equal(shm_create(&shm, name, &l, 1), 0);
		assert_carved(&shm);
		assert_ptr_equal(shm_cell_reply(&shm, shm_cell(&shm, 1)) + l.message,
				 shm.cells + 2 * shm.cell_stride);
		assert_int_equal(shm_publish(&shm), 0);
		shm_detach(&shm);
		assert_int_equal(shm_attach(&shm, name, i % 2), 0);
		assert_carved(&shm);
		shm_detach(&shm);
		assert_int_equal(shm_unlink(name), 0);
	}
}

/* Whatever head: refused, or carved within the bytes that are there. */
static void test_any_head(void **state)
{
	size_t size = shm.size;
	unsigned char *copy = aligned_alloc(4096, size);
	uint32_t seed = 1, carved = 0;
	(void)state;

	assert_non_null(copy);
	memset(copy, 0, size);
	for (int i = 0; i < 200000; i++) {
		struct shm other = {0};

		memcpy(copy, shm.base, sizeof(struct shm_head));
		for (uint32_t n = 1 + next_random(&seed) % 3; n > 0; n--) {
			size_t at = next_random(&seed) % sizeof(struct shm_head);

			copy[at] = (unsigned char)(next_random(&seed) % 2 ? next_random(&seed)
									  : copy[at] ^ 1u << i % 8);
		}
		if (shm_view(&other, copy, size, 1) == 0) {
			assert_carved(&other);
			carved++;
		}
	}
	assert_true(carved > 100 && carved < 200000);
	assert_int_equal(shm_view(&(struct shm){0}, copy, sizeof(struct shm_head) - 1, 1),
			 HEIR_EFOREIGN);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_path_of_domain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_publish_race, setup, teardown),
		cmocka_unit_test_setup_teardown(test_creator_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gate_of_heads, setup_published, teardown),
		cmocka_unit_test_setup_teardown(test_gate_of_fixed_parts, setup_published, teardown),
		cmocka_unit_test_setup_teardown(test_gate_of_files, setup_published, teardown),
		cmocka_unit_test_setup_teardown(test_gate_of_permissions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_views, setup_published, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_accessors, setup_published, teardown),
		cmocka_unit_test_setup_teardown(test_carving, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_head, setup_published, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
