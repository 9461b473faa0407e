/* SPDX-License-Identifier: ISC */
#include "proc/txnfix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/txn.h"
#include "name/names.h"
#include "support/points.h"

struct domain d;
static bool is_open;

void begin_domain(void)
{
	domain_init(&d, &(struct domain_options){
				.roles = 2, .cells = CELLS, .slots = 12, .yield_timeout = YIELD});
	is_open = true;
	assert_int_equal(names_register(&d.shm, handle_slot(d.leader[0]), "box", 3,
					name_binding_role(0, 1), NULL, NULL),
			 0);
}

void end_domain(void)
{
	if (is_open)
		domain_finish(&d);
	is_open = false;
}

int txnfix_setup(void **state)
{
	(void)state;
	begin_domain();
	return 0;
}

int txnfix_teardown(void **state)
{
	(void)state;
	points_disarm();
	end_domain();
	return 0;
}

struct control word(void)
{
	return owner_control(&d.shm);
}

uint64_t *counter(heir_t *h)
{
	return (uint64_t *)(void *)h->state.data;
}

/* "inc": one more, said to the caller, and to the box. */
static int increment(heir_t *h, const struct heir_message *m, void *arg)
{
	uint64_t *n = counter(h);
	(void)m;
	(void)arg;

	MUST(heir_mark(h, n, sizeof(*n)) == 0);
	++*n;
	MUST(heir_send(h, "box", n, sizeof(*n)) == 0);
	MUST(heir_reply(h, n, sizeof(*n)) == 0);
	return 0;
}

int serve_one(heir_t *h)
{
	return txn_message(h, 0, increment, NULL);
}

void open_dirty(heir_t *h)
{
	MUST(heir_begin(h) == 0);
	MUST(heir_mark(h, counter(h), 8) == 0);
	*counter(h) = 99;
}

uint64_t finish_call(heir_t *client, struct heir_ticket t)
{
	uint64_t n = 0;
	size_t size = sizeof(n);

	assert_int_equal(heir_call_finish(client, t, &n, &size, 20 * SECOND), 0);
	assert_int_equal(size, sizeof(n));
	return n;
}

heir_t *open_client(void)
{
	heir_t *h;

	assert_int_equal(heir_open(d.name, 0, &h), 0);
	return h;
}
