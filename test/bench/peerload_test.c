/* SPDX-License-Identifier: ISC */
/*
 * The load that does not wait for its server: every request is counted once; a server that stands still is
 * charged for all that were due meanwhile; a request fails where no complete answer comes, and nowhere else.
 */
#include "bench/peers/peerload.h"

#include "bench/measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MILLISECOND INT64_C(1000000)
#define INTERVAL    MILLISECOND
#define REQUESTS    400
#define STALL	    (300 * MILLISECOND)
#define RESP	    "get a\r\n"
#define HTTP	    "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/* What the server does with the n-th request, of 1 ... */
enum way {
	WELL,
	IN_PARTS,      /* the answer comes in two pieces, the first of them alone */
	STALL_AT_50,   /* it does nothing at all for a while */
	CUT_EACH_10TH, /* the connection is closed instead of an answer */
	CUT_IN_ANSWER, /* of each 10th: in the middle of it */
	ERROR_EACH_10TH,
	LAST_EACH_10TH /* the answer says that no other will come on this connection */
};

static void answer(int fd, const char *text)
{
	size_t size = strlen(text);

	if (send(fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
		_exit(1);
}

static void stall(void)
{
	struct timespec time = {.tv_nsec = STALL};

	nanosleep(&time, NULL);
}

/* False: the connection is to be closed. */
static bool serve(int fd, enum way way, bool is_http, unsigned n)
{
	static const char http[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	static const char last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
	static const char resp[] = "$5\r\nhello\r\n";
	const bool is_tenth = n % 10 == 0;

	if (way == STALL_AT_50 && n == 50)
		stall();
	if (way == CUT_EACH_10TH && is_tenth)
		return false;
	if (way == CUT_IN_ANSWER && is_tenth) {
		answer(fd, is_http ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel" : "$5\r\nhel");
		return false;
	}
	if (way == ERROR_EACH_10TH && is_tenth) {
		answer(fd, is_http ? "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" : "-ERR no\r\n");
		return true;
	}
	if (way == IN_PARTS) {
		const char *whole = is_http ? http : resp;
		size_t first = 1 + n % (strlen(whole) - 1); /* cut at each place once in a while */
		send(fd, whole, first, MSG_NOSIGNAL);
		sched_yield();
		answer(fd, whole + first);
		return true;
	}
	answer(fd, !is_http ? resp : way == LAST_EACH_10TH && is_tenth ? last : http);
	return true;
}

static _Noreturn void be_server(int listener, enum way way, bool is_http)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
	int epoll = epoll_create1(0);
	unsigned n = 0;
	char text[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	while (epoll_wait(epoll, &event, 1, -1) == 1) {
		int fd = event.data.fd;
		if (fd == listener) {
			event.data.fd = accept(listener, NULL, NULL);
			epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
		} else if (recv(fd, text, sizeof(text), 0) <= 0 || !serve(fd, way, is_http, ++n)) {
			close(fd);
		} else if (way == LAST_EACH_10TH && n % 10 == 0) {
			epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
		}
	}
	_exit(1);
}

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_return_code(bind(fd, (struct sockaddr *)&address, size), errno);
	assert_return_code(listen(fd, 1024), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&address, &size), errno);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

struct counted {
	unsigned done, failed, slow;
	int64_t due; /* of the last one that was due */
};

static void count(void *arg, int64_t due, int64_t now, bool has_failed)
{
	struct counted *c = arg;

	assert_true(now >= due);
	c->done++;
	c->failed += has_failed;
	c->slow += now - due >= STALL / 3;
	if (due > c->due)
		c->due = due;
}

static struct counted run_load(uint16_t port, bool is_http, bool is_kept)
{
	struct counted counted = {0};
	struct load load = {.port = port,
			    .request = is_http ? HTTP : RESP,
			    .kind = is_http ? REPLY_HTTP : REPLY_RESP,
			    .is_kept = is_kept,
			    .interval = INTERVAL,
			    .begin = measure_now() + MILLISECOND,
			    .duration = REQUESTS * INTERVAL,
			    .done = count,
			    .arg = &counted};

	assert_true(load_run(&load));
	assert_int_equal(counted.done, REQUESTS);
	assert_int_equal(counted.due, load.begin + (REQUESTS - 1) * INTERVAL);
	return counted;
}

static struct counted run_against(enum way way, bool is_http, bool is_kept)
{
	struct counted counted;
	uint16_t port;
	int listener = listen_somewhere(&port);
	pid_t pid = fork();

	alarm(60);
	if (pid == 0)
		be_server(listener, way, is_http);
	close(listener);
	counted = run_load(port, is_http, is_kept);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return counted;
}

static void each_request_is_counted_once(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(run_against(WELL, i & 1, i & 2).failed, 0);
		assert_int_equal(run_against(IN_PARTS, i & 1, i & 2).failed, 0);
	}
}

/* Those that were due in the first two thirds of the stall have waited for a third of it. */
static void a_stall_is_charged_to_all_that_were_due(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct counted counted = run_against(STALL_AT_50, false, i);
		assert_int_equal(counted.failed, 0);
		assert_true(counted.slow >= STALL / INTERVAL * 2 / 3 - 10);
	}
}

static void a_request_without_an_answer_has_failed(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(run_against(CUT_EACH_10TH, i & 1, i & 2).failed, REQUESTS / 10);
		assert_int_equal(run_against(CUT_IN_ANSWER, i & 1, i & 2).failed, REQUESTS / 10);
		assert_int_equal(run_against(ERROR_EACH_10TH, i & 1, i & 2).failed, REQUESTS / 10);
	}
}

static void a_connection_that_ends_is_not_used_again(void **state)
{
	(void)state;
	assert_int_equal(run_against(LAST_EACH_10TH, true, true).failed, 0);
}

static void nobody_listens(void **state)
{
	uint16_t port;
	int listener = listen_somewhere(&port);

	(void)state;
	close(listener);
	assert_int_equal(run_load(port, true, true).failed, REQUESTS);
	assert_int_equal(run_load(port, false, false).failed, REQUESTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_is_counted_once),
		cmocka_unit_test(a_stall_is_charged_to_all_that_were_due),
		cmocka_unit_test(a_request_without_an_answer_has_failed),
		cmocka_unit_test(a_connection_that_ends_is_not_used_again),
		cmocka_unit_test(nobody_listens),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
