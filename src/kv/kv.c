/* SPDX-License-Identifier: ISC */
/*
 * heir-kv: a key-value server whose table lives in the state, so that another instance goes on with
 * it: by plan without a client noticing, after a crash with every write that was acknowledged.
 *
 * This is the sample to copy from. Read downwards: what a worker is told, when, and what it does
 * then.
 */
#include "kv.h"

#include "conn.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define STATE_VERSION 1
#define SOCKET_NAME "resp"
#define LIMIT_MIN 1024
#define STOP_TIMEOUT INT64_C(1000000000)

static void complain(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

static void complain(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("heir-kv: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

static int mark(void *arg, const void *start, size_t size)
{
	struct kv *kv = arg;
	kv->marked += size;
	return heir_mark(kv->h, start, size);
}

/* Owner of the state from here on: find the table in it, and let clients in. */
static int begin_to_serve(struct kv *kv, uint32_t generation)
{
	size_t size = 0;
	void *state = heir_state(kv->h, &size);
	kv->env.generation = generation;
	int error = heir_begin(kv->h);
	if (error)
		return error;
	error = table_open(&kv->env.table, state, size, kv->seed);
	if (error)
		heir_abort(kv->h);
	else
		error = heir_commit(kv->h);
	if (error) {
		complain("the state cannot be used: %s", heir_strerror(error));
		return error;
	}
	return conns_accept(kv->conns, true);
}

/* Before the type is known: only what a standby may have as well. */
static int init(heir_t *h, void *arg)
{
	struct kv *kv = arg;
	size_t max = heir_message_max(h);
	int listener = heir_listen_fd(SOCKET_NAME);
	kv->h = h;
	kv->env.node = heir_node(h);
	kv->env.limit = max < RESP_BULK_MAX ? max : RESP_BULK_MAX;
	kv->env.table.heap.mark = mark;
	kv->env.table.heap.arg = kv;
	if (getrandom(&kv->seed, sizeof(kv->seed), GRND_NONBLOCK) < 0)
		kv->seed = (uint64_t)getpid();
	return conns_create(kv, listener < 0 ? -1 : listener, &kv->conns);
}

/*
 * In a takeover the old instance still owns the state here: look at nothing in it. What is wrong
 * now changes nothing.
 */
static int start(heir_t *h, const struct heir_start *start, void *arg)
{
	struct kv *kv = arg;
	size_t size = 0;
	if (!heir_state(h, &size) || size < TABLE_SIZE_MIN || size > TABLE_SIZE_MAX) {
		complain("it needs a state of %zu KiB to %zu GiB, not of %zu bytes: "
			 "see heir.yaml(5)", TABLE_SIZE_MIN >> 10, TABLE_SIZE_MAX >> 30, size);
		return HEIR_EINVAL;
	}
	if (kv->env.limit < LIMIT_MIN) {
		complain("messages of %zu bytes are too small: it needs %d", kv->env.limit,
			 LIMIT_MIN);
		return HEIR_EINVAL;
	}
	return start->type == HEIR_LOCAL ? begin_to_serve(kv, start->generation) : 0;
}

/*
 * The phases come after the switch. There is nothing to fetch in "takeover": the state came with
 * the role.
 */
static int start_phase(heir_t *h, const char *phase, const struct heir_start *start, void *arg)
{
	(void)h;
	return strcmp(phase, "go") ? 0 : begin_to_serve(arg, start->generation);
}

/*
 * Run the command in a message: a RESP array as a connection has it, or the line that a person
 * wrote.
 */
static int run(struct kv *kv, const struct heir_message *message, struct resp_out *out)
{
	struct resp_command *command = &kv->command;
	const char *data = message->data;
	bool is_array = message->size > 0 && data[0] == '*';
	ssize_t n = is_array ? resp_parse(command, data, message->size)
			     : resp_parse_line(command, data, message->size);
	if (n < 0)
		resp_error(out, "ERR Protocol error: %s", command->error);
	else if (is_array && (size_t)n != message->size)
		resp_error(out, "ERR Protocol error: a message is one command");
	else if (command->argc == 0)
		resp_error(out, "ERR empty command");
	else
		return command_run(&kv->env, command, out);
	return 0;
}

/*
 * One command by mail. What is sent to the role comes within a transaction, which the loop commits
 * together with the reply. What is sent to this one instance (kv@a) does not: it is run in a
 * transaction of its own, or passed on to the owner.
 */
static int handle(heir_t *h, const struct heir_message *message, void *arg)
{
	struct kv *kv = arg;
	static char reply[RESP_BULK_MAX], text[RESP_BULK_MAX];
	struct resp_out out = { .data = reply, .room = sizeof(reply) };
	if (message->direct && (!kv->env.table.heap.base || heir_begin(h)))
		return heir_forward(h, kv->name);
	int error = run(kv, message, &out);
	if (message->direct) {
		if (error)
			heir_abort(h);
		else if (heir_commit(h))
			return heir_forward(h, kv->name);
	}
	if (error)
		return error;
	if (message->size == 0 || *(const char *)message->data != '*') {
		struct resp_out plain = { .data = text, .room = kv->env.limit };
		resp_text(&plain, out.data, out.used);
		if (plain.is_full)
			return HEIR_ETOOBIG;
		out = plain;
	}
	return heir_reply(h, out.data, out.used);
}

/*
 * Another instance owns all but the connections: what comes on them is forwarded from now on, since
 * begin fails.
 */
static void lost(heir_t *h, const char *to, void *arg)
{
	struct kv *kv = arg;
	(void)h, (void)to;
	conns_accept(kv->conns, false);
}

static int regained(heir_t *h, uint32_t generation, void *arg)
{
	(void)h;
	return begin_to_serve(arg, generation);
}

static void prep_stop(heir_t *h, void *arg)
{
	struct kv *kv = arg;
	(void)h;
	conns_drain(kv->conns);
}

static void stop(heir_t *h, void *arg)
{
	struct kv *kv = arg;
	(void)h;
	conns_destroy(kv->conns, STOP_TIMEOUT);
	kv->conns = NULL;
}

static const struct heir_worker worker = {
	.size = sizeof(worker),
	.version = STATE_VERSION,
	.init = init,
	.start = start,
	.start_phase = start_phase,
	.handle = handle,
	.lost = lost,
	.regained = regained,
	.prep_stop = prep_stop,
	.stop = stop,
};

static int usage(FILE *to, int status)
{
	fputs("usage: heir-kv [--name NAME]\n"
	      "       heir-kv --help | --version\n"
	      "A key-value server that speaks the protocol of Redis, as a child of a heir node.\n"
	      "  --name NAME  the name that the role is registered under (kv)\n", to);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	static struct kv kv = { .name = "kv" };
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'n':
			kv.name = optarg;
			break;
		case 'h':
			return usage(stdout, 0);
		case 'V':
			puts("heir-kv " HEIR_VERSION);
			return 0;
		default:
			return usage(stderr, 2);
		}
	}
	if (optind < argc || kv.name[0] == '\0' || strlen(kv.name) > HEIR_NAME_MAX)
		return usage(stderr, 2);

	heir_t *h;
	int error = heir_worker_open(&worker, &kv, &h);
	if (error == HEIR_ENOTWORKER) {
		complain("it is started by a heir node, not by hand: try \"heir up\", or name it "
			 "under \"exec\" in heir.yaml(5)");
		return 2;
	}
	if (!error) {
		error = heir_serve(h);
		heir_close(h);
	}
	if (error)
		complain("%s", heir_strerror(error));
	return error ? 1 : 0;
}
