/* SPDX-License-Identifier: ISC */
/*
 * Mail. Every accepted message is handled (a role's within a transaction, once; to a process, or to a role without a
 * state, as its page says), every living caller is answered or told what became of it, no cell is lost.
 */
#include <string.h>

#include "access/accessops.h"
#include "access/groups.h"
#include "access/service.h"
#include "proc/bury.h"

#define PEER 4u /* the worker on node b, where the actor is a client */

static void mail_prepare(long arg)
{
	(void)arg;
	service_names = 0;
	(void)world_client(2);
	(void)world_client(3);
	(void)world_worker(OWNER, NODE_A, ROLE_LEAD);
	engine_as(OWNER);
	make_owner(OWNER);
	engine_as(0);
}

static void prepare_peer(long arg)
{
	mail_prepare(arg);
	(void)world_worker(PEER, NODE_B, ROLE_LEAD);
}

static void prepare_client(long arg)
{
	mail_prepare(arg);
	(void)world_client(PEER);
}

static void enter_client(unsigned self, long arg)
{
	(void)arg;
	(void)world_client(self);
}

static void enter_worker(unsigned self, long arg)
{
	(void)arg;
	(void)world_worker(self, NODE_B, ROLE_LEAD);
}

static void enter_box(unsigned self, long arg)
{
	(void)arg;
	(void)world_worker(self, NODE_B, ROLE_BOX);
	ledger->box_died = true;
}

static void check_mail(long arg)
{
	(void)arg;
	finish_service();
}

/* Senders and callers */
static void send_role(unsigned self, long arg)
{
	(void)arg;
	MUST_BE(tell_send(self, "app", 0), 0);
}

static void call_role(unsigned self, long arg)
{
	(void)arg;
	MUST_BE(tell_call(self, "app", 0), 0);
}

static void enter_with_call(unsigned self, long arg)
{
	enter_client(self, arg);
	call_role(self, arg);
}

static void serve_role(long arg)
{
	(void)arg;
	engine_as(OWNER);
	while (serve_one(OWNER) == 1)
		;
	engine_as(0);
}

static void collect_answer(unsigned self, long arg)
{
	(void)arg;
	MUST_BE(tell_finish(self, 0, HEIR_FOREVER), 0);
}

static void give_up(unsigned self, long arg)
{
	(void)arg;
	(void)tell_finish(self, 0, 0);
}

static void forget(unsigned self, long arg)
{
	(void)arg;
	ledger->message[0].finished = true;
	ledger->message[0].rc = HEIR_EUNKNOWN;
	lib_forget(world_handle(self), ledger->message[0].ticket);
}

static void send_box(unsigned self, long arg)
{
	(void)arg;
	MUST_BE(tell_send(self, "box", 4), 0);
}

static void send_peer(unsigned self, long arg)
{
	int rc;

	(void)arg;
	rc = tell_send(self, "app@b", 5);
	MUST(rc == 0 || rc == HEIR_ENOENT);
}

static void call_peer(unsigned self, long arg)
{
	int rc;

	(void)arg;
	rc = tell_call(self, "app@b", 5);
	MUST(rc == 0 || rc == HEIR_ENOENT);
}

/* It has died since its name was looked up. */
static void call_the_dead(unsigned self, long arg)
{
	heir_t *h = world_handle(self);
	struct message *m = &ledger->message[5];

	(void)arg;
	*m = (struct message){
		.sent = TOLD_ASKED, .to = "app@b", .sender = self, .sender_handle = h->self, .call = true};
	MUST_BE(op_call(h, world_handle(PEER)->self, 5, &m->ticket), 0);
	m->sent = TOLD_ACCEPTED;
}

static void peer_dies(long arg)
{
	(void)arg;
	if (!handle_alive(&world, ledger->self[PEER]))
		return;
	actor_kill(PEER);
}

static void peer_is_buried(long arg)
{
	peer_dies(arg);
	(void)bury_all(&world, TEST_SLOT);
	ledger->message[5].may_be_lost = true;
}

/* Readers */
static void call_actor(long arg)
{
	(void)arg;
	engine_as(OWNER);
	MUST_BE(tell_call(OWNER, "app@b", 5), 0);
	MUST_BE(tell_send(OWNER, "app@b", 6), 0);
	ledger->message[6].may_be_lost = true;
	engine_as(0);
}

static void call_to_forward(long arg)
{
	(void)arg;
	engine_as(OWNER);
	MUST_BE(tell_call(OWNER, "app@b", 1), 0);
	ledger->message[1].forwarded = true;
	engine_as(0);
}

static void answer(unsigned self, long arg)
{
	(void)arg;
	while (serve_direct(self) == 1)
		;
}

static void answer_later(unsigned self, long arg)
{
	heir_t *h = world_handle(self);
	uint64_t value = ANSWER(5);
	struct request request;
	struct kept kept;

	(void)arg;
	MUST_BE(lib_receive(h, &request), 1);
	kept = lib_keep(h);
	(void)serve_direct(self);
	note_handled(5);
	lib_answer_kept(h, kept, 0, &value, sizeof(value));
}

