/* SPDX-License-Identifier: ISC */
#include "command.h"

#include <errno.h>
#include <fnmatch.h>
#include <heir.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SYNTAX "ERR syntax error"
#define NOT_AN_INTEGER "ERR value is not an integer or out of range"
#define INTEGER_DIGITS_MAX 20

typedef int run_fn(struct command_env *env, const struct resp_command *c, struct resp_out *out);

struct command {
	const char *name;
	run_fn *run;
	int arity;              /* with the name; negative: at least so many */
	const char *flag;
	int first, last, step;  /* which arguments are keys */
};

static bool is_word(struct slice s, const char *word)
{
	return s.size == strlen(word) && !strncasecmp(s.data, word, s.size);
}

/* As strict as Redis: no plus, no space, no leading zero. */
static bool parse_integer(struct slice s, long long *ret)
{
	bool is_negative = s.size > 1 && s.data[0] == '-';
	size_t i = is_negative;
	long long value = 0;
	if (s.size == 0 || s.size > INTEGER_DIGITS_MAX)
		return false;
	if (s.data[i] == '0' && s.size > 1)
		return false;
	for (; i < s.size; i++) {
		int digit = s.data[i] - '0';
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, digit, &value))
			return false;
	}
	if (!is_negative && __builtin_sub_overflow(0LL, value, &value))
		return false;
	*ret = value;
	return true;
}

static int ping(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	(void)env;
	if (c->argc > 2)
		resp_error(out, "ERR wrong number of arguments for 'ping' command");
	else if (c->argc == 2)
		resp_bulk(out, c->argv[1]);
	else
		resp_simple(out, "PONG");
	return 0;
}

static int echo(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	(void)env;
	resp_bulk(out, c->argv[1]);
	return 0;
}

static int quit(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	(void)env, (void)c;
	resp_simple(out, "OK");
	return 0;
}

static int select_db(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	long long number;
	(void)env;
	if (!parse_integer(c->argv[1], &number))
		resp_error(out, NOT_AN_INTEGER);
	else if (number != 0)
		resp_error(out, "ERR DB index is out of range");
	else
		resp_simple(out, "OK");
	return 0;
}

static int get_one(struct command_env *env, struct slice key, struct resp_out *out)
{
	struct slice value;
	int found = table_get(&env->table, key, &value);
	if (found > 0)
		resp_bulk(out, value);
	else if (found == 0)
		resp_nil(out);
	return found < 0 ? found : 0;
}

static int get(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	return get_one(env, c->argv[1], out);
}

static int mget(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	int error = 0;
	resp_array(out, c->argc - 1);
	for (size_t i = 1; i < c->argc && !error; i++)
		error = get_one(env, c->argv[i], out);
	return error;
}

static int set(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	bool if_absent = false, if_present = false;
	for (size_t i = 3; i < c->argc; i++) {
		if (is_word(c->argv[i], "nx") && !if_present) {
			if_absent = true;
		} else if (is_word(c->argv[i], "xx") && !if_absent) {
			if_present = true;
		} else {
			resp_error(out, SYNTAX);
			return 0;
		}
	}
	if (if_absent || if_present) {
		struct slice value;
		int found = table_get(&env->table, c->argv[1], &value);
		if (found < 0)
			return found;
		if (found ? if_absent : if_present) {
			resp_nil(out);
			return 0;
		}
	}
	int error = table_set(&env->table, c->argv[1], c->argv[2]);
	if (!error)
		resp_simple(out, "OK");
	return error;
}

static int mset(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	if (c->argc % 2 == 0) {
		resp_error(out, "ERR wrong number of arguments for 'mset' command");
		return 0;
	}
	for (size_t i = 1; i < c->argc; i += 2) {
		int error = table_set(&env->table, c->argv[i], c->argv[i + 1]);
		if (error)
			return error;
	}
	resp_simple(out, "OK");
	return 0;
}

static int del(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	long long deleted = 0;
	for (size_t i = 1; i < c->argc; i++) {
		int found = table_delete(&env->table, c->argv[i]);
		if (found < 0)
			return found;
		deleted += found;
	}
	resp_integer(out, deleted);
	return 0;
}

static int exists(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	long long present = 0;
	for (size_t i = 1; i < c->argc; i++) {
		struct slice value;
		int found = table_get(&env->table, c->argv[i], &value);
		if (found < 0)
			return found;
		present += found;
	}
	resp_integer(out, present);
	return 0;
}

