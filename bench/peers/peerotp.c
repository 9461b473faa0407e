/* SPDX-License-Identifier: ISC */
/*
 * Erlang/OTP beside heir: one service with names and state on two nodes, taken over and killed in
 * turns; then single operations. The modules svc_*.erl are the service as OTP's users write it,
 * peer_worker.c is that of heir's.
 *
 * What favours OTP is done in its favour: the state is one binary, all code is loaded beforehand, the
 * caller is in the VM that takes over, and a call's way is measured within one VM as well.
 */
#include "bench/peers/peers.h"
#include "bench/peers/peerotp.h"

#include "bench/bareswitch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

struct otp_case {
	unsigned names;
	size_t state;
	const char *kept; /* how the state outlives its node */
	bool has_takeovers, has_operations;
	unsigned takeovers, takeovers_quick, kills, kills_quick;
};

static const struct otp_case cases[] = {
	{1, 0, "nowhere", true, false, 200, 20, 30, 3},
	{1000, 0, "nowhere", true, true, 30, 2, 30, 2},
	{1, 64 * MIB, "file", true, false, 60, 4, 20, 2},
	{1, 64 * MIB, "replica", false, false, 0, 0, 20, 2},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static const char configuration[] = "domain: peers\n"
				    "nodes: [a, b]\n"
				    "limits: {names: %u}\n"
				    "applications:\n"
				    "  svc:\n"
				    "    standby: hot\n"
				    "    start_phases: [start, switch, takeover, go, stop_old]\n"
				    "    step_timeout: 20s\n"
				    "    failovers: {intensity: 1000, period: 1s}\n"
				    "    supervisor:\n"
				    "      intensity: 1000\n"
				    "      period: 1s\n"
				    "      children:\n"
				    "        - {id: server, exec: [%s, \"%u\"], names: [svc]%s}\n";

static bool start_heir(struct otp *o, const struct otp_case *of)
{
	char text[sizeof(configuration) + PATH_ROOM + 128], quoted[PATH_ROOM], state[64] = "";

	if (!quote_companion(o->p, "peer-worker", quoted, sizeof(quoted)))
		return false;
	if (of->state)
		snprintf(state, sizeof(state), ", state: %zuB", of->state);
	snprintf(text, sizeof(text), configuration, of->names + 64, quoted, of->names, state);
	return start_domain(o->p, &o->domain, text);
}

static bool protected(struct otp *o, struct heir_app_status *ret)
{
	return domain_protected(&o->domain, "svc", TIMEOUT, ret) || complain("%s", o->domain.error);
}

/* All names are at the owner, and the state is whole. */
static bool heir_is_whole(struct otp *o, const struct otp_case *of)
{
	struct heir_app_status status;
	struct heir_where where;
	char name[32], reply[96], expected[96];
	size_t size = sizeof(reply) - 1;
	int rc;

	if (!protected(o, &status))
		return false;
	for (unsigned i = 1; i <= of->names; i++) {
		snprintf(name, sizeof(name), "svc-%u", i);
		rc = heir_whereis(o->domain.h, name, &where);
		if (rc || strcmp(where.node, status.node) != 0)
			return complain("%s: %s", name, rc ? heir_strerror(rc) : "not at the owner");
	}
	rc = heir_call(o->domain.h, name, "where", 5, reply, &size, TIMEOUT);
	reply[rc ? 0 : size] = '\0';
	snprintf(expected, sizeof(expected), "%s %zu", status.node, of->state);
	return (!rc && !strcmp(reply, expected)) ||
	       complain("%s: %s instead of %s", name, rc ? heir_strerror(rc) : reply, expected);
}

static int64_t real_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

static bool heir_takeover_once(struct otp *o, const struct otp_case *of, struct taken *ret)
{
	struct heir_app_status status;
	struct heir_move move;
	int64_t from, real;
	int rc;

	if (!protected(o, &status))
		return false;
	rest();
	real = real_now();
	from = measure_now();
	rc = heir_takeover(o->domain.h, "svc", strcmp(status.node, "a") ? "a" : "b", HEIR_AS_CONFIGURED,
			   TIMEOUT, &move);
	ret->returned = measure_now() - from;
	if (rc || move.result != HEIR_DONE)
		return complain("takeover: %s", rc ? heir_strerror(rc) : "not done");
	ret->done = move.at_ns + move.total_ns - real;
	return heir_is_whole(o, of);
}

static bool heir_kill_once(struct otp *o, const struct otp_case *of, struct samples *samples)
{
	struct heir_app_status status;
	struct heir_watcher watcher;
	int64_t from, first;
	char name[32];

	snprintf(name, sizeof(name), "svc-%u", of->names);
	if (!protected(o, &status) || !watcher_start(&watcher, o->domain.name, name, status.node))
		return false;
	rest();
	from = measure_now();
	kill(status.child[0].pid, SIGKILL);
	if (!watcher_first(&watcher, &first))
		return false;
	return !samples_add(samples, first - from) && heir_is_whole(o, of);
}

static bool start_bare(struct otp *o)
{
	struct heir_app_status status;
	int error;

	if (!protected(o, &status))
		return false;
	error = barelimit_create(&o->chain);
	if (!error)
		error = bareswitch_create(&(struct bareoptions){-1, -1, -1, false},
					  barelimit_size_of(status.child[0].pid), &o->bare);
	return !error || complain("the bare limits: %s", strerror(-error));
}

static bool bare_once(struct samples *samples, int error, int64_t ns)
{
	if (!error)
		error = samples_add(samples, ns);
	return !error || complain("the bare limits: %s", strerror(-error));
}

/* Two wakes: from the command to the new owner, and from that to a third process. */
static bool bare_takeover_once(struct otp *o, struct samples *samples)
{
	int64_t ns = 0;
	int error = barelimit_planned(o->chain, &ns);

	return bare_once(samples, error, ns);
}

static bool bare_kill_once(struct otp *o, struct samples *samples)
{
	int64_t ns = 0;
	int error = bareswitch_crash(o->bare, &ns);

	return bare_once(samples, error, ns);
}

/* Beside heir's samples; empties those of the bare ones. */
static bool out_bare(struct otp *o, const char *what, const char *parameters, const struct samples *ours,
		     struct samples *theirs)
{
	struct measured m;

	measured_init(&m, PEER_BARE, what, parameters);
	m.theirs = *theirs;
	*theirs = (struct samples){0};
	if (samples_copy(&m.ours, ours))
		return complain("no memory");
	out_measured(o->p, &m);
	return true;
}

enum command { BY_HEIR, FROM_OUTSIDE, OF_THE_VM, COMMANDS };

static bool take_over(struct otp *o, const struct otp_case *of, enum command command, struct taken *ret)
{
	return command == BY_HEIR ? heir_takeover_once(o, of, ret)
				  : otp_takeover(o, command == FROM_OUTSIDE, ret);
}

static bool out_takeovers(struct otp *o, const char *parameters, const struct samples ours[2],
			  struct samples theirs[2])
{
	static const char *const what[2] = {"takeover to done", "takeover"};
	struct measured m;

	for (int i = 0; i < 2; i++) {
		measured_init(&m, PEER_OTP, what[i], parameters);
		m.theirs = theirs[i];
		theirs[i] = (struct samples){0};
		if (samples_copy(&m.ours, &ours[i]))
			return complain("no memory");
		out_measured(o->p, &m);
	}
	return true;
}

/* That of heir is commanded by another process; that of OTP in both ways. */
static bool measure_takeovers(struct otp *o, const struct otp_case *of, const char *parameters)
{
	const unsigned rounds = o->p->is_quick ? of->takeovers_quick : of->takeovers, warm_up = 2;
	struct samples samples[COMMANDS][2] = {0}, bare = {0}; /* done, returned */
	char within[192], outside[192];
	struct taken taken;
	bool is_well = true;

	snprintf(within, sizeof(within), "%s,\"command\":\"of the VM\"", parameters);
	snprintf(outside, sizeof(outside), "%s,\"command\":\"of another process\"", parameters);
	for (unsigned i = 0; i < rounds + warm_up && is_well; i++)
		for (int command = 0; command < COMMANDS && is_well; command++) {
			is_well = take_over(o, of, command, &taken);
			if (is_well && i >= warm_up)
				is_well = !samples_add(&samples[command][0], taken.done) &&
					  !samples_add(&samples[command][1], taken.returned);
			if (command == BY_HEIR && is_well && i >= warm_up)
				is_well = bare_takeover_once(o, &bare);
		}
	is_well = is_well && out_bare(o, "takeover", parameters, &samples[BY_HEIR][1], &bare) &&
		  out_takeovers(o, outside, samples[BY_HEIR], samples[FROM_OUTSIDE]) &&
		  out_takeovers(o, within, samples[BY_HEIR], samples[OF_THE_VM]);
	for (int command = 0; command < COMMANDS; command++)
		for (int i = 0; i < 2; i++)
			samples_finish(&samples[command][i]);
	samples_finish(&bare);
	return is_well;
}

static bool measure_kills(struct otp *o, const struct otp_case *of, const char *parameters)
{
	const unsigned rounds = o->p->is_quick ? of->kills_quick : of->kills;
	struct samples bare = {0};
	struct measured m;
	bool is_well = true;

	measured_init(&m, PEER_OTP, "failover", parameters);
	for (unsigned i = 0; i < rounds && is_well; i++)
		is_well = heir_kill_once(o, of, &m.ours) && bare_kill_once(o, &bare) && otp_kill(o, &m.theirs);
	is_well = is_well && out_bare(o, "failover", parameters, &m.ours, &bare);
	if (is_well)
		out_measured(o->p, &m);
	samples_finish(&bare);
	return is_well;
}

static bool run_case(const struct peers *p, const struct otp_case *of)
{
	struct otp o = {.p = p};
	char parameters[128];
	bool is_well;
	int used;

	used = snprintf(parameters, sizeof(parameters), "\"names\":%u,\"state\":%zu", of->names, of->state);
	is_well = otp_start(&o, of->names, of->state, of->kept);
	if (is_well) {
		is_well = start_heir(&o, of) && start_bare(&o);
		if (is_well && of->has_takeovers)
			is_well = measure_takeovers(&o, of, parameters);
		if (of->state)
			snprintf(parameters + used, sizeof(parameters) - (size_t)used, ",\"kept\":\"%s\"",
				 of->kept);
		is_well = is_well && measure_kills(&o, of, parameters);
		if (is_well && of->has_operations)
			is_well = otp_operations(&o, of->names);
		bareswitch_destroy(o.bare);
		barelimit_destroy(o.chain);
		otp_stop(&o);
		return stop_domain(&o.domain, is_well);
	}
	otp_stop(&o);
	return false;
}

bool peers_otp(const struct peers *p)
{
	char path[PATH_MAX];
	bool is_well = true;

	if (!have_program(p, PEER_OTP, "erl", path) || !have_program(p, PEER_OTP, "erlc", path))
		return true;
	if (!otp_compile(p))
		return false;
	for (size_t i = 0; i < CASES && is_well; i++)
		is_well = run_case(p, &cases[i]);
	return is_well;
}
