/* SPDX-License-Identifier: ISC */
/* Scenes of mail: sent, called, given up, collected, answered, passed on; and whole transactions. */
#include <string.h>

#include "lib/txn.h"
#include "scene.h"

enum { HELP_CALL_APP = 1, HELP_CALL_DIRECT, HELP_CALL_BOX, HELP_SERVE, HELP_GIVE_UP };

static struct heir_ticket own_call;

static int echo(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)arg;
	return heir_reply(h, m->data, m->size);
}

static void help(int what)
{
	static const char *const to[] = {
		[HELP_CALL_APP] = "app", [HELP_CALL_DIRECT] = "app@b", [HELP_CALL_BOX] = "box"};

	if (what == HELP_SERVE) {
		while (txn_message(stage.server, 0, echo, NULL) == 1)
			;
		return;
	}
	if (what == HELP_GIVE_UP) {
		lib_forget(stage.client, backstage->ticket);
		return;
	}
	MUST(heir_call_start(stage.client, to[what], "called", 6, &backstage->ticket) == 0);
}

static int say_a(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)m;
	(void)arg;
	return heir_reply(h, "A", 1);
}

/* How the client's call ended: 'A' or 'V' as who answered, '?' outcome unknown, '!' not taken. */
static char call_ended(struct verifier *v)
{
	char reply[STAGE_MESSAGE];
	int rc = collect_call(v, reply);

	SURE(rc == 0 || rc == HEIR_EDEAD || rc == HEIR_EUNKNOWN);
	return rc == 0 ? reply[0] : rc == HEIR_EDEAD ? '!' : '?';
}

static void act_send(void)
{
	(void)heir_send(actor, "app", "sent", 4);
}

static int judge_sent(struct verifier *v)
{
	SURE(v->served <= 1 && v->boxed == 0);
	SURE(v->served == 0 || strcmp(v->last, "sent") == 0);
	return v->served;
}

static void start_call(void)
{
	(void)heir_call_start(actor, "app", "own call", 8, &own_call);
}

static void ready_call(void)
{
	as_client();
	start_call();
}

/* Nobody waits for the answer any more: it is skipped, if its caller was buried before it was its turn. */
static int judge_called(struct verifier *v)
{
	SURE(v->served <= 1 && v->boxed == 0);
	SURE(v->served == 0 || strcmp(v->last, "own call") == 0);
	return v->served;
}

static void act_give_up(void)
{
	lib_forget(actor, own_call);
}

static int judge_given_up(struct verifier *v)
{
	int served = judge_called(v);

	SURE(v->early || served == 0);
	return v->early && served == 0;
}

static void ready_collect(void)
{
	ready_call();
	stepper_ask(HELP_SERVE);
}

static void act_collect(void)
{
	char reply[STAGE_MESSAGE];
	size_t size = sizeof(reply);

	(void)heir_call_finish(actor, own_call, reply, &size, 0);
}

static int judge_nothing(struct verifier *v)
{
	SURE(v->served == 0 && v->boxed == 0);
	return 0;
}

static void ready_direct(void)
{
	as_worker();
	stepper_ask(HELP_CALL_DIRECT);
}

static void act_answer(void)
{
	struct request r;

	if (lib_receive(actor, &r) == 1)
		direct_done(actor, say_a(actor, &actor->in.message, NULL));
}

static void act_answer_later(void)
{
	struct request r;
	struct kept kept;

	if (lib_receive(actor, &r) != 1)
		return;
	kept = lib_keep(actor);
	(void)lib_receive(actor, &r);
	lib_answer_kept(actor, kept, 0, "A", 1);
}

static int judge_answered(struct verifier *v)
{
	char end = call_ended(v);

	SURE(v->served == 0 && v->boxed == 0 && end != 'V');
	return end == 'A';
}

static void act_forward(void)
{
	struct request r;

	if (lib_receive(actor, &r) == 1)
		direct_done(actor, heir_forward(actor, "app"));
}

static int judge_forwarded(struct verifier *v)
{
	char end = call_ended(v);

	SURE(v->boxed == 0 && end != 'A');
	SURE(v->served == (end == 'V'));
	return v->served;
}

static void ready_box(void)
{
	as_box();
	stepper_ask(HELP_CALL_BOX);
}

static void act_plain(void)
{
	(void)plain_message(actor, STAGE_BOX, say_a, NULL);
}

static int judge_plain(struct verifier *v)
{
	char end = call_ended(v);

	SURE(v->served == 0 && end != '!');
	SURE(v->boxed == (end == 'V'));
	return end == 'A';
}

/* Nobody waits for the answer: it is skipped, and its cell let go. */
static void ready_skip(void)
{
	ready_box();
	stepper_ask(HELP_GIVE_UP);
}

/* The same, when it has been taken. */
static void ready_answer_nobody(void)
{
	struct request r;

	ready_direct();
	MUST(lib_receive(actor, &r) == 1);
	stepper_ask(HELP_GIVE_UP);
}

static void act_answer_nobody(void)
{
	direct_done(actor, say_a(actor, &actor->in.message, NULL));
}

