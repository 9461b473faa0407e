/* SPDX-License-Identifier: ISC */
/*
 * control.pml: the control word of one application, checked exhaustively by spin.
 *
 * One 64-bit word decides who serves an application and who may touch its state. Here are that
 * word, its transitions under the names and with the guards that src/state/control.c has, and the
 * memory that they protect: state, undo log, two commit records, head of the mailbox. A transition
 * is a load, a decision and a CAS; between any two accesses a process may die or be stopped. ./run
 * checks all of it; ./run -h says how.
 *
 * Actors
 *   A, B, C   candidates: owner, standby, target of a takeover, recoverer. At first A is the owner
 *             and B the heir. ASK_B, ASK_C: asked to take over from the start. REJOIN: A's slot is
 *             given to a new process once the old one is dead
 *   L         leader of A's node (LEADER): holds, ends A, then lets go or releases
 *   X         the command (COMMAND): asks B to take over
 *   Y         a bystander (BYSTANDER): names C the heir, at any moment
 *   kernel    deals out DEATHS, STOPS and HALTS, marks life words and wakes who sleeps on them
 *
 * What is proved, within the bounds below, of every interleaving
 *   1 one owner        who touches the state is the owner of an open word; nobody else, unless it
 *                      is certainly dead, is between its begin and its commit or in an undo
 *   2 no stale commit  a commit succeeds only for the owner that began it; messages are committed
 *                      in order, each once
 *   3 live writer      nothing is undone before the life word of the transaction's writer is marked
 *   4 served           when nothing can move any more and a candidate is able (alive, not stopped,
 *                      its start has not failed), an able owner serves and has handled all messages
 *   5 no lost wake     when nothing can move any more, nobody able sleeps who would act if it
 *                      looked
 *   6 redo             nobody begins or serves before the last commit is redone; no record is
 *                      applied twice, and none that is half-written
 *   7 state            at rest the state is that of the last commit, and whoever begins knows it:
 *                      its view of the state includes that commit
 *   8 ends             the state graph has no cycle, so every run ends. With 4 that is liveness,
 *                      and it assumes no fairness but that something moves as long as something can
 *   9 one driver       nobody switches for a move whose place another has taken, and switched
 *
 * Time. A deadline passes when the process that is waited for is stopped, and that process may go
 * on at once: so deadlines also pass too early. A process that is stopped for ever (HALTS) between
 * its CAS and its FUTEX_WAKE leaves others asleep; hence BACKSTOP: sleeps are timed and look again.
 *
 * What is not proved. Weak memory: accesses happen in one order for all. The width of the
 * generation: runs are short, and an assertion keeps them below LAST_GEN. Anything above the word:
 * steps, children, names, what is in a request, failover_timeout, intensity, policy. The kernel may
 * take its time to kill, but does kill. A process that is being killed, or has published its own
 * death, at most ends the pass that it is in. Life words and driver are read in the step that loads
 * the control word: the CAS repeats the check of the word, a marked life word stays marked, and a
 * driver is named by a handle, which is never used again. Whoever is to drive takes the driver's
 * word in one step for the same reason.
 */

/* ---- bounds ---------------------------------------------------------------------------------- */

#ifndef MESSAGES
#define MESSAGES 2	/* requests in the mailbox; each is handled by one transaction */
#endif
#ifndef MARKS
#define MARKS 1		/* ranges of the state that a transaction changes: 1 or 2 */
#endif
#ifndef DEATHS
#define DEATHS 0	/* up to so many die, at any point; kills by the protocol come on top */
#endif
#ifndef STOPS
#define STOPS 0		/* up to so many are stopped at any point, and go on at any later one */
#endif
#ifndef HALTS
#define HALTS 0		/* up to so many are stopped at any point for ever */
#endif
#ifndef FAILS
#define FAILS 0		/* up to so many start phases fail, before the switch or after it */
#endif
#ifndef ABORTS
#define ABORTS 0	/* up to so many transactions are aborted by their owner */
#endif

/* ---- mutants: each takes one rule away, and ./run shows that it is missed -------------------- */

