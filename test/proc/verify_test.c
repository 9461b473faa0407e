/* SPDX-License-Identifier: ISC */
/*
 * The check of a whole segment: a sound one is clean; each invariant, broken by hand, is found and named, where it is;
 * the dead are leftovers; and while others work, stop and die, nothing false is said. By an observer: its mapping is
 * read-only, so a check that stored anything would not survive it.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "lib/txn.h"
#include "name/namecell.h"
#include "name/names.h"
#include "proc/txnfix.h"
#include "proc/verify.h"

#define FREE_SLOT 9u /* where nobody has been */
#define LOOKS	  2000 /* checks of a domain at work */

static heir_t *observer;
static struct heir_check sum;

static int setup(void **state)
{
	txnfix_setup(state);
	assert_int_equal(heir_open(d.name, HEIR_OBSERVE, &observer), 0);
	return 0;
}

static int teardown(void **state)
{
	heir_close(observer);
	return txnfix_teardown(state);
}

static int say(const struct heir_finding *f, void *arg)
{
	(void)arg;
	if (f->kind == HEIR_DAMAGE)
		print_message("%s %u: %s\n", f->part, f->index, f->what);
	return 0;
}

static void clean(void)
{
	assert_int_equal(heir_check(observer, say, NULL, &sum), 0);
	assert_int_equal(sum.damage, 0);
	assert_int_equal(sum.leftovers, 0);
	assert_int_equal(sum.unjudged, 0);
}

struct wanted {
	const char *part, *what;
	uint32_t index;
	enum heir_finding_kind kind;
	int found;
};

static int seek(const struct heir_finding *f, void *arg)
{
	struct wanted *w = arg;

	if (f->kind == w->kind && f->index == w->index && strcmp(f->part, w->part) == 0 &&
	    strcmp(f->what, w->what) == 0)
		w->found++;
	return 0;
}

static void found(enum heir_finding_kind kind, const char *part, uint32_t index, const char *what)
{
	struct wanted w = {part, what, index, kind, 0};

	assert_int_equal(heir_check(observer, seek, &w, &sum), 0);
	if (w.found == 1)
		return;
	(void)heir_check(observer, say, NULL, &sum);
	fail_msg("not found: %s %u: %s", part, index, what);
}

/* Found while the word is that; then it is what it was. */
static void broken(atom64 *word, uint64_t value, const char *part, uint32_t index, const char *what)
{
	uint64_t was = atom_load_relaxed(word);

	atom_store_relaxed(word, value);
	found(HEIR_DAMAGE, part, index, what);
	atom_store_relaxed(word, was);
}

static void broken32(atom32 *word, uint32_t value, const char *part, uint32_t index, const char *what)
{
	uint32_t was = atom_load_relaxed(word);

	atom_store_relaxed(word, value);
	found(HEIR_DAMAGE, part, index, what);
	atom_store_relaxed(word, was);
}

static heir_t *serving_owner(void)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, 0);

	assert_int_equal(owner_acquire(h, ACQUIRE_CLAIM, &got), 0);
	owner_serve(h);
	return h;
}

static uint64_t slot_of(uint32_t slot)
{
	return atom_load_relaxed(&d.shm.slots[slot].word);
}

static void test_sound(void **state)
{
	heir_t *owner = serving_owner(), *client = open_client();
	struct heir_ticket t;
	(void)state;

	clean();
	assert_int_equal(sum.processes, 5);
	assert_int_equal(sum.is_cut, 0);
	assert_int_equal(heir_call_start(client, "app", "inc", 3, &t), 0);
	clean();
	assert_int_equal(serve_one(owner), 1);
	clean();
	assert_int_equal(finish_call(client, t), 1);
	assert_int_equal(heir_register(client, "one", HEIR_SELF), 0);
	open_dirty(owner);
	clean();
	assert_int_equal(heir_abort(owner), 0);
	heir_close(client);
	heir_close(owner);
	assert_int_equal(heir_check(observer, NULL, NULL, &sum), 0);
	assert_int_equal(sum.damage, 0);
}

