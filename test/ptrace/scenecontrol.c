/* SPDX-License-Identifier: ISC */
/* Scenes of the control word and of who drives a move; and of slots: joined, left, buried. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lib/txn.h"
#include "name/names.h"
#include "proc/bury.h"
#include "proc/move.h"
#include "scene.h"
#include "trace/tracering.h"

enum { HELP_DIE_AT_REST = 1, HELP_DIE_IN_HANDLER, HELP_OPEN, HELP_DIE_MESSY, HELP_CALL_DIRECT, HELP_STOP_OPEN };

static struct shm joiner;

static int count_and_die(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)count_one(h, m, arg);
	(void)heir_send(h, "box", "never", 5);
	(void)heir_reply(h, "X", 1);
	return kill(getpid(), SIGKILL);
}

/* Its second transaction; the first one is committed. */
static void die_in_handler(void)
{
	as_owner();
	MUST(heir_begin(actor) == 0 && count_one(actor, NULL, NULL) == 0 && heir_commit(actor) == 0);
	(void)txn_message(actor, 0, count_and_die, NULL);
}

static void stop_open(void)
{
	as_owner();
	MUST(heir_begin(actor) == 0 && count_one(actor, NULL, NULL) == 0 && heir_commit(actor) == 0);
	MUST(heir_begin(actor) == 0 && count_one(actor, NULL, NULL) == 0);
}

/* With names, a call of its own under way, and a message in hand. */
static void die_messy(void)
{
	struct heir_ticket t;
	struct request r;

	as_worker();
	raise(SIGSTOP); /* until it is called */
	MUST(heir_register(actor, "one", HEIR_SELF) == 0 && heir_register(actor, "two", HEIR_SELF) == 0);
	MUST(lib_receive(actor, &r) == 1);
	MUST(heir_call_start(actor, "app", "own call", 8, &t) == 0);
	MUST(heir_call_start(actor, "box", "own call", 8, &t) == 0);
}

static void help(int what)
{
	switch (what) {
	case HELP_DIE_AT_REST:
		let_die(as_owner);
		break;
	case HELP_DIE_IN_HANDLER:
		MUST(heir_call_start(stage.client, "app", "called", 6, &backstage->ticket) == 0);
		let_die(die_in_handler);
		break;
	case HELP_OPEN:
		MUST(heir_begin(stage.server) == 0);
		break;
	case HELP_DIE_MESSY:
		let_die(die_messy);
		break;
	case HELP_STOP_OPEN:
		let_stop(stop_open);
		break;
	case HELP_CALL_DIRECT:
		MUST(heir_call_start(stage.client, "app@b", "called", 6, &backstage->ticket) == 0);
		break;
	}
}

static struct control word(const struct shm *shm)
{
	return owner_control(shm);
}

#define APPLY(shm, ...)                                                                                        \
	__extension__({                                                                                        \
		uint64_t old_ = 0, now_ = 0;                                                                   \
                                                                                                               \
		control_apply(&(shm)->apps[0].control, &old_, &now_, __VA_ARGS__);                             \
	})

static void serve_as(uint32_t type)
{
	uint32_t generation;

	if (app_serve(&actor->shm, 0, actor->self, type, 1, &generation) == 0)
		app_changed(&actor->shm, 0);
}

static void act_switch(void)
{
	struct acquired got;

	if (move_begin(&actor->shm, 0, actor->self, HEIR_TAKEOVER, 1, 2, NULL))
		return;
	if (app_acquire(&actor->shm, 0, actor->self, ACQUIRE_SWITCH, &actor->state, &got) == 0)
		serve_as(HEIR_TAKEOVER);
	move_end(&actor->shm, 0, actor->self);
}

/* 0: still the one before; 1: to another, who moves; 2: who serves */
static int glance_switched(const struct shm *shm)
{
	struct control c = word(shm);

	if (c.owner == stage.server->slot) {
		SURE(c.phase == PHASE_SERVING);
		return 0;
	}
	SURE(c.phase == PHASE_MOVING || c.phase == PHASE_SERVING);
	return c.phase == PHASE_SERVING ? 2 : 1;
}

static void ready_claim(void)
{
	stepper_ask(HELP_DIE_AT_REST);
	as_worker();
}

static void ready_recover(void)
{
	stepper_ask(HELP_DIE_IN_HANDLER);
	as_worker();
}

static void act_claim(void)
{
	struct acquired got;

	if (app_acquire(&actor->shm, 0, actor->self, ACQUIRE_CLAIM, &actor->state, &got) == 0)
		serve_as(HEIR_FAILOVER);
}

