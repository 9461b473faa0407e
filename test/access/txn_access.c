/* SPDX-License-Identifier: ISC */
/*
 * The state, the control word and who takes over. A transaction happened entirely or not at all; what a commit has
 * promised stays; the owner who was stopped and is not the owner any more changes nothing; whoever claims goes on.
 */
#include <string.h>

#include "access/accessops.h"
#include "access/groups.h"
#include "access/service.h"
#include "name/names.h"
#include "proc/bury.h"

#define NOTE_ASKED     0 /* what the two words of the state may be, */
#define NOTE_SURE      1 /* and what they are at least */
#define NOTE_BYSTANDER 2 /* is to live */
#define NOTE_NAMED     3
#define VALUE	       7u
#define CLIENT	       6u

static void txn_prepare(long arg)
{
	(void)arg;
	service_names = 0;
	(void)world_spare(2);
	(void)world_spare(3);
	(void)world_spare(4);
	(void)world_client(CLIENT);
}

/* Another is the owner: the actor takes over, or does something to him. */
static void prepare_owner(long arg)
{
	txn_prepare(arg);
	(void)world_worker(OWNER, NODE_A, ROLE_LEAD);
	engine_as(OWNER);
	make_owner(OWNER);
	engine_as(CLIENT);
	MUST_BE(tell_call(CLIENT, "app", 0), 0);
	MUST_BE(tell_call(CLIENT, "app", 1), 0);
	engine_as(OWNER);
	MUST_BE(serve_one(OWNER), 1);
	engine_as(0);
}

static void open_transaction(long arg)
{
	(void)arg;
	engine_as(OWNER);
	MUST_BE(heir_begin(world_handle(OWNER)), 0);
	MUST_BE(heir_mark(world_handle(OWNER), state_pair(), 16), 0);
	state_pair()[0] = state_pair()[1] = 99;
	engine_as(0);
}

static void prepare_open(long arg)
{
	prepare_owner(arg);
	open_transaction(arg);
}

/* A fatal signal has hit another of its threads. */
static void prepare_dying(long arg)
{
	prepare_open(arg);
	atom_store_seq(&world.slots[world_handle(OWNER)->slot].dying, 1);
}

static void prepare_dead(long arg)
{
	prepare_owner(arg);
	actor_kill(OWNER);
}

static void prepare_dead_open(long arg)
{
	prepare_open(arg);
	actor_kill(OWNER);
}

/* Its last commit has not been redone: it died at once behind the CAS. */
static void serve_and_die(unsigned self, long arg)
{
	(void)arg;
	(void)serve_one(self);
}

static bool committed_not_redone(void)
{
	struct control c = world_control();
	struct mail_record r;

	record_load(&r, &world.apps[0].record[c.parity]);
	return !c.open && r.sent == 1 &&
	       cell_unpack(atom_load_seq(&shm_cell(&world, r.outbox[0].ref.cell)->word)).state == CELL_OWNED;
}

static void prepare_dead_committed(long arg)
{
	prepare_owner(arg);
	actor_start(OWNER, serve_and_die, 0);
	while (!committed_not_redone())
		MUST_BE(actor_run(OWNER, 1), ACTOR_READY);
	actor_kill(OWNER);
}

static void enter_owner(unsigned self, long arg)
{
	(void)arg;
	(void)world_worker(self, NODE_A, ROLE_LEAD);
	make_owner(self);
}

static void enter_target(unsigned self, long arg)
{
	(void)arg;
	(void)world_worker(self, NODE_B, ROLE_LEAD);
}

static void two_calls(long arg)
{
	(void)arg;
	engine_as(CLIENT);
	MUST_BE(tell_call(CLIENT, "app", 0), 0);
	MUST_BE(tell_send(CLIENT, "app", 1), 0);
	engine_as(0);
}

static void check_txn(long arg)
{
	uint64_t *pair = state_pair();

	(void)arg;
	if (ledger->note[NOTE_BYSTANDER])
		MUST(handle_alive(&world, ledger->self[OWNER]));
	for (unsigned i = 0; i < WORLD_SLOTS && ledger->joined[i]; i++) {
		MUST(world_control().phase == PHASE_DOWN ||
		     world_control().owner != handle_slot(ledger->joined[i]));
		slot_leave(&world, ledger->joined[i]);
	}
	/* A name of the role stays, whoever dies; and died in a register or unregister, either way. */
	service_names = names_lookup(&world, "extra", 5, NULL, NULL) == 0;
	MUST(service_names || !ledger->note[NOTE_NAMED]);
	finish_service();
	MUST_BE(pair[0], pair[1]);
	MUST(pair[0] == ledger->note[NOTE_ASKED] || pair[0] == ledger->note[NOTE_SURE]);
}

