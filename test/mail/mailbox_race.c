/* SPDX-License-Identifier: ISC */
/*
 * Races on a mailbox. Threads on one mapping (for TSan): many senders, and owners that take the
 * mailbox from each other, let go in the middle, and redo what the other has committed. Processes:
 * senders and owners that are killed at random.
 *
 * Every message has a number of its own. What an owner has handled it notes in plain memory that
 * belongs to its transaction, as the application's state would. In the end every message that was
 * accepted is noted once, every call has had its own answer, and every cell is free. argv[1]: how
 * often.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/futex.h"
#include "heir.h"
#include "mail/doorbell.h"
#include "mail/mailfix.h"
#include "state/control.h"

#define CELLS	24u
#define ROLE	0u
#define SENDERS 4u	 /* slots 1 to 4 */
#define OWNER	5u	 /* slots 5 and 6 */
#define MOST	4000000u /* messages in a round */
#define KILLS	1500u

/* Threads and forked children must not use cmocka's asserts. */
#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                 \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* Shared with the children. What is not atomic belongs to the open transaction, or to the sender.
 */
static struct board {
	uint64_t count[2];	      /* how many are noted: the one of the control word's parity */
	atom64 sent[SENDERS + 1];     /* the last number that a sender tried */
	atom64 accepted[SENDERS + 1]; /* the last that was accepted; a call: answered, as it is
					 given up with its caller */
	atom64 stop;
	uint64_t noted[];
} * board;

/* Of senders that were killed between: these may have been accepted or not. */
static uint64_t doubtful[SENDERS + 1][KILLS + 1];
static unsigned doubts[SENDERS + 1];

static struct shm shm;
static unsigned rounds = 1;

static uint64_t number_of(uint32_t sender, uint64_t n)
{
	return (uint64_t)sender << 40 | n;
}