static void forward(unsigned self, const char *to)
{
	heir_t *h = world_handle(self);
	struct request request;
	int rc;

	MUST_BE(lib_receive(h, &request), 1);
	rc = heir_forward(h, to);
	MUST(rc == 0 || rc == HEIR_ENOENT);
	direct_done(h, rc);
}

static void forward_role(unsigned self, long arg)
{
	(void)arg;
	forward(self, "app");
}

static void forward_process(unsigned self, long arg)
{
	(void)arg;
	forward(self, "app@a");
}

static void forward_box(unsigned self, long arg)
{
	(void)arg;
	forward(self, "box");
}

/* A message that is meant for another who had the slot before. */
static void call_older(long arg)
{
	struct message *m = &ledger->message[5];

	(void)arg;
	engine_as(OWNER);
	*m = (struct message){.sent = TOLD_ACCEPTED,
			      .to = "app@b",
			      .sender = OWNER,
			      .sender_handle = world_handle(OWNER)->self,
			      .call = true};
	MUST_BE(op_call(world_handle(OWNER), ledger->self[ACTOR] - (UINT64_C(1) << 32), 5, &m->ticket), 0);
	MUST_BE(tell_call(OWNER, "app@b", 6), 0);
	engine_as(0);
}

static void only_look(unsigned self, long arg)
{
	struct mail_head head;

	(void)arg;
	MUST_BE(mailbox_peek(&world, shm_slot_mailbox(&world, world_handle(self)->slot), &head), 1);
}

static void fill_box(long arg)
{
	(void)arg;
	engine_as(OWNER);
	MUST_BE(tell_call(OWNER, "box", 4), 0);
	MUST_BE(tell_send(OWNER, "box", 5), 0);
	engine_as(0);
}

static void give_up_in_box(long arg)
{
	(void)arg;
	engine_as(OWNER);
	MUST_BE(tell_call(OWNER, "box", 6), 0);
	MUST_BE(tell_finish(OWNER, 6, 0), HEIR_ETIMEDOUT);
	engine_as(0);
	fill_box(arg);
}

/* It is delivered too often at once, and to be set aside. */
static void fill_with_poison(long arg)
{
	world.apps[0].policy[0].max_deliveries = 0;
	fill_box(arg);
}

static void read_box(unsigned self, long arg)
{
	(void)arg;
	while (serve_box(self) == 1)
		;
}

/* It owns the application, and nobody claims yet: who called it by itself is answered all the same. */
static void prepare_no_owner(long arg)
{
	(void)arg;
	service_names = 0;
	(void)world_client(2);
	(void)world_client(3);
	(void)world_client(PEER);
}

static void enter_owner(unsigned self, long arg)
{
	(void)arg;
	(void)world_worker(self, NODE_A, ROLE_LEAD);
	make_owner(self);
}

static void call_owner(long arg)
{
	(void)arg;
	engine_as(PEER);
	MUST_BE(tell_call(PEER, "app@a", 5), 0);
	MUST_BE(tell_call(PEER, "app@a", 6), 0);
	MUST_BE(tell_call(PEER, "app", 0), 0);
	engine_as(0);
}

static void serve_all(unsigned self, long arg)
{
	answer(self, arg);
	(void)serve_one(self);
}

static void check_owner(long arg)
{
	if (!handle_alive(&world, ledger->self[ACTOR])) {
		(void)bury_all(&world, TEST_SLOT);
		for (uint64_t id = 5; id <= 6; id++)
			MUST_BE(heir_call_ready(world_handle(PEER), ledger->message[id].ticket), 1);
	}
	check_mail(arg);
}

/* Meanwhile */
static void owner_serves(long arg)
{
	serve_role(arg);
	engine_as(OWNER);
	while (serve_direct(OWNER) == 1)
		;
	engine_as(0);
}

static void another_takes_over(long arg)
{
	(void)arg;
	(void)world_spare(0);
	MUST_BE(acquire(0, ACQUIRE_SWITCH), 0);
	MUST_BE(op_serve(world_handle(0)), 0);
	while (serve_one(0) == 1)
		;
}

static void others_send(long arg)
{
	(void)arg;
	engine_as(2);
	MUST_BE(tell_call(2, "app", 2), 0);
	engine_as(3);
	(void)tell_send(3, "app@b", 7);
	ledger->message[7].may_be_lost = true;
	engine_as(0);
}

/* Every free cell has another life. */
static void cells_turn_only(long arg)
{
	struct cell_ref ref[WORLD_CELLS];
	uint32_t hint = 0, n = 0;
	uint64_t w;

	(void)arg;
	while (n < WORLD_CELLS && cell_alloc(&world, world_handle(3)->slot, 0, &hint, &ref[n]) == 0)
		MUST_BE(cell_fill(&world, ref[n++], CELL_USER, "x", 1, "yyyyyyyy", 8), 0);
	while (n-- > 0) {
		MUST_BE(cell_load(&world, ref[n], &w), 0);
		cell_free(&world, ref[n].cell, w);
	}
}

