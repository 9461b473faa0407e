/* SPDX-License-Identifier: ISC */
/*
 * Who cannot be killed is not declared dead: its transaction stays open, nothing is undone under it, whoever wanted
 * the application is told and may try again, and succeeds when it is gone. At rest it does not matter. Whose pid is
 * another's by now is not taken for that other one. And what is exclusive waits until a process is gone as a whole.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fence/image.h"
#include "fence/stuck.h"
#include "proc/bury.h"
#include "proc/txnfix.h"
#include "support/points.h"

#define AT_ONCE (SECOND / 2)

struct owner {
	bool dirty, mute, unheard;
};

/* Without its robust list the kernel tells nobody of its death. */
static void lose_notice(void)
{
	static struct {
		void *next;
		long offset;
		void *pending;
	} head;

	head.next = &head;
	MUST(syscall(SYS_set_robust_list, &head, sizeof(head)) == 0);
}

static int own(void *arg)
{
	const struct owner *o = arg;
	struct acquired got;
	heir_t *h = owner_open(d.name, 0);

	MUST(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
	owner_serve(h);
	if (o->dirty)
		open_dirty(h);
	if (o->unheard)
		lose_notice();
	raise(SIGSTOP);
	if (o->mute)
		mute_enter();
	for (;;)
		pause();
}

static pid_t begin_owner(const struct owner *o)
{
	pid_t pid = domain_fork(&d, NULL, own, (void *)(uintptr_t)o);
	int status;

	assert_int_equal(points_wait(pid, &status), POINTS_STOPPED);
	points_continue(pid);
	return pid;
}

static bool is_there(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WNOHANG) == 0;
}

static void fail_to_acquire(heir_t *b, pid_t pid, uint64_t owner)
{
	struct acquired got = {.generation = 77}, was = got;

	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), HEIR_ETIMEDOUT);
	assert_memory_equal(&got, &was, sizeof(got));
	assert_true(is_there(pid));
	assert_true(handle_alive(&d.shm, owner));
}

/* Twice: it reports, it may be tried again, and but for who tries nothing has changed. */
static void refuse_to_guess(pid_t pid)
{
	heir_t *b = owner_open(d.name, 1);
	uint64_t w = atom_load_seq(&d.shm.apps[0].control), owner = slot_handle(&d.shm, word().owner);
	struct image image;

	fail_to_acquire(b, pid, owner);
	assert_int_equal(atom_load_seq(&d.shm.apps[0].control), w);
	image_take(&image, &d.shm, &b->state);
	fail_to_acquire(b, pid, owner);
	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
	image_compare(&image, &d.shm, &b->state, b->slot, "beside one that cannot be killed");
	image_drop(&image);
	assert_int_equal(*counter(b), 99);
	heir_close(b);
}

static void take_over_when_gone(pid_t pid)
{
	heir_t *b = owner_open(d.name, 1);
	struct acquired got;
	int status;

	assert_int_equal(points_wait(pid, &status), POINTS_DIED);
	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), 0);
	assert_int_equal(got.undone, 1);
	assert_int_equal(*counter(b), 0);
	heir_close(b);
}

static void skip_for(const char *why)
{
	if (!why)
		return;
	print_message("skipped: %s\n", why);
	skip();
}

static void test_frozen_writer(void **state)
{
	struct owner o = {.dirty = true};
	pid_t pid;
	(void)state;

	skip_for(freezer_begin());
	pid = begin_owner(&o);
	skip_for(freezer_freeze(pid));
	refuse_to_guess(pid);
	freezer_thaw(); /* the signal that it was sent is waiting for it */
	take_over_when_gone(pid);
}

static void test_frozen_at_rest(void **state)
{
	struct owner o = {.dirty = false};
	heir_t *b = owner_open(d.name, 1);
	struct acquired got;
	int64_t began;
	pid_t pid;
	(void)state;

	skip_for(freezer_begin());
	pid = begin_owner(&o);
	skip_for(freezer_freeze(pid));
	began = clock_ns();
	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), 0);
	assert_int_equal(got.forced, 0);
	assert_true(clock_ns() - began < AT_ONCE);
	assert_true(is_there(pid));
	heir_close(b);
}

static void test_writer_in_the_kernel(void **state)
{
	struct owner o = {.dirty = true, .mute = true};
	int64_t end = deadline_after(20 * SECOND);
	pid_t pid;
	(void)state;

	skip_for(mute_begin());
	pid = begin_owner(&o);
	while (!mute_holds(pid)) {
		assert_false(deadline_passed(end));
		usleep(1000);
	}
	refuse_to_guess(pid);
	mute_end();
	take_over_when_gone(pid);
}

static pid_t fork_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
	long rc = syscall(SYS_clone3, &args, sizeof(args));

	if (rc != 0)
		return (pid_t)rc;
	for (;;)
		pause();
}

/*
 * The writer is dead, and reaped; another process has its pid, of the same user. Whether the kernel told of the death
 * or not, that other one is not killed, and what the writer left is taken over.
 */
static void reuse_pid(bool unheard)
{
	struct owner o = {.dirty = true, .unheard = unheard};
	heir_t *b = owner_open(d.name, 1);
	struct acquired got;
	pid_t pid = begin_owner(&o), other;
	int status;

	domain_kill(&d, pid);
	usleep(20000); /* ticks in which processes start are told apart */
	other = fork_as(pid);
	if (other < 0)
		skip_for("a process cannot be given a pid here");
	assert_int_equal(other, pid);
	d.child[d.children++] = other;
	status = owner_acquire(b, ACQUIRE_SWITCH, &got);
	assert_true(is_there(other));
	assert_int_equal(status, 0);
	assert_int_equal(got.undone, 1);
	assert_int_equal(*counter(b), 0);
	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
	assert_true(is_there(other));
	heir_close(b);
}

