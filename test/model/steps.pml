/* SPDX-License-Identifier: ISC */
/*
 * steps.pml: the steps of a move, who drives them, and what leaders do meanwhile, checked exhaustively by spin.
 *
 * A takeover, failover or start is a list of steps that its target does one after the other. Here are those lists, the
 * move word with its driver and deadline, the control word {generation, phase, owner}, the drivers as src/lib/drive.c
 * has them, and of each node's leader (src/node/act.c, ask.c, instance.c; decisions: src/app/appstep.c) what stops,
 * holds, ends and starts an instance. A transition is one access to shared memory, with what is decided on it, and
 * names its function; between any two a process may die or be stopped. ./run checks all of it; ./run -h says how.
 *
 * Actors, the first two of each of NODES nodes
 *   worker    the lead child: a standby, a driver, an owner. The first node's is the owner at first (START: nobody is).
 *             It is spawned again with a new handle when it has ended
 *   leader    brings it up, stops or kills it, holds, has it started; once dead it stays so, and takes the worker along
 *   kernel    deals out deaths, stops and halts, as many as are bounded below; takes its time between the notice of a
 *             death and the end, until when a process holds what is exclusive
 *   command   asks nodes to take over
 *
 * What is proved, within the bounds below, of every interleaving
 *   1 one owner    whoever begins to serve owns, has been started and has done its phases, each once; or it is given
 *                  back to one that served and had not been told to stop. No driver of a takeover switches for a move
 *                  whose place another has taken, and switched; and none that neither owns nor drives by now decides to
 *                  end an owner that has started
 *   2 in order     each step is done in its list's order and once: start before the phases, phases after the switch,
 *                  stop_old of an exclusive takeover before start; and begun by who drives, or has switched
 *   3 exclusive    no instance of an exclusive application starts before the kernel has confirmed that every other
 *                  one that was started is gone, whoever drove it, and however late
 *   4 served       when nothing can move any more and a node is able, an owner that is able serves; and no
 *                  instance is left that was started and is not the owner
 *   5 untouched    a takeover that fails before the switch leaves the owner serving, unless it stopped it first: none
 *                  is told to stop but in HELD, for who drives by then and is no part of it, or once another
 *                  serves
 *   6 one driver   of two moves at once the first wins: no driver loses its place that lives and is not late
 *   8 ends         the state graph has no cycle, so every run ends
 *
 * Time. What has a deadline, a step or a leader's part, is late while its process is stopped, and only then; it may go
 * on at once, so deadlines also pass too early. Of those that may act, any may be the first: claim_grace, the heir's
 * and a better node's turn are left out, as are other waits that only make one the likelier.
 *
 * What is not proved. What control.pml and mailbox.pml have: transactions, recovery, sleeping and wakes (here whoever
 * may act looks), weak memory. Instances of several children; moves that a leader drives itself (src/node/led.c);
 * giving up, intensity, policy; nodes that stop in order. A kill takes effect at once: who decides to and is stopped
 * may do it later all the same.
 */

/* ---- bounds ---------------------------------------------------------------------------------- */

#ifndef NODES
#define NODES 3
#endif
#ifndef DEATHS
#define DEATHS 0	/* up to so many workers die, at any point; kills by the protocol come on top */
#endif
#ifndef LEADER_DEATHS
#define LEADER_DEATHS 0
#endif
#ifndef STOPS
#define STOPS 0		/* up to so many workers are stopped at any point and go on at any later one */
#endif
#ifndef LEADER_STOPS
#define LEADER_STOPS 0
#endif
#ifndef HALTS
#define HALTS 0		/* up to so many workers are stopped at any point for ever */
#endif
#ifndef FAILS
#define FAILS 0		/* up to so many steps fail: with an error, or having been done too late */
#endif
#ifndef ASK
#define ASK 0		/* who is asked at first, a bit each; it looks when it does */
#endif
#ifndef ASK_LATER
#define ASK_LATER 0	/* and at any moment, if need be its next incarnation */
#endif

/* EXCLUSIVE: the application's list is the exclusive one. IN_PLACE: restarted in place. COLD: no hot standbys. */
#ifdef EXCLUSIVE
#define is_exclusive true
#else
#define is_exclusive false
#endif
#ifdef COLD
#define is_cold true
#else
#define is_cold false
#endif
#if defined(IN_PLACE) || defined(COLD)
#define in_place true
#else
#define in_place false
#endif

/* ---- mutants: each takes one rule away, and ./run shows that it is missed -------------------- */