/* What is delivered is set aside at once: as if it had killed its handlers. */
static void two_poisoned_calls(long arg)
{
	world.apps[0].policy[0].max_deliveries = 0;
	two_calls(arg);
}

/* What is swept: owners */
static void serve_calls(unsigned self, long arg)
{
	int rc;

	(void)arg;
	do
		rc = serve_one(self);
	while (rc == 1);
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EWANTED);
}

static int change_pair(heir_t *h)
{
	uint64_t *pair = state_pair();
	int rc = heir_begin(h);

	if (rc)
		return rc;
	MUST(world_control().owner == h->slot && world_control().open); /* Invariant 1 */
	for (unsigned i = 0; i < 2; i++) {
		MUST_BE(heir_mark(h, &pair[i], 8), 0);
		op_store(&pair[i], VALUE);
	}
	return 0;
}

static void commit_pair(unsigned self, long arg)
{
	heir_t *h = world_handle(self);
	int rc;

	(void)arg;
	rc = change_pair(h);
	if (rc == 0) {
		ledger->note[NOTE_ASKED] = VALUE;
		rc = heir_commit(h);
		if (rc == 0)
			ledger->note[NOTE_SURE] = VALUE;
	}
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EWANTED);
}

/* Twice: the second one finds the log of the first, with another parity. */
static void commit_twice(unsigned self, long arg)
{
	heir_t *h = world_handle(self);
	uint64_t *pair = state_pair();

	commit_pair(self, arg);
	if (ledger->note[NOTE_SURE] != VALUE || heir_begin(h) != 0)
		return;
	MUST_BE(heir_mark(h, pair, 16), 0);
	for (unsigned i = 0; i < 2; i++)
		op_store(&pair[i], VALUE + 1);
	ledger->note[NOTE_ASKED] = VALUE + 1;
	if (heir_commit(h) == 0)
		ledger->note[NOTE_SURE] = VALUE + 1;
}

static void abort_pair(unsigned self, long arg)
{
	heir_t *h = world_handle(self);
	int rc;

	(void)arg;
	rc = change_pair(h);
	if (rc == 0) {
		uint64_t id = 8;

		MUST_BE(heir_send(h, "box", &id, 8), 0);
		rc = heir_abort(h);
	}
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EWANTED);
}

/* To a process, which may be dead and buried when it is committed. */
static void send_within(unsigned self, long arg)
{
	heir_t *h = world_handle(self);
	struct message *m = &ledger->message[4];
	uint64_t id = 4;
	int rc = change_pair(h);

	(void)arg;
	if (rc == 0) {
		*m = (struct message){.to = "app@b", .sent = TOLD_ASKED, .may_be_lost = true};
		rc = heir_send(h, "app@b", &id, sizeof(id));
		MUST(rc == 0 || rc == HEIR_ENOENT);
		ledger->note[NOTE_ASKED] = VALUE;
		rc = heir_commit(h);
		if (rc == 0)
			ledger->note[NOTE_SURE] = VALUE;
	}
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EWANTED);
}

static void peer_joins(long arg)
{
	two_calls(arg);
	(void)world_worker(OWNER, NODE_B, ROLE_LEAD);
}

static void peer_dies(long arg)
{
	(void)arg;
	actor_kill(OWNER);
	(void)bury_all(&world, TEST_SLOT);
}

/* More than the log takes, then what it did take is taken back. */
static void mark_too_much(unsigned self, long arg)
{
	heir_t *h = world_handle(self);
	int rc;

	(void)arg;
	rc = change_pair(h);
	if (rc == 0) {
		MUST_BE(heir_mark(h, h->state.data, WORLD_STATE), 0);
		MUST_BE(heir_mark(h, h->state.data, WORLD_STATE), HEIR_ETOOBIG);
		rc = heir_abort(h);
	}
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EWANTED);
}

/* A name of the role: in a transaction of its own. */
static void name_the_role(unsigned self, long arg)
{
	heir_t *h = world_handle(self);
	int rc;

	(void)arg;
	rc = heir_register(h, "extra", HEIR_ROLE);
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EWANTED);
	ledger->note[NOTE_NAMED] = rc == 0;
	rc = heir_register(h, "extra", HEIR_ROLE);
	MUST(rc == HEIR_EEXIST || rc == HEIR_ESTALE || rc == HEIR_EWANTED || rc == 0);
	ledger->note[NOTE_NAMED] = 0;
	rc = heir_unregister(h, "extra");
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EWANTED || rc == HEIR_ENOENT);
}

