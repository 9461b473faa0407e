/* SPDX-License-Identifier: ISC */
/*
 * Hostile bytes in the segment and in the state file: the attach gate, then every reader, every repair, a client
 * and a worker, over a small busy segment in which the input has changed words, some of them before the gate, others
 * at the n-th access to shared memory ("while the reader reads"; with HEIR_FUZZ_THREAD, by a second thread).
 *
 * Proves, as far as it was run: no access outside the segment, no undefined behaviour, no endless loop, no sleep for
 * ever, no pid of init signalled. Not: that what is reported about damaged bytes is useful; glibc's own list
 * pointers, which lie in the segment too (life words are locked without glibc here); the leader's loop.
 *
 * Input: count of operations (bit 7: the applications are exclusive; from 96: everybody is dead, and the segment is
 * checked before anybody joins), those (2 bytes each), then changes (fuzz_image.h).
 */
#include "fuzz/fuzz_atoms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuzz/fuzz_kernel.h"
#include "heir.h"
#include "lib/handle.h"
#include "lib/resolve.h"
#include "name/names.h"
#include "proc/bury.h"
#include "proc/recover.h"
#include "state/control.h"
#include "trace/moves.h"

#define OPERATIONS_MAX 24u
#define MS INT64_C(1000000)
#define CHECK_POINTS_MAX UINT64_C(400000) /* of a sound image some thousands; each finding costs VERIFY_LOOKS looks */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct {
	heir_t *observer, *client, *worker;
	struct heir_ticket ticket, request;
	struct heir_move moves[4];
	size_t seen; /* bytes looked at, so that the looks are not optimised away */
	unsigned polls;
} the;

/* Every byte of it is read. */
static void look(const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < size; i++)
		the.seen += p[i];
}

static void look_text(const char *text)
{
	the.seen += strlen(text);
}

static const char *name_at(unsigned which)
{
	return image_names[which % image_names_count];
}

static int each_name(const char *name, const struct heir_where *where, void *arg)
{
	(void)arg;
	look_text(name);
	look_text(where->application);
	look_text(where->node);
	return 0;
}

static void look_app(const struct heir_app_status *s)
{
	look_text(s->name);
	look_text(s->node);
	for (size_t i = 0; i < s->instances; i++)
		look_text(s->instance[i].node);
	for (size_t i = 0; i < s->children; i++) {
		look_text(s->child[i].id);
		look_text(s->child[i].state);
	}
}

static void look_status(void)
{
	struct heir_status *s;

	if (heir_status(the.observer, &s))
		return;
	look_text(s->domain);
	for (size_t i = 0; i < s->nodes; i++) {
		look_text(s->node[i].name);
		look_text(s->node[i].state);
	}
	for (size_t i = 0; i < s->applications; i++)
		look_app(&s->application[i]);
	heir_status_free(s);
}

static void look_moves(const char *application)
{
	int n = heir_moves(the.observer, application, the.moves, 4);

	for (int i = 0; i < n; i++) {
		const struct heir_move *m = &the.moves[i];

		look_text(m->application);
		look_text(m->from);
		look_text(m->to);
		look_text(m->failed_step);
		for (size_t j = 0; j < m->steps; j++)
			look_text(m->step[j].name);
	}
}

static int each_finding(const struct heir_finding *finding, void *arg)
{
	(void)arg;
	look_text(finding->part);
	look_text(finding->what);
	return 0;
}

/* Bounded, whatever the bytes are and however they change. */
static void look_check(void)
{
	uint64_t from = fuzz_points;
	struct heir_check check;

	if (heir_check(the.observer, each_finding, NULL, &check) == 0 &&
	    (check.damage + check.leftovers > HEIR_FINDINGS_MAX || fuzz_points - from > CHECK_POINTS_MAX))
		abort();
}

static void read_something(unsigned what, unsigned arg)
{
	struct heir_app_status s;
	struct heir_where w;

	switch (what % 8) {
	case 0:
		look_status();
		break;
	case 1:
		if (heir_app_status(the.observer, name_at(arg), &s) == 0)
			look_app(&s);
		break;
	case 2:
		look_moves(arg & 1 ? NULL : name_at(arg >> 1));
		break;
	case 3:
		(void)heir_names(the.observer, each_name, NULL);
		break;
	case 4:
		if (heir_whereis(the.observer, name_at(arg), &w) == 0) {
			look_text(w.application);
			look_text(w.node);
		}
		break;
	case 5:
		if (arg & 1)
			(void)names_check(&the.observer->shm);
		else
			look_check();
		break;
	case 6:
		(void)heir_wait_change(the.observer, name_at(arg), arg, 5 * MS);
		break;
	case 7:
		look_text(heir_domain(the.observer));
		if (the.worker) {
			look_text(heir_node(the.worker));
			look_text(heir_application(the.worker));
		}
		break;
	}
}

