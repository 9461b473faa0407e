/* SPDX-License-Identifier: ISC */
/*
 * Die at every test point of every change of the name table, and stop there and go on later.
 *
 * A story is one change in one situation. A forked child makes it on a shared mapping and, at its
 * n-th test point, for all n,
 *   dies    and is buried: in one go; after a burier died at its m-th point, for all m; while a
 *           burier stands still at its m-th point and goes on when a successor has the slot
 *   stops   while others look, change the same name and all its neighbours, sweep; then it goes on
 * Each time: the change happened entirely or not at all, its neighbours are untouched, every
 * invariant holds, not one cell is lost, and the table goes on working. Not shown here: reorderings
 * of the processor (names_race.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/testpoint.h"
#include "heir.h"
#include "name/nameroom.h"
#include "name/names.h"
#include "support/shm_fixture.h"

#define SLOTS 5u
#define CELLS 129u
#define NAMES 6u /* name 0 is the one that is changed */
#define OLD handle_make(1, 3)
#define NEW name_binding_role(2, 4)
#define OTHERS handle_make(3, 3)
#define DEAD handle_make(4, 2)

enum { SETTER = 1, ACTOR = 2, OTHER = 3, BURIER = 4 };
enum what { REGISTER, RE_REGISTER, UNREGISTER, DROP };

struct story {
	enum what what;
	uint64_t before; /* 0, OLD or DEAD */
	uint32_t depth;  /* names in front of it */
	uint32_t length;
	bool full;       /* the table is full of garbage: the change has to make room */
};

struct watch {
	_Atomic int switched;  /* the actor's CASes on the head */
	_Atomic int successor; /* the actor's slot has a new incarnation */
};

#define DIED 99
struct child {
	pid_t pid;
	int to_parent[2], to_child[2];
};
enum how { PASS, DIE, STOP };

static struct shm shm;
static struct watch *watch;
static struct child self;
static enum how mode;
static int target, hits;
static long deaths, nested, stops, late_burials;

void testpoint(const char *label)
{
	char byte = 0;

	if (mode == PASS)
		return;
	if (strcmp(label, "names: head switched") == 0)
		watch->switched++;
	if (++hits != target)
		return;
	if (mode == DIE)
		_exit(DIED);
	if (write(self.to_parent[1], &byte, 1) != 1 || read(self.to_child[0], &byte, 1) != 1)
		_exit(98);
}

static bool lives(uint64_t binding, void *arg)
{
	(void)arg;
	return binding != DEAD;
}

static bool still_dead(void *arg)
{
	(void)arg;
	return !watch->successor;
}

static size_t name_of(const struct story *s, uint32_t which, char name[SHM_NAME_MAX + 1])
{
	static const uint32_t lengths[NAMES] = {0, 3, 100, 40, 41, 8};
	uint32_t length = which ? lengths[which] : s->length;

	memset(name, 'a' + (int)which, length);
	return length;
}

static int change(const struct story *s, uint32_t slot, enum what what, uint32_t which,
		  uint64_t binding)
{
	char name[SHM_NAME_MAX + 1];
	size_t length = name_of(s, which, name);

	switch (what) {
	case REGISTER:
		return names_register(&shm, slot, name, length, binding, lives, NULL);
	case RE_REGISTER:
		return names_re_register(&shm, slot, name, length, 0, binding, lives, NULL, NULL);
	case UNREGISTER:
		return names_unregister(&shm, slot, name, length, 0, lives, NULL);
	case DROP:
		return names_drop_binding(&shm, slot, DEAD);
	}
	return 0;
}

/* What is to come of it, in the obvious way: all six bindings, by which 0 is none. */
static int expect(enum what what, uint64_t names[NAMES], uint32_t which, uint64_t binding)
{
	bool alive = names[which] && names[which] != DEAD;

	if (what == DROP) {
		for (uint32_t i = 0; i < NAMES; i++)
			names[i] = names[i] == DEAD ? 0 : names[i];
		return 0;
	}
	if (what == REGISTER && alive)
		return HEIR_EEXIST;
	if (what == UNREGISTER && !alive)
		return HEIR_ENOENT;
	names[which] = what == UNREGISTER ? 0 : binding;
	return 0;
}

