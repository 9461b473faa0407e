/* SPDX-License-Identifier: ISC */
/* The canned domain: applications kv and log, nodes a and b, three names, two moves. */
#include "fake_client.h"

#include "cmd/demo.h"
#include "node/node.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

struct fake fake;

struct heir {
	int unused;
};

static struct heir handle;
static struct heir_app_status apps[2];

static void fill_kv(struct heir_app_status *app)
{
	*app = (struct heir_app_status){.name = "kv",
		.state = HEIR_APP_RUNNING,
		.node = "a",
		.generation = 7,
		.start_type = HEIR_TAKEOVER,
		.is_protected = 1,
		.instances = 2,
		.children = 2};
	app->instance[0] = (struct heir_instance_status){"a", HEIR_RUNNING, 1};
	app->instance[1] = (struct heir_instance_status){"b", HEIR_STANDBY, 1};
	app->child[0] = (struct heir_child_status){"server", 4720, "running", 0};
	app->child[1] = (struct heir_child_status){"log-shipper", 4721, "running", 3};
}

static void fill_log(struct heir_app_status *app)
{
	*app = (struct heir_app_status){.name = "log", .state = HEIR_APP_DOWN, .instances = 2};
	app->instance[0] = (struct heir_instance_status){"a", HEIR_ABSENT, 1};
	app->instance[1] = (struct heir_instance_status){"b", HEIR_ABSENT, 0};
}

static void fill_moves(void)
{
	fake.move[0] = (struct heir_move){.application = "kv",
		.kind = HEIR_TAKEOVER,
		.from = "a",
		.to = "b",
		.generation = 9,
		.at_ns = INT64_C(1700000000123456789),
		.total_ns = 80000,
		.result = HEIR_DONE,
		.steps = 5,
		.step = {{"start", 0, 40000}, {"switch", 40000, 310}, {"takeover", 40310, 19690},
			{"go", 60000, 20000}, {"stop_old", 80000, 2500000}}};
	fake.move[1] = (struct heir_move){.application = "kv",
		.kind = HEIR_FAILOVER,
		.from = "b",
		.to = "a",
		.generation = 8,
		.at_ns = INT64_C(1699999999000000000),
		.total_ns = 61250,
		.result = HEIR_ABORTED,
		.error = HEIR_ETIMEDOUT,
		.failed_step = "start",
		.steps = 2,
		.step = {{"notice", 0, 50000}, {"claim", 50000, 250}}};
	fake.moves = 2;
}

void fake_reset(void)
{
	fake = (struct fake){.reopen_error = HEIR_ENODOMAIN, .reply = "ok", .reply_size = 2};
	fill_kv(&apps[0]);
	fill_log(&apps[1]);
	fake.status = (struct heir_status){.domain = "default",
		.nodes = 2,
		.applications = 2,
		.node = {{"a", 4711, "running"}, {"b", 4712, "running"}},
		.application = apps};
	fake.name[0] = (struct fake_name){"kv", {"kv", "a", 4720, 7, HEIR_NAME_LIVE, 1}};
	fake.name[1] = (struct fake_name){"kv.admin", {"kv", "", 0, 7, HEIR_NAME_WAITING, 0}};
	fake.name[2] = (struct fake_name){"heir@a", {"", "a", 4711, 0, HEIR_NAME_LIVE, 2}};
	fake.names = 3;
	fill_moves();
}

struct run run_heir(bool utf8, const char *input, const char *const *arguments)
{
	struct out out = {.utf8 = utf8, .columns = 60};
	char *copy[32];
	size_t size;
	struct run run;
	int count = 0;

	fake.opened = fake.closed = 0;
	setlocale(LC_CTYPE, utf8 ? "C.UTF-8" : "C");
	for (; arguments[count]; count++)
		copy[count] = strdup(arguments[count]);
	copy[count] = NULL;
	out.in = *input ? fmemopen((void *)input, strlen(input), "r") : fopen("/dev/null", "r");
	out.file = open_memstream(&run.out, &size);
	out.error = open_memstream(&run.error, &size);
	run.status = cmd_main(count, copy, &out);
	fclose(out.in);
	fclose(out.file);
	fclose(out.error);
	for (int i = 0; i < count; i++)
		free(copy[i]);
	return run;
}

void run_free(struct run *run)
{
	free(run->out);
	free(run->error);
}

static int entry(const char *what, int argc, char **argv)
{
	fprintf(stdout, "%s", what);
	for (int i = 1; i < argc; i++)
		fprintf(stdout, " %s", argv[i]);
	fputc('\n', stdout);
	return 40 + argc;
}

int up_main(int argc, char **argv)
{
	return entry("up", argc, argv);
}

int node_main(int argc, char **argv)
{
	return entry("node", argc, argv);
}

int reload_main(int argc, char **argv)
{
	return entry("reload", argc, argv);
}

int check_main(int argc, char **argv)
{
	return entry("check", argc, argv);
}

int demo_main(int argc, char **argv)
{
	return entry("demo", argc, argv);
}

const char *heir_strerror(int error)
{
	switch (error) {
	case HEIR_EINVAL: return "an argument is out of its range";
	case HEIR_EFOREIGN: return "another user's";
	case HEIR_ECORRUPT: return "the segment is damaged";
	case HEIR_EAGAIN: return "the mailbox is full";
	case HEIR_ETIMEDOUT: return "the deadline passed";
	case HEIR_EUNKNOWN: return "outcome unknown";
	case HEIR_ETOOBIG: return "too big";
	case HEIR_EPOISON: return "set aside";
	case HEIR_EDEAD: return "it died";
	case HEIR_ENOENT: return "no such thing";
	case HEIR_EFAILED: return "it failed";
	default: return error < 0 && error > -1000 ? strerror(-error) : "some error";
	}
}

