/* SPDX-License-Identifier: ISC */
/* What happens next: one of the disturbances in the table at the end, as often as it says. */
#include "storm.h"

#include <signal.h>
#include <string.h>

#include "troupe.h"

static const char *const role_names[ROLES] = {"owner", "standby", "leader", "payer", "up", "asker", "clerk"};

static unsigned pick(unsigned n)
{
	return random_below(&storm.seed, n);
}

static const char *any_node(void)
{
	return cast_node(pick(storm.nodes));
}

static const char *other_node(enum bank_name bank)
{
	const char *owner = cast_owner_node(bank), *node = any_node();

	for (unsigned i = 0; i < 8 && strcmp(node, owner) == 0; i++)
		node = any_node();
	return node;
}

static const char *any_way(void)
{
	return storm.exclusive ? "--exclusive" : pick(3) ? "--overlap" : "--exclusive";
}

static void pause_us(unsigned us)
{
	int64_t end = clock_ns() + us * INT64_C(1000);

	if (us > 200)
		nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
	while (clock_ns() < end)
		;
}

/* A bank also by a fatal signal, of which its process tells before it dies. */
static void strike(enum role role, enum bank_name bank, const char *node)
{
	pid_t pid = cast_find(role, bank, node);
	int signal_number = (role == OWNER || role == STANDBY) && pick(4) == 0 ? SIGSEGV : SIGKILL;

	if (!pid || !troupe_kill(pid, signal_number))
		return;
	storm.kills[role]++;
	tell("kill %s %d of %s@%s%s", role_names[role], (int)pid, bank_names[bank], node,
	     signal_number == SIGSEGV ? " by SIGSEGV" : "");
}

static void halt(enum role role, enum bank_name bank, const char *node, unsigned ms)
{
	pid_t pid = cast_find(role, bank, node);

	if (!pid || !troupe_stop(pid, clock_ns() + ms * INT64_C(1000000), false))
		return;
	storm.stops[role]++;
	tell("stop %s %d of %s@%s for %u ms", role_names[role], (int)pid, bank_names[bank], node, ms);
}

static void take_over(enum bank_name bank, const char *node)
{
	const char *how = any_way();

	tell("takeover %s %s %s", how, bank_names[bank], node);
	cast_ask(bank, node, how);
}

static void kill_one(void)
{
	static const enum role roles[] = {OWNER, OWNER, OWNER, STANDBY, LEADER, PAYER, PAYER, UP, CLERK, CLERK};

	strike(roles[pick(storm.clerks ? 10 : 8)], pick(BANKS), any_node());
}

static void stop_one(void)
{
	static const enum role roles[] = {OWNER, OWNER, STANDBY, LEADER, LEADER, PAYER, UP, ASKER, CLERK};

	halt(roles[pick(storm.clerks ? 9 : 8)], pick(BANKS), any_node(), 1 + pick(80));
}

static void move_one(void)
{
	enum bank_name bank = pick(BANKS);

	take_over(bank, other_node(bank));
}

/* Someone dies in the middle of a takeover: the target, the old owner, a leader, or the command that asked. */
static void kill_in_takeover(void)
{
	enum bank_name bank = pick(BANKS);
	const char *owner = cast_owner_node(bank), *target = other_node(bank);

	take_over(bank, target);
	pause_us(500 + pick(6000)); /* the command has to begin first */
	switch (pick(5)) {
	case 0:
	case 1:
		strike(STANDBY, bank, target);
		break;
	case 2:
		strike(STANDBY, bank, owner);
		break;
	case 3:
		strike(LEADER, bank, pick(2) ? owner : target);
		break;
	default:
		strike(ASKER, bank, target);
	}
}

/* As in kill_in_takeover, but it goes on later. */
static void stop_in_takeover(void)
{
	enum bank_name bank = pick(BANKS);
	const char *owner = cast_owner_node(bank), *target = other_node(bank);

	take_over(bank, target);
	pause_us(500 + pick(6000));
	halt(pick(3) ? STANDBY : LEADER, bank, pick(2) ? owner : target, 1 + pick(150));
}

/* The owner is stopped; while it is, the application goes on to another node and perhaps one more. */
static void move_while_stopped(void)
{
	enum bank_name bank = pick(BANKS);

	halt(OWNER, bank, cast_owner_node(bank), 20 + pick(150));
	if (pick(3) == 0)
		halt(LEADER, bank, cast_owner_node(bank), 20 + pick(150));
	take_over(bank, other_node(bank));
	if (pick(2))
		return;
	pause_us(2000 + pick(10000));
	take_over(bank, other_node(bank));
}

/* Whoever takes over from the dead dies as well, perhaps while it recovers. */
static void kill_recoverer(void)
{
	enum bank_name bank = pick(BANKS);
	pid_t owner = cast_find(OWNER, bank, ""), next = owner;
	int64_t end = clock_ns() + INT64_C(5000000);

	strike(OWNER, bank, cast_owner_node(bank));
	while ((next == owner || !next) && clock_ns() < end)
		next = cast_find(OWNER, bank, "");
	pause_us(pick(300));
	strike(OWNER, bank, cast_owner_node(bank));
}

/* A transaction is left open by a death, and those who might recover from it are stopped or die as well. */
static void within(void)
{
	atom_add_relaxed(pick(3) ? &storm.page->to_die : &storm.page->to_stop, 1);
	if (pick(3) == 0)
		move_one();
}

static void kill_node(void)
{
	const char *node = any_node();
	enum bank_name bank = pick(BANKS);

	strike(LEADER, bank, node);
	if (pick(2))
		strike(STANDBY, bank, node);
	if (pick(4) == 0)
		strike(LEADER, bank, any_node());
}

static void kill_under_stopped_leader(void)
{
	enum bank_name bank = pick(BANKS);

	for (unsigned i = 0; i < storm.nodes; i++)
		if (pick(2))
			halt(LEADER, bank, cast_node(i), 20 + pick(150));
	strike(OWNER, bank, cast_owner_node(bank));
}

/* In order: what runs there is handed over first. Somebody may die meanwhile. */
static void leave(void)
{
	const char *node = any_node();

	cast_leave(node);
	pause_us(500 + pick(8000));
	if (pick(3) == 0)
		strike(pick(2) ? LEADER : STANDBY, pick(BANKS), any_node());
}

void disturb(void)
{
	static const struct {
		unsigned weight;
		void (*what)(void);
	} table[] = {
		{20, kill_one},	    {14, stop_one},	      {12, move_one},	  {10, kill_in_takeover},
		{8, within},	    {6, move_while_stopped},  {6, kill_recoverer}, {5, stop_in_takeover},
		{3, kill_node},	    {4, kill_under_stopped_leader}, {1, leave},
	};
	unsigned sum = 0, i = 0, n;

	for (unsigned k = 0; k < sizeof(table) / sizeof(table[0]); k++)
		sum += table[k].weight;
	for (n = pick(sum); n >= table[i].weight; i++)
		n -= table[i].weight;
	table[i].what();
	storm.storms++;
}
