/*
 * control.pml: the control word of one application, checked exhaustively by spin.
 *
 * Who may serve an application, and who may touch its state, is decided by CASes on one 64-bit word.
 * This model has that word, all its transitions under the names that the code gives them, and the
 * memory that they protect (state, undo log, two commit records, mailbox head), and lets processes
 * die or be stopped between any two accesses. test/model/run checks it; run -h says how.
 *
 * The actors
 *   A, B, C   candidates, all with the same code: owner, standby, target of a takeover, recoverer.
 *             A is the owner at first, and B is the heir
 *   L         the leader of A's node (with LEADER): holds, ends A, hands over or releases
 *   X         the command (with COMMAND): asks B to take over. ASK_B, ASK_C: asked from the start
 *   Y         a bystander (with BYSTANDER): names C the heir, at any moment
 *   kernel    deals out DEATHS, STOPS and HALTS, marks the life words and wakes who sleeps on them
 *
 * What is proved, within the bounds that are given as macros, of every interleaving
 *   1 one owner         a process that touches the state is the owner of an open word, and no other
 *                       process that is not certainly dead is between begin and commit or in an undo
 *   2 no stale commit   who lost the word commits nothing; whenever the word is at rest, the state is
 *                       that of the last successful commit; an owner begins only with a view of the
 *                       state that includes that commit; no message is committed twice or left out
 *   3 no undo under a live writer
 *                       undo runs only once the life word of the transaction's writer is marked
 *   4 served            when nothing can move any more, and some candidate is able (alive, not
 *                       stopped, not failed), then an able owner serves and all messages are handled
 *   5 no lost wake      when nothing can move any more, nobody able sleeps who would act if it looked
 *   6 redo              no owner begins or serves before the last commit is redone; no record is
 *                       applied twice, none half-written
 *   7 halts             there is no cycle in the state graph (spin's non-progress check; no state is
 *                       marked as progress). With 4 that is liveness: every run ends, and ends served.
 *                       No fairness is assumed but that something that can move does
 *
 * How time is modelled. A deadline passes when the process that is waited for is stopped, and may be
 * overtaken at once by its waking up: so a deadline also passes too early. With HALTS the kernel stops
 * a process for ever. That needs BACKSTOP (sleeps are timed, and the word is then looked at again):
 * a process that is stopped between its CAS and its FUTEX_WAKE leaves the others asleep.
 *
 * What is not modelled. Weak memory: one step is one access or one CAS, in one order for all. The
 * width of the generation: runs are short, and an assertion keeps them below LAST_GEN. Slots: a number
 * here is a process and is never used again. Which messages arrive when: all are there at the start.
 * Children, names, supervision, failover_timeout, intensity. The contents of a doorbell. The kernel
 * may take its time to kill, but does kill. A process that is being killed or has published its own
 * death (DYING) goes on for at most the operation that it is in. Reading the life words, the driver
 * and the word is one step where a decision is taken, for the CAS that follows repeats the check of
 * the word, life words only ever change to dead, and a driver's handle is never used again.
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

/* ---- mutants: each takes one guard away; run --mutants shows that it is missed --------------- */

#define SWITCH_IGNORES_OPEN	1	/* switch although a transaction is open */
#define CLAIM_ON_NOTICE		2	/* claim over open without waiting for the writer's life word */
#define COMMIT_UNCHECKED	4	/* commit without a look at the owner */
#define WAKE_NOT_GEN		8	/* no FUTEX_WAKE when the generation changes */
#define WAKE_NOT_COMMIT		16	/* no FUTEX_WAKE by a commit that finds want */
#define WAKE_NOT_UNWANT		32	/* no FUTEX_WAKE when want is taken back */
#define WAKE_NOT_DRIVER		64	/* no FUTEX_WAKE when the driver changes */
#define SWITCH_KEEPS_GEN	128	/* switch and switch_back leave the generation: ABA */
#define BEGIN_IGNORES_GEN	256	/* begin although the generation changed since the last redo */
#define REDO_SKIPPED		512	/* the claimant does not redo the last commit */
#define REDO_UNVALIDATED	1024	/* it redoes a copy of the record without looking at the word again */
#define REDO_BLIND		2048	/* redo stores where it should CAS */
#define UNDO_UNTAGGED		4096	/* the undo log does not say which transaction it belongs to */
#define UNDO_KEEPS_LOG		8192	/* the undo log is not emptied after it was used */
#define RELEASE_CLOSES		16384	/* release clears open */
#define WANT_STAYS		32768	/* nobody takes back the want of a dead target */
#define HEIR_CLEARS_WANT	65536	/* name_heir clears want, as a change of owner does */
#define LIFE_WAKES_ONE		131072	/* all watchers of a process share one life word */
#define WANT_ON_B_ALONE		524288	/* the target that wants sleeps on futex B and the life word only */
#define SLEEP_ON_FOUR		262144	/* sleep on doorbell, futex A, life of owner and leader only */