static int add(struct command_env *env, struct slice key, long long amount, struct resp_out *out)
{
	struct slice value;
	long long number = 0;
	int found = table_get(&env->table, key, &value);
	if (found < 0)
		return found;
	if (found && !parse_integer(value, &number)) {
		resp_error(out, NOT_AN_INTEGER);
		return 0;
	}
	if (__builtin_add_overflow(number, amount, &number)) {
		resp_error(out, "ERR increment or decrement would overflow");
		return 0;
	}
	char text[INTEGER_DIGITS_MAX + 4];
	struct resp_out digits = { .data = text, .room = sizeof(text) };
	resp_integer(&digits, number);
	int error = table_set(&env->table, key, (struct slice){ text + 1, digits.used - 3 });
	if (!error)
		resp_integer(out, number);
	return error;
}

static int incr(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	return add(env, c->argv[1], 1, out);
}

static int decr(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	return add(env, c->argv[1], -1, out);
}

static int incrby(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	long long amount;
	if (parse_integer(c->argv[2], &amount))
		return add(env, c->argv[1], amount, out);
	resp_error(out, NOT_AN_INTEGER);
	return 0;
}

static int decrby(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	long long amount;
	if (!parse_integer(c->argv[2], &amount))
		resp_error(out, NOT_AN_INTEGER);
	else if (amount == LLONG_MIN)
		resp_error(out, "ERR decrement would overflow");
	else
		return add(env, c->argv[1], -amount, out);
	return 0;
}

static int dbsize(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	(void)c;
	resp_integer(out, (long long)table_count(&env->table));
	return 0;
}

static int flushall(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	bool is_known = c->argc == 1 || is_word(c->argv[1], "sync") || is_word(c->argv[1], "async");
	if (c->argc > 2 || !is_known) {
		resp_error(out, SYNTAX);
		return 0;
	}
	int error = table_clear(&env->table);
	if (!error)
		resp_simple(out, "OK");
	return error;
}

static bool wants_section(const struct resp_command *c, const char *name)
{
	for (size_t i = 1; i < c->argc; i++)
		if (is_word(c->argv[i], name) || is_word(c->argv[i], "all") ||
		    is_word(c->argv[i], "default") || is_word(c->argv[i], "everything"))
			return true;
	return c->argc == 1;
}

static int info(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	const struct table *table = &env->table;
	unsigned long long count = table_count(table);
	char server[256] = "", memory[128] = "", keys[80] = "", text[512];
	if (wants_section(c, "server"))
		snprintf(server, sizeof(server),
			 "# Server\r\n"
			 "heir_kv_version:" HEIR_VERSION "\r\n"
			 "process_id:%d\r\n"
			 "node:%s\r\n"
			 "generation:%u\r\n\r\n", getpid(), env->node, env->generation);
	if (wants_section(c, "memory"))
		snprintf(memory, sizeof(memory),
			 "# Memory\r\n"
			 "used_memory:%llu\r\n"
			 "maxmemory:%llu\r\n"
			 "maxmemory_policy:noeviction\r\n\r\n",
			 (unsigned long long)table_used(table),
			 (unsigned long long)table_room(table));
	if (wants_section(c, "keyspace"))
		snprintf(keys, sizeof(keys),
			 count > 0 ? "# Keyspace\r\ndb0:keys=%llu,expires=0,avg_ttl=0\r\n"
				   : "# Keyspace\r\n", count);
	snprintf(text, sizeof(text), "%s%s%s", server, memory, keys);
	resp_bulk(out, (struct slice){ text, strlen(text) });
	return 0;
}

static int config(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	char room[24], pattern[64];
	snprintf(room, sizeof(room), "%llu", (unsigned long long)table_room(&env->table));
	const char *const setting[][2] = {
		{ "appendonly", "no" }, { "databases", "1" }, { "maxmemory", room },
		{ "maxmemory-policy", "noeviction" }, { "save", "" },
	};
	enum { SETTINGS = sizeof(setting) / sizeof(setting[0]) };
	if (!is_word(c->argv[1], "get")) {
		resp_error(out, "ERR unknown subcommand '%.*s'. Try CONFIG GET.",
			   (int)c->argv[1].size, c->argv[1].data);
		return 0;
	}
	if (c->argc < 3) {
		resp_error(out, "ERR wrong number of arguments for 'config|get' command");
		return 0;
	}
	bool is_wanted[SETTINGS] = { false };
	size_t wanted = 0;
	for (size_t i = 2; i < c->argc; i++) {
		snprintf(pattern, sizeof(pattern), "%.*s", (int)c->argv[i].size, c->argv[i].data);
		for (size_t k = 0; k < SETTINGS; k++)
			if (!is_wanted[k] && !fnmatch(pattern, setting[k][0], FNM_CASEFOLD)) {
				is_wanted[k] = true;
				wanted++;
			}
	}
	resp_array(out, wanted * 2);
	for (size_t k = 0; k < SETTINGS; k++)
		for (size_t i = 0; i < 2 && is_wanted[k]; i++)
			resp_bulk(out, (struct slice){ setting[k][i], strlen(setting[k][i]) });
	return 0;
}