/* 0: still the dead one's; then in order */
static int glance_claimed(const struct shm *shm)
{
	struct control c = word(shm);

	if (slot_handle(shm, c.owner) == backstage->handle)
		return 0;
	return c.phase == PHASE_RECOVERING ? 1 : c.phase == PHASE_MOVING ? 2 : c.phase == PHASE_SERVING ? 3 : 4;
}

static int found_recovered(struct verifier *v)
{
	SURE(counters(v->h)[0] == 1 && counters(v->h)[1] == 1);
	SURE(heir_call_ready(v->h, v->call) == 0);
	return -1;
}

static void ready_force(void)
{
	stepper_ask(HELP_STOP_OPEN);
	as_other();
}

/* The writer that was stopped is dead too by then, whether the actor has killed it or not. */
static void kill_writer(struct shm *shm)
{
	for (unsigned i = 0; i < SHM_LIVES; i++)
		atom_store_relaxed(slot_life(shm, handle_slot(backstage->handle), i),
				   FUTEX_WAITERS | FUTEX_OWNER_DIED);
}

static int found_forced(struct verifier *v)
{
	SURE(counters(v->h)[0] == 1 && counters(v->h)[1] == 1);
	return -1;
}

static int judge_recovered(struct verifier *v)
{
	char reply[STAGE_MESSAGE];

	SURE(collect_call(v, reply) == 0 && reply[0] == 'V');
	SURE(v->served == 1 && v->boxed == 0);
	return -1;
}

static void act_release(void)
{
	(void)app_release(&actor->shm, 0, actor->self);
}

static void act_hold(void)
{
	if (APPLY(&actor->shm, control_hold, stage.server->slot) == 0)
		app_changed(&actor->shm, 0);
}

static int glance_held(const struct shm *shm)
{
	struct control c = word(shm);

	SURE(c.owner == stage.server->slot && (c.phase == PHASE_SERVING || c.phase == PHASE_HELD));
	return c.phase == PHASE_HELD;
}

static void ready_switch_back(void)
{
	struct acquired got;

	as_worker();
	MUST(owner_acquire(actor, ACQUIRE_SWITCH, &got) == 0);
}

static void act_switch_back(void)
{
	if (app_give_back(&actor->shm, 0, actor->self, stage.server->self) == 0)
		app_changed(&actor->shm, 0);
}

static int glance_switched_back(const struct shm *shm)
{
	struct control c = word(shm);

	SURE(c.owner == stage.server->slot ? c.phase == PHASE_SERVING : c.phase == PHASE_MOVING);
	return c.owner == stage.server->slot;
}

static void act_name_heir(void)
{
	if (APPLY(&actor->shm, control_name_heir, actor->slot) == 0)
		control_wake_generation(&actor->shm.apps[0].control);
}

static int glance_heir(const struct shm *shm)
{
	return word(shm).heir != 0;
}

static int found_no_heir(struct verifier *v)
{
	SURE(word(&v->h->shm).heir == 0);
	return -1;
}

static void ready_want(void)
{
	as_worker();
	stepper_ask(HELP_OPEN);
}

static void act_want(void)
{
	if (APPLY(&actor->shm, control_want, actor->slot) == 0 &&
	    APPLY(&actor->shm, control_unwant, actor->slot) == 0)
		control_wake_commit(&actor->shm.apps[0].control);
}

/* The owner lives, and its transaction stays open until it ends it. */
static int found_open(struct verifier *v)
{
	struct control c = word(&v->h->shm);

	SURE(c.owner == stage.server->slot && c.open && c.phase == PHASE_SERVING);
	SURE(APPLY(&v->h->shm, control_abort, stage.server->slot) == 0);
	(void)APPLY(&v->h->shm, control_unwant, v->h->slot);
	return -1;
}

#define STEP_DEADLINE (INT64_C(5) << 30)

static void act_move(void)
{
	if (move_begin(&actor->shm, 0, actor->self, HEIR_TAKEOVER, 1, 2, NULL))
		return;
	(void)move_step(&actor->shm, 0, actor->self, 3, STEP_DEADLINE);
	move_end(&actor->shm, 0, actor->self);
}

/* 0: nobody drives; 1: it has begun; 2: it is in that step, and has its deadline; 3: it has ended */
static int glance_move(const struct shm *shm)
{
	uint64_t w = atom_load_relaxed(&shm->apps[0].move);
	struct move_word m = move_unpack(w);

	if (w == 0)
		return 0;
	SURE(m.type == HEIR_TAKEOVER && m.from == 1 && m.to == 2);
	SURE((m.step == 3) == (m.until == STEP_DEADLINE));
	SURE(m.slot != 0 || m.step == 3);
	return m.slot == 0 ? 3 : m.step == 3 ? 2 : 1;
}

