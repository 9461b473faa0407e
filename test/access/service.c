/* SPDX-License-Identifier: ISC */
/* The service of the stories about mail, state and control word (service.h). */
#include "access/service.h"

#include <string.h>

#include "access/accessops.h"
#include "lib/resolve.h"
#include "name/names.h"
#include "proc/bury.h"

#define TEST 0u

uint32_t service_names;

uint64_t *state_pair(void)
{
	return (uint64_t *)(void *)world_state.data + 30;
}

static uint64_t *count_of(heir_t *h, uint64_t id)
{
	return (uint64_t *)(void *)h->state.data + id;
}

/* The mirror of a count lies behind the counts: in one transaction, or not at all. */
int count_message(heir_t *h, const struct heir_message *m, void *arg)
{
	uint64_t id, *n, *mirror, sent, answer;
	int rc;

	(void)arg;
	MUST(m->size == sizeof(id));
	memcpy(&id, m->data, sizeof(id));
	MUST(id < IDS / 2);
	MUST(world_control().owner == h->slot && world_control().open); /* Invariant 1 */
	n = count_of(h, id);
	mirror = count_of(h, id + IDS / 2);
	MUST_BE(heir_mark(h, n, sizeof(*n)), 0);
	op_store(n, *n + 1);
	MUST_BE(heir_mark(h, mirror, sizeof(*mirror)), 0);
	op_store(mirror, *n);
	sent = BOXED(id);
	rc = heir_send(h, "box", &sent, sizeof(sent));
	MUST(rc == 0 || rc == HEIR_EAGAIN);
	if (rc) {
		ledger->message[id].may_be_lost = true; /* undone; a caller gets the error */
		return rc;
	}
	answer = id * 1000 + *n;
	MUST_BE(heir_reply(h, &answer, sizeof(answer)), 0);
	return 0;
}

void note_handled(uint64_t id)
{
	ledger->message[id].handled++;
}

int handle_box(heir_t *h, const struct heir_message *m, void *arg)
{
	uint64_t id, answer;

	(void)arg;
	MUST(m->size == sizeof(id));
	memcpy(&id, m->data, sizeof(id));
	MUST(id < IDS);
	note_handled(id);
	answer = ANSWER(id);
	return heir_reply(h, &answer, sizeof(answer));
}

int handle_direct(heir_t *h, const struct heir_message *m)
{
	return handle_box(h, m, NULL);
}

int serve_one(unsigned self)
{
	return txn_message(world_handle(self), ROLE_LEAD, count_message, NULL);
}

int serve_box(unsigned self)
{
	return plain_message(world_handle(self), ROLE_BOX, handle_box, NULL);
}

int serve_direct(unsigned self)
{
	heir_t *h = world_handle(self);
	struct request request;
	int rc = lib_receive(h, &request);

	MUST(rc == 0 || rc == 1);
	if (rc == 1)
		direct_done(h, handle_box(h, &h->in.message, NULL));
	return rc;
}

static struct message *begin_message(unsigned self, const char *to, uint64_t id, bool call)
{
	struct message *m = &ledger->message[id];

	*m = (struct message){.to = to,
			      .sender = self,
			      .sender_handle = world_handle(self)->self,
			      .sent = TOLD_ASKED,
			      .call = call};
	return m;
}

int tell_send(unsigned self, const char *to, uint64_t id)
{
	struct message *m = begin_message(self, to, id, false);
	int rc = heir_send(world_handle(self), to, &id, sizeof(id));

	m->sent = rc ? TOLD_NO : TOLD_ACCEPTED;
	return rc;
}

int tell_call(unsigned self, const char *to, uint64_t id)
{
	struct message *m = begin_message(self, to, id, true);
	int rc = heir_call_start(world_handle(self), to, &id, sizeof(id), &m->ticket);

	m->sent = rc ? TOLD_NO : TOLD_ACCEPTED;
	return rc;
}

