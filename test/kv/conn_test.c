/* SPDX-License-Identifier: ISC */
/*
 * Connections from their first byte to their end: pipelines, slow readers, limits, stops, clients
 * that are gone.
 */
#include "kv_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void pipelines(heir_t *h)
{
	int a = client(), b = client();
	say(a, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nincr a\r\n");
	hear(h, a, "+OK\r\n$1\r\n1\r\n:2\r\n");
	say(b, "get a\r\n");
	hear(h, b, "$1\r\n2\r\n");
	const char *slowly = "*2\r\n$4\r\nINCR\r\n$1\r\na\r\nget a\r\n";
	for (const char *p = slowly; *p; p++) {
		say_bytes(a, p, 1);
		heir_poll(h, MILLISECOND);
	}
	hear(h, a, ":3\r\n$1\r\n3\r\n");
	assert_int_equal(fake.sent, 0);
	for (int i = 0; i < 500; i++)
		say(a, "incr n\r\n");
	char expected[8192];
	size_t used = 0;
	for (int i = 1; i <= 500; i++)
		used += (size_t)sprintf(expected + used, ":%d\r\n", i);
	unsigned before = fake.begun;
	hear(h, a, expected);
	assert_in_range(fake.begun - before, 500 / 64 + 1, 40);
	say(a, "quit\r\nget a\r\n");
	hear(h, a, "+OK\r\n");
	hear_end(h, a);
	say(b, "get a\r\n");
	shutdown(b, SHUT_WR);
	hear(h, b, "$1\r\n3\r\n");
	hear_end(h, b);
	stop_service(h);
}

static void pipelines_are_answered_in_order(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(pipelines), 0);
}

static void slow_reader(heir_t *h)
{
	enum { GETS = 6000, VALUE = 3000 };
	static char value[VALUE + 1];
	char line[VALUE + 32];
	int a = client(), b = client(), written = 0;
	memset(value, 'v', VALUE);
	sprintf(line, "set a %s\r\n", value);
	say(a, line);
	hear(h, a, "+OK\r\n");
	for (; written < GETS; written++) { /* more than the kernel holds of the replies */
		heir_poll(h, 0);
		say(a, "get a\r\n");
	}
	say(b, "ping\r\n");
	hear(h, b, "+PONG\r\n");
	shutdown(a, SHUT_WR);
	for (int i = 0; i < written; i++) {
		char got[VALUE + 9];
		for (size_t used = 0; used < sizeof(got);) {
			heir_poll(h, 0);
			ssize_t n = recv(a, got + used, sizeof(got) - used, MSG_DONTWAIT);
			assert_int_not_equal(n, 0);
			used += n > 0 ? (size_t)n : 0;
		}
		assert_memory_equal(got, "$3000\r\n", 7);
		assert_memory_equal(got + 7, value, VALUE);
	}
	hear_end(h, a);
	close(b);
	stop_service(h);
}

static void a_client_that_does_not_read_gets_it_all_later(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(slow_reader), 0);
}