static void test_processes(void **state)
{
	struct shm_slot *s = &d.shm.slots[1];
	const uint64_t gone = handle_make(FREE_SLOT, 3);
	struct shm_node *b = &d.shm.nodes[1];
	(void)state;

	broken(&s->word, slot_of(1) | 9 << 24, "process", 1, "its word is in no state");
	broken(&s->word, slot_of(1) & ~UINT64_C(0xffffff), "process", 1,
	       "it is alive, and has no process or no incarnation");
	broken(&s->place, 0, "process", 1, "its process is of no kind");
	broken(&s->place, (uint64_t)KIND_LEADER << 56 | UINT64_C(4) << 48, "process", 1,
	       "its process is of a node, an application or a role that does not exist");
	broken32(&s->ready, 77, "process", 1, "its process says of itself what cannot be");
	broken32(&b->state, 77, "node", 1, "it is in no state");
	broken(&b->leader, handle_make(500, 1), "node", 1, "its leader is nobody who ever was");
	broken(&b->leader, gone, "node", 1, "its leader is nobody who ever was");
	broken(&d.shm.head->up, gone, "head", 0, "its `heir up` is nobody who ever was");
	broken(&d.shm.head->opener, gone, "head", 0, "who opens sockets is nobody who ever was");
	broken32(&d.shm.head->stopping, 3, "head", 0, "it is told to stop in no known way");
	broken(&d.shm.roles[1].candidate[2], gone, "role", 1, "its candidate is nobody who ever was");
	broken(&d.shm.roles[1].child[2], UINT64_C(9) << 24, "role", 1, "its child is in no state");
	clean();
	atom_store_relaxed(&d.shm.slots[FREE_SLOT].word, slot_pack((struct slot_word){3, SLOT_FREE, 0}));
	broken(&b->leader, gone, "node", 1, "its leader is buried");
	broken(&d.shm.head->opener, gone, "head", 0, "who opens sockets is buried");
	broken(&d.shm.roles[1].candidate[2], gone, "role", 1, "its candidate is buried");
	clean();
}

static void test_applications(void **state)
{
	heir_t *owner = serving_owner();
	struct shm_app *a = &d.shm.apps[0];
	struct control c = word(), bad;
	struct shm_record *r = &a->record[c.parity];
	(void)state;

	broken(&a->control, control_pack(c) | UINT64_C(7) << 56, "application", 0,
	       "its control word is in no phase, or more is set than there is");
	broken(&a->control, control_pack(c) | UINT64_C(1) << 62, "application", 0,
	       "its control word is in no phase, or more is set than there is");
	bad = c, bad.owner = 0;
	broken(&a->control, control_pack(bad), "application", 0, "it has no owner, or one while it is down");
	bad = c, bad.phase = PHASE_RECOVERING;
	broken(&a->control, control_pack(bad), "application", 0,
	       "its transaction is open or closed where that cannot be");
	bad = c, bad.owner = FREE_SLOT;
	broken(&a->control, control_pack(bad), "application", 0, "its owner is buried");
	bad = c, bad.heir = 0xfff;
	broken(&a->control, control_pack(bad), "application", 0, "its heir is buried");
	broken(&a->redone, c.generation + 1, "application", 0, "what is redone is ahead of its generation");
	broken32(&r->outbox, SHM_OUTBOX_MAX + 1, "application", 0, "its commit record sends too many messages");
	broken(&r->ticket, UINT64_C(9) << 56, "application", 0, "its commit record has no such outcome");
	atom_store_relaxed(&r->ticket, (uint64_t)MAIL_ANSWERED << 56);
	broken(&r->cell, 9999, "application", 0, "its commit record is about no message, or of no mailbox");
	atom_store_relaxed(&r->ticket, 0);
	broken32(&r->outbox, 1, "application", 0, "its commit record sends no message, or to no mailbox");
	broken(&a->move, FREE_SLOT, "application", 0, "the driver of its move is buried");
	broken(&a->move, owner->slot | UINT64_C(9) << 24, "application", 0,
	       "it is being moved between nodes that do not exist");
	broken(&a->start, UINT64_C(9) << 56, "application", 0,
	       "it is said to have been started in no known way, or from no node");
	broken(&a->previous, handle_make(FREE_SLOT, 3), "application", 0, "its owner before is nobody who ever was");
	broken32(&a->instance[1], 77, "application", 0, "an instance of it is in no state");
	clean();
	a->roles = 1;
	found(HEIR_DAMAGE, "role", 1, "its application does not have it");
	a->roles = 2;
	a->first_role = a->roles = 1;
	found(HEIR_DAMAGE, "application", 0, "its lead is not one of its roles");
	a->first_role = 0, a->roles = 2;
	a->policy[0].priority[5] = 1;
	found(HEIR_DAMAGE, "application", 0, "it is to run on a node that does not exist");
	a->policy[0].priority[5] = 0;
	clean();
	heir_close(owner);
}