static run_fn command;

#define READ "readonly"
#define WRITE "write"

static const struct command commands[] = {
	{ "get", get, 2, READ, 1, 1, 1 },
	{ "set", set, -3, WRITE, 1, 1, 1 },
	{ "incr", incr, 2, WRITE, 1, 1, 1 },
	{ "decr", decr, 2, WRITE, 1, 1, 1 },
	{ "incrby", incrby, 3, WRITE, 1, 1, 1 },
	{ "decrby", decrby, 3, WRITE, 1, 1, 1 },
	{ "mget", mget, -2, READ, 1, -1, 1 },
	{ "mset", mset, -3, WRITE, 1, -1, 2 },
	{ "del", del, -2, WRITE, 1, -1, 1 },
	{ "exists", exists, -2, READ, 1, -1, 1 },
	{ "ping", ping, -1, "fast", 0, 0, 0 },
	{ "echo", echo, 2, "fast", 0, 0, 0 },
	{ "dbsize", dbsize, 1, READ, 0, 0, 0 },
	{ "flushall", flushall, -1, WRITE, 0, 0, 0 },
	{ "info", info, -1, "stale", 0, 0, 0 },
	{ "command", command, -1, "stale", 0, 0, 0 },
	{ "config", config, -2, "admin", 0, 0, 0 },
	{ "select", select_db, 2, "fast", 0, 0, 0 },
	{ "quit", quit, -1, "fast", 0, 0, 0 },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int command(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	(void)env;
	if (c->argc > 1 && is_word(c->argv[1], "count")) {
		resp_integer(out, COMMANDS);
		return 0;
	}
	if (c->argc > 1 && is_word(c->argv[1], "docs")) {
		resp_array(out, 0);
		return 0;
	}
	if (c->argc > 1) {
		resp_error(out, "ERR unknown subcommand '%.*s'. Try COMMAND COUNT.",
			   (int)c->argv[1].size, c->argv[1].data);
		return 0;
	}
	resp_array(out, COMMANDS);
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *e = &commands[i];
		resp_array(out, 6);
		resp_bulk(out, (struct slice){ e->name, strlen(e->name) });
		resp_integer(out, e->arity);
		resp_array(out, 1);
		resp_simple(out, e->flag);
		resp_integer(out, e->first);
		resp_integer(out, e->last);
		resp_integer(out, e->step);
	}
	return 0;
}

static int shown(struct slice s, size_t most)
{
	return (int)(s.size < most ? s.size : most);
}

static void unknown(const struct resp_command *c, struct resp_out *out)
{
	enum { SHOWN = 128 };
	char arguments[SHOWN * 2] = "";
	size_t used = 0;
	for (size_t i = 1; i < c->argc && used < SHOWN; i++)
		used += (size_t)snprintf(arguments + used, sizeof(arguments) - used, "'%.*s' ",
					 shown(c->argv[i], SHOWN - used), c->argv[i].data);
	resp_error(out, "ERR unknown command '%.*s', with args beginning with: %s",
		   shown(c->argv[0], SHOWN), c->argv[0].data, arguments);
}

int command_run(struct command_env *env, const struct resp_command *c, struct resp_out *out)
{
	struct resp_out reply = { .data = out->data + out->used, .room = env->limit };
	const struct command *e = commands;
	while (e < commands + COMMANDS && !is_word(c->argv[0], e->name))
		e++;
	if (e == commands + COMMANDS) {
		unknown(c, &reply);
	} else if (e->arity > 0 ? c->argc != (size_t)e->arity : c->argc < (size_t)-e->arity) {
		resp_error(&reply, "ERR wrong number of arguments for '%s' command", e->name);
	} else {
		int error = e->run(env, c, &reply);
		if (error < 0)
			return error;
	}
	if (reply.is_full) {
		reply = (struct resp_out){ .data = reply.data, .room = env->limit };
		resp_error(&reply, "ERR reply is larger than the limit of %zu bytes", env->limit);
	}
	out->used += reply.used;
	return 0;
}

void command_failed(int error, struct resp_out *out)
{
	if (error == -ENOMEM)
		resp_error(out, "OOM command not allowed when used memory > 'maxmemory'.");
	else
		resp_error(out, "ERR %s", heir_strerror(error));
}

void command_too_large(const struct command_env *env, struct resp_out *out)
{
	resp_error(out, "ERR command is larger than the limit of %zu bytes", env->limit);
}

bool command_is_quit(const struct resp_command *c)
{
	return c->argc > 0 && is_word(c->argv[0], "quit");
}