static uint64_t answer_to(uint64_t number)
{
	return number * 7 + 3;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static size_t board_size(void)
{
	return sizeof(*board) + MOST * sizeof(board->noted[0]);
}

static int setup(void **state)
{
	(void)state;
	alarm(120);
	mailfix_init(&shm, CELLS, 64);
	for (uint32_t i = 1; i < MAILFIX_SLOTS; i++)
		mailfix_slot(&shm, i, 1, SLOT_ALIVE);
	memset(doubts, 0, sizeof(doubts));
	board = mmap(NULL, board_size(), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(board != MAP_FAILED);
	atom_store_relaxed(&shm.apps[0].control,
			   control_pack((struct control){.owner = OWNER, .phase = PHASE_SERVING}));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(board, board_size());
	mailfix_finish(&shm);
	alarm(0);
	return 0;
}

static void sleep_on(uint32_t slot, uint32_t rung)
{
	doorbell_sleep(&shm, slot);
	(void)futex_wait(&shm.slots[slot].doorbell, rung, DEADLINE_NEVER); /* a lost wake ends in the alarm */
	doorbell_awake(&shm, slot);
}

static void ring_all(void)
{
	for (uint32_t s = 1; s < MAILFIX_SLOTS; s++)
		doorbell_ring(&shm, s);
}

/* Until the answer is there: the caller's part. */
static void await(uint32_t slot, struct cell_ref ref, uint64_t number)
{
	struct shm_cell *c = shm_cell(&shm, ref.cell);
	uint64_t w, answer;

	for (;;) {
		uint32_t seen = doorbell_seen(&shm, slot);

		CHECK(cell_load(&shm, ref, &w) == 0);
		if (cell_unpack(w).state == CELL_DONE)
			break;
		sleep_on(slot, seen);
	}
	CHECK(!(cell_unpack(w).flags & CELL_REFUSED));
	CHECK(atom_load_relaxed(&c->reply_size) == sizeof(answer));
	memcpy(&answer, shm_cell_reply(&shm, c), sizeof(answer));
	CHECK(answer == answer_to(number));
	cell_free(&shm, ref.cell, w);
}

/* One message: a send, a call, or a call that is given up at once. */
static void send_one(uint32_t slot, uint64_t n, uint32_t *seed)
{
	uint32_t kind = next_random(seed) % 8, hint = next_random(seed) % CELLS;
	uint64_t number = number_of(slot, n);
	struct cell_ref ref;

	while (!mailbox_has_room(&shm, ROLE) ||
	       cell_alloc(&shm, slot, kind < 3 ? CELL_CALL : 0, &hint, &ref))
		sched_yield();
	CHECK(cell_fill(&shm, ref, CELL_USER, "", 0, &number, sizeof(number)) == 0);
	atom_store_relaxed(&shm_cell(&shm, ref.cell)->mailbox, ROLE);
	atom_store_release(&board->sent[slot], n);
	CHECK(mailbox_publish(&shm, ROLE, ref) == 0);
	if (kind >= 3)
		atom_store_release(&board->accepted[slot], n);
	if (kind == 7) /* twice: whoever redoes a commit may come late */
		CHECK(mailbox_publish(&shm, ROLE, ref) == 0);
	mailbox_ring(&shm, ROLE);
	if (kind < 3)
		await(slot, ref, number);
	atom_store_release(&board->accepted[slot], n);
}

/* The head is handled in the open transaction of `slot`, whose parity was p when it began. */
static void handle(uint32_t slot, struct mail_head *head, unsigned p)
{
	struct mail_record r = {head->ref, ROLE, head->ticket, MAIL_ANSWERED, 0, {{{0}}}};
	struct shm_cell *c = shm_cell(&shm, head->ref.cell);
	uint64_t number = mailfix_value(&shm, head->ref.cell), answer = answer_to(number), old, now;

	CHECK(board->count[p] < MOST);
	board->noted[board->count[p]] = number;
	board->count[!p] = board->count[p] + 1;
	memcpy(shm_cell_reply(&shm, c), &answer, sizeof(answer));
	atom_store_relaxed(&c->reply_size, sizeof(answer));
	record_store(&shm.apps[0].record[!p], &r);
	CHECK(control_apply(&shm.apps[0].control, &old, &now, control_commit, slot) == 0);
	record_redo(&shm, &r);
}

/* One message, if there is one. With forget, its owner lets go of it in the middle: the next one
 * takes it again. */
static bool serve_one(uint32_t slot, bool forget)
{
	atom64 *word = &shm.apps[0].control;
	struct mail_head head;
	uint64_t old, now;
	unsigned p;

	CHECK(mailbox_peek(&shm, ROLE, &head) >= 0);
	if (control_apply(word, &old, &now, control_begin, slot))
		return false;
	p = control_unpack(now).parity;
	if (!mailfix_take(&shm, slot, ROLE, &head) || forget) {
		CHECK(control_apply(word, &old, &now, control_abort, slot) == 0);
		return forget;
	}
	handle(slot, &head, p);
	return true;
}

/* The rest of taking the word: what was committed last is redone. */
static void redo_last(uint32_t slot)
{
	struct control c = control_unpack(atom_load_acquire(&shm.apps[0].control));
	struct mail_record r;
	uint64_t old, now;

	record_load(&r, &shm.apps[0].record[c.parity]);
	fence_acquire();
	if (control_unpack(atom_load_acquire(&shm.apps[0].control)).generation != c.generation)
		return; /* taken by another already */
	record_redo(&shm, &r);
	(void)control_apply(&shm.apps[0].control, &old, &now, control_serve, slot);
}

static void check_board(void)
{
	unsigned p = control_unpack(atom_load_acquire(&shm.apps[0].control)).parity;
	unsigned char *seen[SENDERS + 1];
	uint64_t count = board->count[p];

	for (uint32_t s = 1; s <= SENDERS; s++)
		assert_non_null(seen[s] = calloc(1, board->sent[s] + 1));
	for (uint64_t i = 0; i < count; i++) {
		uint32_t s = (uint32_t)(board->noted[i] >> 40);
		uint64_t n = board->noted[i] & ((UINT64_C(1) << 40) - 1);

		assert_in_range(s, 1, SENDERS);
		assert_in_range(n, 1, board->sent[s]);
		assert_int_equal(seen[s][n], 0); /* Invariant 5: not twice */
		seen[s][n] = 1;
	}
	for (uint32_t s = 1; s <= SENDERS; s++) {
		for (unsigned i = 0; i < doubts[s]; i++)
			seen[s][doubtful[s][i]] = 1;
		for (uint64_t n = 1; n <= board->accepted[s]; n++)
			assert_int_equal(seen[s][n], 1); /* Invariant 5: not lost */
		free(seen[s]);
	}
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

/* Threads */

#define EACH 6000u

static atom64 sending;

static void *sender_thread(void *arg)
{
	uint32_t slot = (uint32_t)(uintptr_t)arg, seed = slot * 77;

	for (uint64_t n = 1; n <= EACH; n++)
		send_one(slot, n, &seed);
	atom_add_seq(&sending, (uint64_t)-1);
	mailbox_ring(&shm, ROLE);
	return NULL;
}

static void *owner_thread(void *arg)
{
	uint32_t slot = (uint32_t)(uintptr_t)arg, seed = slot;
	struct mail_head head;
	uint64_t old, now;

	while (atom_load_seq(&sending) || mailbox_peek(&shm, ROLE, &head) == 1) {
		uint32_t what = next_random(&seed) % 64;

		if (what == 0 &&
		    control_apply(&shm.apps[0].control, &old, &now, control_switch, slot) == 0)
			redo_last(slot);
		else if (!serve_one(slot, what == 1))
			sched_yield();
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t thread[SENDERS + 2];
	(void)state;

	atom_store_seq(&sending, SENDERS);
	for (uintptr_t i = 0; i < SENDERS + 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL,
						i < SENDERS ? sender_thread : owner_thread,
						(void *)(i + 1)),
				 0);
	for (unsigned i = 0; i < SENDERS + 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	check_board();
	for (uint32_t s = 1; s <= SENDERS; s++)
		assert_int_equal(board->accepted[s], EACH);
}

/* Processes */

static bool still_dead(void *arg)
{
	uint64_t handle = (uint64_t)(uintptr_t)arg,
		 w = atom_load_acquire(&shm_slot(&shm, handle_slot(handle))->word);

	return (w >> 24 & 0xff) == SLOT_DEAD && w >> 32 == handle_incarnation(handle);
}

static void sender_process(uint32_t slot, uint32_t seed)
{
	/* What its predecessor tried is not tried again: it may have been accepted. */
	for (uint64_t n = atom_load_acquire(&board->sent[slot]) + 1; n < MOST / SENDERS; n++)
		send_one(slot, n, &seed);
	while (pause() < 0)
		;
}

static void owner_process(uint32_t slot, uint32_t seed)
{
	atom64 *word = &shm.apps[0].control;
	uint64_t old, now;

	/* Its predecessor is dead, and waited for. */
	if (control_apply(word, &old, &now, control_claim, slot) == 0 &&
	    control_unpack(now).phase == PHASE_RECOVERING)
		CHECK(control_apply(word, &old, &now, control_recovered, slot) == 0);
	redo_last(slot);
	for (;;) {
		uint32_t rung = doorbell_seen(&shm, slot);

		if (serve_one(slot, next_random(&seed) % 64 == 0))
			continue;
		if (atom_load_acquire(&board->stop))
			return;
		sleep_on(slot, rung);
	}
}

static pid_t spawn(uint32_t slot, uint32_t seed)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(110);
		if (slot <= SENDERS)
			sender_process(slot, seed);
		else
			owner_process(slot, seed);
		_exit(0);
	}
	return pid;
}

static void end_of(pid_t pid, bool killed)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
			   : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void bury_slot(uint32_t slot, uint32_t incarnation)
{
	uint64_t handle = mailfix_slot(&shm, slot, incarnation, SLOT_DEAD);

	mail_bury(&shm, handle, still_dead, (void *)(uintptr_t)handle);
	for (uint32_t m = 0; m < shm_mailbox_count(&shm); m++)
		mailbox_settle(&shm, m);
	ring_all();
	mailfix_slot(&shm, slot, incarnation + 1, SLOT_ALIVE);
}

static void doubt(uint32_t s)
{
	if (board->sent[s] != board->accepted[s])
		doubtful[s][doubts[s]++] = board->sent[s];
}

static void settle_owner(uint32_t slot)
{
	atom64 *word = &shm.apps[0].control;
	uint64_t old, now;

	(void)control_apply(word, &old, &now, control_claim, slot);
	(void)control_apply(word, &old, &now, control_recovered, slot);
	redo_last(slot);
	while (serve_one(slot, false))
		;
}

static void test_killed(void **state)
{
	uint32_t incarnation[OWNER + 2] = {0}, seed = 12345, owner = OWNER;
	pid_t child[OWNER + 2] = {0};
	(void)state;

	for (uint32_t s = 1; s <= OWNER; s++) {
		incarnation[s] = 1;
		child[s] = spawn(s, s);
	}
	incarnation[OWNER + 1] = 1;
	for (unsigned i = 0; i < KILLS; i++) {
		uint32_t s = 1 + next_random(&seed) % (SENDERS + 1);
		struct timespec pause = {0, next_random(&seed) % 1000000};

		nanosleep(&pause, NULL); /* when is left to chance; what comes of it is not */
		s = s > SENDERS ? owner : s;
		kill(child[s], SIGKILL);
		end_of(child[s], true);
		if (s <= SENDERS) {
			doubt(s);
			bury_slot(s, incarnation[s]++);
			child[s] = spawn(s, i);
			continue;
		}
		/* The next owner claims from it, while it is not buried yet. */
		owner = s == OWNER ? OWNER + 1 : OWNER;
		child[owner] = spawn(owner, i);
		while (control_unpack(atom_load_acquire(&shm.apps[0].control)).owner != owner ||
		       control_unpack(atom_load_acquire(&shm.apps[0].control)).phase !=
			       PHASE_SERVING)
			sched_yield();
		bury_slot(s, incarnation[s]++);
	}
	for (uint32_t s = 1; s <= SENDERS; s++) {
		kill(child[s], SIGKILL);
		end_of(child[s], true);
		doubt(s);
		bury_slot(s, incarnation[s]++);
	}
	atom_store_seq(&board->stop, 1);
	ring_all();
	end_of(child[owner], false);
	settle_owner(owner == OWNER ? OWNER + 1 : OWNER);
	bury_slot(owner, incarnation[owner]++);
	check_board();
	print_message("%lu messages, %u kills\n",
		      board->count[control_unpack(shm.apps[0].control).parity], KILLS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
	};
	int failed = 0;

	if (argc > 1 && atoi(argv[1]) > 0)
		rounds = (unsigned)atoi(argv[1]);
	while (rounds-- > 0 && !failed)
		failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed;
}