#define TARGET_NO_RIVALS 1	/* a takeover's target confirms the dead alone, once the old one is stopped */
#define CONFIRM_SKIPPED 2	/* start() of an exclusive instance without confirmation */
#define STEP_UNASKED 4		/* a driver does not look whether the move is its own before a step */
#define SWITCH_UNASKED 8	/* nor behind its load of the control word before the switch */
#define BEGIN_OVER 16		/* a driver that lives and is not late is replaced */
#define LATE_WAITED_FOR 32	/* a late one is waited for */
#define STOP_WHILE_MOVING 64	/* a leader stops the old instance before the new one serves */
#define GIVE_TO_STANDBY 128	/* switched back to whoever lives, served or not */
#define NO_GIVE_BACK 256	/* a target that failed keeps the application and lives on */
#define STARTED_LIVES 512	/* a target that had started and failed before the switch lives on */
#define STOP_UNHELD 1024	/* stop_old before the switch stops without HELD before it */
#define DEAD_DRIVER_KEPT 2048	/* a dead driver's place is not taken */
#define LATE_UNKILLED 4096	/* a leader does not end its worker that is late with a step */
#define OLD_KEPT 8192		/* an instance that was taken over from is not stopped */
#define SWITCH_FIRST 16384	/* an exclusive list in the order of the other one: start, then stop_old */
#define STALE_HOLD 32768	/* a leader stops for whoever asks, the move's driver or not */
#define FENCE_UNASKED 65536	/* a driver whose place was taken ends who has started since */
#define ADRIFT_KEPT 131072	/* a leader leaves its worker alone that is late and has lost its place */
#define TO_OWN 262144		/* a target takes over from a dead owner of its own node */

#ifndef MUTANT
#define MUTANT 0
#endif
#define mutant(m) (((MUTANT) & (m)) != 0)

/* A check is an assertion with the number of its property. PROPERTIES: the set that is checked. */
#ifndef PROPERTIES
#define PROPERTIES 254
#endif
#define check(number, e) assert((e) || !(PROPERTIES & (1 << number)))

/* ---- shared memory --------------------------------------------------------------------------- */

/* A handle: node:2 | incarnation:3, + 32: its leader. */
#define NODE(h)		((h) & 3)
#define worker_of(i)	((i) | (inc[i] << 2))
#define leader_of(i)	((i) | 32)
#define is_leader(h)	((h) > 31)
#define INC_LAST	7

/* The control word: owner:6 | phase:2 | generation */
#define OWNER(w)	((w) & 63)
#define PHASE(w)	(((w) >> 6) & 3)
#define GEN(w)		((w) >> 8)
#define DOWN		0
#define SERVING		1
#define HELD		2
#define MOVING		3
#define next(w, phase, owner) (((GEN(w) + 1) << 8) | ((phase) << 6) | (owner))

short word;		/* the control word */
byte driver;		/* the move word; its deadline has passed while the driver is stopped */
byte asks[16];		/* REQ_STOP_INSTANCE in a leader's mailbox: [leader * 4 + node] = asker's handle */
byte answer[4];		/* and its answer to the node's worker: 1 done, 2 refused */

/* ---- what the kernel knows ------------------------------------------------------------------- */

#define ABSENT	0	/* gone, with all that it held */
#define DEAD	1	/* its life words are marked; what it held may still be held */
#define RUNNING	2
#define STOPPED	3	/* will go on */
#define HALTED	4	/* will not */
byte fate[4], lfate[4];
byte inc[4];
byte deaths, leader_deaths, stops, leader_stops, halts, fails;

#define lives(f)	((f) >= RUNNING)
#define stopped(f)	((f) > RUNNING)
#define alive(h) \
	((h) != 0 && (is_leader(h) -> lives(lfate[NODE(h)]) : \
	inc[NODE(h)] == (h) >> 2 && lives(fate[NODE(h)])))

/* ---- a worker's own -------------------------------------------------------------------------- */

/* enum worker_state */
#define INIT		0
#define STANDBY		1
#define STARTING	2
#define SERVES		3
#define LOST		4
byte state[4];

/* Where it is. */
#define IDLE		0
#define T_BEGIN		1
#define S_BEGIN		2
#define F_LATE		4
#define F_BEGIN		5
#define BEGUN		6
#define LATE		7
#define FENCE		8
#define FENCED		9
#define STEP		10
#define CONFIRM		11
#define CALL		12
#define SWITCH		13
#define MAY_SWITCH	14
#define DO_SWITCH	15
#define STOP_OLD	16
#define ASKED		17
#define SERVE		18
#define FINISH		19
#define FAIL		20
#define GIVE_BACK	21
#define END		22
#define RIVAL		23
byte at[4];

/* struct drive */
#define NORMAL		1
#define TAKEOVER	2
#define FAILOVER	3
#define LOCAL		4
byte type[4], from[4], late[4], old[4], scan[4];
bool claims[4];		/* how: ACQUIRE_CLAIM, not _SWITCH */
bool own[4];		/* drive_failover(): the claim came first */
bool switched[4], stopped_old[4], started[4], dead_owner[4];
short saw[4];		/* the control word as loaded */

