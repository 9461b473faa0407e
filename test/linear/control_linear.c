/* SPDX-License-Identifier: ISC */
/*
 * The control word: histories of processes that begin, commit, switch, claim, hold and so on, each by one CAS from
 * a word that they have seen a while ago, killed and stopped anywhere, are linearizable: the word is a register,
 * each transition leads from exactly the word that it was decided on to the one that the rules below allow, nobody
 * claims from the living, and two words that the owner alone may touch while open are never found half-changed.
 * The rules are written down here once more, apart from control.c.
 *
 * control_linear [SECONDS [SEED]]
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "heir.h"
#include "linearstorm.h"
#include "state/control.h"

#define WORKERS 4u
#define SLOTS	4096u

enum what {
	BEGIN,
	COMMIT,
	ABORT,
	WANT,
	UNWANT,
	SWITCH,
	CLAIM,
	RECOVERED,
	SERVE,
	BACK,
	HOLD,
	RELEASE,
	HEIR,
	READ
};

static struct {
	atom64 word;
	atom64 owned[2];       /* the owner's, while open */
	atom32 slots;	       /* given away so far: one to each process, never twice */
	atom32 slot[WORKERS];  /* of who is there now */
	atom64 died_at[SLOTS]; /* 0: not yet; ns */
} * domain;

static int transit(enum what what, struct control *c, uint32_t me, uint32_t other)
{
	switch (what) {
	case BEGIN:
		return control_begin(c, me);
	case COMMIT:
		return control_commit(c, me);
	case ABORT:
		return control_abort(c, me);
	case WANT:
		return control_want(c, me);
	case UNWANT:
		return control_unwant(c, me);
	case SWITCH:
		return control_switch(c, me);
	case CLAIM:
		return control_claim(c, me);
	case RECOVERED:
		return control_recovered(c, me);
	case SERVE:
		return control_serve(c, me);
	case BACK:
		return control_switch_back(c, me, other);
	case HOLD:
		return control_hold(c, other);
	case RELEASE:
		return control_release(c, other);
	case HEIR:
		return control_name_heir(c, other);
	case READ:
		break;
	}
	return 1;
}

/* One look, and at most one CAS, some time after it. got: the word seen, the word made. */
static int try_once(unsigned place, enum what what, uint32_t me, uint32_t other, uint64_t seen, bool *ret_done)
{
	struct event *e = history_next(place);
	struct control c = control_unpack(seen);

	*ret_done = false;
	if (!e)
		return 1;
	e->what = what;
	e->by = me;
	e->arg[0] = other;
	e->got[0] = seen;
	history_call(place, e);
	if (what == READ)
		e->got[0] = atom_load_acquire(&domain->word);
	e->result = transit(what, &c, me, other);
	e->got[1] = control_pack(c);
	if (e->result == 0)
		e->result = control_cas(&domain->word, seen, c);
	/* A refusal tells of the word that was seen before the call: nothing that one could check in order. */
	if (e->result != 0 && e->result != HEIR_EAGAIN && what != READ) {
		history_forget(place);
		return 0;
	}
	history_return(e);
	*ret_done = e->result == 0;
	return 0;
}

/* What is likely to be allowed, or anything. */
static enum what choose(const struct control *c, uint32_t me, bool open, uint64_t *random)
{
	bool mine = c->owner == me && c->phase != PHASE_DOWN;

	if (draw(random, 8) == 0)
		return (enum what)draw(random, READ + 1);
	if (mine && c->phase == PHASE_RECOVERING)
		return RECOVERED;
	if (open)
		return draw(random, 4) ? COMMIT : ABORT;
	if (mine && c->phase == PHASE_MOVING)
		return draw(random, 4) ? SERVE : BACK;
	if (mine)
		return draw(random, 8) ? BEGIN : RELEASE;
	if (c->open)
		return draw(random, 2) ? WANT : CLAIM;
	return draw(random, 3) ? SWITCH : draw(random, 2) ? HOLD : CLAIM;
}

static bool is_dead(uint32_t slot)
{
	return slot && slot < SLOTS && atom_load_acquire(&domain->died_at[slot]);
}

