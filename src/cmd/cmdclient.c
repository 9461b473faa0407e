/* SPDX-License-Identifier: ISC */
/* The one table from errors of heir_* to exit statuses, and what is said about unknown words. */
#include "cmd/cmdclient.h"

#include "cmd/cmdtext.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A standby that becomes ready need not change the generation: look again this often. */
#define LOOK_AGAIN INT64_C(50000000)

/* Every other error is EXIT_FAILED. */
static const struct {
	int error, status;
} statuses[] = {
	{HEIR_OK, EXIT_DONE},
	{HEIR_EINVAL, EXIT_USAGE},
	{HEIR_ENODOMAIN, EXIT_NOT_RUNNING},
	{HEIR_EFOREIGN, EXIT_NO_PERMISSION},
	{HEIR_EPERM, EXIT_NO_PERMISSION},
	{-EPERM, EXIT_NO_PERMISSION},
	{-EACCES, EXIT_NO_PERMISSION},
	{HEIR_ETIMEDOUT, EXIT_TIMED_OUT},
	{HEIR_EUNKNOWN, EXIT_TIMED_OUT},
};

const char *client_domain(const struct cmd *cmd)
{
	const char *domain = cmd->value[OPTION_DOMAIN];

	if (!domain)
		domain = getenv("HEIR_DOMAIN");
	return domain && *domain ? domain : "default";
}

int client_status(const struct cmd *cmd, int error)
{
	if (cmd->command->asks && error != HEIR_OK && error != HEIR_EINVAL)
		return EXIT_UNKNOWN;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].error == error)
			return statuses[i].status;
	return EXIT_FAILED;
}

int client_fail(struct cmd *cmd, int error, const char *format, ...)
{
	va_list arguments;
	char *what;

	va_start(arguments, format);
	if (vasprintf(&what, format, arguments) < 0)
		what = NULL;
	va_end(arguments);
	cmd_say(cmd->out, "%s: %s", what ? what : cmd->command->name, heir_strerror(error));
	free(what);
	return client_status(cmd, error);
}

int client_open(struct cmd *cmd, unsigned flags, heir_t **ret)
{
	const char *domain = client_domain(cmd);
	int error = heir_open(domain, flags, ret);

	if (error == HEIR_OK)
		return EXIT_DONE;
	if (error == HEIR_EINVAL) {
		cmd_say(cmd->out, "domain `%s`: a name has 1 to 63 letters, digits, `_` and `-`",
			domain);
		return client_status(cmd, error);
	}
	if (error != HEIR_ENODOMAIN)
		return client_fail(cmd, error, "domain `%s`", domain);
	if (cmd_given(cmd, OPTION_DOMAIN))
		cmd_say(cmd->out, "no domain `%s` is running (start it with: heir up -d %s)",
			domain, domain);
	else
		cmd_say(cmd->out, "no domain `%s` is running (start it with: heir up)", domain);
	return client_status(cmd, error);
}

static int say_unknown(struct cmd *cmd, const char *kind, const struct nearest *nearest)
{
	const char *near = nearest_word(nearest);

	if (near)
		cmd_say(cmd->out, "no %s `%s`; did you mean `%s`?", kind, nearest->word, near);
	else
		cmd_say(cmd->out, "no %s `%s`; `heir %s` lists them", kind, nearest->word,
			!strcmp(kind, "name") ? "names" : "status");
	return client_status(cmd, HEIR_ENOENT);
}

int client_no_application(struct cmd *cmd, heir_t *h, const char *application)
{
	struct heir_status *status;
	struct nearest nearest;

	nearest_init(&nearest, application);
	if (heir_status(h, &status) == HEIR_OK) {
		for (size_t i = 0; i < status->applications; i++)
			nearest_try(&nearest, status->application[i].name);
		heir_status_free(status);
	}
	return say_unknown(cmd, "application", &nearest);
}

int client_no_node(struct cmd *cmd, heir_t *h, const char *node)
{
	struct heir_status *status;
	struct nearest nearest;

	nearest_init(&nearest, node);
	if (heir_status(h, &status) == HEIR_OK) {
		for (size_t i = 0; i < status->nodes; i++)
			nearest_try(&nearest, status->node[i].name);
		heir_status_free(status);
	}
	return say_unknown(cmd, "node", &nearest);
}

static int try_name(const char *name, const struct heir_where *where, void *arg)
{
	(void)where;
	nearest_try(arg, name);
	return 0;
}

static int no_plain_name(struct cmd *cmd, heir_t *h, const char *name)
{
	struct nearest nearest;

	nearest_init(&nearest, name);
	(void)heir_names(h, try_name, &nearest);
	return say_unknown(cmd, "name", &nearest);
}