/* Steps that are left, the next one last, as digits. */
int rest[4];
#define S_START		1
#define S_SWITCH	2
#define S_TAKEOVER	3
#define S_GO		4
#define S_STOP_OLD	5
#define S_NONE		0

/* moveplan.c */
#define OVERLAP_LIST	54321
#define EXCLUSIVE_LIST	(mutant(SWITCH_FIRST) -> 4251 : 4215)
#define NORMAL_LIST	421
#define FAILOVER_LIST	412	/* local, too */
#define CLAIMED_LIST	41

/* ---- a leader's own -------------------------------------------------------------------------- */

bool bell[4];		/* REQ_TAKEOVER to the worker */
byte request[4];	/* REQ_START to it: the type */
bool tell[4];		/* REQ_STOP to it */
bool stopping[4];	/* i->stop */
byte yields[4];		/* i->yield: the asker */
bool yielded[4];	/* and it is gone: the instance is published as ABSENT */
byte asked;		/* who is still to be asked, a bit each */
byte guest[4];		/* a takeover to a cold node: 1 asked, 2 passed on */

/* ---- what only the checks know --------------------------------------------------------------- */

bool holds[4];		/* start() was called, and the process is not gone: what is exclusive */
byte did[4];		/* the steps that this drive has done, a bit each */
bool passed[4];		/* its place as the driver was taken by one that has switched */

#define runs(i)		(fate[i] == RUNNING)
#define leads(i)	(lfate[i] == RUNNING)
#define me		worker_of(i)
#define owns(i)		(OWNER(word) == worker_of(i) && PHASE(word) != DOWN)

/* move.c: is_waited_for(), move_late() */
#define waited(h) \
	((h) != 0 && ((alive(h) && (!stopped(fate[NODE(h)]) || mutant(LATE_WAITED_FOR))) || \
	(mutant(DEAD_DRIVER_KEPT) && !alive(h))))
#define move_late()	(alive(driver) && stopped(fate[NODE(driver)]) -> driver : 0)
#define move_is_mine(i)	(driver == worker_of(i))
#define is_driven(i)	(!move_is_mine(i) && waited(driver))

/* It runs no more code. What it held, it may hold a while longer. */
inline end(i)
{
	if
	:: is_exclusive -> fate[i] = DEAD
	:: else -> fate[i] = ABSENT; holds[i] = false	/* nobody asks */
	fi;
	at[i] = IDLE; state[i] = INIT; bell[i] = false; request[i] = 0; tell[i] = false;
	type[i] = 0; from[i] = 0; late[i] = 0; old[i] = 0; scan[i] = 0; rest[i] = 0; saw[i] = 0;
	claims[i] = false; own[i] = false; switched[i] = false; stopped_old[i] = false; started[i] = false;
	dead_owner[i] = false; did[i] = 0; passed[i] = false; answer[i] = 0
}

/* handle_fence() */
inline fence(h)
{
	if
	:: alive(h) && !is_leader(h) -> k = NODE(h); end(k); k = 0
	:: else
	fi
}

inline forget(i)
{
	at[i] = IDLE; type[i] = 0; from[i] = 0; late[i] = 0; old[i] = 0; scan[i] = 0; rest[i] = 0; saw[i] = 0;
	claims[i] = false; own[i] = false; switched[i] = false; stopped_old[i] = false; dead_owner[i] = false;
	did[i] = 0; passed[i] = false; answer[i] = 0
}

/* move.c: move_begin(). The CAS takes the place of the word that was found replaceable. */
inline move_begin(i, begun)
{
	if
	:: driver != 0 && driver != me && waited(driver) && !mutant(BEGIN_OVER) -> begun = false
	:: else ->
		check(6, driver == 0 || driver == me || !alive(driver) || stopped(fate[NODE(driver)]));
		driver = me; passed[i] = false;
		begun = true
	fi
}

/* ---- a worker -------------------------------------------------------------------------------- */

/*
 * appclaim.c: claim_decide(). Whose turn it is by time alone is left out. In HELD the owner's leader comes first,
 * unless it is gone, late or has let the instance go; so it does for a restart in place. An owner that
 * lives and still drives is looked at again.
 */
#define owner_gone()	(!alive(OWNER(word)))
#define leader_gone(n)	(!lives(lfate[n]))
#define leader_first(n) \
	(!leader_gone(n) && !stopped(lfate[n]) && \
	((PHASE(word) == HELD && !yielded[n]) || \
	(PHASE(word) == SERVING && in_place)))
#define may_claim(i) \
	(state[i] == STANDBY && PHASE(word) != DOWN && OWNER(word) != me && \
	(owner_gone() || leader_gone(NODE(OWNER(word)))) && \
	(!is_driven(i) || (driver == OWNER(word) && owner_gone())) && !leader_first(NODE(OWNER(word))))

