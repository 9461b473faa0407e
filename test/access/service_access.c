/* SPDX-License-Identifier: ISC */
/*
 * The whole library at random: two or three workers with the loop that heir_serve has, their claims and takeovers, a
 * reader of the box, a leader that buries, clients that send, call, give up and ask for takeovers; any of them may die
 * anywhere. When all sleep, nobody sleeps who has something to do (no wake was lost); in the end every promise is kept.
 * Leaders' decisions (src/node) are not in it: the test starts new workers, and ends those that were replaced.
 */
#include <string.h>

#include "access/accessops.h"
#include "access/groups.h"
#include "access/service.h"
#include "lib/worker.h"
#include "proc/bury.h"

enum { WORKER_A = 1, WORKER_B, CLIENT, LEADER, BOX, SECOND };
#define JOINS 16 /* in a body's argument: it joins first */

static struct worker_run runs[ACTORS];
static bool quit, steps_fail, leader_busy;
static unsigned stops;	  /* ordered stops that are still to come */
static bool buried_again; /* a leader tries a burial that had to wait again, now and then */
static bool third_worker; /* SECOND is one, on node c; else a client */

/*
 * What a worker knows of the state, as a program that keeps it in other words: read when it begins to serve, and anew
 * when it is told that it has lost or regained it; in between it is as it was left.
 */
static struct known {
	bool valid;
	uint64_t counts[IDS];
} known[ACTORS];

static void forget_state(void *arg)
{
	((struct known *)arg)->valid = false;
}

static int handle(heir_t *h, const struct heir_message *m, void *arg)
{
	struct known *k = arg;
	int rc;

	if (m->direct)
		return handle_box(h, m, arg);
	MUST(!k->valid || memcmp(k->counts, world_state.data, sizeof(k->counts)) == 0);
	rc = count_message(h, m, arg);
	k->valid = rc == 0;
	memcpy(k->counts, world_state.data, sizeof(k->counts));
	return rc;
}

static void lost(heir_t *h, const char *to, void *arg)
{
	(void)h;
	(void)to;
	forget_state(arg);
}

static int regained(heir_t *h, uint32_t generation, void *arg)
{
	(void)h;
	(void)generation;
	forget_state(arg);
	return 0;
}

static int start(heir_t *h, const struct heir_start *s, void *arg)
{
	(void)h;
	(void)s;
	forget_state(arg);
	return steps_fail && random_below(16) == 0 ? HEIR_EVERSION : 0;
}

static int start_phase(heir_t *h, const char *phase, const struct heir_start *s, void *arg)
{
	(void)phase;
	return start(h, s, arg);
}

static void ready_worker(heir_t *h, unsigned self, int node)
{
	struct worker_run *run = &runs[self];

	*run = (struct worker_run){
		.app = 0, .node = (uint32_t)node, .lead = 1, .lifeline = -1, .state = WORKER_STANDBY};
	run->cb = (struct heir_worker){.size = sizeof(run->cb),
				       .handle = handle,
				       .start = start,
				       .start_phase = start_phase,
				       .lost = lost,
				       .regained = regained};
	run->arg = &known[self];
	known[self].valid = false;
	run->claim_since = run->claim_turn = run->look_again = run->wanted_since = run->announce_at = -1;
	h->run = run;
	MUST_BE(waitset_init(&h->waits, 0), 0);
}

static void work(unsigned self, long arg)
{
	int node = (int)(arg & ~JOINS);
	heir_t *h = arg & JOINS ? world_worker(self, node, ROLE_LEAD) : world_handle(self);

	if (arg & JOINS) {
		if (!h)
			actor_exit();
		ready_worker(h, self, node);
		atom_store_seq(&world.apps[0].instance[node], INSTANCE_STANDBY);
	}
	while (!quit && heir_poll(h, HEIR_FOREVER) == 1)
		;
	if (quit)
		return;
	if (random_below(2))
		slot_leave(&world, h->self);
	actor_exit();
}

static void become_leader(heir_t *h)
{
	for (int node = NODE_A; node <= NODE_C; node++)
		atom_store_seq(&world.nodes[node].leader, h->self);
}