static void use_names(heir_t *h, unsigned arg)
{
	const char *name = name_at(arg >> 2);

	switch (arg & 3) {
	case 0:
		(void)heir_register(h, name, arg & 128 ? HEIR_ROLE : HEIR_SELF);
		break;
	case 1:
		(void)heir_re_register(h, name, arg & 128 ? HEIR_ROLE : HEIR_SELF);
		break;
	case 2:
		(void)heir_unregister(h, name);
		break;
	case 3:
		(void)heir_unregister_any(h, name);
		break;
	}
}

static void ask_worker(unsigned arg)
{
	struct request r = {.op = 1 + arg % 7, .type = arg % 5, .from_node = arg % 4, .how = arg % 3, .app = arg & 1};
	uint64_t to = the.worker ? the.worker->self : handle_make(1 + arg % IMAGE_FREE, 5);

	strcpy(r.phase, "go");
	lib_forget(the.client, the.request);
	(void)lib_request(the.client, to, &r, &the.request);
}

static void be_client(unsigned what, unsigned arg)
{
	heir_t *h = the.client;
	struct request request;
	struct reply reply;
	char text[64];
	size_t size = sizeof(text);

	switch (what % 8) {
	case 0:
		use_names(h, arg);
		break;
	case 1:
		(void)heir_send(h, name_at(arg), "hello", 5);
		break;
	case 2:
		if (heir_call(h, name_at(arg), "hello", 5, text, &size, (arg & 7) * MS) == 0)
			look(text, size);
		break;
	case 3:
		lib_forget(h, the.ticket);
		(void)heir_call_start(h, name_at(arg), "hello", 5, &the.ticket);
		break;
	case 4:
		(void)heir_call_ready(h, the.ticket);
		if (heir_call_finish(h, the.ticket, text, &size, (arg & 7) * MS) == 0)
			look(text, size);
		break;
	case 5:
		if (lib_receive(h, &request) != 1)
			break;
		look(h->in.message.data, h->in.message.size);
		if (arg & 1)
			lib_answer_kept(h, lib_keep(h), 0, "reply", 5);
		else if ((arg & 2) && heir_forward(h, name_at(arg >> 2)) == 0)
			h->in.active = 0;
		else
			lib_answer(h, 0, "reply", 5);
		break;
	case 6:
		ask_worker(arg);
		break;
	case 7:
		(void)lib_reply(h, the.request, &reply);
		(void)heir_takeover(h, arg & 1 ? "one" : "two", arg & 2 ? "b" : "c", arg >> 2 & 7, 20 * MS,
				    &the.moves[0]);
		break;
	}
}

static bool yes(void *arg)
{
	(void)arg;
	return true;
}

static void use_mailbox(const struct shm *s, unsigned arg)
{
	uint32_t mailbox = arg % shm_mailbox_count(s);
	struct mail_head head;

	mailbox_settle(s, mailbox);
	(void)mailbox_has_room(s, mailbox);
	if (mailbox_peek(s, mailbox, &head) != 1 || (arg & 64))
		return;
	if (mailbox_take(s, the.client->slot, &head) == 0) {
		mailbox_pass(s, mailbox, head.ticket, head.ref.cell);
		mail_answer(s, head.ref);
	}
}

static void repair(unsigned what, unsigned arg)
{
	struct shm *s = &the.client->shm;
	uint64_t handle = handle_make(1 + arg % (s->limits.slots - 1), 5);
	struct mail_record record;
	struct acquired got;
	uint32_t app = arg % s->limits.apps;

	switch (what % 8) {
	case 0:
		(void)bury_all(s, arg & 1 ? the.client->slot : 0);
		break;
	case 1:
		(void)bury(s, the.client->slot, handle);
		(void)bury_pending(s);
		break;
	case 2:
		(void)app_acquire(s, app, the.client->self, arg & 2 ? ACQUIRE_SWITCH : ACQUIRE_CLAIM, NULL, &got);
		break;
	case 3:
		(void)app_recover(s, app, the.client->self, NULL);
		(void)app_release(s, app, the.client->self);
		break;
	case 4:
		(void)names_sweep(s);
		names_bury(s, handle_slot(handle), yes, NULL);
		(void)names_drop_binding(s, the.client->slot, handle);
		break;
	case 5:
		mail_bury(s, handle, yes, NULL);
		mail_return(s, handle);
		record_load(&record, &s->apps[app].record[arg >> 1 & 1]);
		record_redo(s, &record);
		break;
	case 6:
		use_mailbox(s, arg);
		break;
	case 7:
		(void)handle_fence(s, handle, clock_ns() + 50 * MS);
		(void)move_begin(s, app, the.client->self, 2, 1, 2, NULL);
		move_step(s, app, the.client->self, arg, clock_ns());
		(void)move_step_ends(move_unpack(atom_load_acquire(&shm_app(s, app)->move)), the.client->self);
		move_end(s, app, the.client->self);
		(void)failover_count(s, app, clock_ns());
		(void)failover_exhausted(s, app, clock_ns());
		break;
	}
}

