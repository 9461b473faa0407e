/* SPDX-License-Identifier: ISC */
/* The domain and the payers: started, looked after, found, and asked for takeovers. */
#include "storm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe.h"

#define PATIENCE (storm.patience * NS_PER_SECOND)
#define ASKERS	 (sizeof(storm.asker) / sizeof(storm.asker[0]))

/* Nodes that were told to leave. */
static struct {
	pid_t command; /* 0: it has ended */
	int64_t ended;
	bool away;
} leaving[3];

const char *cast_node(unsigned n)
{
	static const char *const names[] = {"a", "b", "c"};

	return names[n % 3];
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static void configure(void)
{
	char clerk[4200] = "";
	FILE *f = fopen("heir.yaml", "we");

	if (!f)
		amiss("heir.yaml: %s", strerror(errno));
	fprintf(f, "domain: %s\nnodes: [a, b%s]\n", storm.domain, storm.nodes == 3 ? ", c" : "");
	fputs("limits: {names: 64, processes: 128, messages: 1024, message: 1KiB}\napplications:\n", f);
	for (unsigned i = 0; i < BANKS; i++) {
		if (storm.clerks)
			snprintf(clerk, sizeof(clerk),
				 "        - {id: clerk, exec: [\"%.4000s\", clerk], names: [%s.clerk], on_death: %s}\n",
				 storm.self, bank_names[i], i ? "restart" : "failover");
		fprintf(f,
			"  %s:\n    nodes: [%s%s]\n    standby: %s\n    takeover: %s\n    yield_timeout: 20ms\n"
			"    failovers: {intensity: 1000, period: 50ms}\n    max_deliveries: 100\n    supervisor:\n"
			"      intensity: 1000\n      period: 50ms\n      children:\n"
			"        - {id: bank, exec: [\"%s\", bank, %s], names: [%s], state: 64KiB, shutdown: 500ms}\n"
			"%s",
			bank_names[i], i ? "b, a" : "a, b", storm.nodes == 3 ? ", c" : "",
			storm.cold ? "cold" : "hot", storm.exclusive ? "exclusive" : "overlap", storm.self,
			bank_names[i], bank_names[i], clerk);
	}
	if (fclose(f))
		amiss("heir.yaml: %s", strerror(errno));
}

static void start_up(void)
{
	const char *argv[] = {storm.heir, "up", "-f", "heir.yaml", NULL};

	storm.up = troupe_start(argv, "up.log", true);
}

static void start_payer(unsigned n)
{
	char number[16], seed[32];
	const char *argv[] = {storm.self, "payer", number, seed, NULL};

	snprintf(number, sizeof(number), "%u", n);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)random_next(&storm.seed));
	storm.payer[n] = troupe_start(argv, "payers.log", false);
}

static bool is_served(enum bank_name bank)
{
	struct heir_app_status s;

	return heir_app_status(storm.h, bank_names[bank], &s) == 0 && s.state == HEIR_APP_RUNNING &&
	       (s.is_protected || storm.cold);
}

void cast_begin(void)
{
	int64_t end = deadline_after(PATIENCE);

	configure();
	start_up();
	while (heir_open(NULL, HEIR_OBSERVE, &storm.h)) {
		if (deadline_passed(end))
			amiss("the domain did not come up");
		nap();
	}
	while (!is_served(EAST) || !is_served(WEST)) {
		if (deadline_passed(end))
			amiss("the banks did not come up");
		nap();
	}
	for (unsigned i = 0; i < storm.payers; i++)
		start_payer(i);
}

static void ended(pid_t pid, int status)
{
	if (pid == storm.up) {
		storm.up = 0;
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			amiss("heir up ended by itself, status %#x", (unsigned)status);
	}
	for (unsigned i = 0; i < ASKERS; i++)
		if (pid == storm.asker[i]) {
			storm.asker[i] = 0;
			storm.moved += WIFEXITED(status) && WEXITSTATUS(status) == 0;
		}
	for (unsigned i = 0; i < storm.nodes; i++)
		if (pid == leaving[i].command) {
			leaving[i].command = 0;
			leaving[i].ended = clock_ns();
		}
	for (unsigned i = 0; i < storm.payers; i++) {
		if (pid != storm.payer[i])
			continue;
		storm.payer[i] = 0;
		if (!WIFSIGNALED(status) && !atom_load_acquire(&storm.ledger[i]->finished) &&
		    !storm.ledger[i]->trouble[0])
			amiss("payer %u ended by itself, status %#x", i, (unsigned)status);
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
			amiss("payer %u died of signal %d", i, WTERMSIG(status));
	}
}

static void read_page(void)
{
	struct page *p = storm.page;

	for (unsigned i = 0; i < HALTED; i++) {
		pid_t pid = (pid_t)atom_load_acquire(&p->halted[i]);

		/* It says so just before it stops. */
		if (!pid || (!troupe_is_stopped(pid) && kill(pid, 0) == 0))
			continue;
		tell("bank %d has stopped itself", (int)pid);
		(void)troupe_stop(pid, clock_ns() + random_below(&storm.seed, 60) * INT64_C(1000000), true);
		atom_store_release(&p->halted[i], 0);
	}
	if (atom_load_relaxed(&p->torn))
		wrong("a bank's balances did not add up, %llu times", (unsigned long long)atom_load_relaxed(&p->torn));
	if (atom_load_relaxed(&p->overlaps))
		wrong("two processes of one bank were within a transaction at once, %llu times",
		      (unsigned long long)atom_load_relaxed(&p->overlaps));
	if (atom_load_relaxed(&p->locked_out))
		wrong("an exclusive bank was started while another ran, %llu times",
		      (unsigned long long)atom_load_relaxed(&p->locked_out));
	for (unsigned i = 0; i < storm.payers; i++)
		if (storm.ledger[i]->trouble[0])
			wrong("payer %u: %s", i, storm.ledger[i]->trouble);
}