/* An exclusive takeover asks for the instance to be stopped first: answered when that is so. */
struct yielding {
	bool asked;
	struct kept request;
};

static void yield_instance(heir_t *h, struct yielding *y)
{
	struct reply reply = {0};
	struct control c = world_control();
	uint64_t owner = slot_handle(&world, c.owner);

	if (!y->asked)
		return;
	if (c.phase == PHASE_HELD && !handle_noticed(&world, owner))
		return;
	if (c.phase != PHASE_HELD)
		reply.error = HEIR_ESTALE;
	y->asked = false;
	lib_answer_kept(h, y->request, 0, &reply, sizeof(reply));
}

static void leader_mail(heir_t *h, struct yielding *y)
{
	struct reply no = {.error = HEIR_ENOTREADY};
	struct request request;

	while (lib_receive(h, &request) == 1) {
		if (request.op != REQ_STOP_INSTANCE || y->asked) {
			lib_answer(h, 0, &no, sizeof(no));
			continue;
		}
		y->request = lib_keep(h);
		y->asked = true;
		(void)op_hold(h);
	}
}

static void lead(unsigned self, long arg)
{
	heir_t *h = arg & JOINS ? world_join(self, (struct slot_place){KIND_LEADER, NODE_A, -1, -1})
				: world_handle(self);
	struct heir_ticket ticket;
	struct yielding yielding = {0};
	uint64_t asked = 0;

	if (!h)
		actor_exit();
	become_leader(h);
	while (!quit) {
		uint32_t seen, rung;

		if (stops > 0 && random_below(4) == 0 && op_hold(h) == 0)
			stops--;
		leader_busy = quit;
		op_bury(h);
		seen = op_changes(h); /* behind it: its own are no news */
		rung = op_doorbell(h);
		leader_mail(h, &yielding);
		op_stop_held(h, &asked, &ticket);
		yield_instance(h, &yielding);
		op_sleep_leader(h, seen, rung, &leader_busy);
	}
	if (asked)
		lib_forget(h, ticket);
}

static void read_box(unsigned self, long arg)
{
	heir_t *h = arg & JOINS ? world_worker(self, NODE_A, ROLE_BOX) : world_handle(self);

	if (!h)
		actor_exit();
	while (!quit) {
		uint32_t rung = op_doorbell(h);

		while (serve_box(self) == 1)
			;
		op_sleep_box(h, rung, &quit);
	}
}

static void ask_for_takeover(unsigned self)
{
	struct heir_move move;
	int rc = heir_takeover(world_handle(self), "app", random_below(2) ? "a" : "b",
			       (random_below(3) ? 0 : HEIR_WAIT_TURN) | (random_below(3) ? 0 : HEIR_EXCLUSIVE),
			       random_below(4) ? HEIR_FOREVER : 1000000, &move);

	MUST(rc != HEIR_ECORRUPT && rc != HEIR_EINVAL);
}

static void one_request(unsigned self, uint64_t role_id, uint64_t other_id)
{
	static const char *const others[] = {"box", "app@a", "app@b", "app@c"};
	const char *other = others[random_below(4)];

	switch (random_below(10)) {
	case 8:
		(void)tell_whole_call(self, "app", role_id);
		return;
	case 9: /* more than there is room for */
		for (uint64_t id = BOXED(4); self == CLIENT && id < IDS; id++)
			if (ledger->message[id].sent == TOLD_NOTHING)
				(void)tell_send(self, "box", id);
		(void)tell_send(self, "box", other_id);
		return;
	case 0:
	case 1:
	case 2:
		if (tell_call(self, "app", role_id) == 0)
			(void)tell_finish(self, role_id,
					  random_below(4) ? HEIR_FOREVER : (int64_t)random_below(3));
		return;
	case 3:
	case 4:
		(void)tell_send(self, "app", role_id);
		return;
	case 5:
		if (tell_send(self, other, other_id) == 0)
			ledger->message[other_id].may_be_lost = other != others[0];
		return;
	case 6:
		if (tell_call(self, other, other_id) == 0)
			(void)tell_finish(self, other_id, random_below(4) ? HEIR_FOREVER : 0);
		return;
	default:
		ask_for_takeover(self);
	}
}

