/* SPDX-License-Identifier: ISC */
/*
 * The commands over a table in a plain array: each reply to the byte, errors as Redis words them.
 */
#include "kv/command.h"

#include <errno.h>
#include <heir.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT 4096

static void *region;
static struct command_env env;
static struct resp_command command;
static char reply[LIMIT + 1];

static int mark(void *arg, const void *start, size_t size)
{
	(void)arg, (void)start, (void)size;
	return 0;
}

static int open_fresh(void **state)
{
	(void)state;
	alarm(60);
	free(region);
	region = aligned_alloc(4096, TABLE_SIZE_MIN);
	if (!region)
		return -1;
	memset(region, 0, TABLE_SIZE_MIN);
	env = (struct command_env){ .limit = LIMIT, .node = "a", .generation = 3 };
	env.table.heap.mark = mark;
	return table_open(&env.table, region, TABLE_SIZE_MIN, 42);
}

static int finish(void **state)
{
	(void)state;
	free(region);
	region = NULL;
	return 0;
}

static int run(const char *line)
{
	struct resp_out out = { .data = reply, .room = LIMIT };
	assert_int_equal(resp_parse_line(&command, line, strlen(line)), 0);
	int error = command_run(&env, &command, &out);
	reply[out.used] = '\0';
	return error;
}

struct exchange {
	const char *line, *reply;
};

static void talk(const struct exchange *exchange)
{
	for (; exchange->line; exchange++) {
		assert_int_equal(run(exchange->line), 0);
		if (strcmp(reply, exchange->reply))
			print_error("%s\n", exchange->line);
		assert_string_equal(reply, exchange->reply);
	}
}

#define NOT_AN_INTEGER "-ERR value is not an integer or out of range\r\n"
#define WOULD_OVERFLOW "-ERR increment or decrement would overflow\r\n"
#define ARITY(name) "-ERR wrong number of arguments for '" name "' command\r\n"
#define UNKNOWN(name, arguments) \
	"-ERR unknown command '" name "', with args beginning with: " arguments "\r\n"
#define SYNTAX "-ERR syntax error\r\n"

static void values(void **state)
{
	static const struct exchange exchanges[] = {
		{ "get a", "$-1\r\n" },
		{ "set a 1", "+OK\r\n" },
		{ "SeT b \"x y\"", "+OK\r\n" },
		{ "GET a", "$1\r\n1\r\n" },
		{ "mget a c b", "*3\r\n$1\r\n1\r\n$-1\r\n$3\r\nx y\r\n" },
		{ "mset a 2 c 3 a 4", "+OK\r\n" },
		{ "mget a b c", "*3\r\n$1\r\n4\r\n$3\r\nx y\r\n$1\r\n3\r\n" },
		{ "exists a", ":1\r\n" },
		{ "exists a nosuch c a", ":3\r\n" },
		{ "dbsize", ":3\r\n" },
		{ "del a nosuch a b", ":2\r\n" },
		{ "dbsize", ":1\r\n" },
		{ "flushall", "+OK\r\n" },
		{ "flushall async", "+OK\r\n" },
		{ "flushall sync", "+OK\r\n" },
		{ "dbsize", ":0\r\n" },
		{ "set \"\" \"\"", "+OK\r\n" },
		{ "get \"\"", "$0\r\n\r\n" },
		{ NULL, NULL },
	};
	(void)state;
	talk(exchanges);
}

static void set_options(void **state)
{
	static const struct exchange exchanges[] = {
		{ "set a 1 xx", "$-1\r\n" },
		{ "exists a", ":0\r\n" },
		{ "set a 1 nx", "+OK\r\n" },
		{ "set a 2 NX", "$-1\r\n" },
		{ "get a", "$1\r\n1\r\n" },
		{ "set a 3 XX", "+OK\r\n" },
		{ "set a 4 XX xx", "+OK\r\n" },
		{ "get a", "$1\r\n4\r\n" },
		{ "set a 5 nx xx", SYNTAX },
		{ "set a 5 ex 10", SYNTAX },
		{ "set a 5 get", SYNTAX },
		{ "set a 5 keepttl nx", SYNTAX },
		{ "get a", "$1\r\n4\r\n" },
		{ NULL, NULL },
	};
	(void)state;
	talk(exchanges);
}