/* recover.c: is_rival(), and drive.c: confirm(), which asks for them */
#define is_rival(i, n) \
	((n) != i && lives(fate[n]) && state[n] > STANDBY && \
	(type[i] != TAKEOVER || (stopped_old[i] && !mutant(TARGET_NO_RIVALS))))

/* A step has failed. error: start() itself, which has left nothing; else it was done, too late. */
inline may_fail(i, next_at)
{
	if
	:: at[i] = next_at
	:: fails > 0 -> fails--; at[i] = FAIL
	fi
}

proctype worker(byte i)
{
	bool begun;
	byte k;

	do
	/* worker.c: stop_worker(); it ends in order */
	:: atomic { runs(i) && at[i] == IDLE && tell[i] -> end(i) }

	/* worker.c: follow_owner(), come_back() */
	:: atomic { runs(i) && at[i] == IDLE && state[i] == SERVES && OWNER(word) != me -> state[i] = LOST }
	:: atomic {
		runs(i) && at[i] == IDLE && state[i] == LOST && OWNER(word) == me && PHASE(word) != MOVING ->
			state[i] = SERVES
	   }

	/* drive.c: drive_takeover(), its look; then what it decides, and move_begin() */
	:: atomic {
		runs(i) && at[i] == IDLE && bell[i] ->
			bell[i] = false; saw[i] = word;
			late[i] = move_late();
			at[i] = T_BEGIN
	   }
	:: atomic {
		runs(i) && at[i] == T_BEGIN ->
			if
			:: OWNER(saw[i]) == me || PHASE(saw[i]) == DOWN || state[i] != STANDBY ||
			   (NODE(OWNER(saw[i])) == i && !mutant(TO_OWN)) -> forget(i)
			:: else ->
				move_begin(i, begun);
				if
				:: begun ->
					type[i] = TAKEOVER; from[i] = NODE(OWNER(saw[i]));
					rest[i] = (is_exclusive -> EXCLUSIVE_LIST : OVERLAP_LIST);
					saw[i] = 0; at[i] = BEGUN
				:: else -> forget(i)	/* HEIR_EBUSY */
				fi
			fi
	   }

	/* drive.c: drive_start() */
	:: atomic {
		runs(i) && at[i] == IDLE && request[i] != 0 && !bell[i] ->
			type[i] = request[i]; saw[i] = word;
			late[i] = move_late();
			at[i] = S_BEGIN
	   }
	:: atomic {
		runs(i) && at[i] == S_BEGIN ->
			request[i] = 0;
			if :: state[i] == STANDBY -> move_begin(i, begun) :: else -> begun = false fi;
			if
			:: begun ->
				claims[i] = !(OWNER(saw[i]) == leader_of(i));
				rest[i] = (type[i] == NORMAL -> NORMAL_LIST : FAILOVER_LIST);
				from[i] = NODE(OWNER(saw[i])); saw[i] = 0; at[i] = BEGUN
			:: else -> forget(i)
			fi
	   }

	/* standby.c: standby_look(); drive.c: drive_failover(). Planned: the owner lives, its leader is dead */
	:: atomic {
		runs(i) && at[i] == IDLE && !bell[i] && request[i] == 0 && !tell[i] && may_claim(i) ->
			begun = true;
			if :: !owner_gone() -> move_begin(i, begun) :: else -> claims[i] = true fi;
			if
			:: begun -> type[i] = FAILOVER; own[i] = true; from[i] = NODE(OWNER(word)); at[i] = SWITCH
			:: else -> forget(i)
			fi
	   }
	/* behind its claim: move_late(), then move_begin(), whose refusal is no matter */
	:: atomic {
		runs(i) && at[i] == F_LATE ->
			late[i] = (driver == me -> 0 : move_late()); at[i] = F_BEGIN
	   }
	:: atomic {
		runs(i) && at[i] == F_BEGIN -> move_begin(i, begun); rest[i] = CLAIMED_LIST; at[i] = BEGUN
	   }

	/* drive.c: drive(), worker_state(); end_late() */
	:: atomic {
		runs(i) && at[i] == BEGUN -> state[i] = STARTING; at[i] = (late[i] -> LATE : STEP)
	   }
	:: atomic {
		runs(i) && at[i] == LATE ->
			at[i] = (OWNER(word) == late[i] -> STEP : FENCE)
	   }
	:: atomic { runs(i) && at[i] == FENCE -> fence(late[i]); at[i] = FENCED }
	:: atomic {
		runs(i) && at[i] == FENCED && (!is_exclusive ||
		fate[NODE(late[i])] != DEAD || worker_of(NODE(late[i])) != late[i]) ->
			late[i] = 0; at[i] = STEP
	   }

	/* drive.c: run_steps(); move.c: move_step() */
	:: atomic {
		runs(i) && at[i] == STEP ->
			if
			:: rest[i] == 0 -> at[i] = SERVE
			:: rest[i] % 10 == S_STOP_OLD && switched[i] -> rest[i] = rest[i] / 10
			:: else ->
				if
				:: !move_is_mine(i) && !switched[i] && !mutant(STEP_UNASKED) -> at[i] = FAIL
				:: else ->
					check(2, move_is_mine(i) || switched[i]);
					if
					:: rest[i] % 10 == S_SWITCH -> at[i] = SWITCH
					:: rest[i] % 10 == S_STOP_OLD -> at[i] = STOP_OLD
					:: rest[i] % 10 == S_START && is_exclusive && !mutant(CONFIRM_SKIPPED) ->
						scan[i] = 1; at[i] = CONFIRM
					:: else -> at[i] = CALL
					fi
				fi
			fi
	   }

	/* recover.c: app_confirm(), is_rival(): of one node after the other */
	:: atomic {
		runs(i) && at[i] == CONFIRM && scan[i] <= NODES && is_rival(i, scan[i]) ->
			check(1, move_is_mine(i) || owns(i) || !mutant(FENCE_UNASKED) ||
				!holds[scan[i]] || !owns(scan[i]));
			at[i] = (move_is_mine(i) || owns(i) || mutant(FENCE_UNASKED) -> RIVAL : FAIL)
	   }
	:: atomic {
		runs(i) && at[i] == RIVAL ->
			if :: lives(fate[scan[i]]) -> k = scan[i]; end(k); k = 0 :: else fi;
			at[i] = CONFIRM
	   }
	:: atomic {
		runs(i) && at[i] == CONFIRM && scan[i] <= NODES && !is_rival(i, scan[i]) &&
		(scan[i] == i || fate[scan[i]] != DEAD) ->
			scan[i]++
	   }
	:: atomic { runs(i) && at[i] == CONFIRM && scan[i] > NODES -> scan[i] = 0; at[i] = CALL }

	/* drive.c: in_each_child(), call_start(), call_phase() */
	:: atomic {
		runs(i) && at[i] == CALL ->
			k = rest[i] % 10;
			check(2, !(did[i] & (1 << k)));
			if
			:: k == S_START ->
				check(3, !is_exclusive || (!holds[(i % 3) + 1] && !holds[((i + 1) % 3) + 1]));
				check(2, !is_exclusive || type[i] != TAKEOVER || (did[i] & (1 << S_STOP_OLD)));
				holds[i] = true; started[i] = true
			:: else ->
				check(2, did[i] & (1 << S_START));
				check(2, did[i] & (1 << S_SWITCH))
			fi;
			did[i] = did[i] | (1 << k); rest[i] = rest[i] / 10;
			if
			:: k == S_START && fails > 0 ->		/* an error, with nothing left behind */
				fails--; holds[i] = false; started[i] = false; at[i] = FAIL
			:: may_fail(i, STEP)
			fi;
			k = 0
	   }

	/* drive.c: do_switch(); recover.c: acquire_once(): the load; move_is_mine(); the CAS */
	:: atomic {
		runs(i) && at[i] == SWITCH ->
			saw[i] = word; dead_owner[i] = PHASE(word) == DOWN || !alive(OWNER(word));
			if
			:: owns(i) -> switched[i] = true; at[i] = FAIL
			:: claims[i] && !dead_owner[i] -> at[i] = FAIL		/* HEIR_EAGAIN */
			:: else -> at[i] = MAY_SWITCH
			fi
	   }
	:: atomic {
		runs(i) && at[i] == MAY_SWITCH ->
			at[i] = (claims[i] || move_is_mine(i) || mutant(SWITCH_UNASKED) -> DO_SWITCH : FAIL);
			if :: mutant(SWITCH_UNASKED) -> saw[i] = word :: else fi
	   }
	:: atomic {
		runs(i) && at[i] == DO_SWITCH ->
			if
			:: word == saw[i] ->
				check(1, claims[i] || !passed[i]);
				word = next(word, MOVING, me);
				k = 1;
				do
				:: k <= NODES && k != i && driver != worker_of(k) -> passed[k] = true; k++
				:: k <= NODES && (k == i || driver == worker_of(k)) -> k++
				:: k > NODES -> break
				od;
				k = 0;
				switched[i] = true; did[i] = did[i] | (1 << S_SWITCH);
				old[i] = (dead_owner[i] -> 0 : OWNER(saw[i])); saw[i] = 0; dead_owner[i] = false;
				if
				:: own[i] -> at[i] = F_LATE
				:: else -> rest[i] = rest[i] / 10; may_fail(i, STEP)	/* adopt_version() */
				fi
			:: else -> at[i] = (claims[i] -> FAIL : SWITCH)
			fi
	   }

	/* drive.c: do_stop_old(), ask() */
	:: atomic {
		runs(i) && at[i] == STOP_OLD ->
			if
			:: lives(lfate[from[i]]) -> asks[from[i] * 4 + i] = me; answer[i] = 0; at[i] = ASKED
			:: else -> stopped_old[i] = PHASE(word) != SERVING; at[i] = FAIL
			fi
	   }
	:: atomic {
		runs(i) && at[i] == ASKED && answer[i] == 1 ->
			answer[i] = 0; stopped_old[i] = true;
			did[i] = did[i] | (1 << S_STOP_OLD); rest[i] = rest[i] / 10; at[i] = STEP
	   }
	:: atomic {
		runs(i) && at[i] == ASKED && (answer[i] == 2 || (answer[i] == 0 && lfate[from[i]] != RUNNING)) ->
			if :: asks[from[i] * 4 + i] == me -> asks[from[i] * 4 + i] = 0 :: else fi;
			answer[i] = 0; stopped_old[i] = PHASE(word) != SERVING; at[i] = FAIL
	   }

	/* drive.c: serve(); recover.c: app_serve() */
	:: atomic {
		runs(i) && at[i] == SERVE ->
			if
			:: OWNER(word) == me && PHASE(word) == MOVING ->
				check(1, holds[i] && (did[i] & (1 << S_SWITCH)) && (did[i] & (1 << S_START)) &&
					(did[i] & (1 << S_GO)));
				word = next(word, SERVING, me); state[i] = SERVES; at[i] = FINISH
			:: else -> at[i] = FAIL
			fi
	   }

	/* drive.c: finish(); move.c: move_end() */
	:: atomic {
		runs(i) && at[i] == FINISH -> if :: move_is_mine(i) -> driver = 0 :: else fi; forget(i)
	   }

	/* drive.c: fail(), fail_after_switch(); a claim that came too late is none */
	:: atomic {
		runs(i) && at[i] == FAIL ->
			if
			:: switched[i] && type[i] == TAKEOVER && alive(old[i]) && !is_leader(old[i]) &&
			   (state[NODE(old[i])] >= SERVES || mutant(GIVE_TO_STANDBY)) -> at[i] = GIVE_BACK
			:: else -> at[i] = END
			fi
	   }
	/* recover.c: app_give_back() */
	:: atomic {
		runs(i) && at[i] == GIVE_BACK ->
			if
			:: OWNER(word) == me && PHASE(word) == MOVING ->
				check(1, !alive(old[i]) || (holds[NODE(old[i])] && !tell[NODE(old[i])]));
				word = next(word, SERVING, old[i])
			:: else
			fi;
			at[i] = END
	   }
	:: atomic {
		runs(i) && at[i] == END ->
			if :: move_is_mine(i) -> driver = 0 :: else fi;
			if
			:: (started[i] && !mutant(STARTED_LIVES)) || (switched[i] && !mutant(NO_GIVE_BACK)) -> end(i)
			:: else -> state[i] = STANDBY; forget(i)
			fi
	   }
	od
}