static void test_mail(void **state)
{
	heir_t *client = open_client();
	struct shm_mailbox *m = &d.shm.mailboxes[BOX];
	atom64 *ring = shm_ring(&d.shm, BOX);
	struct shm_cell *c;
	struct cell_word w;
	uint32_t cell, n = d.shm.ring_entries;
	(void)state;

	assert_int_equal(heir_send(client, "box", "hello", 5), 0);
	clean();
	cell = (uint32_t)atom_load_relaxed(&ring[0]);
	c = shm_cell(&d.shm, cell);
	w = cell_unpack(atom_load_relaxed(&c->word));
	broken(&m->tail, n + 1, "mailbox", BOX, "its tail is further from its head than its ring is long");
	broken(&m->head, 2, "mailbox", BOX, "its head has passed its tail");
	broken(&ring[3], 2ull << 32, "mailbox", BOX, "an entry of its ring has a ticket of another entry");
	broken(&ring[0], 0, "mailbox", BOX, "an entry of its ring is empty where a message was accepted");
	broken(&ring[3], (uint64_t)(2 * n + 3) << 32, "mailbox", BOX,
	       "an entry of its ring waits for a ticket that is too far away");
	broken(&m->head, 1, "mailbox", BOX, "an entry of its ring that was passed still has its message");
	broken(&ring[3], 3ull << 32 | cell, "mailbox", BOX, "an entry of its ring is filled beyond its tail");
	broken(&ring[0], 9999, "mailbox", BOX, "an entry of its ring has a message that does not exist");
	broken(&ring[1], 1ull << 32 | cell, "mailbox", BOX, "a message stands in two places");
	broken32(&c->mailbox, 0, "mailbox", BOX, "a message in its ring is meant for another mailbox");
	broken(&c->word, cell_pack((struct cell_word){.state = CELL_FREE}), "mailbox", BOX,
	       "a message in its ring was let go, or is not marked");
	broken(&c->word, cell_pack((struct cell_word){.state = CELL_FREE, .slot = 1}), "message", cell,
	       "it is free, and says more");
	broken(&c->word, cell_pack((struct cell_word){.state = CELL_OWNED}), "message", cell,
	       "it is being filled by nobody");
	broken(&c->word, cell_pack(w) | 0xff, "message", cell, "it is in no state");
	w.slot = 0xfff;
	broken(&c->word, cell_pack(w), "message", cell, "its sender's slot does not exist");
	w.slot = FREE_SLOT;
	broken(&c->word, cell_pack(w), "message", cell, "its sender is buried");
	broken32(&c->kind, 9, "message", cell, "it is of no kind");
	broken32(&c->mailbox, 9999, "message", cell, "it was sent to no mailbox");
	broken32(&c->size, d.shm.limits.message + 1, "message", cell,
		 "its name or its request is longer than there is room");
	broken32(&c->name_size, 256, "message", cell, "its name or its request is longer than there is room");
	w = cell_unpack(atom_load_relaxed(&c->word));
	atom_store_relaxed(&c->reply_size, d.shm.limits.message + 1);
	w.state = CELL_DONE, w.flags = CELL_ABANDONED;
	broken(&c->word, cell_pack(w), "message", cell, "its reply is longer than there is room");
	atom_store_relaxed(&c->reply_size, 0);
	clean();
	heir_close(client);
}

static void test_names(void **state)
{
	uint32_t bucket = (uint32_t)hash_bytes("app", 3) & (d.shm.limits.buckets - 1);
	atom64 *head = &d.shm.buckets[bucket].head;
	uint32_t first = name_head_first(atom_load_relaxed(head));
	struct shm_name_cell *cell = &d.shm.name_cells[first];
	(void)state;

	broken(head, name_head_next(atom_load_relaxed(head), UINT32_MAX), "bucket", bucket,
	       "its names contradict each other or themselves");
	broken(&cell->words[1], name_link(1, 0), "bucket", bucket, "its names contradict each other or themselves");
	broken(&cell->words[1], atom_load_relaxed(&cell->words[1]) | first, "bucket", bucket,
	       "its names contradict each other or themselves"); /* a circle */
	broken(&cell->words[2], name_binding_role(0, 7), "bucket", bucket,
	       "a name is bound to a role that does not exist");
	broken(&cell->words[2], handle_make(FREE_SLOT, 3), "bucket", bucket,
	       "a name is bound to a process that never was");
	broken(&cell->words[0], 77, "name cell", first, "its word is in no state");
	clean();
	atom_store_relaxed(&d.shm.slots[FREE_SLOT].word, slot_pack((struct slot_word){3, SLOT_FREE, 0}));
	atom_store_relaxed(&cell->words[2], handle_make(FREE_SLOT, 3));
	found(HEIR_LEFTOVER, "names", 0, "names of processes that are dead: they count as free");
	assert_int_equal(sum.damage, 0);
}