static void too_large(heir_t *h)
{
	static char big[40000], line[50000];
	int a = client();
	memset(big, 'x', sizeof(big) - 1);
	sprintf(line, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%.*s\r\nget a\r\n", 4067, 4067, big);
	say(a, line);
	hear(h, a, "+OK\r\n$4067\r\n");
	for (int left = 4067 + 2; left > 0;) {
		char got[5000];
		heir_poll(h, MILLISECOND);
		ssize_t n = recv(a, got, (size_t)left, MSG_DONTWAIT);
		left -= n > 0 ? (int)n : 0;
	}
	sprintf(line, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%.*s\r\ndel a\r\n", 4068, 4068, big);
	say(a, line);
	hear(h, a, "-ERR command is larger than the limit of 4096 bytes\r\n:1\r\n");
	sprintf(line, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%.*s\r\nget a\r\n", 16385, 16385, big);
	say(a, line);
	hear(h, a, "-ERR Protocol error: invalid bulk length: over the limit of 16384\r\n");
	hear_end(h, a);
	a = client();
	sprintf(line, "ping\r\n%.*s", 16385, big);
	say(a, line);
	hear(h, a, "+PONG\r\n-ERR Protocol error: too big inline request\r\n");
	hear_end(h, a);
	a = client();
	int size = sprintf(line, "*4\r\n");
	for (int i = 0; i < 3; i++)
		size += sprintf(line + size, "$11000\r\n%.*s\r\n", 11000, big);
	say(a, line);
	hear(h, a, "-ERR Protocol error: too big request\r\n");
	hear_end(h, a);
	a = client();
	say(a, "ping\r\n*1\r\nPING\r\n");
	hear(h, a, "+PONG\r\n-ERR Protocol error: expected '$', got 'P'\r\n");
	hear_end(h, a);
	fake.is_wanted = true;
	a = client();
	say(a, "ping\r\n*1\r\nPING\r\n");
	settle(h);
	fake_deliver(h, 1);
	hear(h, a, "+PONG\r\n-ERR Protocol error: expected '$', got 'P'\r\n");
	hear_end(h, a);
	stop_service(h);
}

static void limits_have_errors(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(too_large), 0);
}

static void stopped(heir_t *h)
{
	int a = client(), b = client(), c = client();
	say(a, "set n 1\r\n");
	say(b, "ping\r\n*2\r\n$3\r\nGET\r\n$1");
	say(c, "ping\r\n");
	hear(h, a, "+OK\r\n");
	hear(h, b, "+PONG\r\n");
	hear(h, c, "+PONG\r\n");
	fake.is_owner = false;
	fake.worker->lost(h, "b", fake.arg);
	for (int i = 0; i < 20; i++)
		say(a, "incr n\r\n");
	settle(h);
	fake.worker->prep_stop(h, fake.arg);
	say(a, "never read\r\n");
	say(b, "\r\nn\r\n");
	settle(h);
	fake.worker->stop(h, fake.arg);
	hear(h, a, ":2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n:11\r\n:12\r\n"
		   ":13\r\n:14\r\n:15\r\n:16\r\n:17\r\n:18\r\n:19\r\n:20\r\n:21\r\n");
	hear_end(h, a);
	hear_end(h, b);
	hear_end(h, c);
	assert_int_equal(fake.given_up, 0);
}

static void a_stop_comes_between_whole_replies(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(stopped), 0);
}

static void stopped_unread(heir_t *h)
{
	int a = client(), b = client(), c = client();
	say(a, "set n 1\r\n");
	say(b, "ping\r\n");
	say(c, "ping\r\n");
	hear(h, a, "+OK\r\n");
	hear(h, b, "+PONG\r\n");
	hear(h, c, "+PONG\r\n");
	say(a, "incr n\r\nincr n\r\n"); /* nobody has looked at it when the stop comes */
	say(b, "get n");
	shutdown(c, SHUT_WR);
	stop_service(h);
	hear(h, a, ":2\r\n:3\r\n");
	hear_end(h, a);
	hear_end(h, b);
	hear_end(h, c);
}

static void what_came_before_a_stop_is_answered(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(stopped_unread), 0);
}

static void stopped_owner(heir_t *h)
{
	int a = client();
	say(a, "set n 1\r\n");
	hear(h, a, "+OK\r\n");
	fake.is_wanted = true;
	say(a, "incr n\r\n");
	settle(h);
	assert_int_equal(fake.sent, 1);
	stop_service(h);
	hear(h, a, "-ERR error -1012\r\n");
	hear_end(h, a);
	assert_int_equal(fake.given_up, 1);
}

static void a_stopped_owner_does_not_wait_for_itself(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(stopped_owner), 0);
}

static void client_gone(heir_t *h)
{
	struct linger reset = { 1, 0 };
	int a = client(), b = client();
	say(b, "set n 1\r\n");
	hear(h, b, "+OK\r\n");
	fake.is_wanted = true;
	say(a, "incr n\r\nincr n\r\n");
	say(b, "get n\r\n");
	settle(h);
	assert_int_equal(fake.sent, 3);
	setsockopt(a, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(a);
	settle(h);
	assert_int_equal(fake.given_up, 2);
	fake_deliver(h, 10);
	hear(h, b, "$1\r\n1\r\n");
	a = client(); /* in the first one's place */
	say(a, "get n\r\n");
	settle(h);
	fake_deliver(h, 10);
	hear(h, a, "$1\r\n1\r\n");
	close(a);
	close(b);
	stop_service(h);
}

static void a_client_that_is_gone_leaves_nothing(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(client_gone), 0);
}

static void no_descriptors(heir_t *h)
{
	struct rlimit old, low;
	int a = client();
	hear_nothing(h, a);
	int b = client();
	assert_return_code(getrlimit(RLIMIT_NOFILE, &old), errno);
	low = old;
	low.rlim_cur = (rlim_t)b + 1;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &low), errno);
	say(b, "ping\r\n");
	hear_nothing(h, b);
	say(a, "ping\r\n");
	hear(h, a, "+PONG\r\n");
	assert_return_code(setrlimit(RLIMIT_NOFILE, &old), errno);
	hear(h, b, "+PONG\r\n");
	close(a);
	close(b);
	stop_service(h);
}

static void without_descriptors_clients_wait(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(no_descriptors), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipelines_are_answered_in_order),
		cmocka_unit_test(a_client_that_does_not_read_gets_it_all_later),
		cmocka_unit_test(limits_have_errors),
		cmocka_unit_test(a_stop_comes_between_whole_replies),
		cmocka_unit_test(what_came_before_a_stop_is_answered),
		cmocka_unit_test(a_stopped_owner_does_not_wait_for_itself),
		cmocka_unit_test(a_client_that_is_gone_leaves_nothing),
		cmocka_unit_test(without_descriptors_clients_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