/* ---- a leader -------------------------------------------------------------------------------- */

#define dead_here(i) \
	(PHASE(word) != DOWN && NODE(OWNER(word)) == i && !is_leader(OWNER(word)) && !alive(OWNER(word)))
#define ready(i)	(runs(i) && at[i] == IDLE && state[i] == STANDBY && request[i] == 0 && !stopping[i])
/* To its leader it is one, too, while it is stopped or about to claim. */
#define seems_ready(i)	(lives(fate[i]) && state[i] == STANDBY && request[i] == 0 && !stopping[i])
#define other_ready(i) \
	((i != 1 && fate[1] == RUNNING && state[1] == STANDBY) || \
	(i != 2 && fate[2] == RUNNING && state[2] == STANDBY) || \
	(i != 3 && fate[3] == RUNNING && state[3] == STANDBY))
#define best(i) \
	((i == 1 || lfate[1] != RUNNING) && (i <= 2 || lfate[2] != RUNNING))

proctype leader(byte i)
{
	byte k;

	do
	/* instance.c: instance_bring_up() */
	:: atomic {
		leads(i) && fate[i] == ABSENT && !stopping[i] && inc[i] < INC_LAST &&
		(!is_cold || guest[i] == 1 || OWNER(word) == leader_of(i) || dead_here(i) || PHASE(word) == DOWN) ->
			inc[i]++; assert(inc[i] < INC_LAST); fate[i] = RUNNING; state[i] = STANDBY; yielded[i] = false
	   }

	/* instance.c: check_driver(), is_adrift(), begins_by(), stop_one(); watchdog.c */
	:: atomic {
		leads(i) && stopped(fate[i]) && !mutant(LATE_UNKILLED) &&
		(move_is_mine(i) || owns(i) || tell[i] || request[i] != 0 ||
		(state[i] == STARTING && !mutant(ADRIFT_KEPT))) -> end(i)
	   }

	/* instance.c: stop_one(): busy with a move of its own at its shutdown time */
	:: atomic { leads(i) && lives(fate[i]) && tell[i] && at[i] != IDLE -> end(i) }

	/* appstep.c: other(): DO_STOP, once it is served there; dead_elsewhere(): DO_KILL */
	:: atomic {
		leads(i) && lives(fate[i]) && state[i] >= SERVES && !stopping[i] && OWNER(word) != me &&
		OWNER(word) != leader_of(i) && !mutant(OLD_KEPT) && alive(OWNER(word)) &&
		(PHASE(word) != MOVING || mutant(STOP_WHILE_MOVING)) ->
			check(5, PHASE(word) != MOVING && holds[NODE(OWNER(word))]);
			stopping[i] = true; tell[i] = true
	   }
	:: atomic {
		leads(i) && lives(fate[i]) && state[i] >= SERVES && !stopping[i] && PHASE(word) != DOWN &&
		OWNER(word) != me && !alive(OWNER(word)) && NODE(OWNER(word)) != i && !mutant(OLD_KEPT) ->
			stopping[i] = true; end(i)
	   }
	/* appstep.c: stand_by(): a cold one that was not needed */
	:: atomic {
		leads(i) && is_cold && ready(i) && guest[i] == 0 && !bell[i] && alive(OWNER(word)) &&
		OWNER(word) != leader_of(i) ->
			stopping[i] = true; tell[i] = true
	   }

	/* ask.c: yield(): holds */
	:: atomic {
		leads(i) && (asks[i * 4 + 1] != 0 || asks[i * 4 + 2] != 0 || asks[i * 4 + 3] != 0) ->
			if
			:: asks[i * 4 + 1] != 0 -> k = 1
			:: asks[i * 4 + 2] != 0 -> k = 2
			:: asks[i * 4 + 3] != 0 -> k = 3
			fi;
			if
			:: ((asks[i * 4 + k] == driver && alive(driver)) || mutant(STALE_HOLD)) && yields[i] == 0 &&
			   (PHASE(word) == SERVING || PHASE(word) == HELD) && (OWNER(word) == me || dead_here(i)) ->
				check(5, asks[i * 4 + k] == driver && alive(driver) && k != i);
				if
				:: PHASE(word) == SERVING && !mutant(STOP_UNHELD) ->
					word = next(word, HELD, OWNER(word))
				:: else
				fi;
				check(5, PHASE(word) == HELD);
				yields[i] = asks[i * 4 + k]
			:: else ->
				if :: asks[i * 4 + k] == worker_of(k) -> answer[k] = 2 :: else fi
			fi;
			asks[i * 4 + k] = 0; k = 0
	   }
	/* instance_stop(); appstep.c: child(): HELD */
	:: atomic {
		leads(i) && !stopping[i] && (yields[i] != 0 || (lives(fate[i]) && owns(i) && PHASE(word) == HELD)) ->
			stopping[i] = true; tell[i] = lives(fate[i])
	   }
	/* instance.c: advance_stop(), instance_is_gone(); ask.c: ask_advance() */
	:: atomic {
		leads(i) && stopping[i] && fate[i] == ABSENT ->
			stopping[i] = false;
			if
			:: yields[i] != 0 ->
				yielded[i] = true;
				if :: yields[i] == worker_of(NODE(yields[i])) -> answer[NODE(yields[i])] = 1 :: else fi;
				yields[i] = 0
			:: else
			fi
	   }

	/* appstep.c: dead_here(): DO_HOLD, then DO_START */
	:: atomic {
		leads(i) && dead_here(i) && PHASE(word) == SERVING && !waited(driver) && !stopping[i] &&
		(in_place || !other_ready(i)) ->
			word = next(word, HELD, OWNER(word))
	   }
	:: atomic {
		leads(i) && dead_here(i) && PHASE(word) != SERVING && seems_ready(i) && !bell[i] && !waited(driver) ->
			request[i] = (PHASE(word) == HELD && !yielded[i] -> LOCAL : FAILOVER)
	   }
	/* appstep.c: none(): DO_START as type normal */
	:: atomic {
		leads(i) && PHASE(word) == DOWN && seems_ready(i) && !waited(driver) && best(i) -> request[i] = NORMAL
	   }
	/* appstep.c: dead_elsewhere(): DO_ACQUIRE; leader(): DO_START */
	:: atomic {
		leads(i) && is_cold && PHASE(word) != DOWN && !alive(OWNER(word)) && NODE(OWNER(word)) != i &&
		!waited(driver) && fate[i] == ABSENT && !stopping[i] && inc[i] < INC_LAST &&
		!leader_first(NODE(OWNER(word))) ->
			word = next(word, MOVING, leader_of(i))
	   }
	:: atomic {
		leads(i) && OWNER(word) == leader_of(i) && seems_ready(i) && !bell[i] && !waited(driver) ->
			request[i] = FAILOVER
	   }
	/* ask.c: advance_guest() */
	:: atomic { leads(i) && guest[i] == 1 && ready(i) -> guest[i] = 2; bell[i] = true }
	:: atomic {
		leads(i) && ((guest[i] == 2 && !bell[i] && at[i] == IDLE) ||
		(guest[i] == 1 && (owns(i) || PHASE(word) == DOWN))) -> guest[i] = 0
	   }
	od
}