#define SWITCH_OVER_OPEN 1	/* switch although a transaction is open */
#define CLAIM_ON_NOTICE 2	/* claim over open before the owner's life word is marked */
#define COMMIT_UNCHECKED 4	/* commit whoever the owner is */
#define WAKE_NOT_GEN 8		/* no FUTEX_WAKE after the generation was raised */
#define WAKE_NOT_COMMIT 16	/* no FUTEX_WAKE by a commit that finds want */
#define SWITCH_KEEPS_GEN 32	/* switch and switch_back leave the generation: ABA */
#define REGAIN_UNSEEN 64	/* an owner that lost the word and regained it takes no notice */
#define REDO_SKIPPED 128	/* the new owner does not redo the last commit */
#define REDO_UNVALIDATED 256	/* or redoes a copy of the record that may be torn */
#define REDO_BLIND 512		/* or stores where it should CAS */
#define UNDO_ONE_COUNT 1024	/* one count of undo entries, emptied behind begin, not two */
#define UNDO_KEEPS_COUNT 2048	/* undo does not empty the log */
#define RELEASE_OVER_OPEN 4096	/* release clears open, and nobody undoes */
#define WANT_STAYS 8192		/* nobody takes back the want of a dead target */
#define HEIR_CLEARS_WANT 16384	/* name_heir clears want ... */
#define WANT_ON_B_ALONE 32768	/* ... and who wants does not sleep on futex A also */
#define LET_GO_QUIETLY 65536	/* a leader lets go without raising the generation */
#define SLEEP_ON_FEW 131072	/* sleep on the lives of owner, heir and leader, not all */
#define LIFE_WAKES_ONE 262144	/* the watchers of a process share one life word */
#define NO_DEADLINES 524288	/* a target or leader that is stopped is waited for */
#define NO_BACKSTOP 1048576	/* or leaves others asleep, as their sleep is not timed */
#define SLOT_REUSED 2097152	/* a slot is given away while a control word names it */
#define SWITCH_UNASKED 4194304	/* a target does not look, behind its load, whether it drives */
#define HELD_SILENT 8388608	/* an owner serves nothing in HELD */

#ifndef MUTANT
#define MUTANT 0
#endif
#define mutant(m) (((MUTANT) & (m)) != 0)

/* A check is an assertion with the number of its property. PROPERTIES: the set that is checked. */
#ifndef PROPERTIES
#define PROPERTIES 766
#endif
#define check(number, e) assert((e) || !(PROPERTIES & (1 << number)))

/* ---- the control word ------------------------------------------------------------------------ */

/* generation:5 (futex A) | owner:3 heir:2 phase:3 open:1 parity:1 want:1 (together futex B) */
#define LAST_GEN	31
#define GEN(w)		((w) & 31)
#define HIGH(w)		((w) >> 5)
#define OWNER(w)	(((w) >> 5) & 7)
#define HEIR(w)		(((w) >> 8) & 3)
#define PHASE(w)	(((w) >> 10) & 7)
#define IS_OPEN(w)	(((w) >> 13) & 1)
#define PARITY_OF(w)	(((w) >> 14) & 1)
#define IS_WANTED(w)	(((w) >> 15) & 1)

#define OPEN	(1 << 13)
#define PARITY	(1 << 14)
#define WANT	(1 << 15)

#define DOWN		0
#define SERVING		1
#define HELD		2
#define MOVING		3
#define RECOVERING	4

#define with_owner(w, o)	(((w) & ~(7 << 5)) | ((o) << 5))
#define with_heir(w, h)		(((w) & ~(3 << 8)) | ((h) << 8))
#define with_phase(w, p)	(((w) & ~(7 << 10)) | ((p) << 10))
#define owned(w, o)		(with_owner(with_heir((w) & ~WANT, NONE), o))

