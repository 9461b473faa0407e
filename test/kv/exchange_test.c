/* SPDX-License-Identifier: ISC */
/*
 * Who answers a command and in which order, and what an undone transaction and a takeover at any
 * point leave of it: real TCP clients over the fake.
 */
#include "kv_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void wanted(heir_t *h)
{
	int a = client(), b = client();
	say(a, "set n 1\r\n");
	hear(h, a, "+OK\r\n");
	fake.is_wanted = true;
	say(a, "incr n\r\nset x 'a b'\r\nget x\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
	say(b, "incr n\r\n");
	hear_nothing(h, a);
	assert_int_equal(fake.sent, 5);
	assert_string_equal(fake.last_name, "shop");
	fake.is_wanted = false;
	say(a, "incr n\r\n"); /* not before those that are on their way */
	hear_nothing(h, a);
	assert_int_equal(fake_deliver(h, 1), 1);
	hear(h, a, ":2\r\n");
	hear_nothing(h, a);
	assert_int_equal(fake_deliver(h, 10), 4);
	hear(h, a, "+OK\r\n$3\r\na b\r\n:3\r\n:5\r\n");
	hear(h, b, ":4\r\n");
	assert_int_equal(fake.sent, 5);
	close(a);
	close(b);
	stop_service(h);
}

static void a_waiting_takeover_has_commands_forwarded(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(wanted), 0);
}

static void replaced(heir_t *h)
{
	char expected[1024] = "";
	int a = client();
	say(a, "set n 0\r\n");
	hear(h, a, "+OK\r\n");
	fake.is_owner = false;
	fake.worker->lost(h, "b", fake.arg);
	for (int i = 1; i <= 40; i++) {
		say(a, "incr n\r\n");
		sprintf(expected + strlen(expected), ":%d\r\n", i);
	}
	settle(h);
	assert_int_equal(fake.sent, 16);
	fake_deliver(h, 3);
	assert_int_equal(fake.sent, 19);
	while (fake_deliver(h, 5) > 0)
		continue;
	hear(h, a, expected);
	assert_int_equal(fake.sent, 40);

	int b = client(); /* in the backlog: another's */
	say(b, "get n\r\n");
	hear_nothing(h, b);
	assert_int_equal(fake.sent, 40);

	say(a, "get n\r\nget n\r\n");
	settle(h);
	fake.is_owner = true;
	assert_int_equal(fake.worker->regained(h, 3, fake.arg), 0);
	hear(h, b, "$2\r\n40\r\n");
	say(a, "incr n\r\n");
	hear_nothing(h, a);
	fake_deliver(h, 10);
	hear(h, a, "$2\r\n40\r\n$2\r\n40\r\n:41\r\n");
	assert_int_equal(fake.sent, 42);
	close(a);
	close(b);
	stop_service(h);
}

static void a_replaced_instance_forwards_until_it_is_owner_again(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(replaced), 0);
}

static void refused_commit(heir_t *h)
{
	int a = client();
	say(a, "set n 5\r\n");
	hear(h, a, "+OK\r\n");
	fake.is_commit_refused = true;
	say(a, "incr n\r\nset x y\r\nquit\r\n");
	hear_nothing(h, a);
	assert_int_equal(fake.sent, 2);
	fake_deliver(h, 10);
	hear(h, a, ":6\r\n+OK\r\n+OK\r\n");
	hear_end(h, a);
	stop_service(h);
}

static void an_undone_batch_is_applied_once_by_the_next_owner(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(refused_commit), 0);
}

static void no_room(heir_t *h)
{
	int a = client(), b = client();
	fake.is_wanted = fake.is_mailbox_full = true;
	say(a, "incr n\r\nincr n\r\n");
	say(b, "incr m\r\n");
	hear_nothing(h, a);
	assert_int_equal(fake.sent, 0);
	fake.is_mailbox_full = false;
	while (fake.sent < 3)
		heir_poll(h, MILLISECOND);
	fake_deliver(h, 10);
	hear(h, a, ":1\r\n:2\r\n");
	hear(h, b, ":1\r\n");
	fake.is_mailbox_full = true;
	say(a, "incr n\r\n");
	hear_nothing(h, a);
	fake.is_wanted = false; /* the takeover was given up */
	hear(h, a, ":3\r\n");
	assert_int_equal(fake.sent, 3);
	close(a);
	close(b);
	stop_service(h);
}

static void a_full_mailbox_is_tried_again(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(no_room), 0);
}

#define OOM "-OOM command not allowed when used memory > 'maxmemory'.\r\n"