static void ask(unsigned self, long arg)
{
	for (uint64_t i = 0; i < 2; i++)
		one_request(self, (uint64_t)arg * 2 + i, 4 + (uint64_t)arg * 2 + i);
}

static bool dead(unsigned actor)
{
	return actor_state(actor) == ACTOR_DEAD && !sim.process[actor].exiting;
}

static bool is_worker(unsigned actor)
{
	return actor == WORKER_A || actor == WORKER_B || (actor == SECOND && third_worker);
}

static bool is_client(unsigned actor)
{
	return actor == CLIENT || (actor == SECOND && !third_worker);
}

/* Everybody sleeps. Who has something to do has lost a wake. */
static void nobody_oversleeps(void)
{
	struct control c = world_control();
	bool owed = bury_pending(&world); /* what one has died over is done by the next owner, and told then */
	bool orphan = c.phase != PHASE_DOWN && handle_noticed(&world, slot_handle(&world, c.owner));
	struct mail_head head;

	for (unsigned i = 1; i < ACTORS; i++) {
		heir_t *h = world_handle(i);

		if (actor_state(i) != ACTOR_BLOCKED || sim.process[i].deadline >= 0)
			continue; /* or it looks again by itself */
		engine_at.what = (const char *[]){"",		"worker a", "worker b",	 "the client",
						  "the leader", "the box",  "the second"}[i];
		if (!is_client(i) && !owed)
			MUST_BE(mailbox_peek(&world, shm_slot_mailbox(&world, h->slot), &head), 0);
		if (i == BOX && !owed)
			MUST_BE(mailbox_peek(&world, ROLE_BOX, &head), 0);
		if (!is_worker(i))
			continue;
		MUST(!(orphan && runs[i].state == WORKER_STANDBY));
		MUST((runs[i].state == WORKER_SERVING) == (c.owner == h->slot));
		if (runs[i].state == WORKER_SERVING && c.phase == PHASE_SERVING && !owed)
			MUST_BE(mailbox_peek(&world, ROLE_LEAD, &head), 0);
	}
	for (uint64_t id = 0; id < IDS && !owed; id++) {
		struct message *m = &ledger->message[id];

		if (m->call && m->sent == TOLD_ACCEPTED && !m->finished &&
		    handle_alive(&world, m->sender_handle))
			MUST_BE(heir_call_ready(world_handle(m->sender), m->ticket), 0);
	}
	engine_at.what = NULL;
}

/*
 * The dead wait for the next owner, and he needs a slot: with as few slots as here they can run out, if one after
 * the other dies over his claim. Then the run ends as it is.
 */
static bool crowded(void)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < WORLD_SLOTS; i++)
		n += slot_handle(&world, i) == 0;
	return n < 2;
}

static void begin_again(unsigned actor)
{
	if (crowded())
		return;
	sim_spawn(actor);
	if (is_worker(actor))
		actor_start(actor, work,
			    JOINS + (actor == SECOND	 ? NODE_C
				     : actor == WORKER_B ? NODE_B
							 : NODE_A));
	else
		actor_start(actor, actor == LEADER ? lead : read_box, JOINS);
}

/* What leaders, and `up`, do in the end. */
static bool leaders_act(void)
{
	bool acted = false;

	for (unsigned i = 1; i < ACTORS; i++) {
		if (is_client(i))
			continue;
		if (dead(i)) {
			begin_again(i);
			acted = true;
		} else if (is_worker(i) && actor_state(i) == ACTOR_BLOCKED && runs[i].state == WORKER_LOST) {
			actor_die(i);
			acted = true;
		}
	}
	return acted;
}

static bool asking(unsigned actor)
{
	return is_client(actor) && actor_state(actor) == ACTOR_BLOCKED;
}

