/* SPDX-License-Identifier: ISC */
/*
 * down: ask the leaders to stop, all at once, then wait for the kernel's word that they are gone.
 * Their processes are opened before they are asked, so a pid that is used again is not mistaken for
 * one of them.
 */
#include "cmd/cmdclient.h"
#include "cmd/cmdtext.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define REPLY_MOST 1024

struct leader {
	char name[64];
	int pidfd; /* negative: gone, or not waited for */
	bool asked;
	struct heir_ticket ticket;
};

struct leaders {
	struct leader leader[HEIR_NODES_MAX];
	size_t count;
	int64_t deadline;
	int status; /* the first failure */
};

static void fail(struct leaders *leaders, int status)
{
	if (leaders->status == EXIT_DONE)
		leaders->status = status;
}

static void give_up(struct leader *leader)
{
	if (leader->pidfd >= 0)
		close(leader->pidfd);
	leader->pidfd = -1;
}

static bool is_gone(const struct leader *leader)
{
	struct pollfd polled = {.fd = leader->pidfd, .events = POLLIN};

	return poll(&polled, 1, 0) == 1;
}

static int add(struct cmd *cmd, struct leaders *leaders, const struct heir_node_status *node)
{
	struct leader *leader = &leaders->leader[leaders->count];
	int pidfd = pidfd_open(node->pid, 0);

	if (pidfd < 0 && errno == ESRCH)
		return EXIT_DONE;
	if (pidfd < 0)
		return client_fail(cmd, -errno, "node `%s`, pid %ld", node->name, (long)node->pid);
	*leader = (struct leader){.pidfd = pidfd};
	memcpy(leader->name, node->name, sizeof(leader->name));
	leaders->count++;
	return EXIT_DONE;
}

/* EXIT_DONE, or the exit status after a message. */
static int find(struct cmd *cmd, heir_t *h, const char *only, struct leaders *leaders)
{
	struct heir_status *status;
	int error = heir_status(h, &status), result = EXIT_DONE;

	if (error)
		return client_fail(cmd, error, "domain `%s`", client_domain(cmd));
	if (only && !client_find_node(status, only)) {
		heir_status_free(status);
		return client_no_node(cmd, h, only);
	}
	for (size_t i = 0; i < status->nodes && result == EXIT_DONE; i++)
		if (status->node[i].pid > 0 && (!only || !strcmp(status->node[i].name, only)))
			result = add(cmd, leaders, &status->node[i]);
	heir_status_free(status);
	if (result != EXIT_DONE || leaders->count > 0)
		return result;
	if (only)
		cmd_say(cmd->out, "node `%s` is not running", only);
	else
		cmd_say(cmd->out, "no node of domain `%s` is running", client_domain(cmd));
	return EXIT_NOT_RUNNING;
}

static void ask(struct cmd *cmd, heir_t *h, const char *request, struct leaders *leaders)
{
	for (size_t i = 0; i < leaders->count; i++) {
		struct leader *leader = &leaders->leader[i];
		char address[sizeof(leader->name) + 8];
		int error;

		snprintf(address, sizeof(address), "heir@%s", leader->name);
		error = heir_call_start(h, address, request, strlen(request), &leader->ticket);
		leader->asked = error == HEIR_OK;
		if (leader->asked || error == HEIR_ENOENT || is_gone(leader)) /* leaving by itself */
			continue;
		fail(leaders, client_fail(cmd, error, "node `%s`", leader->name));
		give_up(leader);
	}
}

static void hear(struct cmd *cmd, heir_t *h, struct leader *leader, struct leaders *leaders)
{
	char reply[REPLY_MOST + 1];
	size_t size = REPLY_MOST;
	int error = heir_call_finish(
		h, leader->ticket, reply, &size, client_left(leaders->deadline));

	if (error == HEIR_EDEAD || error == HEIR_EUNKNOWN)
		return;
	if (error) {
		fail(leaders, client_fail(cmd, error, "node `%s`", leader->name));
		give_up(leader);
		return;
	}
	reply[size] = '\0';
	if (client_heed(cmd, leader->name, reply) == EXIT_DONE)
		return;
	fail(leaders, EXIT_FAILED);
	give_up(leader);
}

static int poll_timeout(int64_t ns)
{
	int64_t ms = ns / 1000000 + (ns % 1000000 != 0);

	return ms > 3600000 ? 3600000 : (int)ms;
}

/* Until every leader that is waited for is gone, or the deadline. */
static void wait_for_ends(struct cmd *cmd, struct leaders *leaders)
{
	struct pollfd polled[HEIR_NODES_MAX];
	size_t waiting;
	int ready = 0;

	do {
		waiting = 0;
		for (size_t i = 0; i < leaders->count; i++) {
			polled[i] =
				(struct pollfd){.fd = leaders->leader[i].pidfd, .events = POLLIN};
			waiting += polled[i].fd >= 0;
		}
		if (waiting == 0)
			return;
		ready = poll(polled, leaders->count, poll_timeout(client_left(leaders->deadline)));
		for (size_t i = 0; ready > 0 && i < leaders->count; i++)
			if (polled[i].fd >= 0 && polled[i].revents) {
				fputs("stopped node ", cmd->out->file);
				out_text(cmd->out, cmd->out->file, leaders->leader[i].name);
				fputc('\n', cmd->out->file);
				give_up(&leaders->leader[i]);
			}
	} while (ready > 0 || client_left(leaders->deadline) > 0);
}

static void say_late(struct cmd *cmd, struct leaders *leaders)
{
	char after[32];

	for (size_t i = 0; i < leaders->count; i++)
		if (leaders->leader[i].pidfd >= 0) {
			cmd_say(cmd->out, "node `%s` has not stopped within %s",
				leaders->leader[i].name,
				duration_text(cmd->timeout, after, sizeof(after)));
			fail(leaders, EXIT_TIMED_OUT);
		}
}

static void check_unlinked(struct cmd *cmd, struct leaders *leaders)
{
	heir_t *h;

	if (heir_open(client_domain(cmd), HEIR_OBSERVE, &h) != HEIR_OK)
		return;
	heir_close(h);
	cmd_say(cmd->out, "the nodes have stopped, but domain `%s` is still there",
		client_domain(cmd));
	fail(leaders, EXIT_FAILED);
}

static void stop(struct cmd *cmd, heir_t *h, const char *request, struct leaders *leaders)
{
	ask(cmd, h, request, leaders);
	for (size_t i = 0; i < leaders->count; i++)
		if (leaders->leader[i].asked)
			hear(cmd, h, &leaders->leader[i], leaders);
	wait_for_ends(cmd, leaders);
	say_late(cmd, leaders);
}

int cmd_down(struct cmd *cmd)
{
	const char *only = cmd->operands > 0 ? cmd->operand[0] : NULL;
	bool keep = cmd_given(cmd, OPTION_KEEP);
	struct leaders leaders = {.count = 0};
	heir_t *h;

	if (only && keep)
		return cmd_usage(cmd, "--keep is for the whole domain: without NODE");
	leaders.deadline = client_deadline(cmd);
	leaders.status = client_open(cmd, 0, &h);
	if (leaders.status != EXIT_DONE)
		return leaders.status;
	leaders.status = find(cmd, h, only, &leaders);
	if (leaders.status == EXIT_DONE)
		stop(cmd, h, only ? "down" : keep ? "shutdown keep" : "shutdown", &leaders);
	for (size_t i = 0; i < leaders.count; i++)
		give_up(&leaders.leader[i]);
	heir_close(h);
	if (leaders.status == EXIT_DONE && !only && !keep)
		check_unlinked(cmd, &leaders);
	return leaders.status;
}