int heir_open(const char *domain, unsigned flags, heir_t **ret)
{
	int error = fake.opened ? fake.reopen_error : fake.open_error;

	snprintf(fake.domain, sizeof(fake.domain), "%s", domain ? domain : "NULL");
	if (error)
		return error;
	fake.open_flags = flags;
	fake.opened++;
	*ret = &handle;
	return 0;
}

void heir_close(heir_t *h)
{
	if (h)
		fake.closed++;
}

size_t heir_message_max(const heir_t *h)
{
	(void)h;
	return 64;
}

static void keep(const char *name, const void *data, size_t size)
{
	snprintf(fake.sent_to, sizeof(fake.sent_to), "%s", name);
	fake.sent_size = size;
	memcpy(fake.sent, data, size < sizeof(fake.sent) ? size : sizeof(fake.sent));
}

int heir_send(heir_t *h, const char *name, const void *data, size_t size)
{
	(void)h;
	keep(name, data, size);
	return fake.send_error;
}

static int answer(void *reply, size_t *reply_size)
{
	if (fake.call_error)
		return fake.call_error;
	if (*reply_size < fake.reply_size)
		return -ENOSPC;
	memcpy(reply, fake.reply, fake.reply_size);
	*reply_size = fake.reply_size;
	return 0;
}

int heir_call(heir_t *h, const char *name, const void *data, size_t size, void *reply,
	size_t *reply_size, int64_t timeout)
{
	int error = fake.call ? fake.call(name) : 0;

	(void)h;
	keep(name, data, size);
	fake.timeout = timeout;
	return error ? error : answer(reply, reply_size);
}

int heir_call_start(
	heir_t *h, const char *name, const void *data, size_t size, struct heir_ticket *ret)
{
	int error = fake.call_start ? fake.call_start(name) : 0;

	(void)h;
	keep(name, data, size);
	if (error)
		return error;
	*ret = (struct heir_ticket){1, 1};
	return 0;
}

int heir_call_finish(
	heir_t *h, struct heir_ticket ticket, void *reply, size_t *reply_size, int64_t timeout)
{
	(void)h;
	(void)ticket;
	fake.timeout = timeout;
	return answer(reply, reply_size);
}

int heir_whereis(heir_t *h, const char *name, struct heir_where *ret)
{
	(void)h;
	for (size_t i = 0; i < fake.names; i++)
		if (!strcmp(fake.name[i].name, name)) {
			*ret = fake.name[i].where;
			return 0;
		}
	return HEIR_ENOENT;
}

int heir_names(heir_t *h, int (*each)(const char *name, const struct heir_where *where, void *arg),
	void *arg)
{
	int result = 0;

	(void)h;
	for (size_t i = fake.names; i > 0 && !result; i--)
		result = each(fake.name[i - 1].name, &fake.name[i - 1].where, arg);
	return result;
}

int heir_status(heir_t *h, struct heir_status **ret)
{
	(void)h;
	if (fake.status_error)
		return fake.status_error;
	*ret = malloc(sizeof(**ret));
	**ret = fake.status;
	return 0;
}

void heir_status_free(struct heir_status *status)
{
	free(status);
}

int heir_app_status(heir_t *h, const char *application, struct heir_app_status *ret)
{
	(void)h;
	if (fake.status_error)
		return fake.status_error;
	for (size_t i = 0; i < fake.status.applications; i++)
		if (!strcmp(fake.status.application[i].name, application)) {
			*ret = fake.status.application[i];
			return 0;
		}
	return HEIR_ENOENT;
}

int heir_wait_change(heir_t *h, const char *application, uint32_t generation, int64_t timeout)
{
	(void)h;
	(void)application;
	(void)generation;
	fake.timeout = timeout;
	fake.waits++;
	if (fake.changed)
		fake.changed();
	return HEIR_ETIMEDOUT;
}

int heir_moves(heir_t *h, const char *application, struct heir_move *ret, size_t max)
{
	size_t count = 0;

	(void)h;
	if (fake.moves_error)
		return fake.moves_error;
	for (size_t i = 0; i < fake.moves && count < max; i++)
		if (!application || !strcmp(fake.move[i].application, application))
			ret[count++] = fake.move[i];
	return (int)count;
}

int heir_takeover(heir_t *h, const char *application, const char *node, unsigned how,
	int64_t timeout, struct heir_move *ret)
{
	(void)h;
	(void)application;
	(void)node;
	fake.how = how;
	fake.timeout = timeout;
	if (!fake.takeover_error || fake.takeover_error == HEIR_EFAILED ||
		fake.takeover_error == HEIR_EBUSY)
		*ret = fake.move[fake.takeover_error == HEIR_EFAILED];
	return fake.takeover_error;
}

int heir_refusal(const char *domain, char *text, size_t size)
{
	(void)domain;
	snprintf(text, size, "%s", fake.refusal_error ? "the file has mode 0644" : "");
	return fake.refusal_error;
}

int heir_check(heir_t *h, int (*each)(const struct heir_finding *finding, void *arg), void *arg,
	struct heir_check *ret)
{
	(void)h;
	if (fake.check_error)
		return fake.check_error;
	for (size_t i = 0; i < fake.findings; i++) {
		int end = each(&fake.finding[i], arg);

		if (end)
			return end;
	}
	*ret = fake.check;
	return 0;
}
