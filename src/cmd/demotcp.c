/* SPDX-License-Identifier: ISC */
/*
 * A client over TCP: batches of SET w-N-I and INCR tcp-N down one connection, replies read whole.
 * When the connection is closed it opens another one, sends the SETs again that were not answered,
 * and knows that the INCRs may or may not have been applied. After each lap of KEYS writes it reads
 * them all back before it writes over them, and the last ones at the end.
 */
#include "demoledger.h"
#include "demoload.h"
#include "demoreply.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 4   /* SET and INCR in one batch */
#define READS 64  /* GET in one batch */
#define KEYS 2048 /* a lap */
#define TIMEOUT_MS 5000
#define REFUSED_MAX 100
#define REFUSED_MS 10

_Static_assert(KEYS % PAIRS == 0 && KEYS % READS == 0, "laps are whole batches");

enum command { COMMAND_SET, COMMAND_INCR, COMMAND_GET, COMMAND_COUNT };

struct tcp {
	struct demo_client *client;
	struct ledger books;
	uint64_t next;   /* write, from 0: all before it are acknowledged */
	uint64_t checked; /* all before it were read back */
	uint64_t misread;
	int fd;          /* -1: none */
	unsigned refused;
	bool is_settled; /* a batch was answered whole on this connection */

	enum command batch[READS];
	uint64_t index[READS]; /* of a SET or GET */
	size_t commands, answered;
	size_t out_size, in_size;
	char out[READS * 64], in[READS * 64];
};

static void drop(struct tcp *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->in_size = 0;
}