/* What each transition puts in place of w. + 1 raises the generation. */
#define BEGIN(w)		((w) | OPEN)
#define COMMIT(w)		(((w) & ~OPEN) ^ PARITY)
#define ABORT(w)		((w) & ~OPEN)
#define SET_WANT(w)		((w) | WANT)
#define UNWANT(w)		((w) & ~WANT)
#define SWITCH(w, me)		(with_phase(owned(w, me), MOVING) + !mutant(SWITCH_KEEPS_GEN))
#define CLAIM(w, me)		(with_phase(owned(w, me), (IS_OPEN(w) -> RECOVERING : MOVING)) + 1)
#define RECOVERED(w)		(with_phase((w) & ~OPEN, MOVING) + 1)
#define SERVE(w)		(with_phase((w) & ~WANT, SERVING) + 1)
#define SWITCH_BACK(w, old)	(with_phase(owned(w, old), SERVING) + !mutant(SWITCH_KEEPS_GEN))
#define HOLD(w)			(with_phase(w, HELD) + 1)
#define RELEASE(w)		(with_phase(owned((w) & ~OPEN, NONE), DOWN) + 1)
#define NAME_HEIR(w, h)		(with_heir(mutant(HEIR_CLEARS_WANT) -> (w) & ~WANT : (w), h) + 1)

/* When it may: on the word as loaded, and so on the word as replaced, since the CAS compares it. */
#define may_begin(w, me) \
	(OWNER(w) == me && !IS_OPEN(w) && !IS_WANTED(w) && \
	PHASE(w) != DOWN && PHASE(w) != RECOVERING)
#define may_close(w, me) /* commit and abort */ \
	((OWNER(w) == me && PHASE(w) != DOWN && PHASE(w) != RECOVERING && IS_OPEN(w)) || \
	(mutant(COMMIT_UNCHECKED) && IS_OPEN(w)))
#define may_want(w, me)		(OWNER(w) != me && IS_OPEN(w) && !IS_WANTED(w))
#define may_switch(w, me) \
	(OWNER(w) != me && PHASE(w) != DOWN && PHASE(w) != RECOVERING && \
	(!IS_OPEN(w) || mutant(SWITCH_OVER_OPEN)))
#define may_serve(w, me)	(OWNER(w) == me && PHASE(w) == MOVING && !IS_OPEN(w))
#define may_switch_back(w, me)	may_serve(w, me)
#define may_hold(w, owner)	(OWNER(w) == owner && PHASE(w) == SERVING)
#define may_name_heir(w, h)	((PHASE(w) == SERVING || PHASE(w) == HELD) && OWNER(w) != h)

/*
 * A claim is for the driver of a move; when nobody drives any, for a standby, the heir first. In
 * HELD the owner's leader drives, until it lets go. In DOWN all have been asked to start it.
 */
#define may_claim(w, me) \
	(PHASE(w) == DOWN || (gone(w) && (driver == me || (my_turn(w, me) && \
	(driver == OWNER(w) || undriven(me)) && \
	(PHASE(w) != HELD || let_go || is_dead(L) || late(L))))))

/* At rest, the notice of the owner's death is enough; over open, only its life word is. */
#define gone(w) \
	(is_dead(OWNER(w)) || \
	(fate[OWNER(w)] == DYING && (!IS_OPEN(w) || mutant(CLAIM_ON_NOTICE))))
#define undriven(me)	(driver == NONE || driver == me || is_dead(driver) || late(driver))
#define my_turn(w, me)	(HEIR(w) == NONE || HEIR(w) == me || !able(HEIR(w)))

#define count_of(w)	(mutant(UNDO_ONE_COUNT) -> 0 : PARITY_OF(w))	/* of undo_count */

#define CAS(new)	word == w -> word = (new)	/* w is the caller's copy */

/* ---- shared memory --------------------------------------------------------------------------- */

#define NONE 0
#define A 1
#define B 2
#define C 3
#define L 4
#define X 5
#define Y 6

int word;		/* the control word */
byte driver;		/* handle of the target that drives a takeover */
bool let_go;		/* the leader has ended the owner, and leaves the application to others */
bool bell[4];		/* a candidate has been asked to take over */
byte dead;		/* life words that are marked, a bit each */
byte state[2];		/* the application's state: two ranges */
byte undo_at[2];	/* the undo log: which range */
byte undo_old[2];	/*   and what was in it */
byte undo_count[2];	/*   valid entries, by parity */
byte record[2];		/* the commit records, by parity: first half */
byte record2[2];	/*   and second half */
byte done;		/* what the redo does: the last message whose cell is marked done */
byte head;		/*   and the last one that is out of the mailbox */