static int on_message(heir_t *h, const struct heir_message *message, void *arg)
{
	size_t size;
	unsigned char *state = heir_state(h, &size);

	(void)arg;
	look_text(message->name);
	look(message->data, message->size);
	if (message->direct)
		return heir_forward(h, "one");
	if (state && heir_mark(h, state + the.polls % 64 * 8, 8) == 0)
		state[the.polls % 64 * 8]++;
	(void)heir_send(h, name_at(the.polls), "from a handler", 14);
	return the.polls % 5 == 4 ? -1 : heir_reply(h, "done", 4);
}

static int on_start(heir_t *h, const struct heir_start *start, void *arg)
{
	(void)h, (void)arg;
	look_text(start->from);
	return the.polls % 7 == 6 ? -1 : 0;
}

static int on_phase(heir_t *h, const char *phase, const struct heir_start *start, void *arg)
{
	(void)arg;
	look_text(phase);
	look_text(start->from);
	return the.polls % 11 == 10 ? heir_begin(h) : 0;
}

static void on_lost(heir_t *h, const char *to, void *arg)
{
	(void)h, (void)arg;
	look_text(to);
}

static void open_worker(unsigned arg)
{
	static const struct heir_worker worker = {.size = sizeof(worker), .version = 1, .handle = on_message,
						  .start = on_start, .start_phase = on_phase, .lost = on_lost};

	setenv("HEIR_NODE", arg & 1 ? "c" : arg & 2 ? "b" : "a", 1);
	setenv("HEIR_APPLICATION", arg & 4 ? "one" : "two", 1);
	setenv("HEIR_CHILD", arg & 8 ? "helper" : "server", 1);
	if (heir_worker_open(&worker, NULL, &the.worker))
		the.worker = NULL;
}

static void be_worker(unsigned what, unsigned arg)
{
	heir_t *h = the.worker;
	int rc = 0;

	if (!h) {
		open_worker(arg);
		return;
	}
	switch (what % 4) {
	case 0:
	case 1:
		for (unsigned i = 0; i <= arg % 4 && rc >= 0; i++, the.polls++)
			rc = heir_poll(h, (arg & 15) * MS);
		break;
	case 2:
		if (heir_begin(h))
			break;
		if (h->state.data && heir_mark(h, h->state.data + arg, 8) == 0)
			h->state.data[arg]++;
		use_names(h, arg | 128);
		(void)heir_send(h, name_at(arg), "sent", 4);
		(void)(arg & 1 ? heir_commit(h) : heir_abort(h));
		break;
	case 3:
		use_names(h, arg);
		break;
	}
}

static void run(const uint8_t *operations, size_t count)
{
	static const unsigned kinds[] = {0, 0, 1, 1, 2, 2, 3, 3};

	for (size_t i = 0; i < count; i++) {
		unsigned what = operations[2 * i], arg = operations[2 * i + 1];

		kernel_again();
		switch (kinds[what & 7]) {
		case 0:
			read_something(what >> 3, arg);
			break;
		case 1:
			be_client(what >> 3, arg);
			break;
		case 2:
			repair(what >> 3, arg);
			break;
		case 3:
			be_worker(what >> 3, arg);
			break;
		}
	}
}

static int say_damage(const struct heir_finding *finding, void *arg)
{
	(void)arg;
	if (finding->kind == HEIR_DAMAGE)
		fprintf(stderr, "%s %u: %s\n", finding->part, finding->index, finding->what);
	return 0;
}

/* What the changes are made to has no damage, alive or dead. */
static void check_model(int dead)
{
	struct heir_check check;
	size_t bytes;
	unsigned char *base = image_fresh(&bytes);

	kernel_segment(base, bytes);
	if (dead)
		image_all_dead();
	if (heir_open(NULL, HEIR_OBSERVE, &the.observer) || heir_check(the.observer, say_damage, NULL, &check) ||
	    check.damage || (check.processes == 0) != dead)
		abort();
	heir_close(the.observer);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	setenv("HEIR_DOMAIN", "fuzz", 1);
	kernel_reset();
	image_build();
	check_model(0);
	check_model(1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int threaded = -1;
	size_t n, bytes;
	unsigned char *base = image_fresh(&bytes);

	if (threaded < 0)
		threaded = getenv("HEIR_FUZZ_THREAD") != NULL;
	if (size < 1)
		return 0;
	n = (data[0] & 127) % OPERATIONS_MAX;
	if (size < 1 + 2 * n)
		return 0;
	memset(&the, 0, sizeof(the));
	kernel_reset();
	kernel_segment(base, bytes);
	if (data[0] & 128)
		image_exclusive();
	if ((data[0] & 127) >= 96)
		image_all_dead();
	patches_take(data + 1 + 2 * n, size - 1 - 2 * n);
	if (threaded)
		patches_thread_start();
	if (heir_open(NULL, HEIR_OBSERVE, &the.observer) == 0) {
		if ((data[0] & 127) >= 96)
			look_check();
		if (heir_open(NULL, 0, &the.client) == 0)
			run(data + 1, n);
		heir_close(the.worker);
		heir_close(the.client);
		heir_close(the.observer);
	}
	if (threaded)
		patches_thread_stop();
	patches_finish();
	return 0;
}