/* Two words that belong together, changed one after the other; a recoverer makes the first the second's again. */
static int change_owned(uint64_t *random)
{
	uint64_t n = atom_load_relaxed(&domain->owned[1]);

	if (atom_load_relaxed(&domain->owned[0]) != n) {
		printf("whoever has begun finds a transaction of another's half done\n");
		return 1;
	}
	atom_store_release(&domain->owned[0], n + 1);
	if (draw(random, 4) == 0)
		sched_yield();
	atom_store_release(&domain->owned[1], n + 1);
	return 0;
}

static int work(unsigned place, uint64_t seed)
{
	uint32_t me = atom_add_relaxed(&domain->slots, 1) + 1;
	uint64_t random = seed;
	bool open = false, done;

	if (me >= SLOTS)
		return 0;
	atom_store_release(&domain->slot[place], me);
	while (history_goes_on()) {
		uint64_t seen = atom_load_acquire(&domain->word);
		struct control c = control_unpack(seen);
		enum what what = choose(&c, me, open, &random);
		uint32_t other = c.owner;

		if (what == BACK || what == HEIR)
			other = atom_load_acquire(&domain->slot[draw(&random, WORKERS)]);
		if ((what == COMMIT || what == ABORT) && c.owner == me && !open)
			continue; /* its own rule: what it began it ends once */
		if ((what == CLAIM && c.owner && !is_dead(c.owner)) ||
		    (what == BACK && (!other || is_dead(other))) ||
		    (what == RELEASE && c.owner != me && !is_dead(c.owner)))
			continue;
		if (what == RECOVERED && c.phase == PHASE_RECOVERING && c.owner == me)
			atom_store_release(&domain->owned[0], atom_load_relaxed(&domain->owned[1]));
		if (draw(&random, 16) == 0)
			sched_yield(); /* evidence is gathered meanwhile */
		if (try_once(place, what, me, other, seen, &done))
			return 0;
		if (done && what == BEGIN && change_owned(&random))
			return 1;
		open = done ? what == BEGIN || (open && what != COMMIT && what != ABORT) : open;
	}
	return 0;
}

static void died(unsigned place)
{
	uint32_t slot = atom_load_acquire(&domain->slot[place]);

	if (slot)
		atom_store_release(&domain->died_at[slot], (uint64_t)clock_ns());
	atom_store_release(&domain->slot[place], 0);
}

/* The rules: may `me` make `to` out of `from`? */
static bool allowed(enum what what, uint32_t me, uint32_t other, struct control from, struct control to)
{
	bool mine = from.owner == me && from.phase != PHASE_DOWN && from.phase != PHASE_RECOVERING;
	struct control want = from;

	switch (what) {
	case BEGIN:
		want.open = 1;
		return mine && !from.open && !from.want && control_pack(want) == control_pack(to);
	case COMMIT:
	case ABORT:
		want.open = 0;
		want.parity ^= what == COMMIT;
		return mine && from.open && control_pack(want) == control_pack(to);
	case WANT:
	case UNWANT:
		want.want = what == WANT;
		return from.want != want.want && (what == UNWANT || (from.open && from.owner != me)) &&
		       control_pack(want) == control_pack(to);
	case HEIR:
		want.heir = other;
		want.generation++;
		return (from.phase == PHASE_SERVING || from.phase == PHASE_HELD) && other != from.owner &&
		       control_pack(want) == control_pack(to);
	case HOLD:
		want.phase = PHASE_HELD;
		want.generation++;
		return from.phase == PHASE_SERVING && from.owner == other &&
		       control_pack(want) == control_pack(to);
	case READ:
		return true;
	default:
		break;
	}
	/* All others: at rest, or from the dead; the generation rises by one, and parity stays. */
	want = (struct control){.generation = from.generation + 1, .parity = from.parity, .owner = me};
	switch (what) {
	case SWITCH:
		want.phase = PHASE_MOVING;
		return !from.open && from.owner != me && from.phase != PHASE_DOWN &&
		       from.phase != PHASE_RECOVERING && control_pack(want) == control_pack(to);
	case CLAIM:
		want.phase = from.open ? PHASE_RECOVERING : PHASE_MOVING;
		want.open = from.open;
		return from.owner != me && control_pack(want) == control_pack(to);
	case RECOVERED:
		want.phase = PHASE_MOVING;
		want.heir = from.heir;
		want.want = from.want;
		return from.owner == me && from.phase == PHASE_RECOVERING &&
		       control_pack(want) == control_pack(to);
	case SERVE:
		want.phase = PHASE_SERVING;
		want.heir = from.heir;
		return mine && from.phase == PHASE_MOVING && !from.open &&
		       control_pack(want) == control_pack(to);
	case BACK:
		want.phase = PHASE_SERVING;
		want.owner = other;
		return mine && from.phase == PHASE_MOVING && !from.open &&
		       control_pack(want) == control_pack(to);
	case RELEASE:
		want.phase = PHASE_DOWN;
		want.owner = 0;
		return !from.open && from.owner == other && from.phase != PHASE_DOWN &&
		       control_pack(want) == control_pack(to);
	default:
		return false;
	}
}