static int found_no_driver(struct verifier *v)
{
	SURE(move_unpack(atom_load_relaxed(&v->h->shm.apps[0].move)).slot == 0);
	return -1;
}

const struct scene control_scenes[] = {
	{"switch, serve", {as_worker, act_switch}, .glance = glance_switched, .last = 2},
	{"claim, serve", {ready_claim, act_claim, help}, .glance = glance_claimed, .last = 3},
	{"claim, recover, serve", {ready_recover, act_claim, help},
	 .glance = glance_claimed, .found = found_recovered, .judge = judge_recovered, .last = 3},
	{"want, fence, recover, serve", {ready_force, act_switch, help},
	 .glance = glance_claimed, .found = found_forced, .last = 3, .besides = kill_writer},
	{"claim, release", {ready_claim, act_release, help}, .glance = glance_claimed, .last = 4},
	{"hold", {as_client, act_hold}, .glance = glance_held, .last = 1},
	{"switch back", {ready_switch_back, act_switch_back}, .glance = glance_switched_back, .last = 1},
	{"name the heir", {as_worker, act_name_heir},
	 .glance = glance_heir, .found = found_no_heir, .last = 1},
	{"want, unwant", {ready_want, act_want, help}, .found = found_open, .last = -1},
	{"begin, step, end a move", {as_worker, act_move},
	 .glance = glance_move, .found = found_no_driver, .last = 3},
	{0},
};

static void ready_join(void)
{
	MUST(shm_attach(&joiner, stage.d.name, 1) == 0);
	stepper_mapped(&joiner);
}

static void act_join(void)
{
	uint64_t handle;

	(void)slot_join(&joiner, (struct slot_place){KIND_CLIENT, -1, -1, -1}, &handle);
}

static void ready_leave(void)
{
	struct heir_ticket t;

	as_worker();
	MUST(heir_register(actor, "one", HEIR_SELF) == 0);
	MUST(heir_call_start(actor, "box", "own call", 8, &t) == 0);
	stepper_ask(HELP_CALL_DIRECT);
}

static void act_leave(void)
{
	slot_leave(&actor->shm, actor->self);
}

static int found_no_names(struct verifier *v)
{
	SURE(names_lookup(&v->h->shm, "one", 3, NULL, NULL) == HEIR_ENOENT);
	SURE(names_lookup(&v->h->shm, "two", 3, NULL, NULL) == HEIR_ENOENT);
	return -1;
}

/* What it was called is refused; what it called is read by nobody, as it waits no more. */
static int judge_left(struct verifier *v)
{
	char reply[STAGE_MESSAGE];

	SURE(collect_call(v, reply) == HEIR_EDEAD);
	SURE(v->served == 0 && v->boxed == 0);
	return -1;
}

static void ready_bury(void)
{
	stepper_ask(HELP_DIE_MESSY);
	as_client();
}

static void act_bury(void)
{
	(void)bury_all(&actor->shm, actor->slot);
}

static int judge_buried(struct verifier *v)
{
	char reply[STAGE_MESSAGE];

	SURE(collect_call(v, reply) == HEIR_EUNKNOWN);
	SURE(v->served == 0 && v->boxed == 0);
	return -1;
}

static void act_trace(void)
{
	const struct trace_record r = {
		.event = TRACE_JOIN, .generation = 7, .app = 1, .a = 2, .b = 3, .at_ns = 4, .value = 5};

	trace_write(&actor->shm, actor->slot, &r);
}

static int glance_traced(const struct shm *shm)
{
	struct trace_record r;
	int n = 0;

	for (uint32_t slot = 1; slot < shm->limits.slots; slot++) {
		uint64_t first, end;

		trace_range(shm, slot, &first, &end);
		for (; first != end; first++) {
			if (!trace_read(shm, slot, first, &r))
				continue;
			SURE(r.event == TRACE_JOIN && r.generation == 7 && r.app == 1 && r.a == 2 && r.b == 3 &&
			     r.at_ns == 4 && r.value == 5);
			n++;
		}
	}
	return n;
}

const struct scene slot_scenes[] = {
	{"join", {ready_join, act_join}, .last = -1, .really = 1},
	{"leave", {ready_leave, act_leave, help},
	 .found = found_no_names, .judge = judge_left, .last = -1, .really = 5},
	{"bury", {ready_bury, act_bury, help}, .found = found_no_names, .judge = judge_buried, .last = -1},
	{"trace", {as_client, act_trace}, .glance = glance_traced, .last = 1},
	{0},
};
