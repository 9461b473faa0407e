/* SPDX-License-Identifier: ISC */
/*
 * Restart of a child in place, kill -9 -> the successor's main(), by heir and by the supervisors that
 * people use. All run at once, each with the same program as its child, and are made to restart it in
 * turns. Each child has run for longer than a second, after which runit and s6 do not hold back.
 */
#include "bench/peers/peerchild.h"
#include "bench/peers/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UP_FOR	 (1200 * MILLISECOND)
#define RESTARTS 5 /* kinds of them */

enum kind { BY_HEIR, BY_S6, BY_S6_READY, BY_RUNIT, BY_SUPERVISORD };

struct restarter {
	enum peer peer;
	const char *parameters; /* "" : none */
	bool is_there;
	struct process process;
	int told; /* what its child says; -1 */
	struct peer_began child;
	struct samples samples;
};

struct restarts {
	const struct peers *p;
	struct restarter by[RESTARTS];
};

static const char configuration[] = "domain: peers\n"
				    "nodes: [a]\n"
				    "applications:\n"
				    "  svc:\n"
				    "    env: {" PEER_CHILD_FIFO ": %s}\n"
				    "    supervisor:\n"
				    "      intensity: 1000\n"
				    "      period: 1s\n"
				    "      children:\n"
				    "        - {id: child, exec: [%s], ready: exec}\n";

static const char supervisord[] = "[supervisord]\n"
				  "nodaemon=true\n"
				  "logfile=%s/supervisord.txt\n"
				  "pidfile=%s/supervisord.pid\n"
				  "[program:child]\n"
				  "command=%s/peer-child\n"
				  "autorestart=true\n"
				  "stopsignal=KILL\n";

static bool open_told(const struct peers *p, struct restarter *r, enum kind kind, char path[PATH_ROOM])
{
	snprintf(path, PATH_ROOM, "%s/told.%d", p->work, kind);
	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		return complain("%s: %s", path, strerror(errno));
	r->told = open(path, O_RDWR | O_CLOEXEC);
	return r->told >= 0 || complain("%s: %s", path, strerror(errno));
}

/* DIR/run is the child itself: no shell is between. */
static bool make_service(const struct peers *p, const char *name)
{
	char child[PATH_ROOM], run[PATH_ROOM];

	snprintf(child, sizeof(child), "%s/peer-child", p->home);
	snprintf(run, sizeof(run), "%s/%s", p->work, name);
	if (mkdir(run, 0755) < 0 && errno != EEXIST)
		return complain("%s: %s", run, strerror(errno));
	snprintf(run, sizeof(run), "%s/%s/run", p->work, name);
	return symlink(child, run) == 0 || complain("%s: %s", run, strerror(errno));
}

