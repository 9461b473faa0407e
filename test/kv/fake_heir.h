/* SPDX-License-Identifier: ISC */
/*
 * The calls of heir.h that heir-kv uses, in one process without a domain: a state with an undo log,
 * a mailbox that the test delivers from, descriptors by epoll. heir_serve() runs fake.scenario, so
 * a test calls heir-kv's main() and gets control when the service is up.
 */
#ifndef HEIR_TEST_KV_FAKE_HEIR_H
#define HEIR_TEST_KV_FAKE_HEIR_H

#include <heir.h>
#include <stdbool.h>
#include <stddef.h>

#define FAKE_CALLS_MAX 1024

struct fake {
	void (*scenario)(heir_t *h);
	const struct heir_worker *worker;
	void *arg;
	size_t state_size, log_room, message_max;
	int listener;
	bool is_owner, is_wanted;
	bool is_commit_refused;   /* the next one finds another owner */
	bool is_mailbox_full;
	enum heir_start_type start_type;
	unsigned begun_in_start, begun, sent, forwarded, given_up;
	char last_name[HEIR_NAME_MAX + 1];
};

extern struct fake fake;

/* Defaults, and a fresh state of zero bytes. */
void fake_reset(size_t state_size, int listener);
void fake_finish(void);
/* The owner, wherever it is, handles at most so many of the messages that wait. How many. */
int fake_deliver(heir_t *h, int most);
/*
 * Hand the worker one message and return what handle() did; the reply, NUL-terminated, is in
 * *reply.
 */
int fake_message(heir_t *h, const char *text, bool direct, const char **reply);
void *fake_state(void);

#endif
