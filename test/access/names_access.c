/* SPDX-License-Identifier: ISC */
/*
 * The name table. An operation counts as one instant; a list of the (one) bucket too. What lookups and lists say, what
 * operations return, and what is there in the end has to fit one order of all. Not one cell is lost.
 */
#include <stdio.h>
#include <string.h>

#include "access/groups.h"
#include "heir.h"
#include "lib/resolve.h"
#include "name/nameroom.h"
#include "name/names.h"
#include "proc/bury.h"

#define NAMES  5u
#define OLD    world_leader(NODE_B)		   /* a living process */
#define DEAD   (world_leader(NODE_B) & UINT32_MAX) /* one before it in the slot */
#define NEW    name_binding_role(0, ROLE_BOX)
#define OTHERS name_binding_role(0, ROLE_LEAD)

enum op { REGISTER, RE_REGISTER, UNREGISTER, LOOKUP, LIST, SWEEP, OPS };
static const char *const op_names[] = {"register", "re_register", "unregister", "lookup", "list", "compaction"};

/* In one word, as a story's argument. */
struct tale {
	enum op op;
	unsigned expected; /* 0: any, 1: what is there, 2: something else */
	unsigned before;   /* 0: absent, 1: a living process's, 2: a dead one's */
	bool behind;	   /* other names are in front of it */
	bool is_long;
	bool full;
};

static long tale_pack(struct tale t)
{
	return (long)t.op | (long)t.expected << 4 | (long)t.before << 6 | (long)t.behind << 8 |
	       (long)t.is_long << 9 | (long)t.full << 10;
}

static struct tale tale_of(long arg)
{
	return (struct tale){(enum op)(arg & 15), arg >> 4 & 3, arg >> 6 & 3,
			     arg >> 8 & 1,	  arg >> 9 & 1, arg >> 10 & 1};
}

static size_t name_of(uint64_t which, char name[SHM_NAME_MAX + 1])
{
	static const uint32_t lengths[NAMES] = {1, 100, 41, 8, 200};

	memset(name, 'a' + (int)which, lengths[which]);
	return lengths[which];
}

static int visit(const char *name, size_t length, uint64_t binding, void *arg)
{
	uint64_t *seen = arg;
	char expected[SHM_NAME_MAX + 1];

	for (uint64_t i = 0; i < NAMES; i++)
		if (name_of(i, expected) == length && memcmp(name, expected, length) == 0) {
			MUST(seen[i] == 0);
			seen[i] = binding;
		}
	return 0;
}

static int act(uint32_t slot, enum op op, uint64_t which, uint64_t binding, uint64_t expected, uint64_t *seen)
{
	char name[SHM_NAME_MAX + 1];
	size_t length = name_of(which, name);

	switch (op) {
	case REGISTER:
		return names_register(&world, slot, name, length, binding, binding_lives, &world);
	case RE_REGISTER:
		return names_re_register(&world, slot, name, length, expected, binding, binding_lives, &world,
					 seen);
	case UNREGISTER:
		return names_unregister(&world, slot, name, length, expected, binding_lives, &world);
	case LOOKUP:
		return names_lookup(&world, name, length, seen, NULL);
	case LIST:
		return names_each(&world, visit, seen);
	default:
		(void)names_sweep(&world);
		return 0;
	}
}

static void tell(unsigned actor, enum op op, uint64_t which, uint64_t binding, uint64_t expected)
{
	struct event *e = history_begin(actor, (int)op, which, binding, expected);
	uint32_t slot = actor ? world_handle(actor)->slot : TEST_SLOT;

	history_end(e, act(slot, op, which, binding, expected, e->seen));
}

static bool lives(uint64_t binding)
{
	return binding && binding != DEAD;
}

static int right_result(const uint64_t *names, const struct event *e)
{
	uint64_t now = names[e->which];

	switch ((enum op)e->op) {
	case REGISTER:
		return lives(now) ? HEIR_EEXIST : 0;
	case RE_REGISTER:
	case UNREGISTER:
		if (!lives(now))
			return e->op == UNREGISTER || e->expected ? HEIR_ENOENT : 0;
		return e->expected && e->expected != now ? HEIR_EPERM : 0;
	case LOOKUP:
		return now ? 0 : HEIR_ENOENT;
	default:
		return 0;
	}
}

/* In the obvious way, on an array. */
static bool apply(uint64_t *names, const struct event *e)
{
	int right = right_result(names, e);
	uint64_t now = names[e->which];

	if (e->ended && e->result != right)
		return false;
	if (e->op == RE_REGISTER && e->ended && right == 0 && e->seen[0] != (lives(now) ? now : 0))
		return false;
	if (e->op == LOOKUP && e->ended && right == 0 && e->seen[0] != now)
		return false;
	if (e->op == LIST && e->ended && memcmp(e->seen, names, NAMES * sizeof(names[0])) != 0)
		return false;
	if (right == 0 && e->op <= UNREGISTER)
		names[e->which] = e->op == UNREGISTER ? 0 : e->binding;
	return true;
}