/* What the kernel knows. */
#define RUNNING	0
#define STOPPED	1	/* will go on */
#define HALTED	2	/* will not */
#define DYING	3	/* has published its death, or is being killed: may still run */
#define DEAD	4
byte fate[7];
byte asleep_on[5];	/* the futexes that a process sleeps on; 0: it does not sleep */
byte deaths, stops, halts, rejoins;
chan kill = [0] of { byte };	/* halts a process where it is, and marks its life words */

byte fails, aborts;
bool failed[5];		/* its start failed: no candidate any more */

/* What only the checks know. */
byte committed;		/* the last message committed */
byte image[2];		/* the state as it was then */
byte inside;		/* who is between begin and commit, or undoing; a bit each */
byte writer;		/* who began the transaction that is open */
byte passed;		/* who was not asked, or its place taken, when another switched; a bit each */

#define is_dead(i)	((dead & LIFE(i)) != 0)
#define stopped(i)	(fate[i] == STOPPED || fate[i] == HALTED)
#define late(i)		(stopped(i) && !mutant(NO_DEADLINES))
#define able(i)		(fate[i] == RUNNING && !failed[i])
#define may_run(i)	(fate[i] == RUNNING || fate[i] == DYING)

/* ---- futexes --------------------------------------------------------------------------------- */

#define FUTEX_A	1			/* the generation */
#define LIFE(i)	((1 << (i)) & 30)	/* A, B, C, L; nobody else's is watched */
#define FUTEX_B	32			/* the other half of the control word */
#define BELL	64

/* All sleep on the lives of all who may change the word, and die before they wake anybody. */
#define lives(w, me) \
	((mutant(SLEEP_ON_FEW) -> LIFE(OWNER(w)) | LIFE(HEIR(w)) | LIFE(L) : \
	LIFE(A) | LIFE(B) | LIFE(C) | LIFE(L)) & ~LIFE(me) & ~dead)

#define wake_one(i, futexes) \
	asleep_on[i] = ((asleep_on[i] & (futexes)) -> 0 : asleep_on[i])

inline wake(futexes)
{
	d_step {
		wake_one(A, futexes); wake_one(B, futexes);
		wake_one(C, futexes); wake_one(L, futexes)
	}
}

inline wake_gen()
{
	assert(GEN(word) < LAST_GEN);
	if
	:: !mutant(WAKE_NOT_GEN) -> wake(FUTEX_A)
	:: else
	fi
}

/* The kernel wakes one sleeper of a life word, so each process has one for each of its watchers. */
inline wake_life(life)
{
	if
	:: !mutant(LIFE_WAKES_ONE) -> wake(life)
	:: mutant(LIFE_WAKES_ONE) && (asleep_on[C] & life) -> wake_one(C, life)
	:: mutant(LIFE_WAKES_ONE) && !(asleep_on[C] & life) -> wake_one(B, life)
	fi
}

inline die(i)
{
	d_step {
		fate[i] = DEAD;
		inside = inside & ~LIFE(i);
		dead = dead | LIFE(i);
		if :: i <= L -> asleep_on[i] = 0 :: else fi;
		if :: i <= C -> bell[i] = false :: else fi;
		wake_life(LIFE(i))
	}
}

/* futex_waitv compares: nothing that is slept on has changed since it was loaded. */
#define unchanged(w, me) \
	((!(sleep_on & FUTEX_A) || GEN(word) == GEN(w)) && \
	(!(sleep_on & FUTEX_B) || HIGH(word) == HIGH(w)) && \
	(!(sleep_on & BELL) || !bell[me]) && !(sleep_on & dead))

/*
 * A timed sleep ends: the owner, heir, driver or leader that is waited for is late, or the driver
 * is another by now: it has no futex.
 */
#define deadline(w, d, me) \
	((OWNER(w) != me && stopped(OWNER(w))) || (d != NONE && driver != d) || \
	(OWNER(w) != me && (stopped(HEIR(w)) || late(driver) || late(L)) && may_claim(w, me)) || \
	(OWNER(w) == me && d != NONE && late(d)))

#ifdef BACKSTOP
#define backstop(w, me)	(!unchanged(w, me) && !mutant(NO_BACKSTOP))
#else
#define backstop(w, me)	false
#endif

/* ---- a candidate, and the leader ------------------------------------------------------------- */

/*
 * A pass begins at look, which loads the word and decides, and does one thing. `known` is the
 * generation at which this process as the owner last redid; LAST_GEN: it is no owner.
 */