static void test_state_file(void **state)
{
	struct state s;
	char path[512];
	(void)state;

	assert_int_equal(state_map(&d.shm, 0, 0, &s), 0);
	broken((atom64 *)&s.head->magic, 1, "application", 0,
	       "the head of its state file contradicts itself, or the application");
	broken((atom64 *)&s.head->data_offset, 1, "application", 0,
	       "the head of its state file contradicts itself, or the application");
	broken(&s.head->undo_used[0], s.undo_size + 1, "application", 0,
	       "its undo log is said to be longer than there is room");
	broken(&s.head->undo_used[1], UINT64_MAX, "application", 0,
	       "its undo log is said to be longer than there is room");
	state_unmap(&s);
	assert_int_equal(state_path(&d.shm, 0, path, sizeof(path)), 0);
	assert_int_equal(chmod(path, 0644), 0);
	found(HEIR_DAMAGE, "application", 0, "its state file is not a regular file of this user with mode 0600");
	assert_int_equal(unlink(path), 0);
	found(HEIR_DAMAGE, "application", 0, "its state file is missing");
	assert_int_equal(state_create(&d.shm, 0), 0);
	clean();
}

static int die_in_transaction(void *arg)
{
	(void)arg;
	open_dirty(serving_owner());
	return kill(getpid(), SIGKILL);
}

static void leave_all(void)
{
	for (int i = 0; i < 3; i++) {
		slot_leave(&d.shm, d.leader[i]);
		d.leader[i] = 0;
	}
}

static void test_all_dead(void **state)
{
	pid_t pid = domain_fork(&d, NULL, die_in_transaction, NULL);
	struct state s;
	uint32_t slot;
	uint64_t used;
	(void)state;

	(void)domain_wait(&d, pid);
	slot = word().owner;
	found(HEIR_LEFTOVER, "process", slot, "it is dead and not buried: the next joiner or a leader does that");
	assert_int_equal(sum.processes, 3);
	assert_int_equal(sum.leftovers, 1);
	leave_all();
	found(HEIR_LEFTOVER, "application", 0, "its owner died in a transaction: whoever claims it undoes that");
	assert_int_equal(sum.processes, 0);
	assert_int_equal(sum.damage, 0);

	assert_int_equal(state_map(&d.shm, 0, 0, &s), 0);
	used = atom_load_relaxed(&s.head->undo_used[word().parity]);
	assert_true(used > 0);
	broken((atom64 *)(void *)(s.undo + used - 8), 7, "application", 0,
	       "an entry of its undo log is out of range: the open transaction cannot be undone");
	atom_store_relaxed(&d.shm.apps[0].control, control_pack((struct control){.generation = 9}));
	found(HEIR_DAMAGE, "application", 0, "its undo log is not empty, though no transaction is open");
	state_unmap(&s);
}

/* Accepted, and taken out of its ring by nobody who has it. */
static void test_lost_mail(void **state)
{
	heir_t *client = open_client();
	atom64 *ring = shm_ring(&d.shm, BOX);
	uint32_t cell;
	(void)state;

	assert_int_equal(heir_send(client, "box", "hello", 5), 0);
	heir_close(client);
	cell = (uint32_t)atom_load_relaxed(&ring[0]);
	leave_all();
	clean();
	atom_store_relaxed(&ring[0], (uint64_t)d.shm.ring_entries << 32);
	atom_store_relaxed(&d.shm.mailboxes[BOX].head, 1);
	found(HEIR_DAMAGE, "message", cell, "it was accepted, and stands in no ring: nobody will ever handle it");
}

static int stop_at_third(const struct heir_finding *f, void *arg)
{
	(void)f;
	return ++*(int *)arg == 3 ? 42 : 0;
}

static void test_bounded(void **state)
{
	struct heir_check untouched = {.damage = 77};
	int n = 0;
	(void)state;

	for (uint32_t i = 0; i < d.shm.ring_entries * shm_mailbox_count(&d.shm); i++)
		atom_store_relaxed(&d.shm.rings[i], UINT64_MAX);
	assert_true(d.shm.ring_entries * shm_mailbox_count(&d.shm) > HEIR_FINDINGS_MAX);
	assert_int_equal(heir_check(observer, NULL, NULL, &sum), 0);
	assert_int_equal(sum.is_cut, 1);
	assert_int_equal(sum.damage + sum.leftovers, HEIR_FINDINGS_MAX);
	assert_int_equal(heir_check(observer, stop_at_third, &n, &untouched), 42);
	assert_int_equal(n, 3);
	assert_int_equal(untouched.damage, 77);
}

