/* SPDX-License-Identifier: ISC */
/*
 * Hostile clients, mail and state of heir-kv: the whole service over the fake of heir.h. The input is a list of
 * chunks, each with a byte that says what it is: bytes on a connection, a message of the role's mail, a direct one,
 * a change of who owns, words changed in the state behind its back.
 *
 * Proves, as far as it was run: no access outside the state, the buffers and the message; no endless loop; every
 * message is answered or refused; replies stay within their limit. While the state was not tampered with, also: a
 * handled message leaves a table that opens. Not: that the replies are right (the tests of src/kv do that).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_heir.h"
#include "kv/exchange.h"
#include "kv/table.h"

#define STATE_SIZE (128u * 1024)
#define CHUNK_MAX 255u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int kv_main(int argc, char **argv);

static struct {
	const uint8_t *data;
	size_t size;
	int tampered;
	struct exchange exchange;
} in;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static void drain(struct exchange *x)
{
	must(x->out_end <= sizeof(x->out) && x->out_start <= x->out_end, "the output lies in its buffer");
	x->out_start = x->out_end = 0;
}

static void connection(heir_t *h, const uint8_t *data, size_t size)
{
	struct exchange *x = &in.exchange;
	size_t room;
	char *to = exchange_input(x, &room);

	if (size > room)
		size = room;
	memcpy(to, data, size);
	x->in_end += size;
	for (unsigned i = 0; i < 300 && exchange_take(x) > 0; i++)
		drain(x);
	(void)fake_deliver(h, 3);
	(void)exchange_take(x);
	drain(x);
}

static void message(heir_t *h, const uint8_t *data, size_t size)
{
	struct heir_ticket ticket;
	static char reply[RESP_BULK_MAX * 2];
	size_t room = sizeof(reply);

	if (heir_call_start(h, "kv", data, size, &ticket))
		return;
	(void)fake_deliver(h, FAKE_CALLS_MAX);
	if (heir_call_finish(h, ticket, reply, &room, 0) == 0)
		must(room <= fake.message_max, "a reply fits");
}

static void direct(heir_t *h, const uint8_t *data, size_t size)
{
	char text[CHUNK_MAX + 1];
	const char *reply;

	memcpy(text, data, size);
	text[size] = 0;
	(void)fake_message(h, text, true, &reply);
}

/* Behind its back: 4 bytes of place, 4 of what to store there, a byte of how. */
static void tamper(const uint8_t *data, size_t size)
{
	unsigned char *state = fake_state();

	for (; size >= 9; data += 9, size -= 9) {
		uint32_t at, value, old;
		size_t range = data[8] & 1 ? STATE_SIZE : 1024;

		memcpy(&at, data, 4);
		memcpy(&value, data + 4, 4);
		at = at % (uint32_t)(range / 4) * 4;
		memcpy(&old, state + at, 4);
		value = data[8] & 2 ? old + value : data[8] & 4 ? old ^ value : value;
		memcpy(state + at, &value, 4);
	}
	in.tampered = 1;
}

static int no_mark(void *arg, const void *start, size_t size)
{
	(void)arg, (void)start, (void)size;
	return 0;
}

static void check_state(void)
{
	struct table table = {.heap = {.mark = no_mark}};

	must(table_open(&table, fake_state(), STATE_SIZE, 1) == 0, "the table opens");
	must(table_used(&table) <= table_room(&table), "no more is used than there is");
}

static void scenario(heir_t *h)
{
	exchange_init(&in.exchange, fake.arg);
	while (in.size > 2) {
		unsigned what = in.data[0];
		size_t size = in.data[1] < in.size - 2 ? in.data[1] : in.size - 2;
		const uint8_t *data = in.data + 2;

		in.data += 2 + size;
		in.size -= 2 + size;
		switch (what % 6) {
		case 0:
			connection(h, data, size);
			break;
		case 1:
			message(h, data, size);
			break;
		case 2:
			direct(h, data, size);
			break;
		case 3:
			fake.is_owner = !(what & 8);
			fake.is_wanted = !!(what & 16);
			fake.is_commit_refused = !!(what & 32);
			fake.is_mailbox_full = !!(what & 64);
			fake.log_room = what & 128 ? 600 : 1 << 20;
			break;
		case 4:
			tamper(data, size);
			break;
		case 5:
			if (in.exchange.calls)
				exchange_wait(&in.exchange, what & 8 ? 1000000 : 0);
			break;
		}
		if (!in.tampered)
			check_state();
	}
	while (in.exchange.calls)
		exchange_wait(&in.exchange, 0);
	fake.worker->prep_stop(h, fake.arg);
	fake.worker->stop(h, fake.arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "heir-kv";
	char *argv[] = {name, NULL};

	fake_reset(STATE_SIZE, -1);
	fake.scenario = scenario;
	in.data = data;
	in.size = size;
	in.tampered = 0;
	optind = 1;
	must(kv_main(1, argv) == 0, "it starts");
	fake_finish();
	return 0;
}