static void begin(void *state)
{
	memset(state, 0, sizeof(uint64_t));
}

static bool happen(void *state, const struct operation *op)
{
	const struct event *e = op->what;
	uint64_t is;
	struct control from;
	int64_t death;

	memcpy(&is, state, sizeof(is));
	from = control_unpack(e->got[0]);
	if (e->what == READ)
		return op->died || e->got[0] == is;
	if (op->died ? e->got[1] == 0 : e->result == HEIR_EAGAIN)
		return !op->died && is != e->got[0];
	if (is != e->got[0] ||
	    !allowed((enum what)e->what, e->by, (uint32_t)e->arg[0], from, control_unpack(e->got[1])))
		return false;
	death = from.owner < SLOTS ? (int64_t)atom_load_relaxed(&domain->died_at[from.owner]) : 0;
	if (e->what == CLAIM && from.owner && (!death || death > op->returned))
		return false;
	memcpy(state, &e->got[1], sizeof(e->got[1]));
	return true;
}

static bool of_word(const struct event *e, uint32_t key)
{
	(void)key;
	return !(e->what == READ && e->returned < 0);
}

static void print_word(uint64_t w)
{
	static const char *const phase[] = {"DOWN", "SERVING", "HELD", "MOVING", "RECOVERING", "?", "?", "?"};
	struct control c = control_unpack(w);

	printf("{%u owner %u heir %u %s%s%s%s}", c.generation, c.owner, c.heir, phase[c.phase & 7],
	       c.open ? " open" : "", c.parity ? " odd" : "", c.want ? " want" : "");
}

static void print(const struct event *e)
{
	static const char *const what[] = {"begin",  "commit",	"abort",     "want",  "unwant",
					   "switch", "claim",	"recovered", "serve", "switch_back",
					   "hold",   "release", "name_heir", "read"};

	printf("%s, other %" PRIu64 ": %d, ", what[e->what], e->arg[0], e->result);
	print_word(e->got[0]);
	printf(" -> ");
	print_word(e->got[1]);
	printf("\n");
}

static bool round_of(uint64_t seed, struct tally *tally)
{
	static const struct specification spec = {sizeof(uint64_t), begin, happen};
	const struct storm storm = {.workers = WORKERS,
				    .seed = seed,
				    .length = 15000000,
				    .spared = WORKERS,
				    .work = work,
				    .died = died};
	struct operation *ops;
	size_t n;
	bool good;

	if (!domain)
		domain = mmap(NULL, sizeof(*domain), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (domain == MAP_FAILED)
		return false;
	memset(domain, 0, sizeof(*domain));
	if (!storm_run(&storm, tally))
		return false;
	ops = history_operations(of_word, 0, &n);
	good = history_check(&spec, ops, n, "the control word", print, tally);
	free(ops);
	return good;
}

int main(int argc, char **argv)
{
	return storm_main(argc, argv, "control word", round_of);
}
