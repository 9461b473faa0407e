/* SPDX-License-Identifier: ISC */
/* The nodes of OTP: each an `erl` of its own, told what to do by lines on its standard input. */
#include "bench/peers/peerotp.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODE_TIMEOUT (60 * SECOND)
#define COMMANDER    2
#define NODES	     3

static const char *const modules[] = {"svc_app", "svc_node", "svc_server", "svc_store", "svc_sup"};

#define MODULES (sizeof(modules) / sizeof(modules[0]))

static char letter(int node)
{
	return (char)('a' + node);
}

/* Nodes of equal priority: one that comes back does not take the service over by itself. */
static const char configuration[] =
	"[{kernel, [{distributed, [{svc, 0, [{'a@127.0.0.1', 'b@127.0.0.1'}]}]},\n"
	"  {sync_nodes_mandatory, ['%c@127.0.0.1']}, {sync_nodes_timeout, 30000},\n"
	"  {logger, [{handler, default, logger_std_h, #{config => #{file => \"erlang.%c\"}}}]}]},\n"
	" {svc, [{names, %u}, {state, %zu}, {kept, %s}, {file, \"svc.state\"}]}].\n";

bool otp_compile(const struct peers *p)
{
	char path[MODULES][PATH_ROOM], erlc[PATH_MAX], from[PATH_ROOM];
	char *argv[MODULES + 4] = {erlc, "-o", (char *)p->work};
	struct process compiler, copy;
	bool is_well;

	setenv("HOME", p->work, 1); /* where erl makes a cookie */
	setenv("ERL_CRASH_DUMP_BYTES", "0", 1);
	if (!find_program("erlc", erlc))
		return complain("erlc is gone");
	for (size_t i = 0; i < MODULES; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%s.erl", p->home, modules[i]);
		argv[3 + i] = path[i];
	}
	snprintf(from, sizeof(from), "%s/svc.app", p->home);
	is_well = process_start(&compiler, p, "erlc", false, SIGKILL, argv) && process_finish(&compiler) &&
		  process_start(&copy, p, "cp", false, SIGKILL, (char *[]){"/bin/cp", from, ".", NULL}) &&
		  process_finish(&copy);
	if (!is_well)
		process_show_log(p, "erlc");
	return is_well || complain("the modules of OTP do not compile");
}

static bool tell(struct otp *o, int node, const char *command)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s\n", command);

	return write(o->node[node].process.in, line, (size_t)n) == n ||
	       complain("node %c does not listen: %s", letter(node), strerror(errno));
}

/* The next line that it says. False: it ended, or was silent for too long. */
static bool hear(struct otp *o, int node, char *line, size_t size)
{
	struct otp_node *n = &o->node[node];
	struct pollfd said = {.fd = n->process.out, .events = POLLIN};
	int64_t deadline = measure_now() + NODE_TIMEOUT;
	ssize_t got;
	char *end;

	while (!(end = memchr(n->answers, '\n', n->used))) {
		int left = (int)((deadline - measure_now()) / MILLISECOND);
		if (left <= 0 || n->used == sizeof(n->answers) || poll(&said, 1, left) <= 0)
			return complain("node %c is silent", letter(node));
		got = read(n->process.out, n->answers + n->used, sizeof(n->answers) - n->used);
		if (got <= 0)
			return complain("node %c has ended", letter(node));
		n->used += (size_t)got;
	}
	snprintf(line, size, "%.*s", (int)(end - n->answers), n->answers);
	end++;
	n->used -= (size_t)(end - n->answers);
	memmove(n->answers, end, n->used);
	return true;
}

/* "WORD NUMBER", or the word alone. */
static bool expect(struct otp *o, int node, const char *word, int64_t *ret)
{
	char line[1024];
	size_t length = strlen(word);
	long long number = 0;

	if (!hear(o, node, line, sizeof(line)))
		return false;
	if (strncmp(line, word, length) != 0 || (ret && sscanf(line + length, " %lld", &number) != 1))
		return complain("node %c says: %s", letter(node), line);
	if (ret)
		*ret = number;
	return true;
}

static bool ask(struct otp *o, int node, const char *command)
{
	return tell(o, node, command) && expect(o, node, "ok", NULL);
}

static bool boot(struct otp *o, int node)
{
	char erl[PATH_MAX], name[32], configured[8];
	char *argv[] = {erl,	      "-noshell", "-name",	 name,
			"-setcookie", "peers",	  "-start_epmd", "false",
			"-pa",	      ".",	  "-config",	 configured,
			"-s",	      "svc_node", "main",	 node == COMMANDER ? "-hidden" : NULL,
			NULL};

	snprintf(name, sizeof(name), "%c@127.0.0.1", letter(node));
	snprintf(configured, sizeof(configured), "%c", letter(node));
	o->node[node].used = 0;
	return (find_program("erl", erl) || complain("erl is gone")) &&
	       process_start(&o->node[node].process, o->p, configured, true, SIGKILL, argv);
}