#ifndef MUTANT
#define MUTANT 0
#endif
#define mutant(m) (((MUTANT) & (m)) != 0)

/* A check is an assertion with the number of its property. PROPERTIES: the set that is checked. */
#ifndef PROPERTIES
#define PROPERTIES 254
#endif
#define check(number, e) assert((e) || !(PROPERTIES & (1 << number)))

/* ---- the control word ------------------------------------------------------------------------ */

/* generation:5 | owner:2 heir:2 phase:3 open:1 parity:1 want:1; the generation is futex A, the rest B */
#define LAST_GEN	31
#define GEN(w)		((w) & 31)
#define HIGH(w)		((w) >> 5)
#define OWNER(w)	(((w) >> 5) & 3)
#define HEIR(w)		(((w) >> 7) & 3)
#define PHASE(w)	(((w) >> 9) & 7)
#define IS_OPEN(w)	(((w) >> 12) & 1)
#define PARITY_OF(w)	(((w) >> 13) & 1)
#define IS_WANTED(w)	(((w) >> 14) & 1)

#define OPEN	(1 << 12)
#define PARITY	(1 << 13)
#define WANT	(1 << 14)

#define DOWN		0
#define SERVING		1
#define HELD		2
#define MOVING		3
#define RECOVERING	4

#define with_phase(w, p)	(((w) & ~(7 << 9)) | ((p) << 9))
#define with_owner(w, o)	(((w) & ~(3 << 5)) | ((o) << 5))
#define with_heir(w, h)		(((w) & ~(3 << 7)) | ((h) << 7))

/* The transitions: what the CAS puts in place of w. + 1 raises the generation. */
#define BEGIN(w)		((w) | OPEN)
#define COMMIT(w)		(((w) & ~OPEN) ^ PARITY)
#define ABORT(w)		((w) & ~OPEN)
#define SET_WANT(w)		((w) | WANT)
#define UNWANT(w)		((w) & ~WANT)
#define SWITCH(w, me) \
	(with_phase(with_owner((w) & ~WANT, me), MOVING) + !mutant(SWITCH_KEEPS_GEN))
#define SWITCH_BACK(w, old) \
	(with_phase(with_owner((w) & ~WANT, old), SERVING) + !mutant(SWITCH_KEEPS_GEN))
#define CLAIM(w, me) \
	(with_phase(with_owner((w) & ~WANT, me), (IS_OPEN(w) -> RECOVERING : MOVING)) + 1)
#define RECOVERED(w)		(with_phase((w) & ~(OPEN | WANT), MOVING) + 1)
#define SERVE(w)		(with_phase(w, SERVING) + 1)
#define HOLD(w)			(with_phase(w, HELD) + 1)
#define RELEASE(w) \
	(with_phase(with_owner((w) & ~(WANT | (mutant(RELEASE_CLOSES) -> OPEN : 0)), NONE), DOWN) + 1)
#define NAME_HEIR(w, h) \
	(with_heir((w) & ~(mutant(HEIR_CLEARS_WANT) -> WANT : 0), h) + 1)