static bool start_service(const struct peers *p, struct restarter *r, const char *program, const char *name)
{
	char folder[PATH_ROOM], path[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", name);
	return find_program(program, path) && make_service(p, name) &&
	       process_start(&r->process, p, name, false, SIGTERM, (char *[]){path, folder, NULL});
}

static bool start_supervisord(const struct peers *p, struct restarter *r)
{
	char path[PATH_MAX];

	return find_program("supervisord", path) &&
	       write_file(p, "supervisord.conf", supervisord, p->work, p->work, p->home) &&
	       process_start(&r->process, p, "supervisord", false, SIGTERM,
			     (char *[]){path, "-c", "supervisord.conf", NULL});
}

static bool start_heir(struct restarts *all, const char *fifo)
{
	char child[PATH_ROOM], quoted[PATH_ROOM], name[64], program[PATH_MAX];

	domain_name(name, getpid());
	snprintf(program, sizeof(program), "%s", all->p->heir);
	return quote_companion(all->p, "peer-child", child, sizeof(child)) &&
	       domain_quote(fifo, quoted, sizeof(quoted)) &&
	       write_file(all->p, "heir.yaml", configuration, quoted, child) &&
	       process_start(&all->by[BY_HEIR].process, all->p, "heir", false, SIGTERM,
			     (char *[]){program, "up", "-f", "heir.yaml", "-d", name, NULL});
}

static bool start_kind(struct restarts *all, enum kind kind)
{
	struct restarter *r = &all->by[kind];
	char fifo[PATH_ROOM];
	bool is_well;

	if (!open_told(all->p, r, kind, fifo))
		return false;
	setenv(PEER_CHILD_FIFO, fifo, 1);
	switch (kind) {
	case BY_HEIR:
		unsetenv(PEER_CHILD_FIFO);
		return start_heir(all, fifo);
	case BY_S6:
		return start_service(all->p, r, "s6-supervise", "s6");
	case BY_S6_READY:
		setenv(PEER_CHILD_READY, "3", 1);
		is_well = write_file(all->p, "s6-ready/notification-fd", "3\n") &&
			  start_service(all->p, r, "s6-supervise", "s6-ready");
		unsetenv(PEER_CHILD_READY);
		return is_well;
	case BY_RUNIT:
		return start_service(all->p, r, "runsv", "runit");
	case BY_SUPERVISORD:
		return start_supervisord(all->p, r);
	}
	return false;
}

/* What the next child of this one says; another than the one before. */
static bool next_child(struct restarter *r, enum kind kind)
{
	struct pollfd told = {.fd = r->told, .events = POLLIN};
	struct peer_began began;

	if (poll(&told, 1, (int)(TIMEOUT / MILLISECOND)) != 1 ||
	    read(r->told, &began, sizeof(began)) != (ssize_t)sizeof(began))
		return complain("%s: no child began", kind == BY_HEIR ? "heir" : peer_name(r->peer));
	r->child = began;
	return true;
}

static bool kill_once(struct restarter *r, enum kind kind)
{
	const struct peer_began before = r->child;
	int64_t from;

	sleep_until(before.ns + UP_FOR);
	from = measure_now();
	if (kill(before.pid, SIGKILL) < 0)
		return complain("%s: its child is gone: %s", peer_name(r->peer), strerror(errno));
	if (!next_child(r, kind))
		return false;
	if (r->child.pid == before.pid || r->child.ns < from)
		return complain("%s: its child began before it was killed", peer_name(r->peer));
	return !samples_add(&r->samples, r->child.ns - from);
}

static void out_kind(struct restarts *all, enum kind kind)
{
	struct restarter *r = &all->by[kind];
	struct measured m;

	measured_init(&m, r->peer, "restart", r->parameters);
	m.theirs = r->samples;
	r->samples = (struct samples){0};
	if (!samples_copy(&m.ours, &all->by[BY_HEIR].samples))
		out_measured(all->p, &m);
}

static bool run_rounds(struct restarts *all, unsigned rounds)
{
	bool is_well = true;

	for (int kind = 0; kind < RESTARTS && is_well; kind++)
		if (all->by[kind].is_there)
			is_well = start_kind(all, kind) && next_child(&all->by[kind], kind);
	for (unsigned i = 0; i < rounds; i++)
		for (int kind = 0; kind < RESTARTS && is_well; kind++)
			if (all->by[kind].is_there)
				is_well = kill_once(&all->by[kind], kind);
	return is_well;
}

bool peers_restart(const struct peers *p)
{
	struct restarts all = {.p = p,
			       .by = {[BY_HEIR] = {.is_there = true},
				      [BY_S6] = {PEER_S6, "\"ready\":\"not told\""},
				      [BY_S6_READY] = {PEER_S6, "\"ready\":\"told\""},
				      [BY_RUNIT] = {PEER_RUNIT, ""},
				      [BY_SUPERVISORD] = {PEER_SUPERVISORD, ""}}};
	char path[PATH_MAX];
	bool is_well;

	for (int kind = 0; kind < RESTARTS; kind++)
		all.by[kind].told = -1;
	if (is_chosen(p, PEER_S6))
		all.by[BY_S6].is_there = all.by[BY_S6_READY].is_there =
			have_program(p, PEER_S6, "s6-supervise", path);
	if (is_chosen(p, PEER_RUNIT))
		all.by[BY_RUNIT].is_there = have_program(p, PEER_RUNIT, "runsv", path);
	if (is_chosen(p, PEER_SUPERVISORD))
		all.by[BY_SUPERVISORD].is_there = have_program(p, PEER_SUPERVISORD, "supervisord", path);
	if (!all.by[BY_S6].is_there && !all.by[BY_RUNIT].is_there && !all.by[BY_SUPERVISORD].is_there)
		return true;
	is_well = run_rounds(&all, p->is_quick ? 2 : 30);
	if (!is_well)
		process_show_log(p, "heir");
	for (int kind = 0; kind < RESTARTS; kind++) {
		process_stop(&all.by[kind].process);
		close(all.by[kind].told);
		if (is_well && all.by[kind].is_there && kind != BY_HEIR)
			out_kind(&all, kind);
	}
	samples_finish(&all.by[BY_HEIR].samples);
	return is_well;
}