static bool set_up(struct tcp *t)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(t->client->load->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return false;
	setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	while (connect(t->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		if (errno != EINTR)
			return false;
	t->client->count->connections++;
	t->is_settled = t->books.doubt == 0;
	t->refused = 0;
	return true;
}

/* False: no connection is to be had. */
static bool connected(struct tcp *t)
{
	while (t->fd < 0) {
		if (set_up(t))
			return true;
		client_failed(t->client, "connect: %s", strerror(errno));
		drop(t);
		if (++t->refused >= REFUSED_MAX)
			return false;
		poll(NULL, 0, REFUSED_MS);
	}
	return true;
}

static void __attribute__((format(printf, 4, 5))) add(
	struct tcp *t, enum command command, uint64_t index, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(t->out + t->out_size, sizeof(t->out) - t->out_size, format, arguments);
	va_end(arguments);
	assert(n > 0 && (size_t)n < sizeof(t->out) - t->out_size && t->commands < READS);
	t->out_size += (size_t)n;
	t->batch[t->commands] = command;
	t->index[t->commands++] = index;
}

static void clear(struct tcp *t)
{
	t->commands = t->answered = t->out_size = 0;
}

static void add_writes(struct tcp *t)
{
	int n = t->client->number;

	clear(t);
	for (uint64_t i = t->next; i < t->next + PAIRS && i < t->checked + KEYS; i++) {
		add(t, COMMAND_SET, i, "SET w-%d-%" PRIu64 " %" PRIu64 "\r\n", n, i % KEYS, i);
		add(t, COMMAND_INCR, 0, "INCR tcp-%d\r\n", n);
	}
}

static bool is_value(const struct reply *reply, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64, value);

	return reply->type == '$' && reply->text && reply->size == (size_t)n &&
	       !memcmp(reply->text, text, reply->size);
}

static void bad_reply(struct tcp *t, const struct reply *reply)
{
	client_failed(t->client, "tcp-%d: %c%.*s", t->client->number, reply->type,
		(int)(reply->size < 100 ? reply->size : 100), reply->text ? reply->text : "");
}

static uint64_t count_of(const struct reply *reply)
{
	uint64_t value = 0;

	for (size_t i = 0; reply->text && i < reply->size && i < 19; i++)
		if (reply->text[i] >= '0' && reply->text[i] <= '9')
			value = value * 10 + (uint64_t)(reply->text[i] - '0');
	return value;
}

static void take_reply(struct tcp *t, const struct reply *reply)
{
	struct demo_count *count = t->client->count;
	uint64_t index = t->index[t->answered];

	count->done++;
	switch (t->batch[t->answered++]) {
	case COMMAND_SET:
		if (reply->type != '+') {
			bad_reply(t, reply);
			break;
		}
		count->acknowledged++;
		if (index == t->next)
			t->next++;
		break;
	case COMMAND_INCR:
		if (reply->type != ':') {
			bad_reply(t, reply);
			break;
		}
		count->acknowledged++;
		ledger_raised(&t->books, (uint64_t)reply->integer);
		break;
	case COMMAND_GET:
		t->misread += !is_value(reply, index);
		break;
	case COMMAND_COUNT:
		ledger_read(&t->books, count_of(reply));
		break;
	}
}

/* False: those bytes are no replies. */
static bool take_replies(struct tcp *t)
{
	size_t used = 0, answered = t->answered;
	struct reply reply;
	ssize_t n = 0;

	while (t->answered < t->commands &&
		(n = reply_parse(t->in + used, t->in_size - used, &reply)) > 0) {
		take_reply(t, &reply);
		used += (size_t)n;
	}
	t->in_size -= used;
	memmove(t->in, t->in + used, t->in_size);
	if (t->answered > answered)
		client_replied(t->client, measure_now());
	return n >= 0 && (t->answered < t->commands || t->in_size == 0);
}

/* The connection has ended in the middle of a batch: what is not answered is accounted for. */
static void closed(struct tcp *t)
{
	struct demo_count *count = t->client->count;
	uint32_t kind = atomic_load(&t->client->load->shared->kind);

	if (t->in_size > 0 && kind < DEMO_KINDS)
		count->cut[kind]++;
	for (size_t i = t->answered; i < t->commands; i++) {
		count->unanswered++;
		if (t->batch[i] == COMMAND_INCR)
			ledger_unanswered(&t->books, 1);
	}
	drop(t);
}

static bool send_all(struct tcp *t)
{
	size_t sent = 0;
	ssize_t n;

	while (sent < t->out_size) {
		n = send(t->fd, t->out + sent, t->out_size - sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		sent += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool receive(struct tcp *t)
{
	struct pollfd readable = {.fd = t->fd, .events = POLLIN};
	ssize_t n;
	int ready;

	do
		ready = poll(&readable, 1, TIMEOUT_MS);
	while (ready < 0 && errno == EINTR);
	if (ready == 0) {
		client_failed(t->client, "tcp-%d: no reply in %d ms", t->client->number, TIMEOUT_MS);
		return false;
	}
	do
		n = recv(t->fd, t->in + t->in_size, sizeof(t->in) - t->in_size, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	t->in_size += (size_t)n;
	return true;
}

/* Send the batch and read its replies. False: the connection ended before they were all there. */
static bool exchange(struct tcp *t)
{
	int64_t from = measure_now();

	if (!send_all(t)) {
		/* Replies that arrived before the end are still to be read. */
		while (receive(t) && take_replies(t))
			continue;
		closed(t);
		return false;
	}
	while (t->answered < t->commands) {
		if (!receive(t)) {
			closed(t);
			return false;
		}
		if (!take_replies(t)) {
			client_failed(t->client, "tcp-%d: not a reply", t->client->number);
			closed(t);
			return false;
		}
	}
	histogram_add(&t->client->record->latency, measure_now() - from);
	if (!t->is_settled)
		ledger_settle(&t->books);
	t->is_settled = true;
	return true;
}

static bool read_back(struct tcp *t)
{
	while (t->checked < t->next) {
		if (!connected(t))
			return false;
		clear(t);
		for (uint64_t i = t->checked; i < t->next && t->commands < READS; i++)
			add(t, COMMAND_GET, i, "GET w-%d-%" PRIu64 "\r\n", t->client->number, i % KEYS);
		exchange(t);
		t->checked += t->answered;
	}
	return true;
}

static bool read_counter(struct tcp *t)
{
	do {
		if (!connected(t))
			return false;
		clear(t);
		add(t, COMMAND_COUNT, 0, "GET tcp-%d\r\n", t->client->number);
	} while (!exchange(t));
	return true;
}

static void account(struct tcp *t)
{
	struct demo_count *count = t->client->count;

	if (t->books.twice != count->twice || t->misread + t->books.lost != count->missing)
		client_note(t->client,
			"tcp-%d is %" PRIu64 ": %" PRIu64 " lost, %" PRIu64 " twice, %" PRIu64
			" SETs gone",
			t->client->number, t->books.value, t->books.lost, t->books.twice,
			t->misread);
	count->twice = t->books.twice;
	count->missing = t->misread + t->books.lost;
}

void tcp_client(struct demo_client *client)
{
	static struct tcp tcp;
	struct tcp *t = &tcp;
	bool is_up = true;

	*t = (struct tcp){.client = client, .fd = -1};
	while (is_up && client_goes_on(client)) {
		is_up = connected(t);
		if (!is_up)
			break;
		add_writes(t);
		exchange(t);
		if (t->next == t->checked + KEYS)
			is_up = read_back(t);
		account(t);
	}
	if (!is_up || !read_back(t) || !read_counter(t))
		client_failed(client, "tcp-%d: gave up", client->number);
	account(t);
	drop(t);
}