/* Their guards, on the word as loaded: the CAS repeats them, since it compares the whole word. */
#define may_begin(w, me) \
	(OWNER(w) == me && !IS_OPEN(w) && !IS_WANTED(w) && \
	(PHASE(w) == SERVING || PHASE(w) == MOVING || PHASE(w) == HELD))
#define may_commit(w, me) \
	((OWNER(w) == me || mutant(COMMIT_UNCHECKED)) && IS_OPEN(w) && \
	(PHASE(w) != RECOVERING || mutant(COMMIT_UNCHECKED)))
#define may_abort(w, me)	(OWNER(w) == me && IS_OPEN(w) && PHASE(w) != RECOVERING)
#define may_want(w, me)		(IS_OPEN(w) && !IS_WANTED(w) && OWNER(w) != me)
#define may_switch(w, me) \
	((!IS_OPEN(w) || mutant(SWITCH_IGNORES_OPEN)) && OWNER(w) != me && \
	(PHASE(w) == SERVING || PHASE(w) == HELD || PHASE(w) == MOVING))
#define may_claim(w, me) \
	(PHASE(w) == DOWN || \
	(gone(w) && (PHASE(w) != HELD || undriven(me)) && (my_turn(w, me) || drv == me)))

/* At rest, the notice of the owner's death is enough; over open, only its life word is. */
#define gone(w) \
	(is_dead(OWNER(w)) || \
	(state_of[OWNER(w)] == DYING && (!IS_OPEN(w) || mutant(CLAIM_ON_NOTICE))))
/* Nobody drives the move, or I do, or its deadline has passed. */
#define undriven(me)		(drv == NONE || drv == me || is_dead(drv) || stopped(drv))
/* I am the heir, or there is none that could claim before claim_grace ends. */
#define my_turn(w, me)		(HEIR(w) == NONE || HEIR(w) == me || !able(HEIR(w)))

#define CAS(new)	word == w -> word = (new)	/* w is the caller's copy */

/* ---- shared memory --------------------------------------------------------------------------- */

#define NONE 0
#define A 1
#define B 2
#define C 3
#define L 4
#define X 5
#define Y 6

short word;		/* the control word */
byte drv;		/* handle of the driver; a word of its own, and a futex */
byte dead;		/* life words that the kernel has marked, a bit each */
bool bell[4];		/* doorbell of a candidate: it has been asked to take over */
byte state[2];		/* the application's state: who writes it is what this is all about */
byte undo_at[2];	/* undo log: which part of the state */
byte undo_old[2];	/*           and what was there before */
byte undo_seq;		/*           header, one word: sequence of the transaction that it belongs to */
byte undo_count;	/*                             and number of valid entries */
byte record[2];		/* commit records, by parity: first half of each */
byte record2[2];	/*                            second half */
byte done;		/* the redo's effects: messages whose cells are marked done */
byte head;		/*                     head of the mailbox */

/* What the kernel knows. */
#define RUNNING	0
#define STOPPED	1	/* will go on */
#define HALTED	2	/* will not */
#define DYING	3	/* has published its death, or is being killed: may still run */
#define DEAD	4
byte state_of[7];
byte asleep_on[4];	/* the futexes that a candidate sleeps on; 0: it does not */
byte deaths, stops, halts;
chan kill = [0] of { byte };	/* makes a process halt where it is; its life words are then marked */

byte fails, aborts;
bool failed[4];		/* its start failed: no candidate any more */

/* What only the checks know. */
byte committed;		/* the last message committed */
byte image[2];		/* the state as it was then */
byte inside;		/* who is between begin and commit, or undoing; a bit each */
byte writer;		/* who began the transaction that is open */

#define is_dead(i)	((dead & LIFE(i)) != 0)
#define stopped(i)	(state_of[i] == STOPPED || state_of[i] == HALTED)
#define able(i)		(state_of[i] == RUNNING && !failed[i])
#define may_run(i)	(state_of[i] == RUNNING || state_of[i] == DYING)

/* ---- futexes --------------------------------------------------------------------------------- */

