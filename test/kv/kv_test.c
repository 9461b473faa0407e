/* SPDX-License-Identifier: ISC */
/*
 * What heir-kv does as a worker: commands by mail, to the role and to one instance; starts that are
 * refused.
 */
#include "kv_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOT_ONE "-ERR Protocol error: a message is one command\r\n"

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
		{ "*2\r\n$3\r\nGET\r\n$1\r\nx", NOT_ONE },
		{ "*1\r\n$4\r\nPING\r\nx", NOT_ONE },
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
	stop_service(h);
}

static void commands_by_mail(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(mail), 0);
}

static void served(heir_t *h)
{
	int a = client();
	say(a, "incr n\r\n");
	hear(h, a, ":1\r\n");
	close(a);
	stop_service(h);
}

static void the_state_is_not_touched_before_the_switch(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(served), 0);
	assert_int_equal(fake.begun_in_start, 0);
}

static void a_restart_in_place_has_no_phases(void **state)
{
	(void)state;
	client_set_up();
	fake.start_type = HEIR_LOCAL;
	assert_int_equal(with_service(served), 0);
	assert_int_equal(fake.begun_in_start, 1);
}

static void without_a_socket_there_is_mail(void **state)
{
	(void)state;
	client_set_up();
	fake.listener = -1;
	assert_int_equal(with_service(mail), 0);
}

static void not_a_worker(void **state)
{
	(void)state;
	client_set_up();
	assert_int_equal(with_service(NULL), 2);
}

/*
 * Where the program ends before it serves: its status. In a child, since it leaves what it has to
 * the exit.
 */
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
	client_set_up();
	fake.state_size = 0;
	assert_int_equal(refused_start(), 1);
	fake.state_size = 4096;
	assert_int_equal(refused_start(), 1);
	fake.state_size = CLIENT_STATE_SIZE;
	fake.message_max = 100;
	assert_int_equal(refused_start(), 1);
	fake.message_max = 4096;
	memset(fake_state(), 'x', 64);
	assert_int_equal(refused_start(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_by_mail),
		cmocka_unit_test(the_state_is_not_touched_before_the_switch),
		cmocka_unit_test(a_restart_in_place_has_no_phases),
		cmocka_unit_test(without_a_socket_there_is_mail),
		cmocka_unit_test(not_a_worker),
		cmocka_unit_test(a_start_that_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