proctype process(byte me; byte known) provided (may_run(me))
{
	int w;		/* the control word as loaded */
	byte d;		/* the driver as loaded, where it is waited for */
	byte sleep_on;
	byte seen;	/* owner: the last commit that its view of the state includes */
	byte old;	/* target that has switched: from whom; me: from one that did not serve */
	byte m, k, r, r2;

	{
	skip;
look:
	atomic {
		fate[me] == RUNNING;
		d_step { w = word; d = NONE; sleep_on = 0; m = 0; k = 0; r = 0; r2 = 0 };
		if
		:: OWNER(w) == me -> goto mine
		:: else -> known = LAST_GEN; seen = 0
		fi;
		if :: me == L -> goto leads :: else fi;
		if :: old != NONE -> old = NONE; goto quit :: else fi;	/* lost it again */
		if :: failed[me] -> goto quit :: else fi;
		if :: may_claim(w, me) -> goto claim :: else fi;
		if :: driver == me -> goto drive :: else fi;
		if :: stopped(OWNER(w)) -> goto fence :: else fi;	/* by its watchdog */
		if :: bell[me] -> goto asked :: else fi;
		d = (gone(w) && driver != OWNER(w) && !undriven(me) -> driver : NONE);
		sleep_on = FUTEX_A | BELL | lives(w, me);
		goto sleep;

	drive:
		if :: PHASE(w) == RECOVERING -> goto quit :: else fi;
		if :: fails > 0 -> fails--; failed[me] = true; goto quit :: true fi;
		if :: may_switch(w, me) -> goto switch :: else fi;
		if :: stopped(OWNER(w)) -> goto fence :: else fi;	/* after yield_timeout */
		if :: may_want(w, me) -> goto want :: else fi;
		sleep_on = FUTEX_B | lives(w, me) | (mutant(WANT_ON_B_ALONE) -> 0 : FUTEX_A);
		goto sleep;

	leads:
		if :: let_go -> goto end :: else fi;
		if :: may_hold(w, A) -> goto hold :: else fi;
		if :: OWNER(w) != A || PHASE(w) != HELD -> goto end :: else fi;
		if :: !is_dead(A) && fate[A] != DYING -> goto fence :: else fi;
		if :: is_dead(A) -> goto let_go_or_release :: else fi;
		sleep_on = FUTEX_A | lives(w, me);
		goto sleep;

	mine:
		if :: PHASE(w) == RECOVERING -> goto undo :: else fi;
		check(1, !IS_OPEN(w));
		if :: PHASE(w) == MOVING && me != L && fails > 0 -> fails--; goto fail :: true fi;
		if
		:: GEN(w) != known &&
		   !(mutant(REGAIN_UNSEEN) && known != LAST_GEN && PHASE(w) == SERVING) -> goto redo
		:: else
		fi;
		if :: me == L -> goto release :: else fi;
		if
		:: PHASE(w) == MOVING -> goto serve
#ifdef BUSY		/* phases of the application's own may use the state */
		:: PHASE(w) == MOVING && head < MESSAGES && may_begin(w, me) -> goto begin
#endif
		:: PHASE(w) != MOVING -> old = NONE
		fi;
		if :: driver == me -> goto put_down :: else fi;
		sleep_on = FUTEX_A | lives(w, me);
		if :: head == MESSAGES -> goto sleep :: else fi;
		if :: mutant(HELD_SILENT) && PHASE(w) == HELD -> goto sleep :: else fi;
		if :: may_begin(w, me) -> goto begin :: else fi;
		if :: undriven(me) && !mutant(WANT_STAYS) -> goto unwant :: else fi;
		d = driver;
		sleep_on = sleep_on | FUTEX_B
	}

sleep:	/* compares and sleeps in one step */
	atomic { if :: unchanged(w, me) -> asleep_on[me] = sleep_on :: else -> goto look fi };
	atomic {
		asleep_on[me] == 0 || deadline(w, d, me) || backstop(w, me) ->
			asleep_on[me] = 0; goto look
	};

asked:	/* drives from now on; or is refused, since another one drives. One that is late may be ended */
	atomic {
		bell[me] = false;
		if :: undriven(me) :: else -> goto look fi;
		if
		:: driver != NONE && driver != me && stopped(driver) && driver != OWNER(word) ->
			fate[driver] = DYING
		:: true
		fi;
		driver = me; passed = passed & ~LIFE(me);
		goto look
	};

want:
	atomic { if :: CAS(SET_WANT(w)) :: else fi; goto look };

unwant:	/* by the owner, when the target is dead or late: the target will see that it may switch */
	atomic { if :: CAS(UNWANT(w)) :: else fi; goto look };

quit:	/* the target gives up, and unwants */
	atomic { w = word; if :: driver == me && IS_WANTED(w) :: else -> goto put_down fi };
	atomic { if :: CAS(UNWANT(w)) :: else -> goto quit fi };
	wake(FUTEX_B);

put_down:
	atomic { if :: driver == me -> driver = NONE :: else fi };
	if
	:: failed[me] -> goto end
	:: else -> goto look
	fi;

fence:	/* through the pidfd. Who needs to know that it is dead waits for its life word */
	atomic { if :: !is_dead(OWNER(w)) -> fate[OWNER(w)] = DYING :: else fi; goto look };

switch:
	if
	:: mutant(SWITCH_UNASKED) -> atomic { w = word; if :: may_switch(w, me) :: else -> goto look fi }
	:: else
	fi;
	atomic {
		if
		:: CAS(SWITCH(w, me)) ->
			check(9, !(passed & LIFE(me)));
			passed = (LIFE(A) | LIFE(B) | LIFE(C)) & ~LIFE(me) & ~LIFE(driver);
			old = (PHASE(w) == MOVING -> me : OWNER(w))
		:: else -> goto look
		fi
	};
	wake_gen();
	goto look;

claim:
	atomic {
		if
		:: CAS(CLAIM(w, me)) ->
			if
			:: IS_OPEN(w) -> check(1, !(inside & ~LIFE(me))); inside = inside | LIFE(me)
			:: else
			fi
		:: else -> goto look
		fi
	};
	wake_gen();
	goto look;

undo:
	k = undo_count[count_of(w)];
	do
	:: atomic {
		k > 0 -> k--;
		check(1, OWNER(word) == me && IS_OPEN(word));
		check(3, is_dead(writer) || writer == NONE);
		state[undo_at[k]] = undo_old[k]
	   }
	:: k == 0 -> break
	od;
	if :: !mutant(UNDO_KEEPS_COUNT) -> undo_count[count_of(w)] = 0 :: else fi;
recovered:
	w = word;
	atomic {
		if
		:: CAS(RECOVERED(w)) ->
			check(1, OWNER(w) == me && PHASE(w) == RECOVERING && IS_OPEN(w));
			check(7, state[0] == image[0] && state[1] == image[1]);
			inside = inside & ~LIFE(me)
		:: else -> goto recovered
		fi
	};
	wake_gen();
	goto look;

redo:	/* the copy is whole if the generation is the same behind it */
	r = record[PARITY_OF(w)];
	atomic {
		r2 = record2[PARITY_OF(w)];
		if
		:: GEN(word) == GEN(w) || mutant(REDO_UNVALIDATED)
		:: else -> goto look
		fi;
		known = GEN(w); seen = r;
		if :: mutant(REDO_SKIPPED) -> goto look :: else fi
	};
apply:	/* CASes that carry the generation of the cell and the ticket: the message's number here */
	atomic {
		check(6, r == r2);
		if
		:: done + 1 == r || mutant(REDO_BLIND) ->
			check(6, done + 1 == r || r == 0);
			done = r
		:: else
		fi
	};
	atomic { if :: head + 1 == r || mutant(REDO_BLIND) -> head = r :: else fi; goto look };

serve:
	atomic {
		if
		:: CAS(SERVE(w)) ->
			check(6, head == committed && done == committed);
			known = GEN(word)
		:: else -> goto look
		fi
	};
	wake_gen();
	goto look;

fail:	/* after the switch: back to the old owner if it lives and served; else this process ends */
	failed[me] = true;
switch_back:
	atomic { w = word; if :: may_switch_back(w, me) :: else -> goto look fi };
	atomic {
		if
		:: old == NONE || old == me || is_dead(old) || failed[old] ->
			fate[me] = DYING; goto end
		:: else ->
			if
			:: CAS(SWITCH_BACK(w, old)) -> old = NONE
			:: else -> goto switch_back
			fi
		fi
	};
	wake_gen();
	goto put_down;

begin:
	atomic {
		if
		:: CAS(BEGIN(w)) ->
			check(1, !(inside & ~LIFE(me)));
			check(7, state[0] == image[0] && state[1] == image[1] && seen == committed);
			check(6, head == committed && done == committed);
			inside = inside | LIFE(me); writer = me;
			m = head + 1
		:: else -> goto look
		fi
	};
	if :: mutant(UNDO_ONE_COUNT) -> undo_count[0] = 0 :: else fi;
	do
	:: k < MARKS ->	/* the entry, then the count, then the change */
		undo_at[k] = (m + k + me) % 2;
		undo_old[k] = state[(m + k + me) % 2];
		undo_count[count_of(w)] = k + 1;
		atomic {
			check(1, OWNER(word) == me && IS_OPEN(word));
			state[(m + k + me) % 2] = m; k++
		}
	:: atomic { k == MARKS && aborts > 0 -> aborts--; goto take_back }
	:: k == MARKS -> break
	od;
	record[1 - PARITY_OF(w)] = m;
	atomic {
		check(1, OWNER(word) == me && IS_OPEN(word));
		record2[1 - PARITY_OF(w)] = m
	};
	if :: !mutant(UNDO_ONE_COUNT) -> undo_count[1 - PARITY_OF(w)] = 0 :: else fi;
commit:
	atomic { w = word; if :: may_close(w, me) :: else -> goto look fi };
	atomic {
		if
		:: CAS(COMMIT(w)) ->
			check(2, OWNER(w) == me && writer == me && (inside & LIFE(me)));
			check(2, m == committed + 1);
			committed = m; image[0] = state[0]; image[1] = state[1];
			inside = inside & ~LIFE(me);
			seen = m; r = m; r2 = m; k = 0; m = 0
		:: else -> goto commit
		fi
	};
	if :: IS_WANTED(w) && !mutant(WAKE_NOT_COMMIT) -> wake(FUTEX_B) :: else fi;
	goto apply;

take_back:
	do
	:: atomic {
		k > 0 -> k--;
		check(1, OWNER(word) == me && IS_OPEN(word));
		state[undo_at[k]] = undo_old[k]
	   }
	:: k == 0 -> break
	od;
	undo_count[count_of(w)] = 0;
abort:
	atomic { w = word; if :: may_close(w, me) :: else -> goto look fi };
	atomic {
		if
		:: CAS(ABORT(w)) ->
			check(7, state[0] == image[0] && state[1] == image[1]);
			inside = inside & ~LIFE(me)
		:: else -> goto abort
		fi
	};
	if :: IS_WANTED(w) && !mutant(WAKE_NOT_COMMIT) -> wake(FUTEX_B) :: else fi;
	goto look;

hold:	/* by the leader, before it ends the owner */
	atomic { if :: CAS(HOLD(w)) :: else -> goto look fi };
	wake_gen();
	goto look;

let_go_or_release:
	if
	:: mutant(RELEASE_OVER_OPEN) -> goto release
	:: !mutant(RELEASE_OVER_OPEN) -> goto claim	/* recovers, and then releases */
	:: let_go = true
	fi;
name_heir:	/* raises the generation: who has looked before it lets go does not fall asleep */
	atomic { w = word; if :: may_name_heir(w, C) :: else -> goto look fi };
	if
	:: mutant(LET_GO_QUIETLY)
	:: else -> atomic { if :: CAS(NAME_HEIR(w, C)) :: else -> goto name_heir fi }
	fi;
	wake_gen();
	goto end;

release:
	atomic { if :: CAS(RELEASE(w)) -> inside = inside & ~LIFE(me) :: else -> goto look fi };
	wake_gen();

end:	false
	} unless {
		atomic {
			kill?eval(me);
			d_step {
				w = 0; d = 0; sleep_on = 0; known = 0; seen = 0; old = 0;
				m = 0; k = 0; r = 0; r2 = 0
			};
			die(me)
		}
	}
}

