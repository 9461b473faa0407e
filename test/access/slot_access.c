/* SPDX-License-Identifier: ISC */
/*
 * Slots: joining, leaving, names of one's own, burial, fencing. Never two in a slot, a handle is never used again, what
 * was a dead one's is nobody's, and nothing of a successor is touched.
 */
#include <string.h>

#include "access/accessops.h"
#include "access/groups.h"
#include "access/service.h"
#include "lib/resolve.h"
#include "name/names.h"
#include "proc/bury.h"

#define CORPSE 6u
#define REAPER 4u

static const char *const own_name[ACTORS] = {"zero", "one", "two", "three", "four", "five", "six"};

static void slot_prepare(long arg)
{
	(void)arg;
	service_names = 0;
	(void)world_client(2);
	(void)world_client(3);
	(void)world_client(4);
	(void)world_worker(OWNER, NODE_A, ROLE_LEAD);
	engine_as(OWNER);
	make_owner(OWNER);
	engine_as(0);
}

static void enter_nothing(unsigned self, long arg)
{
	(void)self;
	(void)arg;
}

static void enter_client(unsigned self, long arg)
{
	(void)arg;
	(void)world_client(self);
}

/* With everything that a process can have. */
static void enter_full(unsigned self, long arg)
{
	heir_t *h = world_worker(self, NODE_B, ROLE_LEAD);
	uint64_t me = h->self, move = move_pack((struct move_word){.slot = h->slot, .step = 5}), old, now;

	(void)arg;
	atom_store_seq(&world.head->opener, me);
	atom_store_seq(&world.apps[0].move, move);
	(void)control_apply(&world.apps[0].control, &old, &now, control_name_heir, h->slot);
	MUST_BE(heir_register(h, own_name[self], HEIR_SELF), 0);
	MUST_BE(tell_call(self, "app", 0), 0);
	MUST_BE(tell_send(self, "app", 1), 0);
}

/* Where the next one joins, a worker of another node was: what it left says that it serves. */
static void prepare_left(long arg)
{
	uint32_t slot;

	slot_prepare(arg);
	slot = world_worker(CORPSE, NODE_B, ROLE_LEAD)->slot;
	atom_store_seq(&world.slots[slot].ready, WORKER_SERVING);
	slot_leave(&world, world_handle(CORPSE)->self);
	atom_store_seq(&world.head->join_hint, slot - 1);
}

static void mail_for_it(long arg)
{
	(void)arg;
	engine_as(OWNER);
	MUST_BE(tell_call(OWNER, "app@b", 4), 0);
	MUST_BE(tell_send(OWNER, "app@b", 5), 0);
	ledger->message[5].may_be_lost = true;
	engine_as(0);
}

static void prepare_corpse(long arg)
{
	slot_prepare(arg);
	engine_as(CORPSE);
	enter_full(CORPSE, arg);
	mail_for_it(arg);
	actor_kill(CORPSE);
	ledger->message[0].finished = true;
	ledger->message[0].rc = HEIR_EUNKNOWN;
}

static void check_slots(long arg)
{
	uint64_t self = ledger->self[ACTOR], binding;
	bool alive = actor_state(ACTOR) == ACTOR_DONE && self && handle_alive(&world, self);

	(void)arg;
	if (actor_state(ACTOR) == ACTOR_DEAD)
		MUST(!self || !handle_alive(&world, self));
	service_names = 0;
	for (unsigned i = 1; i < ACTORS; i++) {
		int rc = names_lookup(&world, own_name[i], strlen(own_name[i]), &binding, NULL);

		MUST(rc == 0 || rc == HEIR_ENOENT);
		if (rc == 0 && handle_alive(&world, binding))
			service_names++;
	}
	finish_service();
	for (unsigned i = 1; alive && i < ACTORS; i++)
		MUST(i == ACTOR || world_handle(i)->slot != handle_slot(self) || world_handle(i)->self != self);
	for (unsigned i = 1; i < ACTORS; i++)
		if (names_lookup(&world, own_name[i], strlen(own_name[i]), &binding, NULL) == 0)
			MUST(handle_alive(&world, binding));
}