void cast_look(void)
{
	troupe_reap(ended);
	read_page();
	troupe_wake(clock_ns());
	if (!storm.up && random_below(&storm.seed, 4) == 0)
		start_up();
	for (unsigned i = 0; i < storm.payers; i++)
		if (!storm.payer[i] && !atom_load_acquire(&storm.ledger[i]->finished))
			start_payer(i);
}

pid_t cast_find(enum role role, enum bank_name bank, const char *node)
{
	struct heir_where w = {0};
	char name[32];

	if (role == UP)
		return storm.up;
	if (role == PAYER)
		return storm.payer[random_below(&storm.seed, storm.payers)];
	if (role == ASKER)
		return storm.asker[random_below(&storm.seed, ASKERS)];
	if (role == OWNER)
		snprintf(name, sizeof(name), "%s", bank_names[bank]);
	else if (role == CLERK)
		snprintf(name, sizeof(name), "%s.clerk", bank_names[bank]);
	else
		snprintf(name, sizeof(name), "%s@%s", role == LEADER ? "heir" : bank_names[bank], node);
	return heir_whereis(storm.h, name, &w) == 0 ? w.pid : 0;
}

const char *cast_owner_node(enum bank_name bank)
{
	static struct heir_where w;

	if (heir_whereis(storm.h, bank_names[bank], &w))
		return "";
	return w.node;
}

void cast_ask(enum bank_name bank, const char *node, const char *how)
{
	const char *argv[] = {storm.heir, "takeover", "--timeout", "5s", bank_names[bank], node, how, NULL};

	for (unsigned i = 0; i < ASKERS; i++) {
		if (storm.asker[i])
			continue;
		storm.asker[i] = troupe_start(argv, "askers.log", false);
		storm.asked++;
		return;
	}
}

void cast_leave(const char *node)
{
	const char *argv[] = {storm.heir, "down", "--timeout", "5s", node, NULL};
	unsigned n = (unsigned)(node[0] - 'a') % 3;

	for (unsigned i = 0; i < storm.nodes; i++)
		if (leaving[i].away)
			return;
	tell("node %s leaves", node);
	leaving[n].away = true;
	leaving[n].command = troupe_start(argv, "askers.log", false);
}

/* False: some are on their way still. One that did not go after all is given a while. */
static bool all_returned(void)
{
	bool all = true;

	for (unsigned i = 0; i < storm.nodes; i++) {
		const char *argv[] = {storm.heir, "node", cast_node(i), NULL};

		if (!leaving[i].away)
			continue;
		if (!leaving[i].command && !cast_find(LEADER, EAST, cast_node(i))) {
			tell("node %s returns", cast_node(i));
			troupe_start(argv, "up.log", true);
			leaving[i].away = false;
			storm.returned++;
		} else if (!leaving[i].command && clock_ns() > leaving[i].ended + NS_PER_SECOND) {
			leaving[i].away = false;
		} else {
			all = false;
		}
	}
	return all;
}

void cast_calm(void)
{
	int64_t began = clock_ns(), end = deadline_after(PATIENCE);
	uint64_t before[PAYERS] = {0};
	bool waiting = true;

	tell("calm");
	atom_store_relaxed(&storm.page->to_die, 0);
	atom_store_relaxed(&storm.page->to_stop, 0);
	for (unsigned i = 0; i < storm.payers; i++)
		before[i] = ledger_book(storm.ledger[i])->next;
	while (waiting) {
		nap();
		troupe_wake(INT64_MAX);
		cast_look();
		waiting = !storm.up || !all_returned();
		for (unsigned i = 0; i < BANKS; i++) {
			waiting |= !is_served(i);
			if (!is_served(i) && deadline_passed(end))
				amiss("%s is not served, or not protected", bank_names[i]);
		}
		for (unsigned i = 0; i < storm.payers; i++) {
			waiting |= ledger_book(storm.ledger[i])->next == before[i];
			if (ledger_book(storm.ledger[i])->next == before[i] && deadline_passed(end))
				amiss("payer %u does not get on", i);
		}
	}
	if (clock_ns() - began > storm.longest)
		storm.longest = clock_ns() - began;
}

void cast_end(void)
{
	int64_t end = deadline_after(PATIENCE);
	bool waiting = true;

	atom_store_relaxed(&storm.page->quiet, 1);
	cast_calm();
	while (waiting) {
		waiting = false;
		for (unsigned i = 0; i < storm.payers; i++) {
			if (atom_load_acquire(&storm.ledger[i]->finished) && !storm.payer[i])
				continue;
			waiting = true;
			if (storm.payer[i])
				kill(storm.payer[i], SIGTERM); /* a child of this process that is not reaped */
			if (deadline_passed(end))
				amiss("payer %u does not come to its end", i);
		}
		nap();
		cast_look();
	}
}