static void integers(void **state)
{
	static const struct exchange exchanges[] = {
		{ "incr n", ":1\r\n" },
		{ "get n", "$1\r\n1\r\n" },
		{ "incrby n 99", ":100\r\n" },
		{ "decr n", ":99\r\n" },
		{ "decrby n 100", ":-1\r\n" },
		{ "decr n", ":-2\r\n" },
		{ "incrby n -8", ":-10\r\n" },
		{ "get n", "$3\r\n-10\r\n" },
		{ "set n 9223372036854775807", "+OK\r\n" },
		{ "incr n", WOULD_OVERFLOW },
		{ "incrby n 0", ":9223372036854775807\r\n" },
		{ "set n -9223372036854775808", "+OK\r\n" },
		{ "decr n", WOULD_OVERFLOW },
		{ "incrby n 9223372036854775807", ":-1\r\n" },
		{ "incrby n -9223372036854775808", WOULD_OVERFLOW },
		{ "decrby n -9223372036854775808", "-ERR decrement would overflow\r\n" },
		{ "incrby n 9223372036854775808", NOT_AN_INTEGER },
		{ "incrby n -9223372036854775809", NOT_AN_INTEGER },
		{ "incrby n 99999999999999999999", NOT_AN_INTEGER },
		{ "incrby n 01", NOT_AN_INTEGER },
		{ "incrby n +1", NOT_AN_INTEGER },
		{ "incrby n -0", NOT_AN_INTEGER },
		{ "incrby n -", NOT_AN_INTEGER },
		{ "incrby n \"\"", NOT_AN_INTEGER },
		{ "incrby n \" 1\"", NOT_AN_INTEGER },
		{ "incrby n 1x", NOT_AN_INTEGER },
		{ "decrby n x", NOT_AN_INTEGER },
		{ "get n", "$2\r\n-1\r\n" },
		{ "set s abc", "+OK\r\n" },
		{ "incr s", NOT_AN_INTEGER },
		{ "set s \"\"", "+OK\r\n" },
		{ "incr s", NOT_AN_INTEGER },
		{ NULL, NULL },
	};
	(void)state;
	talk(exchanges);
}

static void wrong_commands(void **state)
{
	static const struct exchange exchanges[] = {
		{ "foo", UNKNOWN("foo", "") },
		{ "foo a 'b c'", UNKNOWN("foo", "'a' 'b c' ") },
		{ "ge a", UNKNOWN("ge", "'a' ") },
		{ "getx \"a\\r\\n\"", UNKNOWN("getx", "'a  ' ") },
		{ "get", ARITY("get") },
		{ "GET a b", ARITY("get") },
		{ "set a", ARITY("set") },
		{ "mset a", ARITY("mset") },
		{ "mset a 1 b", ARITY("mset") },
		{ "mget", ARITY("mget") },
		{ "del", ARITY("del") },
		{ "exists", ARITY("exists") },
		{ "incr", ARITY("incr") },
		{ "incrby a", ARITY("incrby") },
		{ "ping a b", ARITY("ping") },
		{ "echo", ARITY("echo") },
		{ "dbsize x", ARITY("dbsize") },
		{ "select", ARITY("select") },
		{ "config", ARITY("config") },
		{ "config get", ARITY("config|get") },
		{ "config set a b", "-ERR unknown subcommand 'set'. Try CONFIG GET.\r\n" },
		{ "command foo", "-ERR unknown subcommand 'foo'. Try COMMAND COUNT.\r\n" },
		{ "flushall x", SYNTAX },
		{ "flushall sync sync", SYNTAX },
		{ "select 1", "-ERR DB index is out of range\r\n" },
		{ "select x", NOT_AN_INTEGER },
		{ NULL, NULL },
	};
	(void)state;
	talk(exchanges);
}