static void cells_turn(long arg)
{
	serve_role(arg);
	cells_turn_only(arg);
}

static void one_dies_and_is_buried(long arg)
{
	(void)arg;
	engine_as(3);
	MUST_BE(tell_call(3, "app", 3), 0);
	engine_as(0);
	actor_kill(3);
	(void)bury_all(&world, TEST_SLOT);
	sim_spawn(3);
	(void)world_client(3);
}

static void serve_as_owner(unsigned self, long arg)
{
	(void)arg;
	while (serve_one(self) == 1 || serve_direct(self) == 1)
		;
}

static void one_more_call(unsigned self, long arg)
{
	(void)arg;
	(void)tell_call(self, "app", self);
}

/* clang-format off */
#define ALWAYS                                                                                                 \
	{"the owner serves", owner_serves}, {"another takes over and serves", another_takes_over},             \
	{"others send", others_send}, {"cells have other lives", cells_turn},                                  \
	{"another dies and is buried", one_dies_and_is_buried}
#define RIVALRY \
	{{"while the owner serves", OWNER, serve_as_owner}, {"while another calls", 3, one_more_call}, \
	 {"while another buries", 3, bury_only}}
#define CLIENT(name, after, body) \
	{name, 0, prepare_client, enter_client, after, body, bury_only, check_mail, {ALWAYS}, RIVALRY}
#define CALLER(name, after, body) \
	{name, 0, prepare_client, enter_with_call, after, body, bury_only, check_mail, {ALWAYS}, RIVALRY}
#define TO_PEER(name, after, body, is_simulated) \
	{name, 0, prepare_peer, enter_client, after, body, bury_only, check_mail, \
	 {ALWAYS, {"it is dead and buried", peer_is_buried}}, RIVALRY, .simulated = is_simulated}
#define WORKER(name, after, body) \
	{name, 0, prepare_client, enter_worker, after, body, bury_only, check_mail, {ALWAYS}, RIVALRY}
#define READER(name, after) \
	{name, 0, prepare_client, enter_box, after, read_box, bury_only, check_mail, {ALWAYS}, RIVALRY}

static const struct story stories[] = {
	CLIENT("send to a role", NULL, send_role),
	CLIENT("call a role", NULL, call_role),
	CLIENT("send to a role without state", NULL, send_box),
	CALLER("take the answer", serve_role, collect_answer),
	CALLER("give up", NULL, give_up),
	CALLER("give up what is answered", serve_role, give_up),
	CALLER("forget a call", NULL, forget),
	CALLER("forget what is answered", serve_role, forget),
	TO_PEER("send to a process", NULL, send_peer, false),
	TO_PEER("call a process", NULL, call_peer, false),
	TO_PEER("call one who is dead", peer_dies, call_the_dead, true),
	TO_PEER("call one who is buried", peer_is_buried, call_the_dead, true),
	WORKER("take and answer", call_actor, answer),
	WORKER("answer later", call_actor, answer_later),
	WORKER("forward to a role", call_to_forward, forward_role),
	WORKER("forward to a process", call_actor, forward_process),
	WORKER("forward to the box", call_actor, forward_box),
	WORKER("refuse what is for another", call_older, answer),
	WORKER("drain: die with mail unread", call_actor, only_look),
	{"own, and answer", 0, prepare_no_owner, enter_owner, call_owner, serve_all, bury_only, check_owner,
	 {{"another takes over and serves", another_takes_over}, {"cells have other lives", cells_turn_only}}},
	READER("serve a role without state", fill_box),
	READER("skip what was given up", give_up_in_box),
	READER("set aside", fill_with_poison),
};
/* clang-format on */

void mail_group(const struct sweep_options *o)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		struct swept total = {0};

		sweep(&stories[i], o, &total);
		sweep_print(stories[i].name, &total);
	}
}

/* A story; its messages are served, others call and bury at the same time; anybody may die. */
void mail_seed(void)
{
	const struct story *s = &stories[random_below(sizeof(stories) / sizeof(stories[0]))];
	const struct plan plan = {.kills = (unsigned)random_below(3)};

	engine_at.story = s->name;
	sweep_lay(s);
	for (uint64_t id = 0; id < IDS; id++) /* readers may die */
		ledger->message[id].may_be_lost |= id >= 4;
	ledger->box_died = true;
	actor_start(ACTOR, s->body, s->arg);
	actor_start(2, random_below(2) ? bury_only : one_more_call, 0);
	actor_start(3, random_below(2) ? bury_only : one_more_call, 0);
	if (world_handle(OWNER)->self)
		actor_start(OWNER, serve_as_owner, 0);
	schedule(&plan);
	world_sound();
	s->check(s->arg);
}