static void look(const struct story *s, uint64_t names[NAMES])
{
	char name[SHM_NAME_MAX + 1];

	for (uint32_t i = 0; i < NAMES; i++) {
		int r;

		names[i] = 0;
		r = names_lookup(&shm, name, name_of(s, i, name), &names[i], NULL);
		assert_true(r == 0 || r == HEIR_ENOENT);
	}
}

static uint32_t cells_of(const struct story *s, const uint64_t names[NAMES])
{
	char name[SHM_NAME_MAX + 1];
	uint32_t cells = 0;

	for (uint32_t i = 0; i < NAMES; i++)
		cells += names[i] ? names_cells_of(name_of(s, i, name)) : 0;
	return cells;
}

/* Cells as a process leaves them that dies after its switch, until new names do not fit. */
static void make_garbage(void)
{
	atom64 *used = name_hint(&shm, NAME_HINT_USED);

	for (uint32_t i = 1; *used < names_capacity(&shm); i++) {
		if (namecell_state(shm.name_cells[i].words[0]) != NAMECELL_FREE)
			continue;
		atom_store_relaxed(&shm.name_cells[i].words[0],
				   namecell_word(9, 0, 0, NAMECELL_LINKED));
		atom_add_relaxed(used, 1);
	}
}

static void set_up(const struct story *s, uint64_t names[NAMES])
{
	memset(shm.base, 0, shm.size);
	watch->switched = watch->successor = 0;
	memset(names, 0, NAMES * sizeof(names[0]));
	for (uint32_t n = 0; n < NAMES; n++) {
		/* The last one registered is the first in the bucket. */
		uint32_t at = NAMES - 1 - s->depth, which = n == at ? 0 : n < at ? n + 1 : n;

		names[which] = which ? OTHERS : s->before;
		if (s->what == DROP && which % 2 == 0)
			names[which] = DEAD;
		if (names[which])
			assert_int_equal(change(s, SETTER, REGISTER, which, names[which]), 0);
	}
	if (s->full)
		make_garbage();
}

/* A child that makes the story's change, or buries who did. */
static void start(struct child *c, const struct story *s, bool bury, enum how how, int point)
{
	pid_t parent = getpid();

	assert_true(pipe(c->to_parent) == 0 && pipe(c->to_child) == 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid > 0) {
		close(c->to_parent[1]);
		close(c->to_child[0]);
		return;
	}
	/* A failed test leaves none that stands. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(97);
	close(c->to_parent[0]);
	close(c->to_child[1]);
	self = *c;
	mode = how;
	target = point;
	if (!bury)
		_exit(-change(s, ACTOR, s->what, 0, NEW) & 0x7f);
	names_bury(&shm, ACTOR, still_dead, NULL);
	names_sweep(&shm);
	_exit(0);
}

/* It stands at its point now; false: it has ended. */
static bool stands(struct child *c)
{
	char byte;

	return read(c->to_parent[0], &byte, 1) == 1;
}

/* Goes on if it stood; its exit status. */
static int end_of(struct child *c)
{
	ssize_t n = write(c->to_child[1], "", 1);
	int status;

	(void)n;
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_true(WIFEXITED(status));
	close(c->to_parent[0]);
	close(c->to_child[1]);
	return WEXITSTATUS(status);
}

static void check_names(const struct story *s, const uint64_t want[NAMES])
{
	uint64_t names[NAMES];

	look(s, names);
	for (uint32_t i = 0; i < NAMES; i++)
		assert_true(names[i] == want[i]);
	assert_int_equal(names_check(&shm), 0);
}

/* Nobody is in the middle of anything: no cell is lost, and the table still works. */
static void check_quiet(const struct story *s, const uint64_t want[NAMES])
{
	char name[16];

	check_names(s, want);
	assert_int_equal(names_sweep(&shm), cells_of(s, want));
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "later%d", i);
		assert_int_equal(names_register(&shm, OTHER, name, strlen(name), OLD, lives, NULL),
				 0);
		if (i >= 3) {
			snprintf(name, sizeof(name), "later%d", i - 3);
			assert_int_equal(
				names_unregister(&shm, OTHER, name, strlen(name), OLD, lives, NULL),
				0);
		}
	}
	assert_int_equal(names_drop_binding(&shm, OTHER, OLD), 0);
	assert_int_equal(names_sweep(&shm),
			 cells_of(s, want) - (want[0] == OLD ? names_cells_of(s->length) : 0));
}