/* ---- the others ------------------------------------------------------------------------------ */

proctype command() provided (may_run(X))
{
	{
	bell[B] = true;
	wake(BELL);
	false
	} unless {
		atomic { kill?eval(X); die(X) }
	}
}

proctype bystander() provided (may_run(Y))
{
	int w;

	{
	skip;
name_heir:
	atomic { w = word; if :: may_name_heir(w, C) :: else -> goto end fi };
	atomic { if :: CAS(NAME_HEIR(w, C)) :: else -> goto name_heir fi };
	wake_gen();
end:	false
	} unless {
		atomic { kill?eval(Y); w = 0; die(Y) }
	}
}

/* ---- the kernel ------------------------------------------------------------------------------ */

#define FATE(i) \
	:: atomic { deaths > 0 && fate[i] < DYING -> deaths--; fate[i] = DYING; kill!i } \
	:: atomic { stops > 0 && fate[i] == RUNNING -> stops--; fate[i] = STOPPED } \
	:: atomic { fate[i] == STOPPED -> fate[i] = RUNNING } \
	:: atomic { halts > 0 && fate[i] == RUNNING -> halts--; fate[i] = HALTED }

/* A candidate may also publish its own death first. Candidates and leaders are fenced. */
#define FATE_OF_FENCED(i) \
	FATE(i) \
	:: atomic { fate[i] == DYING -> kill!i }