int tell_whole_call(unsigned self, const char *to, uint64_t id)
{
	struct message *m = begin_message(self, to, id, true);
	uint64_t answer = 0;
	size_t size = sizeof(answer);
	int rc = heir_call(world_handle(self), to, &id, sizeof(id), &answer, &size, HEIR_FOREVER);

	m->sent = TOLD_ACCEPTED;
	m->finished = true;
	m->rc = rc;
	m->reply = answer;
	return rc;
}

int tell_finish(unsigned self, uint64_t id, int64_t timeout)
{
	struct message *m = &ledger->message[id];
	uint64_t answer = 0;
	size_t size = sizeof(answer);
	int rc = heir_call_finish(world_handle(self), m->ticket, &answer, &size, timeout);

	m->finished = true;
	m->rc = rc;
	m->reply = answer;
	MUST(rc || size == sizeof(answer));
	return rc;
}

/* A switch is for who drives the move. Another that stands still in the middle of his is late some day. */
int acquire(unsigned self, enum acquire_how how)
{
	heir_t *h = world_handle(self);
	struct acquired got;
	int rc;

	while (how == ACQUIRE_SWITCH && move_begin(&world, 0, h->self, HEIR_TAKEOVER, 0, 0, NULL)) {
		int64_t late = move_late_at(&world, 0);

		if (late > sim.now)
			sim.now = late;
	}
	rc = app_acquire(&world, 0, h->self, how, &h->state, &got);
	if (how == ACQUIRE_SWITCH)
		move_end(&world, 0, h->self);
	return rc;
}

void make_owner(unsigned self)
{
	MUST_BE(acquire(self, ACQUIRE_CLAIM), 0);
	MUST_BE(op_serve(world_handle(self)), 0);
}

heir_t *world_spare(unsigned actor)
{
	heir_t *h = world_join(actor, (struct slot_place){KIND_WORKER, NODE_C, 0, ROLE_LEAD});

	if (h)
		h->state = world_state;
	return h;
}

void bury_only(unsigned self, long arg)
{
	(void)arg;
	(void)bury_all(&world, world_handle(self)->slot);
}

static bool orphaned(void)
{
	struct control c = world_control();

	return c.phase == PHASE_DOWN || handle_noticed(&world, slot_handle(&world, c.owner));
}

void recover_service(unsigned self, long arg)
{
	bury_only(self, arg);
	if (orphaned() && acquire(self, ACQUIRE_CLAIM) == 0)
		(void)op_serve(world_handle(self));
	bury_only(self, arg);
}

static bool joined(unsigned actor)
{
	return world_handle(actor)->self && handle_alive(&world, world_handle(actor)->self);
}

static void bury_by_test(void)
{
	(void)bury_all(&world, TEST_SLOT);
}

/* Whoever owns, in his own name; where nobody does, the test on node c. */
static unsigned find_owner(void)
{
	struct control c;

	if (orphaned()) {
		if (!joined(TEST))
			(void)world_spare(TEST);
		MUST_BE(acquire(TEST, ACQUIRE_CLAIM), 0);
		bury_by_test();
	}
	c = world_control();
	for (unsigned i = 0; i < ACTORS; i++)
		if (joined(i) && world_handle(i)->slot == c.owner)
			return i;
	access_fail(__FILE__, __LINE__, "the application has no owner that is known");
}

static void drain(void)
{
	unsigned owner = find_owner();
	uint64_t old, now;
	heir_t box;
	int rc;

	engine_as(owner);
	if (world_handle(owner)->open)
		MUST_BE(heir_abort(world_handle(owner)), 0);
	if (world_control().phase == PHASE_MOVING || world_control().phase == PHASE_RECOVERING)
		MUST_BE(app_recover(&world, 0, world_handle(owner)->self, &world_handle(owner)->state), 0);
	if (world_control().phase == PHASE_MOVING)
		MUST_BE(op_serve(world_handle(owner)), 0);
	(void)control_apply(&world.apps[0].control, &old, &now, control_unwant, 0);
	while ((rc = serve_one(owner)) == 1)
		;
	MUST_BE(rc, 0);
	for (unsigned i = 0; i < ACTORS; i++) {
		engine_as(i);
		while (joined(i) && serve_direct(i))
			;
	}
	engine_as(owner);
	box = *world_handle(owner);
	world_handle(owner)->place.role = ROLE_BOX;
	while ((rc = serve_box(owner)) == 1)
		;
	MUST_BE(rc, 0);
	*world_handle(owner) = box;
	engine_as(TEST);
}