static uint32_t cells_of(const uint64_t *names)
{
	char name[SHM_NAME_MAX + 1];
	uint32_t cells = WORLD_NAMES;

	for (uint64_t i = 0; i < NAMES; i++)
		cells += names[i] ? names_cells_of(name_of(i, name)) : 0;
	return cells;
}

static uint64_t which_of(struct tale t)
{
	return t.is_long ? 4 : 0;
}

/* Cells as a process leaves them that dies after its switch, until new names do not fit. */
static void make_garbage(void)
{
	atom64 *used = name_hint(&world, NAME_HINT_USED);

	for (uint32_t i = 1; atom_load_seq(used) < names_capacity(&world); i++) {
		if (namecell_state(atom_load_seq(&world.name_cells[i].words[0])) != NAMECELL_FREE)
			continue;
		atom_store_relaxed(&world.name_cells[i].words[0], namecell_word(9, 0, 0, NAMECELL_LINKED));
		atom_add_relaxed(used, 1);
	}
}

static uint64_t before_of(struct tale t)
{
	return t.before == 0 ? 0 : t.before == 1 ? OLD : DEAD;
}

static void names_prepare(long arg)
{
	struct tale t = tale_of(arg);

	for (unsigned i = FIRST_RECOVER; i <= FIRST_RECOVER + 2; i++)
		(void)world_client(i);
	/* The last one registered is the first in the bucket. */
	for (uint64_t n = 0; n <= NAMES; n++) {
		bool its_turn = n == (t.behind ? 0 : NAMES);
		uint64_t which = its_turn ? which_of(t) : n - t.behind;

		if (its_turn ? !before_of(t) : which == which_of(t))
			continue;
		MUST_BE(act(TEST_SLOT, REGISTER, which, its_turn ? before_of(t) : OTHERS, 0, NULL), 0);
	}
	if (t.full)
		make_garbage();
}

static void names_enter(unsigned self, long arg)
{
	(void)arg;
	(void)world_client(self);
}

static void names_body(unsigned self, long arg)
{
	struct tale t = tale_of(arg);

	tell(self, t.op, which_of(t), NEW, t.expected == 0 ? 0 : t.expected == 1 ? OLD : OTHERS);
}

static void bury_body(unsigned self, long arg)
{
	(void)arg;
	(void)bury_all(&world, world_handle(self)->slot);
}

static void go_on(const uint64_t *names)
{
	char name[16];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "later%d", i);
		MUST_BE(names_register(&world, TEST_SLOT, name, strlen(name), OLD, binding_lives, &world), 0);
		snprintf(name, sizeof(name), "later%d", i - 2);
		if (i >= 2)
			MUST_BE(names_unregister(&world, TEST_SLOT, name, strlen(name), OLD, binding_lives,
						 &world),
				0);
	}
	for (int i = 18; i < 20; i++) {
		snprintf(name, sizeof(name), "later%d", i);
		MUST_BE(names_unregister(&world, TEST_SLOT, name, strlen(name), OLD, binding_lives, &world), 0);
	}
	world_quiet(0, cells_of(names));
}

static void initial_names(struct tale t, uint64_t names[SEEN_MAX])
{
	memset(names, 0, SEEN_MAX * sizeof(names[0]));
	for (uint64_t i = 0; i < NAMES; i++)
		names[i] = i == which_of(t) ? before_of(t) : OTHERS;
}

static void judge(const uint64_t initial[SEEN_MAX])
{
	struct event *e = history_begin(0, LIST, 0, 0, 0);

	(void)bury_all(&world, TEST_SLOT);
	history_end(e, act(TEST_SLOT, LIST, 0, 0, 0, e->seen));
	if (!history_linear(initial, apply)) {
		history_print();
		access_fail(__FILE__, __LINE__, "the operations on names fit no order");
	}
	world_quiet(0, cells_of(e->seen));
	go_on(e->seen);
}

static void names_verdict(long arg)
{
	uint64_t initial[SEEN_MAX];

	initial_names(tale_of(arg), initial);
	judge(initial);
}

/* Meanwhile */
static void register_same(long arg)
{
	tell(0, RE_REGISTER, which_of(tale_of(arg)), OTHERS, 0);
}

static void unregister_same(long arg)
{
	tell(0, UNREGISTER, which_of(tale_of(arg)), 0, 0);
	tell(0, LOOKUP, which_of(tale_of(arg)), 0, 0);
	tell(0, REGISTER, which_of(tale_of(arg)), OLD, 0);
}

