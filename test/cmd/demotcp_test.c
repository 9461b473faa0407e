/* SPDX-License-Identifier: ISC */
/*
 * The demo's client over TCP, against a server in a thread that counts what it is asked and
 * misbehaves once, at a command that the test chooses.
 */
#include "cmd/demoload.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMANDS 40000 /* more than two laps */
#define FAULT_AT 20002 /* an INCR, in the middle of a batch */
#define KEYS_MAX 8192

enum fault {
	NONE,
	CLOSE_BEFORE, /* the command is not applied */
	CLOSE_AFTER,  /* it is, but not answered */
	CUT,          /* half an answer */
	TWICE,
	FORGET,       /* answered, not applied */
	FORGET_SET,   /* the same, of the SET before it */
	REFUSE,
};

struct server {
	int listener, fd;
	enum fault fault;
	unsigned commands;
	uint64_t counter, value[KEYS_MAX];
	struct demo_load load;
	struct demo_shared shared;
	struct demo_record *record;
};

/* False: the connection is to be closed. */
static bool serve_incr(struct server *s, enum fault fault)
{
	char reply[32];
	int n;

	if (fault == CLOSE_BEFORE)
		return false;
	s->counter += fault == TWICE ? 2 : fault != FORGET;
	n = snprintf(reply, sizeof(reply), ":%llu\r\n",
		(unsigned long long)s->counter + (fault == FORGET));
	if (fault == CLOSE_AFTER)
		return false;
	if (fault == REFUSE)
		n = snprintf(reply, sizeof(reply), "-ERR no\r\n");
	if (fault == CUT)
		n -= 2;
	return send(s->fd, reply, (size_t)n, MSG_NOSIGNAL) == n && fault != CUT;
}

static bool serve_get(struct server *s, const char *key)
{
	char value[24], reply[64];
	uint64_t found = s->counter;
	unsigned index;
	int n;

	if (sscanf(key, "w-%*u-%u", &index) == 1)
		found = s->value[index % KEYS_MAX];
	n = snprintf(value, sizeof(value), "%llu", (unsigned long long)found);
	n = snprintf(reply, sizeof(reply), "$%d\r\n%s\r\n", n, value);
	return send(s->fd, reply, (size_t)n, MSG_NOSIGNAL) == n;
}

static bool serve_line(struct server *s, const char *line)
{
	enum fault fault = NONE;
	unsigned long long value;
	unsigned index;

	if (!strncmp(line, "GET ", 4))
		return serve_get(s, line + 4);
	if (++s->commands == FAULT_AT)
		fault = s->fault;
	if (s->commands == COMMANDS)
		atomic_store(&s->record->gate, GATE_FINISH);
	if (!strncmp(line, "INCR ", 5))
		return serve_incr(s, fault);
	if (sscanf(line, "SET w-%*u-%u %llu", &index, &value) != 2)
		return false;
	if (s->fault != FORGET_SET || s->commands + 1 != FAULT_AT)
		s->value[index % KEYS_MAX] = value;
	return send(s->fd, "+OK\r\n", 5, MSG_NOSIGNAL) == 5;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	char line[128];
	FILE *in;

	while ((s->fd = accept(s->listener, NULL, NULL)) >= 0) {
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		in = fdopen(dup(s->fd), "r");
		while (fgets(line, sizeof(line), in) && serve_line(s, line))
			continue;
		shutdown(s->fd, SHUT_WR);
		fclose(in);
		close(s->fd);
	}
	return NULL;
}

static void run(struct server *s, enum fault fault)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	struct demo_client client = {.load = &s->load, .number = 1};
	pthread_t thread;

	memset(s, 0, sizeof(*s));
	s->fault = fault;
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(s->listener, 4), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &size), 0);
	s->record = aligned_alloc(64, sizeof(*s->record) + 64);
	memset(s->record, 0, sizeof(*s->record) + 64);
	s->shared.kind = DEMO_OVERLAP;
	s->shared.window = 3; /* the first, open */
	s->load = (struct demo_load){
		.shared = &s->shared, .windows = 2, .port = ntohs(address.sin_port)};
	client.record = s->record;
	client.count = &s->record->count;
	assert_int_equal(pthread_create(&thread, NULL, serve, s), 0);
	tcp_client(&client);
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(s->listener);
}

static void check(enum fault fault, const struct demo_count *expected)
{
	static struct server s;
	const struct demo_count *count;

	run(&s, fault);
	count = &s.record->count;
	assert_int_equal(count->failed, expected->failed);
	assert_int_equal(count->twice, expected->twice);
	assert_int_equal(count->missing, expected->missing);
	assert_int_equal(count->cut[DEMO_OVERLAP], expected->cut[DEMO_OVERLAP]);
	assert_int_equal(count->connections, expected->connections);
	assert_int_equal(count->unanswered > 0, expected->unanswered > 0);
	assert_int_equal(count->lost, 0);
	assert_true(count->acknowledged > COMMANDS - 100);
	assert_true(s.record->silence[1].ns > 0);
	assert_true(histogram_spread(&s.record->latency).p50 > 0);
	free(s.record);
}

static void test_nothing_wrong(void **state)
{
	(void)state;
	check(NONE, &(struct demo_count){.connections = 1});
}

static void test_closed_between_replies(void **state)
{
	(void)state;
	check(CLOSE_BEFORE, &(struct demo_count){.connections = 2, .unanswered = 1});
	check(CLOSE_AFTER, &(struct demo_count){.connections = 2, .unanswered = 1});
}

static void test_cut(void **state)
{
	(void)state;
	check(CUT, &(struct demo_count){.connections = 2, .unanswered = 1, .cut[DEMO_OVERLAP] = 1});
}

static void test_twice(void **state)
{
	(void)state;
	check(TWICE, &(struct demo_count){.connections = 1, .twice = 1});
}

static void test_missing(void **state)
{
	(void)state;
	check(FORGET, &(struct demo_count){.connections = 1, .missing = 1});
	check(FORGET_SET, &(struct demo_count){.connections = 1, .missing = 1});
}

/* It was applied all the same: that shows too. */
static void test_refused(void **state)
{
	(void)state;
	check(REFUSE, &(struct demo_count){.connections = 1, .failed = 1, .twice = 1});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_wrong),
		cmocka_unit_test(test_closed_between_replies),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_refused),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