static void batch_that_fails(heir_t *h)
{
	char line[4000], value[3000];
	int a = client();
	memset(value, 'x', sizeof(value));
	for (int i = 0; i < 60; i++) {
		int size = sprintf(line, "set k%d %.*s\r\n", i, (int)sizeof(value), value);
		say_bytes(a, line, (size_t)size);
		hear(h, a, "+OK\r\n");
	}
	sprintf(line, "set n 7\r\nincr n\r\n"
		      "mset n 1 k90 %.*s k91 %.*s k92 %.*s k93 %.*s\r\nincr n\r\n",
		900, value, 900, value, 900, value, 900, value);
	for (int i = 60;; i++) { /* until that MSET does not fit any more */
		char fill[4000], got[64] = "";
		sprintf(fill, "set k%d %.*s\r\n", i, (int)sizeof(value), value);
		say(a, fill);
		while (recv(a, got, sizeof(got), MSG_DONTWAIT) < 0)
			heir_poll(h, MILLISECOND);
		if (!strncmp(got, OOM, sizeof(OOM) - 1))
			break;
		assert_memory_equal(got, "+OK\r\n", 5);
	}
	say(a, line);
	hear(h, a, "+OK\r\n:8\r\n" OOM ":9\r\n");
	say(a, "exists k90 k91 k92 k93\r\nflushall\r\nset a 1\r\ndbsize\r\n");
	hear(h, a, ":0\r\n+OK\r\n+OK\r\n:1\r\n");
	fake.log_room = 1000; /* two commands in one transaction are too many for it */
	say(a, "set b 1\r\nset c 1\r\nset d 1\r\nincr a\r\n");
	hear(h, a, "+OK\r\n+OK\r\n+OK\r\n:2\r\n");
	fake.log_room = 100;
	say(a, "get a\r\nset e 1\r\nget b\r\n");
	hear(h, a, "$1\r\n2\r\n-ERR over its limit\r\n$1\r\n1\r\n");
	close(a);
	stop_service(h);
}

static void a_command_that_fails_costs_its_batch_nothing(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(batch_that_fails), 0);
}

/*
 * Takeovers, refused commits, full mailboxes and full logs at random under clients that count: what
 * each of them hears is 1, 2, 3, … without a gap, a repetition or an error.
 */
#define CLIENTS 5

struct counter {
	int fd, asked, heard;
	char rest[16];
	size_t rest_size;
};

static void ask(struct counter *c, int number)
{
	static const char *const form[] = { "incr c%d\r\n", "*2\r\n$4\r\nINCR\r\n$2\r\nc%d\r\n",
					    "INCRBY c%d 1\r\n" };
	for (int n = rand() % 30; n > 0; n--, c->asked++) {
		char line[64];
		sprintf(line, form[rand() % 3], number);
		say(c->fd, line);
	}
}

static void listen_to(struct counter *c)
{
	char got[4096];
	ssize_t n;
	while ((n = recv(c->fd, got, sizeof(got), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			assert_true(c->rest_size < sizeof(c->rest) - 1);
			c->rest[c->rest_size++] = got[i];
			if (got[i] != '\n')
				continue;
			c->rest[c->rest_size] = '\0';
			assert_int_equal(c->rest[0], ':');
			assert_int_equal(atoi(c->rest + 1), ++c->heard);
			c->rest_size = 0;
		}
	}
	assert_int_equal(n, -1);
}

static void happen(heir_t *h)
{
	int what = rand() % 10;
	if (what == 0 && fake.is_owner) {
		fake.is_owner = fake.is_wanted = false;
		fake.worker->lost(h, "b", fake.arg);
	} else if (what <= 2 && !fake.is_owner) {
		fake.is_owner = true;
		fake.is_commit_refused = false;
		assert_int_equal(fake.worker->regained(h, 2, fake.arg), 0);
	} else if (what == 3) {
		fake.is_wanted = fake.is_owner && !fake.is_wanted;
	} else if (what == 4) {
		fake.is_commit_refused = fake.is_owner;
	} else if (what == 5) {
		fake.is_mailbox_full = !fake.is_mailbox_full;
	} else if (what == 6) {
		fake.log_room = rand() % 2 ? 1 << 20 : 1000;
	} else {
		fake_deliver(h, rand() % 20);
	}
}

static void takeovers_at_random(heir_t *h)
{
	struct counter counter[CLIENTS] = { 0 };
	srand(11);
	for (int i = 0; i < CLIENTS; i++)
		counter[i].fd = client();
	for (int round = 0; round < 6000; round++) {
		int i = rand() % CLIENTS;
		if (counter[i].asked - counter[i].heard < 1000)
			ask(&counter[i], i);
		happen(h);
		heir_poll(h, 0);
		listen_to(&counter[rand() % CLIENTS]);
	}
	fake.is_mailbox_full = fake.is_wanted = fake.is_commit_refused = false;
	if (!fake.is_owner) {
		fake.is_owner = true;
		assert_int_equal(fake.worker->regained(h, 2, fake.arg), 0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		while (counter[i].heard < counter[i].asked) {
			fake_deliver(h, 100);
			heir_poll(h, MILLISECOND);
			listen_to(&counter[i]);
		}
		close(counter[i].fd);
	}
	assert_true(fake.sent > 1000 && fake.begun > 1000);
	stop_service(h);
}

static void takeovers_at_random_under_load(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(takeovers_at_random), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_waiting_takeover_has_commands_forwarded),
		cmocka_unit_test(a_replaced_instance_forwards_until_it_is_owner_again),
		cmocka_unit_test(an_undone_batch_is_applied_once_by_the_next_owner),
		cmocka_unit_test(a_full_mailbox_is_tried_again),
		cmocka_unit_test(a_command_that_fails_costs_its_batch_nothing),
		cmocka_unit_test(takeovers_at_random_under_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