/* Takers */
static void go_on_serving(unsigned self)
{
	if (op_serve(world_handle(self)) == 0)
		serve_calls(self, 0);
}

static void take_over(unsigned self, long arg)
{
	int rc;

	(void)arg;
	while ((rc = acquire(self, ACQUIRE_SWITCH)) == HEIR_EAGAIN)
		;
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EALREADY || rc == HEIR_EOPEN || rc == HEIR_EBUSY);
	if (rc == 0)
		go_on_serving(self);
}

static void claim(unsigned self, long arg)
{
	int rc = acquire(self, ACQUIRE_CLAIM);

	(void)arg;
	MUST(rc == 0 || rc == HEIR_EAGAIN || rc == HEIR_ESTALE || rc == HEIR_EALREADY);
	if (rc == 0)
		go_on_serving(self);
}

static void take_over_and_back(unsigned self, long arg)
{
	int rc;

	(void)arg;
	while ((rc = acquire(self, ACQUIRE_SWITCH)) == HEIR_EAGAIN)
		;
	if (rc == 0)
		rc = op_switch_back(world_handle(self));
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EALREADY || rc == HEIR_EOPEN || rc == HEIR_EDEAD ||
	     rc == HEIR_EBUSY);
}

static void hold_it(unsigned self, long arg)
{
	int rc = op_hold(world_handle(self));

	(void)arg;
	MUST(rc == 0 || rc == HEIR_ESTALE);
}

static void want_and_not(unsigned self, long arg)
{
	(void)arg;
	(void)op_want(world_handle(self));
	(void)op_unwant(world_handle(self));
}

static void name_heir(unsigned self, long arg)
{
	int rc = op_name_heir(world_handle(self));

	(void)arg;
	MUST(rc == 0 || rc == HEIR_ESTALE || rc == HEIR_EALREADY);
}

static void release(unsigned self, long arg)
{
	int rc = app_release(&world, 0, world_handle(self)->self);

	(void)arg;
	MUST(rc == 0 || rc == HEIR_EAGAIN || rc == HEIR_ESTALE);
}

static void drive_move(unsigned self, long arg)
{
	uint64_t me = world_handle(self)->self;
	struct move_word winner;
	int rc = move_begin(&world, 0, me, HEIR_TAKEOVER, 1, 2, &winner);

	(void)arg;
	MUST(rc == 0 || rc == HEIR_EBUSY);
	for (uint32_t step = 0; rc == 0 && step < 3; step++)
		if (!move_step(&world, 0, me, step, sim.now + 1000000000))
			rc = HEIR_EBUSY; /* it stood for too long */
	if (rc == 0)
		take_over(self, 0);
	move_end(&world, 0, me);
}

static void count_failover(unsigned self, long arg)
{
	(void)self;
	(void)arg;
	MUST_BE(failover_count(&world, 0, sim.now), 0);
	MUST(!failover_exhausted(&world, 0, sim.now));
}

/* Meanwhile */
static void by_actors(actor_body *first, actor_body *second)
{
	actor_start(2, first, 0);
	(void)actor_finish(2);
	if (second) {
		actor_start(3, second, 0);
		(void)actor_finish(3);
	}
}

static void one_takes_over(long arg)
{
	(void)arg;
	by_actors(take_over, NULL);
}

static void two_take_over(long arg)
{
	(void)arg;
	by_actors(take_over, take_over);
}

static void over_and_back(long arg)
{
	(void)arg;
	by_actors(take_over_and_back, NULL);
}

static void one_claims_one_serves(long arg)
{
	(void)arg;
	by_actors(recover_service, take_over);
}

static void a_change_in_between(long arg)
{
	(void)arg;
	by_actors(want_and_not, hold_it);
	if (world_control().phase == PHASE_HELD)
		by_actors(take_over, NULL);
}

/* The taker dies in the middle of it. */
static void a_taker_dies(long arg)
{
	(void)arg;
	actor_start(2, take_over, 0);
	for (unsigned i = 0; i < 60 && actor_run(2, 1) == ACTOR_READY && world_control().phase != PHASE_MOVING;
	     i++)
		;
	actor_kill(2);
	actor_start(3, recover_service, 0);
	(void)actor_finish(3);
}

/* The owner dies, another goes on and buries him, and a bystander gets the slot, if it is free. */
static void owner_has_bystander(long arg)
{
	uint32_t slot = handle_slot(ledger->self[OWNER]);

	(void)arg;
	actor_kill(OWNER);
	by_actors(recover_service, NULL);
	sim.now += 200000000; /* whoever waits for the owner has waited for long enough */
	if (slot_handle(&world, slot))
		return;
	sim_spawn(OWNER);
	atom_store_seq(&world.head->join_hint, slot - 1);
	(void)world_client(OWNER);
	MUST_BE(handle_slot(ledger->self[OWNER]), slot);
	ledger->note[NOTE_BYSTANDER] = 1;
}