/* Every caller that lives has its answer. */
static void collect(void)
{
	for (uint64_t id = 0; id < IDS; id++) {
		struct message *m = &ledger->message[id];

		if (!m->call || m->sent != TOLD_ACCEPTED || m->finished ||
		    !handle_alive(&world, m->sender_handle))
			continue;
		if (heir_call_ready(world_handle(m->sender), m->ticket) == 0)
			access_fail(__FILE__, __LINE__, "a caller that is never answered");
		engine_as(m->sender);
		(void)tell_finish(m->sender, id, 0);
		engine_as(TEST);
	}
}

static void keep_promise(uint64_t id)
{
	struct message *m = &ledger->message[id];
	bool role = m->to && strcmp(m->to, "app") == 0, box = m->to && strcmp(m->to, "box") == 0;
	uint64_t in_state = *count_of(&(heir_t){.state = world_state}, id);
	uint64_t n = role || m->forwarded ? in_state + m->handled : m->handled;

	engine_at.id = (long)id;
	if (id < IDS / 2) {
		MUST_BE(*count_of(&(heir_t){.state = world_state}, id + IDS / 2), in_state);
		MUST(in_state <= 1); /* Invariant 5 */
		if (!ledger->box_died)
			MUST_BE(ledger->message[BOXED(id)].handled, in_state);
		else
			MUST(ledger->message[BOXED(id)].handled >= in_state ||
			     ledger->message[BOXED(id)].aside);
	}
	if (!m->to)
		return;
	MUST(role ? m->handled == 0 : m->forwarded || in_state == 0);
	MUST(n <= 1 || (box && ledger->box_died));
	if (m->sent == TOLD_NO)
		MUST_BE(n, 0);
	if (m->sent == TOLD_ACCEPTED && !m->call)
		MUST(n >= 1 || m->may_be_lost || m->aside);
	if (!m->finished)
		return;
	MUST(m->rc != 0 || (n >= 1 && m->reply == ANSWER(id)));
	MUST(m->rc == 0 || m->rc == HEIR_ETIMEDOUT || m->rc == HEIR_EUNKNOWN || m->rc == HEIR_EDEAD ||
	     m->rc == HEIR_EAGAIN || m->rc == HEIR_ENOENT || m->rc == HEIR_EPOISON);
	/* A role without a state has handled it, if it is set aside because its readers have died. */
	if (m->rc && m->rc != HEIR_EUNKNOWN && !(box && m->rc == HEIR_EPOISON))
		MUST_BE(n, 0);
}

unsigned service_aside(void)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < world.limits.cells; i++)
		n += cell_unpack(atom_load_seq(&shm_cell(&world, i)->word)).state == CELL_ASIDE;
	return world.apps[0].policy[0].max_deliveries < 100 ? n : 0;
}

/* The id of what was set aside: its caller is told, nothing is changed. */
static void note_aside(void)
{
	for (uint32_t i = 1; i < world.limits.cells; i++) {
		struct shm_cell *c = shm_cell(&world, i);
		uint64_t id;

		if (cell_unpack(atom_load_seq(&c->word)).state != CELL_ASIDE)
			continue;
		memcpy(&id, shm_cell_data(c) + atom_load_seq(&c->name_size), sizeof(id));
		MUST(id < IDS);
		ledger->message[id].aside = true;
	}
}

void finish_service(void)
{
	bury_by_test();
	drain();
	bury_by_test();
	collect();
	world_quiet(service_aside(), WORLD_NAMES + service_names);
	note_aside();
	for (uint64_t id = 0; id < IDS; id++)
		keep_promise(id);
	engine_at.id = -1;
}