#define FATE_OF_CANDIDATE(i) \
	FATE_OF_FENCED(i) \
	:: atomic { deaths > 0 && fate[i] < DYING -> deaths--; fate[i] = DYING; wake(LIFE(i)) }

proctype kernel()
{
	do
	FATE_OF_CANDIDATE(A)
	FATE_OF_CANDIDATE(B)
	FATE_OF_CANDIDATE(C)
#ifdef LEADER
	FATE_OF_FENCED(L)
	:: atomic { is_dead(L) && !is_dead(A) -> fate[A] = DYING; kill!A }	/* as its node */
#endif
#ifdef REJOIN
	:: atomic {
		rejoins > 0 && is_dead(A) && driver != A &&
		(OWNER(word) != A || mutant(SLOT_REUSED)) ->
			rejoins--;
			fate[A] = RUNNING;
			dead = dead & ~LIFE(A);
			failed[A] = false;
			writer = (writer == A -> NONE : writer);
			run process(A, LAST_GEN)
	   }
#endif
#ifdef COMMAND
	FATE(X)
#endif
#ifdef BYSTANDER
	FATE(Y)
#endif
	od
}

/* ---- the end of a run ------------------------------------------------------------------------ */

/* i sleeps, and would act if it looked. */
#define missed(i) \
	(able(i) && asleep_on[i] && (OWNER(word) == i -> \
		PHASE(word) == MOVING || PHASE(word) == RECOVERING || \
		(head < MESSAGES && (may_begin(word, i) || undriven(i))) : \
		may_claim(word, i) || stopped(OWNER(word)) || bell[i] || driver == i))