static void test_pid_of_another(void **state)
{
	(void)state;
	reuse_pid(false);
}

static void test_pid_of_another_unheard(void **state)
{
	(void)state;
	reuse_pid(true);
}

/* No notice, and nobody has the pid. */
static void test_gone_unheard(void **state)
{
	struct owner o = {.dirty = true, .unheard = true};
	heir_t *b = owner_open(d.name, 1);
	struct acquired got;
	(void)state;

	domain_kill(&d, begin_owner(&o));
	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), 0);
	assert_int_equal(got.undone, 1);
	heir_close(b);
}

static void *linger(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* The thread that owns ends; its process is still there, with all that it holds. */
static int own_and_linger(void *arg)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, 0);
	pthread_t thread;
	(void)arg;

	MUST(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
	owner_serve(h);
	MUST(pthread_create(&thread, NULL, linger, NULL) == 0);
	syscall(SYS_exit, 0);
	return 1;
}

static void await_serving(void)
{
	int64_t end = deadline_after(20 * SECOND);

	while (word().phase != PHASE_SERVING) { /* nobody is woken: it serves without its loop */
		assert_false(deadline_passed(end));
		usleep(100);
	}
}

/*
 * What an exclusive owner holds is free when its process is gone, not when its life words fall: until then nobody is
 * started in its place, whoever owns by then, and its slot is kept, by which it is found.
 */
static void until_it_is_gone(uint32_t flags)
{
	int64_t end = deadline_after(20 * SECOND);
	struct acquired got;
	pid_t pid = domain_fork(&d, NULL, own_and_linger, NULL);
	heir_t *b = owner_open(d.name, 1), *c = owner_open(d.name, 2);
	uint64_t owner;

	d.shm.apps[0].flags |= flags;
	await_serving();
	owner = slot_handle(&d.shm, word().owner);
	while (!handle_gone(&d.shm, owner))
		assert_false(deadline_passed(end));
	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), 0);
	assert_int_equal(app_confirm(&d.shm, 0, b->self, false, deadline_after(SECOND / 50)), HEIR_ETIMEDOUT);
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), owner), flags == 0);
	assert_int_equal(owner_acquire(c, ACQUIRE_SWITCH, &got), 0);
	assert_int_equal(app_confirm(&d.shm, 0, c->self, false, deadline_after(SECOND / 50)),
			 flags ? HEIR_ETIMEDOUT : 0);
	assert_true(is_there(pid));
	domain_kill(&d, pid);
	assert_int_equal(app_confirm(&d.shm, 0, c->self, false, deadline_after(20 * SECOND)), 0);
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), owner), 1);
	heir_close(c);
	heir_close(b);
}

static void test_exclusive_lingers(void **state)
{
	(void)state;
	until_it_is_gone(APP_EXCLUSIVE);
}

static void test_other_lingers(void **state)
{
	(void)state;
	until_it_is_gone(0);
}

static int serve_and_stay(void *arg)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, *(int *)arg);

	MUST(owner_acquire(h, ACQUIRE_SWITCH, &got) == 0);
	owner_serve(h);
	for (;;)
		pause();
}

/* Switched from, as its leader is dead, the old owner lives still: it is ended first. A mere standby is not. */
static void test_rivals(void **state)
{
	int node = 0;
	pid_t pid = domain_fork(&d, NULL, serve_and_stay, &node);
	heir_t *b = owner_open(d.name, 1), *c = owner_open(d.name, 2);
	struct acquired got;
	int status;
	(void)state;

	await_serving();
	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), 0);
	assert_int_equal(app_confirm(&d.shm, 0, b->self, false, deadline_after(20 * SECOND)), 0);
	assert_true(is_there(pid));
	assert_int_equal(app_confirm(&d.shm, 0, b->self, true, deadline_after(20 * SECOND)), 0);
	assert_int_equal(points_wait(pid, &status), POINTS_DIED);
	assert_true(handle_alive(&d.shm, c->self));
	heir_close(c);
	heir_close(b);
}

/* One whose place was taken while it was stopped ends nobody: neither who owns now, nor who drives. */
static void test_rivals_of_a_late_one(void **state)
{
	int node = 0;
	heir_t *b = owner_open(d.name, 1), *c = owner_open(d.name, 2);
	struct acquired got;
	pid_t pid;
	(void)state;

	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), 0);
	pid = domain_fork(&d, NULL, serve_and_stay, &node);
	await_serving();
	assert_int_equal(app_confirm(&d.shm, 0, b->self, true, deadline_after(20 * SECOND)), HEIR_EBUSY);
	assert_true(is_there(pid));
	assert_int_equal(move_begin(&d.shm, 0, c->self, HEIR_TAKEOVER, 1, 3, NULL), 0);
	assert_int_equal(app_confirm(&d.shm, 0, b->self, true, deadline_after(20 * SECOND)), HEIR_EBUSY);
	assert_true(is_there(pid));
	domain_kill(&d, pid);
	heir_close(c);
	heir_close(b);
}

static int teardown(void **state)
{
	int rc;

	freezer_thaw();
	mute_end();
	rc = txnfix_teardown(state);
	freezer_end();
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frozen_writer, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_frozen_at_rest, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_writer_in_the_kernel, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_pid_of_another, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_pid_of_another_unheard, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_unheard, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_exclusive_lingers, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_lingers, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_rivals, txnfix_setup, teardown),
		cmocka_unit_test_setup_teardown(test_rivals_of_a_late_one, txnfix_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