const struct scene mail_scenes[] = {
	{"send", {as_client, act_send}, .judge = judge_sent, .last = 1, .early = true, .last_early = 1},
	{"call", {as_client, start_call}, .judge = judge_called, .early = true, .last_early = 1},
	{"give a call up", {ready_call, act_give_up}, .judge = judge_given_up, .early = true, .last_early = 1},
	{"collect an answer", {ready_collect, act_collect, help},
	 .judge = judge_nothing, .early = true, .last_early = 0},
	{"answer direct mail", {ready_direct, act_answer, help},
	 .judge = judge_answered, .last = 1, .early = true, .last_early = 1},
	{"answer it later", {ready_direct, act_answer_later, help},
	 .judge = judge_answered, .last = 1, .early = true, .last_early = 1},
	{"pass it on", {ready_direct, act_forward, help},
	 .judge = judge_forwarded, .last = 1, .early = true, .last_early = 1},
	{"serve the second role", {ready_box, act_plain, help},
	 .judge = judge_plain, .last = 1, .early = true, .last_early = 1},
	{"skip what was given up", {ready_skip, act_plain, help}, .judge = judge_nothing, .early = true},
	{"answer what was given up", {ready_answer_nobody, act_answer_nobody, help},
	 .judge = judge_nothing, .early = true},
	{0},
};

/* Transactions: by the owner on node b, after one that it has committed. */

static void commit_one(void)
{
	MUST(heir_begin(actor) == 0);
	MUST(count_one(actor, NULL, NULL) == 0);
	MUST(heir_commit(actor) == 0);
}

static void ready_transaction(void)
{
	as_owner();
	commit_one();
	stepper_ask(HELP_CALL_APP);
}

static int count_and_tell(heir_t *h, const struct heir_message *m, void *arg)
{
	int rc = count_one(h, m, arg);

	if (rc == 0)
		rc = heir_send(h, "box", "counted", 7);
	return rc ? rc : heir_reply(h, "A", 1);
}

static void act_transaction(void)
{
	(void)txn_message(actor, 0, count_and_tell, NULL);
}

static int counted(struct verifier *v)
{
	const uint64_t *n = counters(v->h);

	SURE(n[0] == n[1] && n[0] >= 1 && n[0] <= 2);
	return (int)n[0] - 1;
}

static int found_transaction(struct verifier *v)
{
	struct shm_mailbox *box = shm_mailbox(&v->h->shm, STAGE_BOX);
	int n = counted(v);

	SURE(atom_load_relaxed(&box->tail) - atom_load_relaxed(&box->head) == (uint64_t)n);
	SURE(heir_call_ready(v->h, v->call) == n);
	return n;
}

static int judge_transaction(struct verifier *v)
{
	int n = counted(v);

	SURE(call_ended(v) == (n ? 'A' : 'V'));
	SURE(v->boxed == n && v->served == 1 - n);
	SURE(n == 0 || strcmp(v->last_boxed, "counted") == 0);
	return n;
}

/* A handler that fails: what it did is taken back, its caller is told. */
static int count_and_fail(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)count_and_tell(h, m, arg);
	return -5;
}

static void act_failing_transaction(void)
{
	(void)txn_message(actor, 0, count_and_fail, NULL);
}

static int found_failed(struct verifier *v)
{
	struct shm_mailbox *box = shm_mailbox(&v->h->shm, STAGE_BOX);

	SURE(counted(v) == 0);
	SURE(atom_load_relaxed(&box->tail) == atom_load_relaxed(&box->head));
	return heir_call_ready(v->h, v->call);
}

static int judge_failed(struct verifier *v)
{
	char reply[STAGE_MESSAGE];
	int rc = collect_call(v, reply);

	SURE(counted(v) == 0 && v->boxed == 0);
	SURE(rc == -5 ? v->served == 0 : rc == 0 && v->served == 1 && reply[0] == 'V');
	return rc == -5;
}

static void ready_state(void)
{
	as_owner();
	commit_one();
}

static void act_commit(void)
{
	if (heir_begin(actor) == 0 && count_one(actor, NULL, NULL) == 0)
		(void)heir_commit(actor);
}

static void act_abort(void)
{
	if (heir_begin(actor) == 0 && count_one(actor, NULL, NULL) == 0)
		(void)heir_abort(actor);
}

static int found_none_counted(struct verifier *v)
{
	SURE(counted(v) == 0);
	return 0;
}

const struct scene txn_scenes[] = {
	{"take, count, send, answer, commit", {ready_transaction, act_transaction, help},
	 .found = found_transaction, .judge = judge_transaction, .last = 1},
	{"take, count, send, fail", {ready_transaction, act_failing_transaction, help},
	 .found = found_failed, .judge = judge_failed, .last = 1},
	{"begin, mark, commit", {ready_state, act_commit}, .found = counted, .judge = counted, .last = 1},
	{"begin, mark, abort", {ready_state, act_abort},
	 .found = found_none_counted, .judge = found_none_counted},
	{0},
};