/* It is switched back to: its slot is its own as long as that may happen. */
static void owner_dies_and_all_join(long arg)
{
	uint64_t handle[WORLD_SLOTS];

	(void)arg;
	actor_kill(OWNER);
	(void)bury_all(&world, TEST_SLOT);
	for (unsigned i = 0; slot_join(&world, (struct slot_place){KIND_CLIENT, -1, -1, -1}, &handle[i]) == 0;
	     i++)
		ledger->joined[i] = handle[i];
}

/* clang-format off */
#define ALWAYS                                                                                                 \
	{"another takes over", one_takes_over}, {"two take over", two_take_over},                              \
	{"another takes over, and switches back", over_and_back},                                              \
	{"recovered, then taken over", one_claims_one_serves},                                                 \
	{"wanted, held, taken over", a_change_in_between}, {"a taker dies", a_taker_dies}
#define RIVALRY {{"while another takes over", 2, take_over}, {"while another claims", 2, recover_service}}
#define OWNERS(name, body) \
	{name, 0, txn_prepare, enter_owner, two_calls, body, recover_service, check_txn, {ALWAYS}, RIVALRY}
#define TAKERS(name, prepare, body) \
	{name, 0, prepare, enter_target, NULL, body, recover_service, check_txn, {ALWAYS}, RIVALRY, .simulated = true}

static const struct story stories[] = {
	OWNERS("serve: begin, take, mark, reply, commit", serve_calls),
	OWNERS("begin, mark, commit", commit_pair),
	OWNERS("commit twice", commit_twice),
	OWNERS("begin, mark, send, abort", abort_pair),
	OWNERS("mark more than fits, abort", mark_too_much),
	{"send to a process within", 0, txn_prepare, enter_owner, peer_joins, send_within, recover_service, check_txn,
	 {ALWAYS, {"it is dead and buried", peer_dies}}},
	OWNERS("register and unregister a role's name", name_the_role),
	{"set aside", 0, txn_prepare, enter_owner, two_poisoned_calls, serve_calls, recover_service, check_txn,
	 {ALWAYS}},
	{"switch at rest", 0, prepare_owner, enter_target, NULL, take_over, recover_service, check_txn,
	 {ALWAYS}, RIVALRY},
	{"switch from an open transaction", 0, prepare_open, enter_target, NULL, take_over, recover_service, check_txn,
	 {ALWAYS, {"the owner's slot has another", owner_has_bystander}}, .simulated = true},
	TAKERS("switch from one who is dying", prepare_dying, take_over),
	TAKERS("claim from the dead at rest", prepare_dead, claim),
	TAKERS("claim from the dead, open", prepare_dead_open, claim),
	TAKERS("claim from the dead, committed", prepare_dead_committed, claim),
	{"switch, switch back", 0, prepare_owner, enter_target, NULL, take_over_and_back, recover_service, check_txn,
	 {ALWAYS, {"the owner's slot has another", owner_has_bystander},
	  {"the owner dies, all join", owner_dies_and_all_join}}},
	TAKERS("hold", prepare_owner, hold_it),
	TAKERS("want, unwant", prepare_open, want_and_not),
	TAKERS("name the heir", prepare_owner, name_heir),
	TAKERS("release", prepare_dead_open, release),
	TAKERS("drive a move", prepare_owner, drive_move),
	TAKERS("count a failover", prepare_dead, count_failover),
};
/* clang-format on */

void txn_group(const struct sweep_options *o)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		struct swept total = {0};

		sweep(&stories[i], o, &total);
		sweep_print(stories[i].name, &total);
	}
}

/* A story, and two more who do something at the same time; anybody may die. */
void txn_seed(void)
{
	static actor_body *const others[] = {take_over,	      claim,	    take_over_and_back,
					     recover_service, want_and_not, hold_it,
					     release,	      name_heir,    drive_move};
	const struct story *s = &stories[random_below(sizeof(stories) / sizeof(stories[0]))];
	const struct plan plan = {.kills = (unsigned)random_below(3)};

	engine_at.story = s->name;
	sweep_lay(s);
	actor_start(ACTOR, s->body, s->arg);
	for (unsigned i = 2; i <= 3; i++)
		actor_start(i, others[random_below(sizeof(others) / sizeof(others[0]))], 0);
	schedule(&plan);
	world_sound();
	s->check(s->arg);
}