#define FUTEX_A	1			/* the generation */
#define LIFE(i)	((1 << (i)) & 30)	/* A, B, C, L; nobody else's is watched */
#define FUTEX_B	32			/* the other half of the control word */
#define FUTEX_D	64			/* the driver's handle */
#define BELL	128

/* All sleep on futex A and on the life words of all who may change the control word. */
#define life_words(w, me) \
	((mutant(SLEEP_ON_FOUR) -> LIFE(OWNER(w)) | LIFE(drv) | LIFE(L) : \
	LIFE(A) | LIFE(B) | LIFE(C) | LIFE(L)) & ~LIFE(me) & ~dead)

#define wake_one(i, futexes) \
	asleep_on[i] = ((asleep_on[i] & (futexes)) -> 0 : asleep_on[i])

inline wake(futexes)
{
	d_step { wake_one(A, futexes); wake_one(B, futexes); wake_one(C, futexes) }
}

inline wake_gen()
{
	assert(GEN(word) < LAST_GEN);
	if
	:: !mutant(WAKE_NOT_GEN) -> wake(FUTEX_A)
	:: else
	fi
}

inline wake_driver()
{
	if
	:: !mutant(WAKE_NOT_DRIVER) -> wake(FUTEX_D)
	:: else
	fi
}

/* A death wakes who sleeps on the life word: the kernel wakes one, so each watcher has its own. */
inline wake_life(life)
{
	if
	:: !mutant(LIFE_WAKES_ONE) -> wake(life)
	:: else ->
		if
		:: asleep_on[C] & life -> wake_one(C, life)
		:: else ->
			if
			:: asleep_on[B] & life -> wake_one(B, life)
			:: else -> wake_one(A, life)
			fi
		fi
	fi
}

inline die(i)
{
	d_step {
		state_of[i] = DEAD;
		inside = inside & ~LIFE(i);
		if :: i <= C -> asleep_on[i] = 0; bell[i] = false :: else fi;
		dead = dead | LIFE(i);
		wake_life(LIFE(i))
	}
}

/* futex_waitv compares: nothing that is slept on has changed since it was loaded */
#define unchanged(w, d, me) \
	((!(sleep_on & FUTEX_A) || GEN(word) == GEN(w)) && \
	(!(sleep_on & FUTEX_B) || HIGH(word) == HIGH(w)) && \
	(!(sleep_on & FUTEX_D) || drv == d) && \
	(!(sleep_on & BELL) || !bell[me]) && !(sleep_on & dead))

/* The time is up: for the owner, for the heir or the driver, or, where begin is refused, for want. */
#define deadline(w, me) \
	((OWNER(w) != me && stopped(OWNER(w))) || \
	(OWNER(w) != me && (stopped(HEIR(w)) || stopped(drv)) && may_claim(w, me)) || \
	(OWNER(w) == me && (sleep_on & FUTEX_B) && stopped(drv)))

#ifdef BACKSTOP
#define backstop(w, d, me)	(!unchanged(w, d, me))
#else
#define backstop(w, d, me)	false
#endif

/* ---- a candidate ----------------------------------------------------------------------------- */

/*
 * Each pass through look: loads the word, decides, and does one thing. A process that the kernel is
 * about to kill ends the pass that it is in.
 */