/* What must be so when the actor died or stopped here. Of a drop each name goes by itself. */
static void outcome(const struct story *s, uint64_t names[NAMES])
{
	uint64_t now[NAMES];

	if (s->what != DROP) {
		if (watch->switched)
			expect(s->what, names, 0, NEW);
		return;
	}
	look(s, now);
	for (uint32_t i = 0; i < NAMES; i++)
		if (names[i] == DEAD && now[i] == 0)
			names[i] = 0;
}

/* The actor has died at its point-th point. False: it had no such point. */
static bool died_at(const struct story *s, int point, uint64_t names[NAMES])
{
	struct child actor;

	set_up(s, names);
	start(&actor, s, false, DIE, point);
	if (end_of(&actor) != DIED)
		return false;
	outcome(s, names);
	check_names(s, names);
	return true;
}

static void die(const struct story *s)
{
	uint64_t names[NAMES];

	for (int point = 1; died_at(s, point, names); point++) {
		names_bury(&shm, ACTOR, still_dead, NULL);
		check_quiet(s, names);
		deaths++;
	}
}

static void die_in_burial(const struct story *s)
{
	uint64_t names[NAMES];
	int m = 1;

	for (int point = 1; !s->full && died_at(s, point, names); point += m == 1) {
		struct child burier;

		start(&burier, s, true, DIE, m);
		m = end_of(&burier) == DIED ? m + 1 : 1;
		nested += m > 1;
		check_names(s, names);
		names_bury(&shm, ACTOR, still_dead, NULL);
		check_quiet(s, names);
	}
}

/*
 * One burier stands still, another one buries, the slot gets a successor, who stands with cells in
 * hand; then the first one goes on, and must not touch them.
 */
static void stop_in_burial(const struct story *s)
{
	uint64_t names[NAMES];
	int m = 1;

	for (int point = 1; !s->full && died_at(s, point, names); point += m == 1) {
		struct child burier, successor;
		bool stood, in_hand, late;
		int want, r;

		start(&burier, s, true, STOP, m);
		stood = stands(&burier);
		names_bury(&shm, ACTOR, still_dead, NULL);
		names_sweep(&shm);
		watch->successor = 1;
		watch->switched = 0;
		start(&successor, s, false, STOP, 1 + m % 4);
		in_hand = stands(&successor);
		assert_int_equal(end_of(&burier), 0);
		late = watch->switched > 0;
		outcome(s, names);
		check_names(s, names);
		want = late && s->what != DROP ? 0 : expect(s->what, names, 0, NEW);
		r = end_of(&successor);
		assert_int_equal(r, -want & 0x7f);
		check_quiet(s, names);
		m = stood ? m + 1 : 1;
		late_burials += stood && in_hand;
	}
}

/* The others, meanwhile: the same name, and its neighbours so that all cells move; and a sweep. */
static int meanwhile(const struct story *s, enum what what, uint64_t names[NAMES])
{
	int want = 0, r = 0;

	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 1; i < NAMES; i++) {
			if (s->what == DROP && i % 2 == 0)
				continue;
			assert_int_equal(change(s, OTHER, UNREGISTER, i, 0), 0);
			names_sweep(&shm);
			assert_int_equal(change(s, OTHER, REGISTER, i, OTHERS), 0);
		}
		if (round == 1) {
			want = expect(what, names, 0, OLD);
			r = change(s, OTHER, what, 0, OLD);
		}
	}
	assert_int_equal(r, want);
	names_bury(&shm, BURIER, still_dead, NULL);
	check_names(s, names);
	return r;
}