/* ---- the kernel, and what is asked ------------------------------------------------------------ */

#define KERNEL(i) \
	:: atomic { deaths > 0 && lives(fate[i]) -> deaths--; end(i) } \
	:: atomic { leader_deaths > 0 && lives(lfate[i]) -> leader_deaths--; lfate[i] = DEAD } \
	:: atomic { lfate[i] == DEAD && lives(fate[i]) -> end(i) } \
	:: atomic { fate[i] == DEAD -> fate[i] = ABSENT; holds[i] = false } \
	:: atomic { stops > 0 && fate[i] == RUNNING -> stops--; fate[i] = STOPPED } \
	:: atomic { leader_stops > 0 && lfate[i] == RUNNING -> leader_stops--; lfate[i] = STOPPED } \
	:: atomic { halts > 0 && fate[i] == RUNNING -> halts--; fate[i] = HALTED } \
	:: atomic { fate[i] == STOPPED -> fate[i] = RUNNING } \
	:: atomic { lfate[i] == STOPPED -> lfate[i] = RUNNING }

proctype kernel()
{
	do
	KERNEL(1)
	KERNEL(2)
#if NODES > 2
	KERNEL(3)
#endif
	od
}

/* asks whoever is there, hot or cold: libmove.c: heir_takeover() */
#define COMMAND(i) \
	:: atomic { \
		(asked & (1 << i)) && (is_cold -> leads(i) && guest[i] == 0 : runs(i) && !bell[i]) -> \
			asked = asked & ~(1 << i); \
			if :: is_cold -> guest[i] = 1 :: else -> bell[i] = true fi \
	   }