int client_no_name(struct cmd *cmd, heir_t *h, const char *name)
{
	const char *at = strchr(name, '@');
	char plain[HEIR_NAME_MAX + 1];
	struct heir_status *status;
	struct heir_where where;
	bool known = true;

	if (!at || at - name > HEIR_NAME_MAX)
		return no_plain_name(cmd, h, name);
	snprintf(plain, sizeof(plain), "%.*s", (int)(at - name), name);
	if (strcmp(plain, "heir") && heir_whereis(h, plain, &where) == HEIR_ENOENT)
		return no_plain_name(cmd, h, plain);
	if (heir_status(h, &status) == HEIR_OK) {
		known = client_find_node(status, at + 1) != NULL;
		heir_status_free(status);
	}
	if (!known)
		return client_no_node(cmd, h, at + 1);
	cmd_say(cmd->out, "no process of `%s` on node `%s`", plain, at + 1);
	return client_status(cmd, HEIR_ENOENT);
}

int client_no_pair(struct cmd *cmd, const char *application, const char *node)
{
	cmd_say(cmd->out, "application `%s` is not configured for node `%s`", application, node);
	return client_status(cmd, HEIR_ENOENT);
}

bool client_has_node(const struct heir_app_status *app, const char *node)
{
	for (size_t i = 0; i < app->instances; i++)
		if (!strcmp(app->instance[i].node, node))
			return true;
	return false;
}

const struct heir_app_status *client_find_application(
	const struct heir_status *status, const char *name)
{
	for (size_t i = 0; i < status->applications; i++)
		if (!strcmp(status->application[i].name, name))
			return &status->application[i];
	return NULL;
}

const struct heir_node_status *client_find_node(const struct heir_status *status, const char *name)
{
	for (size_t i = 0; i < status->nodes; i++)
		if (!strcmp(status->node[i].name, name))
			return &status->node[i];
	return NULL;
}

int client_heed(struct cmd *cmd, const char *node, const char *reply)
{
	if (!strcmp(reply, "ok"))
		return EXIT_DONE;
	cmd_say(cmd->out, "node `%s`: %s", node,
		!strncmp(reply, "error: ", 7) ? reply + 7 : reply);
	return EXIT_FAILED;
}

bool client_has_leader(heir_t *h, const char *name)
{
	const struct heir_node_status *node;
	struct heir_status *status;
	bool has = true;

	if (heir_status(h, &status))
		return has;
	node = client_find_node(status, name);
	has = node && node->pid > 0;
	heir_status_free(status);
	return has;
}

int64_t client_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t client_deadline(const struct cmd *cmd)
{
	int64_t deadline;

	if (__builtin_add_overflow(client_now(), cmd->timeout, &deadline))
		return INT64_MAX;
	return deadline;
}

int64_t client_left(int64_t deadline)
{
	int64_t now = client_now();

	return deadline > now ? deadline - now : 0;
}

int client_wait(const struct cmd *cmd, heir_t *h, const char *application, client_test *holds,
	int64_t deadline, struct heir_app_status *app)
{
	int64_t left;
	int error;

	do {
		error = heir_app_status(h, application, app);
		if (error)
			return error;
		if (holds(cmd, h, app))
			return HEIR_OK;
		left = client_left(deadline);
		if (left == 0)
			return HEIR_ETIMEDOUT;
		error = heir_wait_change(h, application, app->generation,
			left < LOOK_AGAIN ? left : LOOK_AGAIN);
	} while (error == HEIR_OK || error == HEIR_ETIMEDOUT);
	return error;
}

const char *client_app_state(enum heir_app_state state)
{
	switch (state) {
	case HEIR_APP_DOWN: return "down";
	case HEIR_APP_STARTING: return "starting";
	case HEIR_APP_RUNNING: return "running";
	case HEIR_APP_MOVING: return "moving";
	case HEIR_APP_FAILED: return "failed";
	}
	return "unknown";
}

const char *client_instance_state(enum heir_instance_state state)
{
	switch (state) {
	case HEIR_ABSENT: return "absent";
	case HEIR_STANDBY: return "standby";
	case HEIR_STARTING: return "starting";
	case HEIR_RUNNING: return "running";
	case HEIR_STOPPING: return "stopping";
	}
	return "unknown";
}

const char *client_start_type(enum heir_start_type type)
{
	switch (type) {
	case HEIR_NORMAL: return "normal";
	case HEIR_TAKEOVER: return "takeover";
	case HEIR_FAILOVER: return "failover";
	case HEIR_LOCAL: return "local";
	}
	return "";
}