static bool stop_at(const struct story *s, int point, enum what what)
{
	uint64_t names[NAMES];
	struct child actor;
	int want;
	bool late;

	set_up(s, names);
	start(&actor, s, false, STOP, point);
	if (!stands(&actor)) {
		end_of(&actor);
		return false;
	}
	late = watch->switched > 0;
	outcome(s, names);
	meanwhile(s, what, names);
	want = late && s->what != DROP ? 0 : expect(s->what, names, 0, NEW);
	assert_int_equal(end_of(&actor), -want & 0x7f);
	check_quiet(s, names);
	stops++;
	return true;
}

static void stop(const struct story *s)
{
	for (enum what what = REGISTER; what <= UNREGISTER; what++)
		for (int point = 1; stop_at(s, point, what); point++)
			;
}

static void each_story(void (*run)(const struct story *s))
{
	const uint64_t before[] = {0, OLD, DEAD};
	static const uint32_t depth[] = {0, 3}, length[] = {1, 200};

	for (enum what what = REGISTER; what <= UNREGISTER; what++)
		for (unsigned i = 0; i < 24; i++) {
			struct story s = {what, before[i % 3], depth[i / 3 % 2], length[i / 6 % 2],
					  i >= 12};

			run(&s);
		}
	run(&(struct story){DROP, DEAD, 2, 200, false});
	run(&(struct story){DROP, DEAD, 0, 1, false});
}

static void test_die_anywhere(void **state)
{
	(void)state;
	each_story(die);
	print_message("%ld deaths\n", deaths);
	assert_true(deaths > 500);
}

static void test_die_in_burial(void **state)
{
	(void)state;
	each_story(die_in_burial);
	print_message("%ld deaths within a burial\n", nested);
	assert_true(nested > 1000);
}

static void test_stop_in_burial(void **state)
{
	(void)state;
	each_story(stop_in_burial);
	print_message("%ld late burials\n", late_burials);
	assert_true(late_burials > 500);
}

static void test_stop_anywhere(void **state)
{
	(void)state;
	each_story(stop);
	print_message("%ld stops\n", stops);
	assert_true(stops > 1500);
}

/* A full table stays usable: a death in an unregister and its burial give back all that it had. */
static void test_die_in_full_table(void **state)
{
	const struct story s = {UNREGISTER, OLD, 3, 200, false};
	uint64_t names[NAMES];
	struct child actor;
	char name[16];
	bool more = true;

	(void)state;
	for (int point = 1; more; point++) {
		int count = 0, again = 0;

		set_up(&s, names);
		do
			snprintf(name, sizeof(name), "full%d", count++);
		while (names_register(&shm, SETTER, name, strlen(name), OTHERS, lives, NULL) == 0);
		assert_int_equal(change(&s, OTHER, RE_REGISTER, 5, OTHERS), 0);
		assert_int_equal(names_register(&shm, OTHER, name, strlen(name), OLD, lives, NULL),
				 HEIR_EFULL);
		start(&actor, &s, false, DIE, point);
		more = end_of(&actor) == DIED;
		outcome(&s, names);
		check_names(&s, names);
		names_bury(&shm, ACTOR, still_dead, NULL);
		if (names[0] && more)
			assert_int_equal(change(&s, OTHER, UNREGISTER, 0, 0), 0);
		do
			snprintf(name, sizeof(name), "again%d", again);
		while (names_register(&shm, SETTER, name, strlen(name), OTHERS, lives, NULL) == 0 &&
		       ++again < 100);
		assert_int_equal(again, names_cells_of(s.length));
		assert_int_equal(names_sweep(&shm), names_capacity(&shm));
		assert_int_equal(names_check(&shm), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_die_anywhere),
		cmocka_unit_test(test_die_in_burial),
		cmocka_unit_test(test_stop_in_burial),
		cmocka_unit_test(test_stop_anywhere),
		cmocka_unit_test(test_die_in_full_table),
	};

	alarm(300);
	signal(SIGPIPE, SIG_IGN);
	shm_fixture_init(&shm, SLOTS, 1, CELLS);
	watch = mmap(NULL, sizeof(*watch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (watch == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