proctype command()
{
	do
	COMMAND(1)
	COMMAND(2)
#if NODES > 2
	COMMAND(3)
#endif
	od
}

/* ---- the end of a run ------------------------------------------------------------------------- */

#define able(i)		(leads(i) && (runs(i) || (fate[i] == ABSENT && inc[i] < INC_LAST)))
#define served		(PHASE(word) == SERVING && alive(OWNER(word)) && fate[NODE(OWNER(word))] == RUNNING && \
			holds[NODE(OWNER(word))] && state[NODE(OWNER(word))] == SERVES)
#define orphan(i)	(leads(i) && lives(fate[i]) && holds[i] && OWNER(word) != worker_of(i))

proctype at_rest()
{
	bool unserved, orphans;

	timeout;
	d_step {
		unserved = !served && (able(1) || able(2) || able(3));
		orphans = orphan(1) || orphan(2) || orphan(3)
	};
	check(4, !unserved);
	check(4, !orphans)
}

init
{
	byte n;

	atomic {
		select(n : 0 .. DEATHS); deaths = n;
		select(n : 0 .. LEADER_DEATHS); leader_deaths = n;
		select(n : 0 .. STOPS); stops = n;
		select(n : 0 .. LEADER_STOPS); leader_stops = n;
		select(n : 0 .. HALTS); halts = n;
		fails = FAILS; asked = ASK_LATER;
		n = 1;
		do
		:: n <= NODES ->
			lfate[n] = RUNNING;
			if
			:: !is_cold || n == 1 -> fate[n] = RUNNING; state[n] = STANDBY
			:: else
			fi;
			if
			:: (ASK & (1 << n)) && is_cold -> guest[n] = 1
			:: (ASK & (1 << n)) && !is_cold -> bell[n] = true
			:: else
			fi;
			n++
		:: else -> break
		od;
		n = 0;
#ifndef START
		word = next(0, SERVING, 1); state[1] = SERVES; holds[1] = true; started[1] = true;
#endif
		run kernel(); run at_rest();
#if ASK_LATER
		run command();
#endif
		run worker(1); run leader(1); run worker(2); run leader(2);
#if NODES > 2
		run worker(3); run leader(3);
#endif
		n = 0
	}
}