static void unknown_arguments_are_cut(void **state)
{
	char line[1000] = "foo ", x[400];
	(void)state;
	memset(x, 'x', sizeof(x));
	x[sizeof(x) - 1] = '\0';
	strcat(strcat(strcat(line, x), " "), x);
	assert_int_equal(run(line), 0);
	assert_int_equal(strlen(reply), strlen(UNKNOWN("foo", "'' ")) + 128);
}

static void the_rest(void **state)
{
	static const struct exchange exchanges[] = {
		{ "ping", "+PONG\r\n" },
		{ "ping 'a b'", "$3\r\na b\r\n" },
		{ "echo a", "$1\r\na\r\n" },
		{ "select 0", "+OK\r\n" },
		{ "quit", "+OK\r\n" },
		{ "quit x", "+OK\r\n" },
		{ "config get save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n" },
		{ "config get APPENDONLY nosuch append*",
		  "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n" },
		{ "config get nosuch", "*0\r\n" },
		{ "command count", ":19\r\n" },
		{ "command docs get", "*0\r\n" },
		{ "info keyspace", "$12\r\n# Keyspace\r\n\r\n" },
		{ "info nosuch", "$0\r\n\r\n" },
		{ "set a 1", "+OK\r\n" },
		{ "info keyspace",
		  "$44\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n\r\n" },
		{ NULL, NULL },
	};
	static const char get[] = "*19\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n"
				  ":1\r\n:1\r\n:1\r\n*6\r\n";
	(void)state;
	talk(exchanges);
	assert_int_equal(run("command"), 0);
	assert_memory_equal(reply, get, sizeof(get) - 1);
	assert_int_equal(run("info"), 0);
	assert_non_null(strstr(reply, "\r\nnode:a\r\ngeneration:3\r\n"));
	assert_non_null(strstr(reply, "\r\nused_memory:"));
	assert_non_null(strstr(reply, "\r\ndb0:keys=1,"));
}

static void a_reply_over_the_limit(void **state)
{
	static char line[2100] = "set a ";
	(void)state;
	memset(line + 6, 'x', 2000);
	assert_int_equal(run(line), 0);
	assert_int_equal(run("mget a a"), 0);
	assert_int_equal(strlen(reply), 4 + 2 * (7 + 2000 + 2));
	assert_int_equal(run("mget a a a"), 0);
	assert_string_equal(reply, "-ERR reply is larger than the limit of 4096 bytes\r\n");
	assert_int_equal(run("mget b"), 0);
	assert_string_equal(reply, "*1\r\n$-1\r\n");
}

static void out_of_memory(void **state)
{
	static char line[3100];
	int error = 0, n = 0;
	(void)state;
	for (; !error && n < 1000; n++) {
		memset(line, 'x', sizeof(line) - 1);
		line[snprintf(line, sizeof(line), "set k%d", n)] = ' ';
		error = run(line);
	}
	assert_int_equal(error, -ENOMEM);
	assert_true(n > 10);
	assert_string_equal(reply, "");
	struct resp_out out = { .data = reply, .room = LIMIT };
	command_failed(error, &out);
	reply[out.used] = '\0';
	assert_string_equal(reply, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
	assert_int_equal(run("del k0"), 0);
	assert_int_equal(run(line), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values, open_fresh, finish),
		cmocka_unit_test_setup_teardown(set_options, open_fresh, finish),
		cmocka_unit_test_setup_teardown(integers, open_fresh, finish),
		cmocka_unit_test_setup_teardown(wrong_commands, open_fresh, finish),
		cmocka_unit_test_setup_teardown(unknown_arguments_are_cut, open_fresh, finish),
		cmocka_unit_test_setup_teardown(the_rest, open_fresh, finish),
		cmocka_unit_test_setup_teardown(a_reply_over_the_limit, open_fresh, finish),
		cmocka_unit_test_setup_teardown(out_of_memory, open_fresh, finish),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