static bool stuck(void)
{
	if (crowded() && bury_pending(&world)) {
		for (unsigned i = 1; i < ACTORS; i++)
			if (actor_state(i) == ACTOR_BLOCKED)
				actor_kill(i);
		return true;
	}
	if (dead(LEADER)) { /* there is always one: `up`, or the other nodes' */
		begin_again(LEADER);
		return true;
	}
	nobody_oversleeps();
	if (leaders_act()) {
		buried_again = false;
		return true;
	}
	if (!buried_again && actor_state(LEADER) == ACTOR_BLOCKED && bury_pending(&world)) {
		buried_again = true;
		sim_timeout(LEADER);
		return true;
	}
	if (quit || asking(CLIENT) || asking(SECOND))
		return false;
	quit = leader_busy = true;
	for (unsigned i = 1; i < ACTORS; i++)
		if (actor_state(i) == ACTOR_BLOCKED)
			sim_timeout(i);
	return true;
}

/* A new owner tells those who follow the application a moment later than its first callers (worker_announce). */
static bool is_still_to_tell(void)
{
	for (unsigned i = 1; i < ACTORS; i++)
		if (is_worker(i) && actor_state(i) == ACTOR_BLOCKED && runs[i].announce_at >= 0)
			return true;
	return false;
}

/* What has changed was told. */
static void all_was_told(void)
{
	if (is_still_to_tell())
		return;
	for (unsigned i = 1; i < ACTORS; i++)
		if (actor_state(i) == ACTOR_BLOCKED)
			MUST(!sim_oversleeps(i, NULL));
}

/* Its leader gets SIGCHLD. */
static void died(unsigned actor)
{
	leader_busy = true;
	if (actor != LEADER && actor_state(LEADER) == ACTOR_BLOCKED)
		sim_timeout(LEADER);
	if (random_below(2) && !is_client(actor))
		begin_again(actor);
}

static void begin(void)
{
	struct request request = {.op = REQ_START, .type = HEIR_NORMAL};
	struct reply reply = {0};

	world_lay();
	service_names = 0;
	ledger->box_died = true;
	quit = leader_busy = buried_again = false;
	world.apps[0].flags |= random_below(4) ? 0 : APP_EXCLUSIVE; /* dead owners are waited for */
	stops = (unsigned)random_below(3);
	third_worker = random_below(2);
	world.apps[0].policy[0].max_deliveries = (uint32_t)(random_below(4) ? 100 : 1 + random_below(3));
	for (unsigned i = WORKER_A; i <= WORKER_B; i++)
		ready_worker(world_worker(i, i == WORKER_A ? NODE_A : NODE_B, ROLE_LEAD), i, (int)i - 1);
	if (third_worker)
		ready_worker(world_worker(SECOND, NODE_C, ROLE_LEAD), SECOND, NODE_C);
	else
		(void)world_client(SECOND);
	for (int node = NODE_A; node <= NODE_C; node++)
		atom_store_seq(&world.apps[0].instance[node], INSTANCE_STANDBY);
	(void)world_client(CLIENT);
	become_leader(world_join(LEADER, (struct slot_place){KIND_LEADER, NODE_A, -1, -1}));
	(void)world_worker(BOX, NODE_A, ROLE_BOX);
	engine_as(WORKER_A);
	steps_fail = false;
	drive_start(world_handle(WORKER_A), &request, &reply);
	steps_fail = true;
	MUST_BE(reply.error, 0);
	engine_as(0);
}

void service_seed(void)
{
	struct plan plan = {.died = died, .quiet = all_was_told, .stuck = stuck};

	begin();
	plan.kills = (unsigned)random_below(random_below(4) ? 4 : 10);
	actor_start(WORKER_A, work, NODE_A);
	actor_start(WORKER_B, work, NODE_B);
	actor_start(CLIENT, ask, 0);
	actor_start(LEADER, lead, 0);
	actor_start(BOX, read_box, 0);
	actor_start(SECOND, third_worker ? work : ask, third_worker ? NODE_C : 1);
	schedule(&plan);
	for (unsigned i = 0; i < ACTORS; i++)
		world_handle(i)->run = NULL;
	finish_service();
}