proctype candidate(byte me) provided (may_run(me))
{
	short w;	/* the control word as loaded */
	byte d;		/* the driver as loaded, where the decision depended on it */
	byte sleep_on;
	byte known;	/* owner: the generation at which it redid the last commit; LAST_GEN: none */
	byte seen;	/* owner: the last commit that its view of the state includes */
	byte old;	/* target that has switched: whom it switched from */
	byte m, k, r, r2;

	{
	if
	:: me != A -> known = LAST_GEN
	:: else
	fi;

look:
	atomic {
		state_of[me] == RUNNING;
		d_step { w = word; d = NONE; sleep_on = 0; m = 0; k = 0; r = 0; r2 = 0 };
		if
		:: OWNER(w) == me -> goto mine
		:: else -> known = LAST_GEN; seen = 0
		fi;

		if :: old != NONE -> old = NONE; goto quit :: else fi;	/* lost it again */
		if :: failed[me] -> goto out :: else fi;
		if :: may_claim(w, me) -> goto claim :: else fi;
		if :: stopped(OWNER(w)) -> goto fence :: else fi;
		if :: drv == me -> goto drive :: else fi;
		if :: bell[me] -> goto asked :: else fi;

		sleep_on = FUTEX_A | BELL | life_words(w, me);
		if
		:: PHASE(w) == HELD -> d = drv; sleep_on = sleep_on | FUTEX_D
		:: else
		fi;
		goto sleep;

	drive:
		if :: PHASE(w) == MOVING || PHASE(w) == RECOVERING -> goto quit :: else fi;
		if :: fails > 0 -> fails--; failed[me] = true; goto quit :: true fi;
		if :: may_switch(w, me) -> goto switch :: else fi;
		if :: may_want(w, me) -> goto want :: else fi;
		sleep_on = (mutant(WANT_ON_B_ALONE) -> 0 : FUTEX_A) | FUTEX_B | life_words(w, me);
		goto sleep;

	mine:
		if :: PHASE(w) == RECOVERING -> goto undo :: else fi;
		if :: PHASE(w) == MOVING && fails > 0 -> fails--; goto fail :: true fi;
		if :: GEN(w) != known && !mutant(BEGIN_IGNORES_GEN) -> goto redo :: else fi;
		if
		:: PHASE(w) == MOVING -> goto serve
#ifdef BUSY		/* phases of the application's own may use the state */
		:: PHASE(w) == MOVING && head < MESSAGES && may_begin(w, me) -> goto begin
#endif
		:: PHASE(w) != MOVING -> old = NONE
		fi;
		if :: drv == me -> goto put_down :: else fi;
		if :: head == MESSAGES -> sleep_on = FUTEX_A | life_words(w, me); goto sleep :: else fi;
		if :: may_begin(w, me) -> goto begin :: else fi;
		/* begin is refused: wanted */
		if :: undriven(me) && !mutant(WANT_STAYS) -> goto unwant :: else fi;
		d = drv;
		sleep_on = FUTEX_A | FUTEX_B | FUTEX_D | life_words(w, me)
	}

sleep:	/* futex_waitv: compares, and sleeps, in one step */
	atomic {
		if
		:: unchanged(w, d, me) ->
			asleep_on[me] = sleep_on
		:: else -> goto look
		fi
	};
	atomic {
		asleep_on[me] == 0 || deadline(w, me) || backstop(w, d, me) ->
			asleep_on[me] = 0; goto look
	};

asked:	/* become the driver, or be refused: another one drives (EBUSY) */
	atomic {
		bell[me] = false;
		if :: undriven(me) -> drv = me :: else -> goto look fi
	};
	wake_driver();
	goto look;

want:
	atomic { if :: CAS(SET_WANT(w)) :: else fi; goto look };

unwant:	/* by the owner: the target is dead or late */
	atomic { if :: CAS(UNWANT(w)) :: else fi; goto look };

quit:	/* the target gives up */
	atomic { w = word; if :: drv == me && IS_WANTED(w) :: else -> goto put_down fi };
	atomic { if :: CAS(UNWANT(w)) :: else -> goto quit fi };
	if :: !mutant(WAKE_NOT_UNWANT) -> wake(FUTEX_B) :: else fi;

put_down:
	atomic { if :: drv == me -> drv = NONE :: else -> goto look fi };
	wake_driver();
	goto look;

fence:	/* through the pidfd; who needs to know that it is dead waits for its life word */
	atomic { if :: !is_dead(OWNER(w)) -> state_of[OWNER(w)] = DYING :: else fi; goto look };

switch:
	atomic { if :: CAS(SWITCH(w, me)) -> old = OWNER(w) :: else -> goto look fi };
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

undo:	/* entries count only if they are those of the transaction after the last commit */
	k = ((undo_seq == record[PARITY_OF(w)] + 1 || mutant(UNDO_UNTAGGED)) -> undo_count : 0);
	do
	:: atomic {
		k > 0 -> k--;
		check(1, OWNER(word) == me && IS_OPEN(word));
		check(3, is_dead(writer));
		state[undo_at[k]] = undo_old[k]
	   }
	:: k == 0 -> break
	od;
	if :: !mutant(UNDO_KEEPS_LOG) -> undo_count = 0 :: else fi;
recovered:
	w = word;
	atomic {
		if
		:: CAS(RECOVERED(w)) ->
			check(1, OWNER(w) == me && IS_OPEN(w));
			check(7, state[0] == image[0] && state[1] == image[1]);
			inside = inside & ~LIFE(me)
		:: else -> goto recovered
		fi
	};
	wake_gen();
	goto look;

redo:	/* the copy is whole if nobody owned the word in between who could have written another one */
	r = record[PARITY_OF(w)];
	atomic {
		r2 = record2[PARITY_OF(w)];
		if
		:: (OWNER(word) == me && GEN(word) == GEN(w)) || mutant(REDO_UNVALIDATED)
		:: else -> goto look
		fi;
		known = GEN(w); seen = r;
		if :: mutant(REDO_SKIPPED) -> goto look :: else fi
	};
apply:	/* CASes that carry the generation of the cell: the number of the message stands for it */
	atomic {
		check(6, r == r2);
		if
		:: done + 1 == r || mutant(REDO_BLIND) -> check(6, done + 1 == r || r == 0); done = r
		:: else
		fi
	};
	atomic { if :: head + 1 == r || mutant(REDO_BLIND) -> head = r :: else fi; goto look };

serve:
	atomic {
		if
		:: CAS(SERVE(w)) -> known = GEN(word); check(6, head == committed && done == committed)
		:: else -> goto look
		fi
	};
	wake_gen();
	goto look;

fail:	/* a phase after the switch failed: back to the old owner if it lives, else make way by dying */
	failed[me] = true;
switch_back:
	atomic { w = word; if :: OWNER(w) == me && PHASE(w) == MOVING :: else -> goto look fi };
	atomic {
		if
		:: old == NONE || is_dead(old) || failed[old] -> state_of[me] = DYING; goto out
		:: else -> if :: CAS(SWITCH_BACK(w, old)) -> old = NONE :: else -> goto switch_back fi
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
	do
	:: k < MARKS ->			/* mark: the entry, then the header; then change the state */
		undo_at[k] = (m + k + me) % 2;
		undo_old[k] = state[(m + k + me) % 2];
		atomic { undo_seq = m; undo_count = k + 1 };
		atomic {
			check(1, OWNER(word) == me && IS_OPEN(word));
			state[(m + k + me) % 2] = m; k++
		}
	:: atomic { k == MARKS && aborts > 0 -> aborts--; goto abort }
	:: k == MARKS -> break
	od;
	record[1 - PARITY_OF(w)] = m;
	atomic {
		check(1, OWNER(word) == me && IS_OPEN(word));
		record2[1 - PARITY_OF(w)] = m
	};
commit:
	atomic { w = word; if :: may_commit(w, me) :: else -> goto look fi };
	atomic {
		if
		:: CAS(COMMIT(w)) ->
			check(2, OWNER(w) == me && IS_OPEN(w) && writer == me && (inside & LIFE(me)));
			check(2, m == committed + 1);
			committed = m; image[0] = state[0]; image[1] = state[1];
			inside = inside & ~LIFE(me);
			seen = m; r = m; r2 = m; k = 0; m = 0
		:: else -> goto commit
		fi
	};
	if
	:: IS_WANTED(w) && !mutant(WAKE_NOT_COMMIT) -> wake(FUTEX_B)
	:: else
	fi;
	goto apply;

abort:	/* undoes its own marks first */
	do
	:: atomic {
		k > 0 -> k--;
		check(1, OWNER(word) == me && IS_OPEN(word));
		state[undo_at[k]] = undo_old[k]
	   }
	:: k == 0 -> break
	od;
	undo_count = 0;
close:
	atomic { w = word; if :: may_abort(w, me) :: else -> goto look fi };
	atomic {
		if
		:: CAS(ABORT(w)) ->
			check(7, state[0] == image[0] && state[1] == image[1]);
			inside = inside & ~LIFE(me)
		:: else -> goto close
		fi
	};
	if
	:: IS_WANTED(w) && !mutant(WAKE_NOT_COMMIT) -> wake(FUTEX_B)
	:: else
	fi;
	goto look;

out:	/* a failed candidate takes no driving, if it is handed any */
	atomic { drv == me -> goto put_down }
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

proctype leader() provided (may_run(L))
{
	short w;

	{
	atomic { if :: undriven(L) -> drv = L :: else -> goto out fi };
	wake_driver();
hold:
	atomic { w = word; if :: OWNER(w) == A && PHASE(w) == SERVING :: else -> goto put_down fi };
	atomic { if :: CAS(HOLD(w)) :: else -> goto hold fi };
	wake_gen();
	atomic { if :: !is_dead(A) -> state_of[A] = DYING :: else fi };
	is_dead(A);
	if
	:: goto release
	:: goto hand_over
	fi;
hand_over:	/* B is to claim: it drives from now on */
	atomic { if :: drv == L -> drv = B :: else -> goto out fi };
	wake_driver();
	goto out;
release:
	atomic { w = word; if :: OWNER(w) == A && PHASE(w) == HELD :: else -> goto put_down fi };
	atomic { if :: CAS(RELEASE(w)) :: else -> goto release fi };
	wake_gen();
put_down:
	atomic { if :: drv == L -> drv = NONE :: else -> goto out fi };
	wake_driver();
out:	false
	} unless {
		atomic { kill?eval(L); w = 0; die(L) }
	}
}

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
	short w;

	{
	skip;
name_heir:
	w = word;
	atomic { if :: CAS(NAME_HEIR(w, C)) :: else -> goto name_heir fi };
	wake_gen();
	false
	} unless {
		atomic { kill?eval(Y); w = 0; die(Y) }
	}
}

/* ---- the kernel ------------------------------------------------------------------------------ */

#define FATE(i) \
	:: atomic { deaths > 0 && state_of[i] < DYING -> deaths--; state_of[i] = DYING; kill!i } \
	:: atomic { stops > 0 && state_of[i] == RUNNING -> stops--; state_of[i] = STOPPED } \
	:: atomic { state_of[i] == STOPPED -> state_of[i] = RUNNING } \
	:: atomic { halts > 0 && state_of[i] == RUNNING -> halts--; state_of[i] = HALTED }

/* A candidate may also publish its own death first, and it is candidates that are fenced. */
#define FATE_OF_CANDIDATE(i) \
	FATE(i) \
	:: atomic { deaths > 0 && state_of[i] < DYING -> deaths--; state_of[i] = DYING; wake(LIFE(i)) } \
	:: atomic { state_of[i] == DYING -> kill!i }

proctype kernel()
{
	do
	FATE_OF_CANDIDATE(A)
	FATE_OF_CANDIDATE(B)
	FATE_OF_CANDIDATE(C)
#ifdef LEADER
	FATE(L)
	:: atomic { is_dead(L) && !is_dead(A) -> state_of[A] = DYING; kill!A }	/* its death takes its node down */
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

/* i sleeps, and would act if it looked */
#define missed(i) \
	(able(i) && asleep_on[i] && (OWNER(word) == i -> \
		PHASE(word) == MOVING || PHASE(word) == RECOVERING || \
		(head < MESSAGES && (may_begin(word, i) || undriven(i))) : \
		may_claim(word, i) || stopped(OWNER(word)) || bell[i] || drv == i))

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
		n = 0; fails = FAILS; aborts = ABORTS;
#ifdef ASK_B
		bell[B] = true;
#endif
#ifdef ASK_C
		bell[C] = true;
#endif
		run kernel(); run at_rest();
#ifdef LEADER
		run leader();
#endif
#ifdef COMMAND
		run command();
#endif
#ifdef BYSTANDER
		run bystander();
#endif
		run candidate(A); run candidate(B); run candidate(C)
	}
}