#define served \
	((PHASE(word) == SERVING || PHASE(word) == HELD) && able(OWNER(word)) && !IS_OPEN(word) && \
	head == MESSAGES && done == MESSAGES && committed == MESSAGES)

proctype at_rest()
{
	bool lost_wake, unserved;

	timeout;
	d_step {
		lost_wake = missed(A) || missed(B) || missed(C);
		unserved = !served && (able(A) || able(B) || able(C))
	};
	check(5, !lost_wake);
	check(4, !unserved)
}

init
{
	byte n;

	atomic {
		word = with_phase(with_owner(with_heir(0, B), A), SERVING);
		select(n : 0 .. DEATHS); deaths = n;
		select(n : 0 .. STOPS); stops = n;
		select(n : 0 .. HALTS); halts = n;
		n = 0; fails = FAILS; aborts = ABORTS; rejoins = 1;
#ifdef ASK_B
		bell[B] = true;
#endif
#ifdef ASK_C
		bell[C] = true;
#endif
		run kernel(); run at_rest();
#ifdef LEADER
		run process(L, LAST_GEN);
#endif
#ifdef COMMAND
		run command();
#endif
#ifdef BYSTANDER
		run bystander();
#endif
		run process(A, 0); run process(B, LAST_GEN); run process(C, LAST_GEN)
	}
}