/* Their clock and this process's are the same: what a node says lies between two looks. */
static bool is_up(struct otp *o, int node, int64_t before)
{
	int64_t up;

	if (!expect(o, node, "up", &up))
		return false;
	return (up > before && up < measure_now()) || complain("node %c has another clock", letter(node));
}

static bool find_owner(struct otp *o)
{
	char line[64];

	for (int i = 0; i < 2; i++) {
		if (!tell(o, i, "here") || !hear(o, i, line, sizeof(line)))
			return false;
		if (!strcmp(line, "true")) {
			o->owner = i;
			return ask(o, i, "check");
		}
	}
	return complain("the service runs on no node of OTP");
}

/*
 * Either starts only when the other is there. Without `sync`, names could be registered before the nodes know
 * each other's: then global ends one of two processes that have the same name.
 */
static bool start_nodes(struct otp *o)
{
	int64_t before = measure_now();

	for (int i = 0; i < NODES; i++)
		if (!boot(o, i))
			return false;
	for (int i = 0; i < NODES; i++)
		if (!is_up(o, i, before))
			return false;
	return ask(o, 0, "sync") && ask(o, 1, "sync") && tell(o, 0, "start") && tell(o, 1, "start") &&
	       expect(o, 0, "ok", NULL) && expect(o, 1, "ok", NULL) && ask(o, 0, "sync") && ask(o, 1, "sync") &&
	       find_owner(o);
}

bool otp_start(struct otp *o, unsigned names, size_t state, const char *kept)
{
	const uint16_t number = domain_free_port();
	char epmd[PATH_MAX], port[16];
	bool is_well;

	snprintf(port, sizeof(port), "%u", number);
	setenv("ERL_EPMD_PORT", port, 1);
	setenv("ERL_EPMD_ADDRESS", "127.0.0.1", 1);
	is_well = (find_program("epmd", epmd) || complain("epmd is not there")) &&
		  process_start(&o->epmd, o->p, "epmd", false, SIGKILL, (char *[]){epmd, NULL}) &&
		  (await_port(number) || complain("epmd does not listen")) &&
		  write_file(o->p, "a.config", configuration, 'b', 'a', names, state, kept) &&
		  write_file(o->p, "b.config", configuration, 'a', 'b', names, state, kept) &&
		  write_file(o->p, "c.config", "[].\n") && start_nodes(o);
	for (int i = 0; i < NODES && !is_well; i++)
		process_show_log(o->p, (char[]){letter(i), '\0'});
	return is_well;
}

void otp_stop(struct otp *o)
{
	for (int i = 0; i < NODES; i++)
		process_kill(&o->node[i].process);
	process_stop(&o->epmd);
}

bool otp_takeover(struct otp *o, bool is_from_outside, struct taken *ret)
{
	int to = !o->owner, commander = is_from_outside ? COMMANDER : to;
	char command[64] = "takeover", line[1024];
	long long begin, end;
	int64_t done;

	if (is_from_outside)
		snprintf(command, sizeof(command), "takeover %c@127.0.0.1", letter(to));
	rest();
	if (!tell(o, commander, command) || !hear(o, commander, line, sizeof(line)))
		return false;
	if (sscanf(line, "took %lld %lld", &begin, &end) != 2)
		return complain("node %c says: %s", letter(commander), line);
	if (!tell(o, to, "done") || !expect(o, to, "done", &done) || !ask(o, o->owner, "standby") ||
	    !ask(o, to, "check"))
		return false;
	o->owner = to;
	*ret = (struct taken){.done = done - begin, .returned = end - begin};
	return (begin < done && done < end) || complain("node %c was done at another time", letter(to));
}

bool otp_kill(struct otp *o, struct samples *samples)
{
	int dead = o->owner, next = !dead;
	int64_t from, first;

	if (!ask(o, dead, "keep") || !tell(o, next, "watch") || !expect(o, next, "watching", NULL))
		return false;
	rest();
	from = measure_now();
	process_kill(&o->node[dead].process);
	if (!expect(o, next, "first", &first) || !ask(o, next, "check") || samples_add(samples, first - from))
		return false;
	o->owner = next;
	from = measure_now();
	return boot(o, dead) && is_up(o, dead, from) && ask(o, dead, "sync") && ask(o, dead, "start") &&
	       ask(o, dead, "known");
}

bool otp_samples(struct otp *o, int node, const char *command, struct samples *samples, int batch)
{
	char line[64];

	if (!tell(o, node, command))
		return false;
	while (hear(o, node, line, sizeof(line))) {
		if (!strcmp(line, "end"))
			return true;
		if (line[strspn(line, "0123456789")] || samples_add(samples, atoll(line) / batch))
			return complain("node %c says: %s", letter(node), line);
	}
	return false;
}
