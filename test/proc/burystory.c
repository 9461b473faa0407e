/* SPDX-License-Identifier: ISC */
#include "proc/burystory.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/txn.h"
#include "name/names.h"
#include "proc/bury.h"
#include "support/owner.h"
#include "support/points.h"

struct domain d;
static bool is_open;
heir_t *server;

void begin_domain(uint32_t slots)
{
	struct acquired got;

	domain_init(&d, &(struct domain_options){.roles = 2, .cells = CELLS, .slots = slots});
	is_open = true;
	assert_int_equal(names_register(&d.shm, handle_slot(d.leader[0]), "box", 3,
					name_binding_role(0, 1), NULL, NULL),
			 0);
	server = owner_open(d.name, 0);
	assert_int_equal(owner_acquire(server, ACQUIRE_CLAIM, &got), 0);
	owner_serve(server);
}

void end_domain(void)
{
	if (!is_open)
		return;
	is_open = false;
	heir_close(server);
	domain_finish(&d);
}

int burystory_setup(void **state)
{
	(void)state;
	begin_domain(SLOTS);
	return 0;
}

int burystory_teardown(void **state)
{
	(void)state;
	points_disarm();
	end_domain();
	return 0;
}

unsigned free_cells(void)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < d.shm.limits.cells; i++)
		n += cell_unpack(atom_load_acquire(&shm_cell(&d.shm, i)->word)).state == CELL_FREE;
	return n;
}

unsigned free_slots(void)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < d.shm.limits.slots; i++)
		n += slot_handle(&d.shm, i) == 0;
	return n;
}

void bury_the_dead(void)
{
	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
}

int echo(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)arg;
	return heir_reply(h, m->data, m->size);
}

static int pass_on(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)m;
	(void)arg;
	return heir_forward(h, "app");
}

void serve(void)
{
	int rc;

	while ((rc = txn_message(server, 0, echo, NULL)) == 1)
		;
	assert_int_equal(rc, 0);
}

/* The callers: a process that waits for ever, and says what came of it. */
#define ANSWERED 0
#define WAS_DEAD 10
#define UNKNOWN	 11

int call_for_ever(void *name)
{
	char reply[8];
	size_t size = sizeof(reply);
	heir_t *h;
	int rc;

	MUST(heir_open(d.name, 0, &h) == 0);
	rc = heir_call(h, name, "hello", 5, reply, &size, HEIR_FOREVER);
	MUST(rc != 0 || (size == 5 && memcmp(reply, "hello", 5) == 0));
	heir_close(h);
	return rc == 0		     ? ANSWERED
	       : rc == HEIR_EDEAD    ? WAS_DEAD
	       : rc == HEIR_EUNKNOWN ? UNKNOWN
				     : 20;
}

/* What an actor does. It stops once where it says ready(), and where something is to be done for
 * it. */
heir_t *client(void)
{
	heir_t *h;

	MUST(heir_open(d.name, 0, &h) == 0);
	return h;
}

void ready(void)
{
	raise(SIGSTOP);
}

static void act_send(void)
{
	heir_t *h = client();

	ready();
	MUST(heir_send(h, "app", "hello", 5) == 0);
	heir_close(h);
}

static void act_call(void)
{
	struct heir_ticket t;
	char reply[8];
	size_t size = sizeof(reply);
	heir_t *h = client();

	ready();
	MUST(heir_call_start(h, "app", "hello", 5, &t) == 0);
	ready();
	MUST(heir_call_finish(h, t, reply, &size, 20 * SECOND) == 0);
	heir_close(h);
}

static void act_give_up(void)
{
	heir_t *h = client();
	size_t size = 0;

	ready();
	MUST(heir_call(h, "app", "hello", 5, NULL, &size, 0) == HEIR_ETIMEDOUT);
	heir_close(h);
}

static void act_leave_with_call(void)
{
	struct heir_ticket t;
	heir_t *h = client();

	ready();
	MUST(heir_call_start(h, "app", "hello", 5, &t) == 0);
	heir_close(h);
}

static heir_t *worker_b(void)
{
	heir_t *h = owner_open(d.name, 1);

	ready(); /* until it is called */
	return h;
}

static void act_answer(void)
{
	heir_t *h = worker_b();
	struct request r;

	MUST(lib_receive(h, &r) == 1);
	direct_done(h, echo(h, &h->in.message, NULL));
	heir_close(h);
}

static void act_answer_later(void)
{
	heir_t *h = worker_b();
	struct request r;
	struct kept kept;

	MUST(lib_receive(h, &r) == 1);
	kept = lib_keep(h);
	MUST(lib_receive(h, &r) == 0);
	lib_answer_kept(h, kept, 0, "hello", 5);
	heir_close(h);
}

static void act_forward(void)
{
	heir_t *h = worker_b();
	struct request r;

	MUST(lib_receive(h, &r) == 1);
	direct_done(h, pass_on(h, &h->in.message, NULL));
	heir_close(h);
}

static void act_do_nothing(void)
{
	(void)worker_b();
}

heir_t *worker_of_box(int node)
{
	heir_t *h;

	MUST(lib_open(d.name, (struct slot_place){KIND_WORKER, node, 0, 1}, &h) == 0);
	return h;
}

static void act_serve_box(void)
{
	heir_t *h = worker_of_box(1);

	ready();
	MUST(plain_message(h, 1, echo, NULL) == 1);
	heir_close(h);
}

static void act_names(void)
{
	heir_t *h = client();

	ready();
	MUST(heir_register(h, "one", HEIR_SELF) == 0);
	MUST(heir_register(h, "two", HEIR_SELF) == 0);
	MUST(heir_re_register(h, "one", HEIR_SELF) == 0);
	MUST(heir_unregister(h, "one") == 0);
	heir_close(h);
}

const struct story stories[STORIES] = {
	{"send", act_send, NULL},
	{"call", act_call, NULL},
	{"give a call up", act_give_up, NULL},
	{"leave with a call in flight", act_leave_with_call, NULL},
	{"answer", act_answer, "app@b"},
	{"answer later", act_answer_later, "app@b"},
	{"forward", act_forward, "app@b"},
	{"be called, and do nothing", act_do_nothing, "app@b"},
	{"serve another role", act_serve_box, "box"},
	{"names", act_names, NULL},
};