/* What is swept */
static void join(unsigned self, long arg)
{
	(void)arg;
	(void)world_client(self);
}

static void leave(unsigned self, long arg)
{
	(void)arg;
	slot_leave(&world, world_handle(self)->self);
	ledger->message[0].finished = true; /* it has no slot in which to wait */
	ledger->message[0].rc = HEIR_EUNKNOWN;
}

static void register_own(unsigned self, long arg)
{
	(void)arg;
	MUST_BE(heir_register(world_handle(self), own_name[self], HEIR_SELF), 0);
}

static void change_own(unsigned self, long arg)
{
	heir_t *h = world_handle(self);

	register_own(self, arg);
	MUST_BE(heir_re_register(h, own_name[self], HEIR_SELF), 0);
	MUST_BE(heir_unregister(h, own_name[self]), 0);
}

static void bury_it(unsigned self, long arg)
{
	(void)arg;
	(void)bury(&world, world_handle(self)->slot, ledger->self[CORPSE]);
}

static void fence_owner(unsigned self, long arg)
{
	(void)self;
	(void)arg;
	MUST_BE(handle_fence(&world, ledger->self[OWNER], sim.now + 1000000000), 0);
}

/* Meanwhile */
static void all_slots_turn(long arg)
{
	uint64_t handle[WORLD_SLOTS];
	unsigned n = 0;

	(void)arg;
	while (slot_join(&world, (struct slot_place){KIND_CLIENT, -1, -1, -1}, &handle[n]) == 0)
		n++;
	MUST(n < WORLD_SLOTS);
	while (n-- > 0)
		slot_leave(&world, handle[n]);
}

static void another_buries(long arg)
{
	actor_start(2, bury_only, arg);
	(void)actor_finish(2);
}

/* Every free slot gets one; who gets the dead one's has a name, mail and a place. */
static void successors(long arg)
{
	another_buries(arg);
	if (ledger->self[CORPSE] && slot_handle(&world, handle_slot(ledger->self[CORPSE])))
		return; /* it waits for something */
	actor_kill(3);
	(void)bury_all(&world, TEST_SLOT);
	for (unsigned i = 3; i <= CORPSE; i += CORPSE - 3) {
		sim_spawn(i);
		(void)world_join(i, (struct slot_place){KIND_CLIENT, -1, -1, -1});
		engine_as(i);
		MUST_BE(heir_register(world_handle(i), own_name[i], HEIR_SELF), 0);
		MUST_BE(tell_call(i, i == 3 ? "app" : "box", i == 3 ? 2 : 6), 0);
		engine_as(0);
	}
}

/* The one in the dead one's slot stands in the middle of what it does. */
static void use_slot(unsigned self, long arg)
{
	(void)arg;
	MUST_BE(heir_register(world_handle(self), own_name[self], HEIR_SELF), 0);
	MUST_BE(tell_call(self, "app", 2), 0);
	MUST_BE(tell_send(self, "app", 3), 0);
}

static void successor_stands(long arg)
{
	uint32_t slot = handle_slot(ledger->self[CORPSE]);

	another_buries(arg);
	if (slot_handle(&world, slot))
		return;
	sim_spawn(CORPSE);
	atom_store_seq(&world.head->join_hint, slot - 1);
	(void)world_client(CORPSE);
	MUST_BE(handle_slot(ledger->self[CORPSE]), slot);
	actor_start(CORPSE, use_slot, 0);
	(void)actor_run(CORPSE, 1 + (uint64_t)engine_at.point % 90);
}

static void the_owner_serves(long arg)
{
	(void)arg;
	engine_as(OWNER);
	while (serve_one(OWNER) == 1)
		;
	engine_as(0);
}

/* A joiner is no rival to it. */
static void an_exclusive_one_starts(long arg)
{
	(void)arg;
	engine_as(OWNER);
	MUST_BE(app_confirm(&world, 0, world_handle(OWNER)->self, true, sim.now + 1000000000), 0);
	engine_as(0);
	MUST(actor_state(ACTOR) != ACTOR_DEAD);
}