/* What each child has done, so that it is known that it worked meanwhile. */
static struct work {
	atom64 served, called, named, joined;
} *work;

static int ignore(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)h, (void)m, (void)arg;
	return 0;
}

static int serve(void *arg)
{
	heir_t *h = serving_owner();
	(void)arg;

	for (;;) {
		int rc = serve_one(h);

		MUST(rc >= 0);
		atom_add_relaxed(&work->served, (uint64_t)rc);
		while ((rc = plain_message(h, BOX, ignore, NULL)) == 1)
			;
		MUST(rc == 0);
	}
}

static int call(void *arg)
{
	uint64_t n;
	heir_t *h;
	(void)arg;

	MUST(heir_open(d.name, 0, &h) == 0);
	for (;;) {
		size_t size = sizeof(n);

		MUST(heir_call(h, "app", "inc", 3, &n, &size, 20 * SECOND) == 0);
		(void)heir_send(h, "app", "inc", 3);
		atom_add_relaxed(&work->called, 1);
	}
}

static int name(void *arg)
{
	static const char longer[] = "a name of more than forty bytes, so that it takes two cells";
	char text[32];
	heir_t *h;
	(void)arg;

	MUST(heir_open(d.name, 0, &h) == 0);
	for (unsigned i = 0;; i++) {
		snprintf(text, sizeof(text), "name %u", i % 50);
		MUST(heir_re_register(h, text, HEIR_SELF) == 0 && heir_re_register(h, longer, HEIR_SELF) == 0);
		(void)heir_unregister(h, i % 3 ? text : longer);
		atom_add_relaxed(&work->named, 1);
	}
}

static int join(void *arg)
{
	heir_t *h;
	(void)arg;

	for (;;) {
		MUST(heir_open(d.name, 0, &h) == 0);
		MUST(heir_register(h, "joiner", HEIR_SELF) == 0);
		(void)heir_send(h, "app", "inc", 3);
		heir_close(h);
		atom_add_relaxed(&work->joined, 1);
	}
}

static void no_damage(void)
{
	assert_int_equal(heir_check(observer, say, NULL, &sum), 0);
	assert_int_equal(sum.damage, 0);
}

static bool all_moved(const struct work *from)
{
	return atom_load_relaxed(&work->served) > atom_load_relaxed(&from->served) + 100 &&
	       atom_load_relaxed(&work->called) > atom_load_relaxed(&from->called) + 100 &&
	       atom_load_relaxed(&work->named) > atom_load_relaxed(&from->named) + 100 &&
	       atom_load_relaxed(&work->joined) > atom_load_relaxed(&from->joined) + 10;
}

/* As many looks as there are to be, and as long as all of them have worked meanwhile; the test's alarm bounds that. */
static void watch(int looks)
{
	struct work from;

	memcpy(&from, work, sizeof(from));
	for (int i = 0; i < looks || !all_moved(&from); i++)
		no_damage();
}

static void test_at_work(void **state)
{
	static int (*const others[])(void *) = {call, call, name, name};
	(void)state;

	work = mmap(NULL, sizeof(*work), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(work != MAP_FAILED);
	domain_fork(&d, NULL, serve, NULL);
	for (unsigned i = 0; i < 4; i++)
		domain_fork(&d, NULL, others[i], NULL);
	domain_fork(&d, NULL, join, NULL);
	watch(LOOKS);
	for (unsigned i = 0; i < 4; i++) { /* die anywhere, and are replaced */
		domain_kill(&d, d.child[1 + i]);
		no_damage();
		domain_fork(&d, NULL, others[i], NULL);
		watch(LOOKS / 10);
	}
	kill(d.child[0], SIGSTOP); /* anywhere, and it stands there */
	for (int i = 0; i < LOOKS / 10; i++)
		no_damage();
	for (unsigned i = 0; i < d.children; i++)
		if (d.child[i])
			domain_kill(&d, d.child[i]);
	no_damage();
	leave_all();
	no_damage();
	assert_int_equal(sum.processes, 0);
	munmap(work, sizeof(*work));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_applications, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_mail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_work, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
