/* SPDX-License-Identifier: ISC */
/*
 * The whole of heir-kv with real TCP clients over a fake of heir.h: who answers a command, in which order, and what an
 * undone transaction, a takeover at any point and a stop leave of it.
 */
#include "fake_heir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STATE_SIZE ((size_t)256 * 1024)
#define MILLISECOND INT64_C(1000000)

int kv_main(int argc, char **argv);

static int listener;

static int set_up(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	(void)state;
	alarm(60);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 128))
		return -1;
	fake_reset(STATE_SIZE, listener);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(listener);
	fake_finish();
	return 0;
}

/* Run heir-kv's main() until its loop, which is the scenario. */
static int with_service(void (*scenario)(heir_t *h))
{
	char *argv[] = { "heir-kv", "--name", "shop", NULL };
	fake.scenario = scenario;
	optind = 1;
	return kv_main(3, argv);
}

static void stop(heir_t *h)
{
	fake.worker->prep_stop(h, fake.arg);
	fake.worker->stop(h, fake.arg);
}

static int client(void)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_return_code(getsockname(listener, (struct sockaddr *)&address, &size), errno);
	assert_return_code(connect(fd, (struct sockaddr *)&address, size), errno);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return fd;
}

static void say_bytes(int fd, const char *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

/* Let the service run until the client has got this. */
static void hear(heir_t *h, int fd, const char *expected)
{
	char got[65536];
	size_t size = strlen(expected), used = 0;
	while (used < size) {
		heir_poll(h, MILLISECOND);
		ssize_t n = recv(fd, got + used, size - used, MSG_DONTWAIT);
		if (n == 0)
			break;
		if (n > 0)
			used += (size_t)n;
	}
	got[used] = '\0';
	assert_string_equal(got, expected);
}

static void settle(heir_t *h)
{
	for (int i = 0; i < 5; i++)
		heir_poll(h, MILLISECOND);
}

static void hear_nothing(heir_t *h, int fd)
{
	char c;
	settle(h);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void hear_end(heir_t *h, int fd)
{
	char c;
	ssize_t n;
	while ((n = recv(fd, &c, 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		heir_poll(h, MILLISECOND);
	assert_int_equal(n, 0);
	close(fd);
}

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
	stop(h);
}

static void pipelines_are_answered_in_order(void **state)
{
	(void)state;
	assert_int_equal(with_service(pipelines), 0);
}

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
	stop(h);
}

static void a_waiting_takeover_has_commands_forwarded(void **state)
{
	(void)state;
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
	stop(h);
}

static void a_replaced_instance_forwards_until_it_is_owner_again(void **state)
{
	(void)state;
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
	stop(h);
}

static void an_undone_batch_is_applied_once_by_the_next_owner(void **state)
{
	(void)state;
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
	stop(h);
}

static void a_full_mailbox_is_tried_again(void **state)
{
	(void)state;
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
	sprintf(line, "set n 7\r\nincr n\r\nmset n 1 k90 %.*s k91 %.*s k92 %.*s k93 %.*s\r\nincr n\r\n",
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
	stop(h);
}

static void a_command_that_fails_costs_its_batch_nothing(void **state)
{
	(void)state;
	assert_int_equal(with_service(batch_that_fails), 0);
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
	stop(h);
}

static void a_client_that_does_not_read_gets_it_all_later(void **state)
{
	(void)state;
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
	stop(h);
}

static void limits_have_errors(void **state)
{
	(void)state;
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
	hear(h, a, ":2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n:11\r\n:12\r\n:13\r\n:14\r\n"
		   ":15\r\n:16\r\n:17\r\n:18\r\n:19\r\n:20\r\n:21\r\n");
	hear_end(h, a);
	hear_end(h, b);
	hear_end(h, c);
	assert_int_equal(fake.given_up, 0);
}

static void a_stop_comes_between_whole_replies(void **state)
{
	(void)state;
	assert_int_equal(with_service(stopped), 0);
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
	stop(h);
}

static void a_client_that_is_gone_leaves_nothing(void **state)
{
	(void)state;
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
	stop(h);
}

static void without_descriptors_clients_wait(void **state)
{
	(void)state;
	assert_int_equal(with_service(no_descriptors), 0);
}

/*
 * Takeovers, refused commits, full mailboxes and full logs at random under clients that count: what each of them hears is
 * 1, 2, 3, … without a gap, a repetition or an error.
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
	stop(h);
}

static void takeovers_at_random_under_load(void **state)
{
	(void)state;
	assert_int_equal(with_service(takeovers_at_random), 0);
}

static void mail(heir_t *h)
{
	static const struct {
		const char *message, *reply;
	} cases[] = {
		{ "SET a \"b c\"", "OK" },
		{ "GET a", "b c" },
		{ "GET a\r\n", "b c" },
		{ "GET nosuch", "(nil)" },
		{ "INCR n", "1" },
		{ "INCR a", "ERR value is not an integer or out of range" },
		{ "MGET a n", "b c\n1" },
		{ "nosuch", "ERR unknown command 'nosuch', with args beginning with: " },
		{ "GET \"", "ERR Protocol error: unbalanced quotes in request" },
		{ "", "ERR empty command" },
		{ "*2\r\n$3\r\nGET\r\n$1\r\nn\r\n", "$1\r\n1\r\n" },
		{ "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n", "$-1\r\n" },
		{ "*2\r\n$3\r\nGET\r\n$1\r\nx", "-ERR Protocol error: a message is one command\r\n" },
		{ "*1\r\n$4\r\nPING\r\nx", "-ERR Protocol error: a message is one command\r\n" },
		{ "*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n" },
		{ "*0\r\n", "-ERR empty command\r\n" },
	};
	const char *reply;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(fake_message(h, cases[i].message, false, &reply), 0);
		assert_string_equal(reply, cases[i].reply);
	}
	fake.log_room = 10;
	assert_int_equal(fake_message(h, "SET z 1", false, &reply), HEIR_ETOOBIG);
	assert_int_equal(fake_message(h, "SET z 1", true, &reply), HEIR_ETOOBIG);
	fake.log_room = 1 << 20;
	assert_int_equal(fake_message(h, "GET a", true, &reply), 0);
	assert_string_equal(reply, "b c");
	assert_int_equal(fake.forwarded, 0);
	fake.is_commit_refused = true;
	assert_int_equal(fake_message(h, "INCR n", true, &reply), 0);
	assert_int_equal(fake.forwarded, 1);
	assert_int_equal(fake_message(h, "INCR n", true, &reply), 0);
	assert_int_equal(fake.forwarded, 2);
	assert_string_equal(fake.last_name, "shop");
	assert_int_equal(fake_message(h, "GET n", false, &reply), 0);
	assert_string_equal(reply, "1");
	stop(h);
}

static void commands_by_mail(void **state)
{
	(void)state;
	assert_int_equal(with_service(mail), 0);
}

static void not_a_worker(void **state)
{
	(void)state;
	assert_int_equal(with_service(NULL), 2);
}

/* Where the program ends before it serves: its status. In a child, since it leaves what it has to the exit. */
static int refused_start(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(with_service(mail));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_start_that_is_refused(void **state)
{
	(void)state;
	fake.state_size = 0;
	assert_int_equal(refused_start(), 1);
	fake.state_size = 4096;
	assert_int_equal(refused_start(), 1);
	fake.state_size = STATE_SIZE;
	fake.message_max = 100;
	assert_int_equal(refused_start(), 1);
	fake.message_max = 4096;
	memset(fake_state(), 'x', 64);
	assert_int_equal(refused_start(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pipelines_are_answered_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_waiting_takeover_has_commands_forwarded, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_replaced_instance_forwards_until_it_is_owner_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_undone_batch_is_applied_once_by_the_next_owner,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_mailbox_is_tried_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_command_that_fails_costs_its_batch_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read_gets_it_all_later, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(limits_have_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stop_comes_between_whole_replies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_is_gone_leaves_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_descriptors_clients_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(takeovers_at_random_under_load, set_up, tear_down),
		cmocka_unit_test_setup_teardown(commands_by_mail, set_up, tear_down),
		cmocka_unit_test_setup_teardown(not_a_worker, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_start_that_is_refused, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