/* It has left, and is another. */
static void come_and_go_once(unsigned self, long arg)
{
	heir_t *h = world_handle(self);

	(void)arg;
	slot_leave(&world, h->self);
	if (!world_client(self))
		return;
	for (unsigned i = 1; i < ACTORS; i++) /* Invariant 3 */
		MUST(i == self || world_handle(i)->self != h->self);
	MUST_BE(heir_register(h, own_name[self], HEIR_SELF), 0);
}

/* clang-format off */
#define ALWAYS                                                                                                 \
	{"all slots are used and left", all_slots_turn}, {"another buries", another_buries},                   \
	{"the slots have successors", successors}, {"the owner serves", the_owner_serves}

#define RIVALRY {{"while another joins", 3, come_and_go_once}, {"while another buries", 3, bury_only}}

static const struct story stories[] = {
	{"join", 0, slot_prepare, enter_nothing, NULL, join, bury_only, check_slots, {ALWAYS}, RIVALRY},
	{"join where a worker was", 0, prepare_left, enter_nothing, NULL, join, bury_only, check_slots,
	 {{"an exclusive one starts", an_exclusive_one_starts}}, {{0}}, .simulated = true},
	{"leave", 0, slot_prepare, enter_full, mail_for_it, leave, bury_only, check_slots, {ALWAYS}, RIVALRY},
	{"register a name of one's own", 0, slot_prepare, enter_client, NULL, register_own, bury_only, check_slots,
	 {ALWAYS}, RIVALRY},
	{"change names of one's own", 0, slot_prepare, enter_client, NULL, change_own, bury_only, check_slots,
	 {ALWAYS}, RIVALRY},
	{"bury", 0, prepare_corpse, enter_client, NULL, bury_it, bury_only, check_slots,
	 {ALWAYS, {"the successor stands", successor_stands}}, RIVALRY, .simulated = true},
	{"fence", 0, slot_prepare, enter_client, NULL, fence_owner, bury_only, check_slots, {ALWAYS}, RIVALRY,
	 .simulated = true},
};
/* clang-format on */

void slot_group(const struct sweep_options *o)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		struct swept total = {0};

		sweep(&stories[i], o, &total);
		sweep_print(stories[i].name, &total);
	}
}

/* A crowd that comes and goes, and is killed; one buries. */
static bool buried;

static void come_and_go(unsigned self, long arg)
{
	heir_t *h = world_handle(self);

	(void)arg;
	for (unsigned n = 0; n < 3; n++) {
		if (!world_client(self))
			continue;
		for (unsigned i = 1; i < ACTORS; i++) /* Invariant 3 */
			MUST(i == self || world_handle(i)->self != h->self);
		MUST(handle_alive(&world, h->self));
		if (random_below(2))
			MUST_BE(heir_register(h, own_name[self], HEIR_SELF), 0);
		if (random_below(2))
			(void)op_call(h, world_handle(OWNER)->self, 4, &(struct heir_ticket){0, 0});
		MUST(handle_alive(&world, h->self));
		slot_leave(&world, h->self);
	}
}

static void bury_on(unsigned self, long arg)
{
	do {
		buried = true;
		bury_only(self, arg);
	} while (!buried);
}

static void crowd_died(unsigned actor)
{
	(void)actor;
	buried = false;
	if (actor_state(REAPER) == ACTOR_DONE)
		actor_start(REAPER, bury_on, 0);
	if (actor != REAPER && random_below(2)) {
		sim_spawn(actor);
		actor_start(actor, come_and_go, 0);
	}
}

void slot_seed(void)
{
	const struct plan plan = {.kills = (unsigned)random_below(6), .died = crowd_died};

	world_lay();
	service_names = 0;
	(void)world_worker(OWNER, NODE_A, ROLE_LEAD);
	engine_as(OWNER);
	make_owner(OWNER);
	engine_as(0);
	(void)world_client(REAPER);
	for (unsigned i = 1; i <= 3; i++)
		actor_start(i, come_and_go, 0);
	actor_start(REAPER, bury_on, 0);
	schedule(&plan);
	check_slots(0);
	for (unsigned i = 1; i <= 3; i++)
		MUST(actor_state(i) == ACTOR_DONE || !handle_alive(&world, world_handle(i)->self));
}