/* All cells move, and are used again. */
static void churn(long arg)
{
	for (int round = 0; round < 2; round++)
		for (uint64_t i = 0; i < NAMES; i++) {
			if (i == which_of(tale_of(arg)))
				continue;
			tell(0, UNREGISTER, i, 0, 0);
			tell(0, SWEEP, i, 0, 0);
			tell(0, REGISTER, i, OTHERS, 0);
		}
}

static void bury_another(long arg)
{
	actor_start(2, names_body, arg);
	(void)actor_run(2, 40);
	actor_kill(2);
	history_died(2);
	actor_start(3, bury_body, 0);
	(void)actor_finish(3);
	(void)world_client(2); /* a successor in its slot, for what comes */
	tell(2, REGISTER, 3, OLD, 0);
}

/* Without --long, a full table and wrong expectations have no deaths of who recovers, and long walks fewer stops. */
static struct sweep_options share(struct tale t, const struct sweep_options *o)
{
	struct sweep_options s = *o;

	if (o->depth < 2 && (t.full || t.expected))
		s.depth = 0;
	if (o->depth < 2 && (t.full || t.op > UNREGISTER))
		s.nth = t.full ? 17 : 5;
	if (o->depth < 2 && (t.full || t.expected || t.op > UNREGISTER))
		s.pairs = 100;
	s.real = o->real && t.behind && !t.full && t.expected == 0;
	return s;
}

static void names_sweep_story(struct tale t, const struct sweep_options *o, struct swept *total)
{
	struct sweep_options mine = share(t, o);
	char name[96];
	struct story s = {
		.name = name,
		.arg = tale_pack(t),
		.prepare = names_prepare,
		.enter = names_enter,
		.body = names_body,
		.recover = bury_body,
		.check = names_verdict,
		.meanwhile = {{"re-registered", register_same},
			      {"unregistered, registered", unregister_same},
			      {"neighbours change", churn},
			      {"another dies, is buried, has a successor", bury_another}},
		.rival = {{"while another does the same", 2, names_body}},
	};

	snprintf(name, sizeof(name), "%s%s %s name, %s%s%s", op_names[t.op],
		 t.expected == 0   ? ""
		 : t.expected == 1 ? "_if (right)"
				   : "_if (wrong)",
		 t.is_long ? "long" : "short",
		 t.before == 0	 ? "absent"
		 : t.before == 1 ? "there"
				 : "a dead one's",
		 t.behind ? ", behind others" : "", t.full ? ", full" : "");
	sweep(&s, &mine, total);
}

void names_group(const struct sweep_options *o)
{
	for (enum op op = REGISTER; op < OPS; op++) {
		struct swept total = {0};

		for (unsigned expected = 0; expected < (op == RE_REGISTER || op == UNREGISTER ? 3 : 1);
		     expected++)
			for (unsigned i = 0; i < 24; i++) {
				struct tale t = {op, expected, i % 3, i / 3 & 1, i / 6 & 1, i >= 12};

				if (op > UNREGISTER && i % 3 == 2)
					continue;
				names_sweep_story(t, o, &total);
			}
		sweep_print(op_names[op], &total);
	}
}

/* At random: three actors; another buries who dies; some have successors. */
#define REAPER 4u

static unsigned successors;

static void random_ops(unsigned self, long arg)
{
	const uint64_t bindings[] = {NEW, OLD, OTHERS};

	if (arg == 0 && !world_client(self))
		return;
	for (uint64_t n = 1 + random_below(3); n > 0; n--) {
		enum op op = (enum op)random_below(OPS);
		uint64_t which = random_below(3) ? 0 : random_below(NAMES), expected = 0;

		if ((op == RE_REGISTER || op == UNREGISTER) && random_below(2))
			expected = bindings[random_below(3)];
		tell(self, op, which, bindings[random_below(3)], expected);
	}
}

static void died(unsigned actor)
{
	history_died(actor);
	if (actor != REAPER && successors < 2 && random_below(2)) {
		successors++;
		sim_spawn(actor);
		actor_start(actor, random_ops, 0);
	}
	if (actor_state(REAPER) == ACTOR_READY || sim.process[REAPER].exiting)
		return; /* or when it is gone */
	if (actor_state(REAPER) == ACTOR_DEAD) {
		sim_spawn(REAPER);
		(void)world_client(REAPER);
	}
	actor_start(REAPER, bury_body, 0);
}

void names_seed(void)
{
	const struct plan plan = {.kills = (unsigned)random_below(4), .died = died};
	struct tale t = {
		REGISTER, 0, (unsigned)random_below(3), random_below(2), random_below(2), random_below(3) == 0};
	uint64_t initial[SEEN_MAX];

	world_lay();
	names_prepare(tale_pack(t));
	successors = 0;
	for (unsigned i = 1; i <= 3; i++) {
		if (i == ACTOR)
			(void)world_client(i);
		actor_start(i, random_ops, 1);
	}
	schedule(&plan);
	world_sound();
	initial_names(t, initial);
	judge(initial);
}
