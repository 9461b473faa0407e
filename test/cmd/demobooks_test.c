/* SPDX-License-Identifier: ISC */
/* What the demo's clients count by: the books of a counter, and replies as they come in pieces. */
#include "cmd/demoledger.h"
#include "cmd/demoreply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_each_reply_is_one_more(void **state)
{
	struct ledger books = {0};

	(void)state;
	for (uint64_t i = 1; i <= 100; i++)
		ledger_raised(&books, i);
	ledger_read(&books, 100);
	assert_int_equal(books.value, 100);
	assert_int_equal(books.lost + books.twice + books.doubt, 0);
}

static void test_lost_and_twice(void **state)
{
	struct ledger books = {0};

	(void)state;
	ledger_raised(&books, 1);
	ledger_raised(&books, 3);
	assert_int_equal(books.twice, 1);
	ledger_raised(&books, 3);
	assert_int_equal(books.lost, 1);
	ledger_raised(&books, 4);
	ledger_read(&books, 2);
	assert_int_equal(books.lost, 3);
	ledger_read(&books, 7);
	assert_int_equal(books.twice, 6);
}

static void test_unanswered_may_show_up(void **state)
{
	struct ledger books = {.value = 10};

	(void)state;
	ledger_unanswered(&books, 3);
	ledger_raised(&books, 13); /* two of the three, and this one */
	assert_int_equal(books.twice, 0);
	assert_int_equal(books.doubt, 1);
	ledger_raised(&books, 16); /* the third, this one, and one too many */
	assert_int_equal(books.twice, 1);
	ledger_unanswered(&books, 2);
	ledger_settle(&books);
	ledger_raised(&books, 18);
	assert_int_equal(books.twice, 2);
	assert_int_equal(books.lost, 0);
}

static void test_unanswered_excuse_no_loss(void **state)
{
	struct ledger books = {.value = 10};

	(void)state;
	ledger_unanswered(&books, 5);
	ledger_raised(&books, 10);
	assert_int_equal(books.lost, 1);
	assert_int_equal(books.doubt, 5);
}

static void test_whole_replies(void **state)
{
	static const char bytes[] = "+OK\r\n:-42\r\n$5\r\nab\r\nc\r\n$-1\r\n$0\r\n\r\n-ERR no\r\n";
	struct reply reply;
	size_t at = 0;

	(void)state;
	at += (size_t)reply_parse(bytes + at, sizeof(bytes) - 1 - at, &reply);
	assert_int_equal(reply.type, '+');
	assert_memory_equal(reply.text, "OK", reply.size);
	at += (size_t)reply_parse(bytes + at, sizeof(bytes) - 1 - at, &reply);
	assert_int_equal(reply.integer, -42);
	at += (size_t)reply_parse(bytes + at, sizeof(bytes) - 1 - at, &reply);
	assert_int_equal(reply.size, 5);
	assert_memory_equal(reply.text, "ab\r\nc", 5);
	at += (size_t)reply_parse(bytes + at, sizeof(bytes) - 1 - at, &reply);
	assert_null(reply.text);
	at += (size_t)reply_parse(bytes + at, sizeof(bytes) - 1 - at, &reply);
	assert_non_null(reply.text);
	assert_int_equal(reply.size, 0);
	at += (size_t)reply_parse(bytes + at, sizeof(bytes) - 1 - at, &reply);
	assert_int_equal(reply.type, '-');
	assert_int_equal(at, sizeof(bytes) - 1);
}

static void test_no_prefix_is_whole(void **state)
{
	static const char *const replies[] = {"+OK\r\n", ":1234\r\n", "$5\r\nab\r\nc\r\n", "$-1\r\n"};
	struct reply reply;

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		size_t length = strlen(replies[i]);

		for (size_t n = 0; n < length; n++)
			assert_int_equal(reply_parse(replies[i], n, &reply), 0);
		assert_int_equal(reply_parse(replies[i], length, &reply), (ssize_t)length);
	}
}

static void test_no_reply(void **state)
{
	static const char *const bytes[] = {"OK\r\n", "*1\r\n", ":\r\n", ":1x\r\n", ":-\r\n", "+O\rK",
		"$-2\r\n", "$1\r\nabc", "$99999999999\r\n", ":99999999999999999999\r\n"};
	struct reply reply;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		assert_int_equal(reply_parse(bytes[i], strlen(bytes[i]), &reply), -1);
	assert_int_equal(reply_parse("\0\r\n", 3, &reply), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_reply_is_one_more),
		cmocka_unit_test(test_lost_and_twice),
		cmocka_unit_test(test_unanswered_may_show_up),
		cmocka_unit_test(test_unanswered_excuse_no_loss),
		cmocka_unit_test(test_whole_replies),
		cmocka_unit_test(test_no_prefix_is_whole),
		cmocka_unit_test(test_no_reply),
	};

	alarm(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
