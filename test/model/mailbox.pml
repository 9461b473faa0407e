/* SPDX-License-Identifier: ISC */
/*
 * mailbox.pml: one mailbox, checked exhaustively by spin.
 *
 * The ring of tickets, the cells, the commit record with its redo, sleep and wake, and the burial of the dead, as
 * src/mail/{mailbox,doorbell,cell,record}.c, src/lib/{libmail,libtxn}.c and src/proc/bury.c have them. Each inline and each
 * label names its C function. A transition is one access of shared memory; between any two a process may die or
 * be stopped. The control word is proved by control.pml: here claim, switch and commit are one CAS each. ./run
 * checks all of it.
 *
 * Actors
 *   S1, S2    senders: each a message after the other, as sends or (CALLS) as calls, which wait for the answer,
 *             and give up at most DEADLINES times, at any point
 *   R1, R2    candidates: R1 owns at first. R2 claims when R1 is dead, or switches (TAKEOVERS) while it lives, and R1
 *             goes on with what it had in hand; or R1 claims again. OUTBOX: the transaction of message 1 sends message
 *             5 to the same mailbox
 *   DIRECT    the mailbox is R1's own: no transactions, "committed" is "taken"; nobody succeeds R1, it is buried
 *   Z, Z2     buriers (BURIERS). One that died is started anew. REJOIN: S1's slot, once buried, is a new process's
 *   kernel    deals out DEATHS and HALTS. A stop that ends is any interleaving, so it is in every configuration
 *
 * What is proved, within the bounds below, of every interleaving
 *   1 once      no message is committed (DIRECT: taken) twice
 *   2 kept      at rest, a message that was published was handled, refused, or given up by its caller, unless whoever
 *               reads is dead or halted
 *   3 one place a cell stands in the ring at most once; no entry or cell is ever found as it cannot be (ECORRUPT)
 *   4 order     messages of one sender are handled in order
 *   5 no lost wake  at rest no reader sleeps with mail for it that was rung for, and no caller once its answer is there
 *               or its reader is buried
 *   6 answer    a caller gets the answer to its own call, once it was handled; nobody else writes into its cell
 *   7 no leak   at rest, where nobody is halted, every cell is free and every one of the dead is buried
 *   8 ends      the state graph has no cycle, so every run ends (as in control.pml)
 *
 * What is not proved. Weak memory: accesses happen in one order for all. Generations, tickets and doorbells do not
 * wrap: a doorbell is a flag here, "raised since it was loaded". A sleeper is told of a new owner. Forwarding, ASIDE,
 * abort, and room (mailbox_has_room, senders): test/access sweeps those. A burier is told of a death, and a standby
 * of its owner's (control.pml has that). A record is loaded whole: control.pml has torn ones.
 */

/* ---- bounds ---------------------------------------------------------------------------------- */

#ifndef SENT1
#define SENT1 1		/* messages of S1: 0 to 2 */
#endif
#ifndef SENT2
#define SENT2 1		/* messages of S2: 0 to 2 */
#endif
#ifndef CALLS
#define CALLS 0		/* whose messages are calls: a bit each, 1: S1, 2: S2 */
#endif
#ifndef DEADLINES
#define DEADLINES 0	/* up to so many callers give up, at any point */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 0	/* up to so many switches from a living owner */
#endif
#ifndef DEATHS
#define DEATHS 0	/* up to so many die, at any point */
#endif
#ifndef HALTS
#define HALTS 0		/* up to so many are stopped at any point for ever */
#endif
#ifndef BURIERS
#define BURIERS 1	/* at once: 1 or 2 */
#endif
#ifndef CELLS
#define CELLS 2		/* 1 or 2. As in C there is no cell 0, and a ring has an entry for it */
#endif
#define ENTRIES (mutant(RING_SHORT) -> CELLS : CELLS + 1)

/* ---- mutants: each takes one rule away, and ./run shows that it is missed -------------------- */

#define ADVANCE_FIRST 1		/* help advances the tail before it marks the cell */
#define STATE_FIRST 2		/* publish looks at the cell before it loads the tail */
#define TAKE_BLIND 4		/* take stores where it should CAS */
#define PASS_SKIPPED 8		/* redo lets the cell go and leaves it in the ring */
#define PASS_LAST 16		/* redo lets the cell go before it empties the entry */
#define WAKE_ONCE 32		/* redo wakes the caller only if it let the cell go itself */
#define FREE_KEEPS_GEN 64	/* a freed cell keeps its generation */
#define BELL_LATE 128		/* a reader loads its doorbell behind its look */
#define NO_DOORBELL 256		/* ring wakes, and leaves the doorbell */
#define ASLEEP_FIRST 512	/* whether the other sleeps is loaded before its doorbell is raised */
#define NOT_ASLEEP 1024		/* a reader sleeps and does not say so */
#define READER_FIRST 2048	/* the reader is looked up before the ring is filled */
#define BURY_QUIETLY 4096	/* a burial rings no reader */
#define BURY_NO_CALLER 8192	/* a burial rings no caller */
#define BURY_UNSETTLED 16384	/* a burial discards an OWNED cell that stands in the ring */
#define BURY_UNASKED 32768	/* a burial does not ask whether the slot is still the dead one's */
#define BURY_AT_ONCE 65536	/* a reader is buried before what it committed is redone */
#define NO_RETURN 131072	/* a sender does not look whether its reader is buried by now */
#define PEEK_ONCE 262144	/* peek does not look at the entry again */
#define SKIP_FREES_FIRST 524288	/* skip lets the cell go before it empties the entry */
#define REDO_SKIPPED 1048576	/* a new owner does not redo the last commit */
#define RING_SHORT 2097152	/* a ring of as many entries as messages may stand in it */
#define RING_EMPTIED_LAST 4194304	/* a burial refuses what still stands in its ring */

#ifndef MUTANT
#define MUTANT 0
#endif
#define mutant(m) (((MUTANT) & (m)) != 0)

#ifndef PROPERTIES
#define PROPERTIES 254
#endif
#define check(number, e) assert((e) || !(PROPERTIES & (1 << number)))

/* ---- words ----------------------------------------------------------------------------------- */

/* A cell: generation:4 | slot:3 | deliveries:2 | flags:3 | state:3. cell.h has who may change what. */
#define FREE 0
#define OWNED 1
#define PUBLISHED 2
#define TAKEN 3
#define DONE 4
#define CALL 8
#define ABANDONED 16
#define REFUSED 32
#define ST(w)		((w) & 7)
#define DELIVERIES(w)	(((w) >> 6) & 3)
#define SLOT(w)		(((w) >> 8) & 7)
#define GEN(w)		((w) >> 11)
#define WAITS(w)	(((w) & CALL) && !((w) & ABANDONED))
#define with_state(w, s)	(((w) & ~7) | (s))
#define freed(w)	((GEN(w) + !mutant(FREE_KEEPS_GEN)) << 11)
#define taken(w)	(with_state(w, TAKEN) + (DELIVERIES(w) < 3 -> 64 : 0))
#define orphaned(w)	(((w) & ~(7 << 8)) | (((w) & CALL) -> ABANDONED : 0))
#define refused(w)	(WAITS(w) -> with_state(w, DONE) | REFUSED : freed(w))
#define let_gone(w)	(WAITS(w) -> with_state(w, DONE) : freed(w))

/* An entry of the ring: ticket | cell:2; cell 0: it is empty and waits for that ticket. */
#define ENTRY(ticket, c)	((ticket) * 4 + (c))
#define TICKET(e)		((e) / 4)
#define CELL(e)			((e) % 4)

/* The control word: generation | owner:3 | open:1 | parity:1. */
#define OPEN		1
#define PARITY(w)	(((w) >> 1) & 1)
#define OWNER(w)	(((w) >> 2) & 7)
#define APP_GEN(w)	((w) >> 5)
#define COMMIT(w)	(((w) & ~OPEN) ^ 2)
#define ACQUIRE(w, me)	(((APP_GEN(w) + 1) << 5) | ((me) << 2) | ((w) & 2))

/* ---- shared memory --------------------------------------------------------------------------- */

#define NONE 0
#define S1 1
#define S2 2
#define R1 3
#define R2 4
#define Z 5
#define Z2 6

short cell[3];
byte about[3];		/* contents: which message */
byte reply[3];		/* the answer: to which message */
byte holder[3];
byte ring[3];
byte head, tail;
byte drowsy;		/* `asleep` of each slot: a bit */
byte bell[5];		/* its doorbell: 1: its thread has loaded it; 2: and it was raised since; 0: forgotten */
byte control;
typedef commit { byte c; byte g; byte ticket; byte sent; byte sent_g };
commit record[2];
byte redone;
#define JOINED 0
#define DECLARED 1	/* dead */
#define BURIED 2
byte slot[5];
byte incarnation;	/* of S1's slot: 1 after REJOIN */

/* What the kernel knows. */
#define RUNNING 0
#define HALTED 1
#define DEAD 2
byte fate[7];
bool asleep[5];		/* on its doorbell */
byte deaths, halts, deadlines, takeovers, rejoins;
chan kill = [0] of { byte, byte };

/* What only the checks know: bits by message. */
byte published, returned, rung, handled, answered, given_up;
bool is_sent5;		/* the commit of message 1 sent message 5 */

#define BIT(m)		(1 << (m))
#define able(i)		(fate[i] == RUNNING)
#define is_dead(i)	(fate[i] == DEAD)
#define full_with(i, n)	(CELL(ring[i]) == (n) && (i) < ENTRIES)
#define stands(n)	(full_with(0, n) || full_with(1, n) || full_with(2, n))
#define LATER(m)	((m) == 1 -> BIT(2) : ((m) == 3 -> BIT(4) : 0))

/* ---- mailbox.c ------------------------------------------------------------------------------- */

/*
 * help(): rc 1: the tail's entry is empty, and t is its ticket; 0: helped. On the way, 6: the tail is loaded; 2:
 * another ticket's entry; 3: marked; 4, 5: what the mutant does.
 */
inline help()
{
	atomic { t = tail; e = 0; v = 0; rc = 6 };
	do
	:: atomic {
		rc == 6 ->
			e = ring[t % ENTRIES];
			if
			:: TICKET(e) == t && CELL(e) == 0 -> e = 0; rc = 1; break
			:: TICKET(e) == t && CELL(e) -> rc = (mutant(ADVANCE_FIRST) -> 4 : 0)
			:: TICKET(e) != t -> rc = 2
			fi
	   }
	:: atomic { rc == 2 -> check(3, tail != t); e = 0; t = 0; rc = 0; break }
	:: atomic { rc == 4 -> tail = (tail == t -> t + 1 : tail); rc = 5 }
	:: atomic { rc == 0 || rc == 5 -> v = cell[CELL(e)] };
	   atomic { if :: tail != t && rc == 0 -> e = 0; v = 0; t = 0; break :: else fi };
	   atomic {
		if
		:: ST(v) == OWNED && cell[CELL(e)] == v -> cell[CELL(e)] = with_state(v, PUBLISHED); v = 0; rc = 3
		:: ST(v) == OWNED && cell[CELL(e)] != v -> v = 0
		:: ST(v) != OWNED -> tail = (tail == t -> t + 1 : tail); e = 0; v = 0; t = 0; rc = 0; break
		fi
	   }
	:: atomic { rc == 3 -> tail = (tail == t -> t + 1 : tail); e = 0; t = 0; rc = 0; break }
	od
}

/* mailbox_settle() */
inline settle_ring()
{
	do
	:: help(); if :: rc != 0 -> break :: else fi
	od
}

#define waits_for(c, g)	(GEN(cell[c]) == g && ST(cell[c]) == OWNED)

/* mailbox_publish() */
inline publish(c, g)
{
	do
	::
#if (MUTANT) & STATE_FIRST
	   atomic { if :: !waits_for(c, g) -> break :: else fi };
#endif
	   help();
	   if
	   :: atomic { rc == 1 && (waits_for(c, g) || mutant(STATE_FIRST)) };
	      atomic {
		if
		:: ring[t % ENTRIES] == ENTRY(t, 0) ->
			check(3, !stands(c));
			ring[t % ENTRIES] = ENTRY(t, c);
			published = published | BIT(about[c]);
			rc = 3
		:: else -> rc = 0
		fi;
		t = 0
	      };
	      if :: rc == 3 -> help(); break :: else fi
	   :: atomic { rc == 1 && !waits_for(c, g) && !mutant(STATE_FIRST) -> break }
	   :: rc == 0
	   fi
	od
}

/* doorbell_ring(), of slot s; `was` is of the mutant */
inline doorbell_ring(s, was)
{
	atomic { if :: mutant(ASLEEP_FIRST) -> was = drowsy & BIT(s) :: else fi };
	atomic { if :: !mutant(NO_DOORBELL) -> bell[s] = (bell[s] -> 2 : 0) :: else fi };
	atomic { if :: !mutant(ASLEEP_FIRST) -> was = drowsy & BIT(s) :: else fi };
	atomic { if :: was -> asleep[s] = false; was = 0 :: else fi }
}

/* The same in one step, by a burier: what it interleaves with, the others' have shown. */
#define rung_at_once(s) \
	bell[s] = (bell[s] -> 2 : 0); \
	asleep[s] = asleep[s] && !(drowsy & BIT(s))

/* mailbox_ring(): reader_of(), then its doorbell; `reader` as the mutant looked it up before */
inline mailbox_ring(reader)
{
	atomic {
		if
		:: mutant(READER_FIRST) -> rc = reader
		:: else -> rc = OWNER(control)
		fi;
		t = published
	};
	doorbell_ring(rc, e);
	atomic { rung = rung | t; t = 0; rc = 0; e = 0 }
}

/* mailbox_pass(), its CAS of the head for exactly that ticket */
inline pass(ticket, c)
{
	atomic {
		if
		:: ring[(ticket) % ENTRIES] == ENTRY(ticket, c) ->
			ring[(ticket) % ENTRIES] = ENTRY((ticket) + ENTRIES, 0)
		:: else
		fi
	};
	atomic { head = (head == (ticket) -> head + 1 : head) }
}

inline cell_free(c, w) { atomic { cell[c] = (cell[c] == w -> freed(w) : cell[c]) } }

/*
 * mailbox_peek(), and skip() in it. rc 1: h, CELL(q) and w are ticket, cell and word; 0: empty. On the way, 7: an entry
 * of ticket h; 8: of the next round; 9: of any other; 10: at the tail; 11: look again; 12: to be skipped.
 */
inline peek()
{
	do
	:: h = head;
	   atomic {
		q = ring[h % ENTRIES];
		if
		:: TICKET(q) == h && CELL(q) == 0 -> q = 0; h = 0; w = 0; rc = 0; break
		:: TICKET(q) == h && CELL(q) -> rc = 7
		:: TICKET(q) == h + ENTRIES -> rc = 8
		:: TICKET(q) != h && TICKET(q) != h + ENTRIES -> rc = 9
		fi
	   };
	   if
	   :: atomic { rc == 8 -> head = (head == h -> h + 1 : head) }
	   :: atomic { rc == 9 -> check(3, head != h) }
	   :: atomic { rc == 7 -> rc = (tail == h -> 10 : 7) };
	      if
	      :: rc == 10 -> help(); w = cell[CELL(q)]
	      :: atomic { rc == 7 -> w = cell[CELL(q)] }
	      fi;
	      atomic {
		if
		:: ring[h % ENTRIES] != q && !mutant(PEEK_ONCE) -> rc = 11
		:: else ->
			if
			:: (ST(w) == PUBLISHED || ST(w) == DONE) && (w & ABANDONED) -> rc = 12
			:: else -> check(3, ST(w) == PUBLISHED || ST(w) == TAKEN); rc = 1; break
			fi
		fi
	      };
	      if
	      :: rc == 11
	      :: atomic {
			rc == 12 ->
			if
			:: cell[CELL(q)] == w && !mutant(SKIP_FREES_FIRST) ->
				w = with_state(w, DONE); cell[CELL(q)] = w
			:: cell[CELL(q)] == w && mutant(SKIP_FREES_FIRST) -> cell[CELL(q)] = freed(w)
			:: else -> rc = 11
			fi
		 };
		 if :: rc == 12 -> pass(h, CELL(q)); cell_free(CELL(q), w) :: else fi
	      fi
	   fi
	od
}

/* ---- record.c -------------------------------------------------------------------------------- */

/* let_go(). rc 2: it was already; 3: by this */
inline let_go(c, g)
{
	do
	:: atomic {
		w = cell[c]; rc = 0;
		if
		:: GEN(w) != g -> break
		:: else ->
			if
			:: ST(w) == DONE && mutant(WAKE_ONCE) -> break
			:: ST(w) == DONE && !mutant(WAKE_ONCE) -> rc = 2
			:: ST(w) != DONE && ST(w) != TAKEN -> break
			:: ST(w) == TAKEN
			fi
		fi
	   };
	   atomic {
		if
		:: rc == 0 && cell[c] == w -> cell[c] = let_gone(w); rc = 3; if :: !WAITS(w) -> break :: else fi
		:: rc == 0 && cell[c] != w
		:: rc == 2
		fi
	   };
	   if :: rc -> if :: SLOT(w) -> doorbell_ring(SLOT(w), rc) :: else fi; break :: else fi
	od;
}

/* refuse(): from exactly w; rc: whether it still was that */
inline refuse(c)
{
	atomic { if :: cell[c] == w -> cell[c] = refused(w); rc = 1 :: else -> rc = 0 fi };
	if :: rc && SLOT(w) -> doorbell_ring(SLOT(w), e); rc = 1; e = 0 :: else fi
}

/* mail_refuse() */
inline mail_refuse(c, g)
{
	do
	:: w = cell[c];
	   if
	   :: GEN(w) != g || ST(w) == FREE || ST(w) == DONE -> break
	   :: else -> refuse(c); if :: rc -> break :: else fi
	   fi
	od
}

/* mail_return(), after a publish to R1 */
inline mail_return()
{
	do
	:: atomic { slot[R1] == JOINED || mutant(NO_RETURN) -> break }
	:: else ->
	   peek();
	   if
	   :: rc == 0 -> break
	   :: else -> atomic { g2 = GEN(w); c2 = CELL(q) }; pass(h, c2); mail_refuse(c2, g2)
	   fi
	od;
	atomic { g2 = 0; c2 = 0 }
}

/* ---- senders --------------------------------------------------------------------------------- */

#define forget() t = 0; e = 0; h = 0; q = 0; rc = 0; w = 0; v = 0; c2 = 0; g2 = 0

#define any_free	(ST(cell[1]) == FREE || (CELLS > 1 && ST(cell[2]) == FREE))
/* cell_alloc() and cell_fill() */
#define alloc(flags, m) \
	c = (ST(cell[1]) == FREE -> 1 : 2); \
	g = GEN(cell[c]); \
	cell[c] = (cell[c] & ~2047) | ((me) << 8) | (flags) | OWNED; \
	about[c] = m; holder[c] = NONE; reply[c] = 0

/* Of any process: dies, or is stopped for ever, wherever it is. */
#define end_of(me) \
	unless { \
		atomic { \
			kill?eval(me), fate[me]; \
			forget(); \
			if :: me <= R2 -> asleep[me] = false; bell[me] = 0 :: else fi \
		} \
	}

proctype sender(byte me; byte m; byte last; bool calls)
{
	byte c, g, t, e, h, q, rc, c2, g2, seen;
	short w, v;

send:	/* heir_send(), call_start() */
	{
	atomic {
		m > last || any_free;
		if :: m > last -> goto end :: else fi;
		alloc((calls -> CALL : 0), m);
		if :: mutant(READER_FIRST) -> seen = OWNER(control) :: else fi
	};
	publish(c, g);
	mailbox_ring(seen);
#ifdef DIRECT
	mail_return();
#endif
	atomic {
		returned = returned | BIT(m); forget();
		if :: !calls -> c = 0; g = 0; m++; goto send :: else fi
	};
wait:	/* heir_call_finish() */
	bell[me] = 1;
	atomic {
		w = cell[c];
		check(3, GEN(w) == g);
		if :: ST(w) == DONE -> bell[me] = 0; goto collect :: else -> w = 0 fi
	};
	atomic {
		if
		:: deadlines > 0 -> deadlines--; bell[me] = 0; goto give_up
		:: true
		fi;
		drowsy = drowsy | BIT(me)	/* doorbell_sleep() */
	};
	atomic { asleep[me] = (bell[me] != 2); bell[me] = 0 };
	atomic {
		!asleep[me] || deadlines > 0;
		drowsy = drowsy & ~BIT(me);
		if :: !asleep[me] -> goto wait :: else -> deadlines--; asleep[me] = false fi
	};
give_up:
	w = cell[c];
	atomic {
		if
		:: ST(w) == DONE || ST(w) == FREE -> goto wait
		:: else ->
			if
			:: cell[c] == w -> cell[c] = orphaned(w); given_up = given_up | BIT(m); goto next
			:: else -> goto give_up
			fi
		fi
	};
collect:
	atomic {
		check(6, about[c] == m && ((w & REFUSED) || (reply[c] == m && (handled & BIT(m)))));
		answered = answered | BIT(m)
	};
	cell_free(c, w);
next:
	atomic { forget(); c = 0; g = 0; m++; goto send };
end:	false
	} end_of(me)
}

/* ---- readers --------------------------------------------------------------------------------- */

#define may_acquire(me) \
	(OWNER(control) != me && (is_dead(OWNER(control)) || (!(control & OPEN) && \
	(takeovers > 0 || fate[OWNER(control)] == HALTED))))

proctype reader(byte me)
{
	byte c, g, t, e, h, q, rc, c2, g2, ticket, s, sg, known, cw;
	short w, v;

look:	/* worker.c: round_of() */
	{
	atomic {
		forget(); c = 0; g = 0; ticket = 0; s = 0; sg = 0;
		OWNER(control) == me || may_acquire(me);
		if :: !mutant(BELL_LATE) -> bell[me] = 1 :: else fi	/* heir_poll() */
	};
	atomic {
		if :: OWNER(control) != me && !may_acquire(me) -> goto look :: else fi;
		cw = control;
		if
		:: OWNER(cw) != me && !is_dead(OWNER(cw)) && fate[OWNER(cw)] == RUNNING -> takeovers--; goto acquire
		:: OWNER(cw) != me && (is_dead(OWNER(cw)) || fate[OWNER(cw)] == HALTED) -> goto acquire
		:: OWNER(cw) == me && APP_GEN(cw) != known -> goto redo
		:: OWNER(cw) == me && APP_GEN(cw) == known
		fi
	};
	peek();
	if :: rc == 0 -> goto sleep :: else fi;
#ifdef DIRECT	/* lib_receive() */
	goto take;
#endif
	/* txn_message(): heir_begin(), and the head as it is now */
	atomic { if :: control == cw -> control = cw | OPEN; cw = control :: else -> goto look fi };
	peek();
	atomic { if :: rc == 0 -> check(1, control == cw); control = cw & ~OPEN; goto look :: else fi };
take:	/* mailbox_take() */
	atomic {
		if
		:: cell[CELL(q)] == w || mutant(TAKE_BLIND) ->
			c = CELL(q); w = taken(w); cell[c] = w; g = GEN(w); ticket = h
#ifdef DIRECT
			check(1, !(handled & BIT(about[c])));
			check(4, !(handled & LATER(about[c])));
			handled = handled | BIT(about[c])
#endif
		:: else -> goto take_again
		fi
	};
	holder[c] = me;
#ifdef DIRECT
	pass(ticket, c);
	reply[c] = about[c];
	let_go(c, g);	/* mail_answer() */
	goto look;
#endif
#ifdef OUTBOX
	atomic {	/* heir_send() within a transaction */
		if
		:: about[c] == 1 && any_free ->
			s = c; sg = g;
			alloc(0, 5);
			c2 = c; g2 = g; c = s; g = sg; s = c2; sg = g2; c2 = 0; g2 = 0
		:: else
		fi
	};
#endif
	atomic { check(6, ST(cell[c]) == TAKEN && GEN(cell[c]) == g); reply[c] = about[c] };
	atomic {	/* record_store(), and nothing else of it is seen before the commit */
		check(1, control == cw);
		record[1 - PARITY(cw)].c = c; record[1 - PARITY(cw)].g = g; record[1 - PARITY(cw)].ticket = ticket;
		record[1 - PARITY(cw)].sent = s; record[1 - PARITY(cw)].sent_g = sg
	};
	atomic {	/* control_commit() */
		check(1, control == cw && !(handled & BIT(about[c])));
		check(4, !(handled & LATER(about[c])));
		control = COMMIT(cw); cw = 0;
		handled = handled | BIT(about[c]);
		is_sent5 = is_sent5 || s
	};
	goto apply;

take_again:
#ifdef DIRECT
	goto look;
#else
	peek();
	atomic { if :: rc == 0 -> check(1, control == cw); control = cw & ~OPEN; goto look :: else -> goto take fi };
#endif

acquire:	/* recover.c: app_acquire(); what was open is undone: what it sent is discarded with its sender */
	atomic { if :: control == cw -> control = ACQUIRE(cw, me) :: else fi; goto look };

redo:	/* app_recover(): record_load(), and the generation still the same behind it */
	atomic {
		if :: control != cw -> goto look :: else fi;
		known = APP_GEN(cw);
		if :: mutant(REDO_SKIPPED) -> redone = known; goto look :: else fi;
		c = record[PARITY(cw)].c; g = record[PARITY(cw)].g; ticket = record[PARITY(cw)].ticket;
		s = record[PARITY(cw)].sent; sg = record[PARITY(cw)].sent_g
	};

apply:	/* record_redo() */
	if
	:: s -> publish(s, sg); mailbox_ring(R1)
	:: else
	fi;
	if
	:: c ->
		if :: !mutant(PASS_SKIPPED) && !mutant(PASS_LAST) -> pass(ticket, c) :: else fi;
		let_go(c, g);
		if :: mutant(PASS_LAST) -> pass(ticket, c) :: else fi
	:: else
	fi;
	atomic {
		if :: cw && redone < known -> redone = known :: else fi;
		goto look
	};

sleep:	/* sleep_until() */
	atomic { if :: mutant(BELL_LATE) -> bell[me] = 1 :: else fi };
	atomic { if :: !mutant(NOT_ASLEEP) -> drowsy = drowsy | BIT(me) :: else fi };
	atomic { asleep[me] = (bell[me] != 2); bell[me] = 0; forget() };
	atomic { !asleep[me] || control != cw; asleep[me] = false; drowsy = drowsy & ~BIT(me); goto look }
	} end_of(me)
}

/* ---- bury.c and the rest of record.c --------------------------------------------------------- */

/* owed() */
#define owed(d) \
	(d >= R1 && (OWNER(control) == d || redone != APP_GEN(control)) && !mutant(BURY_AT_ONCE))
#ifdef DIRECT
#define to_bury(d)	(is_dead(d) && slot[d] != BURIED)
#define to_it(d)	(d == R1)
#define gone_to		(slot[R1] == BURIED)
#else
#define to_bury(d)	(is_dead(d) && slot[d] != BURIED && !owed(d))
#define to_it(d)	false
#define gone_to		false
#endif
#define still_dead(d) \
	(mutant(BURY_UNASKED) || (slot[d] == DECLARED && (d != S1 || incarnation == inc)))

#define LEAVE 0
#define REFUSE 1
#define RELEASE 2
#define DISCARD 3

/* judge(); `at`: at_head() */
#define judge(w, c, d, at) \
	(ST(w) == OWNED -> (SLOT(w) == d -> DISCARD : LEAVE) : \
	(ST(w) == TAKEN -> ((!at && holder[c] == d) || to_it(d) -> REFUSE : \
		(SLOT(w) == d -> RELEASE : LEAVE)) : \
	(ST(w) == PUBLISHED -> (to_it(d) || (gone_to && !stands(c)) -> REFUSE : \
		(SLOT(w) == d -> RELEASE : LEAVE)) : \
	(ST(w) == DONE -> \
		(SLOT(w) == d || (SLOT(w) == 0 && (w & ABANDONED)) -> DISCARD : LEAVE) : LEAVE))))

/* empty_ring(), of R1 */
inline empty_ring()
{
	do
	:: peek();
	   if :: rc == 0 -> break :: else fi;
	   atomic { if :: !still_dead(d) -> rc = 0; break :: else fi };
	   pass(h, CELL(q))
	od
}

proctype burier(byte me)
{
	byte c, d, t, e, h, q, rc, c2, g2, verdict;
	bool at, inc;
	short w, v, was;

look:	/* bury_all() */
	{
	atomic {
		forget(); c = 0; d = 0; verdict = 0; at = 0; was = 0; inc = 0;
		to_bury(S1) || to_bury(S2) || to_bury(R1) || to_bury(R2);
		d = (to_bury(S1) -> S1 : (to_bury(S2) -> S2 : (to_bury(R1) -> R1 : R2)));
		inc = incarnation
	};
	atomic { if :: is_dead(d) && incarnation == inc && slot[d] == JOINED -> slot[d] = DECLARED :: else fi };
#ifdef DIRECT
	if :: d == R1 && !mutant(RING_EMPTIED_LAST) -> empty_ring() :: else fi;
#endif
	atomic { c = 1; forget() };
settle:	/* settle() */
	was = cell[c];
	atomic { if :: ST(was) == TAKEN || ST(was) == DONE -> t = head :: else fi };
	atomic { if :: ST(was) == TAKEN || ST(was) == DONE -> e = ring[t % ENTRIES] :: else fi };
	atomic {
		at = (ST(was) == TAKEN || ST(was) == DONE) && e == ENTRY(t, c) && cell[c] == was;
		verdict = judge(was, c, d, at);
		h = t; t = 0; e = 0;
		if :: verdict == LEAVE -> goto settled :: else fi
	};
	atomic { if :: !still_dead(d) -> goto settled :: else fi };
	if
	:: ST(was) == OWNED && !mutant(BURY_UNSETTLED) ->
		settle_ring();
		atomic { if :: cell[c] != was -> forget(); goto settle :: else fi }
#ifdef DIRECT
	:: ST(was) == PUBLISHED && verdict == RELEASE ->
		mail_return();
		atomic { if :: cell[c] != was -> forget(); goto settle :: else fi }
	:: ST(was) == PUBLISHED && verdict == REFUSE && d == R1 && !mutant(RING_EMPTIED_LAST) ->
		empty_ring();
		atomic { if :: !still_dead(d) -> goto settled :: else fi }
#endif
	:: ST(was) == DONE && at -> pass(h, c)
	:: else
	fi;
	w = was;
	if
	:: verdict == REFUSE -> refuse(c)
	:: atomic { verdict == DISCARD -> cell[c] = (cell[c] == w -> freed(w) : cell[c]) }
	:: atomic {
		verdict == RELEASE ->
			given_up = given_up | (cell[c] == w && (w & CALL) -> BIT(about[c]) : 0);
			cell[c] = (cell[c] == w -> orphaned(w) : cell[c])
	   }
	fi;
	atomic { forget(); goto settle };
settled:
	atomic { forget(); was = 0; at = 0; verdict = 0; if :: c < CELLS -> c++; goto settle :: else fi };
	/* ring_all() */
	settle_ring();
	t = published;
	atomic { if :: !mutant(BURY_QUIETLY) -> rung_at_once(R1); rung_at_once(R2) :: else fi };
	atomic {
		if :: !mutant(BURY_NO_CALLER) -> rung_at_once(S1); rung_at_once(S2) :: else fi;
		rung = rung | (mutant(BURY_QUIETLY) -> 0 : t); t = 0
	};
	atomic {
		if
		:: slot[d] == DECLARED && (d != S1 || incarnation == inc) -> slot[d] = BURIED
		:: else
		fi;
		goto look
	}
	} end_of(me)
}

/* ---- the kernel ------------------------------------------------------------------------------ */

#define FATE(i) \
	:: atomic { deaths > 0 && fate[i] == RUNNING -> deaths--; kill!i, DEAD } \
	:: atomic { halts > 0 && fate[i] == RUNNING -> halts--; kill!i, HALTED }

proctype kernel()
{
	do
	FATE(S1)
	FATE(S2)
	FATE(R1)
	FATE(R2)
	FATE(Z)
	/* a halted owner that is in the way of a takeover is fenced: app_acquire(), handle_fence() */
	:: atomic {
		fate[OWNER(control)] == HALTED && (control & OPEN) && able(R1 + R2 - OWNER(control)) ->
			fate[OWNER(control)] = DEAD
	   }
	:: atomic { fate[Z] != RUNNING -> fate[Z] = RUNNING; run burier(Z) }
#ifdef REJOIN
	:: atomic {
		rejoins > 0 && slot[S1] == BURIED ->
			rejoins--; fate[S1] = RUNNING; slot[S1] = JOINED; incarnation++;
			run sender(S1, 2, 2, (CALLS) & 1)
	   }
#endif
	od
}

/* ---- the end of a run ------------------------------------------------------------------------ */

#define fills(i)	(TICKET(ring[i]) == head && CELL(ring[i]) && (rung & BIT(about[CELL(ring[i])])))
#define mail_waits	(fills(0) || fills(1) || fills(2))
#define served		able(OWNER(control))
#define none_halted	(fate[S1] != HALTED && fate[S2] != HALTED && fate[R1] != HALTED && fate[R2] != HALTED)
#define none_unburied \
	((!is_dead(S1) || slot[S1] == BURIED) && (!is_dead(S2) || slot[S2] == BURIED) && \
	(!is_dead(R1) || slot[R1] == BURIED) && (!is_dead(R2) || slot[R2] == BURIED))
#ifdef DIRECT
#define settled_all	(served || is_dead(R1))
#define wanted		(served -> returned : 0)
#else
#define settled_all	served
#define wanted		(served -> returned | (none_halted -> published : 0) : 0)
#endif

proctype at_rest()
{
	bool lost, stuck, kept, leak;

	timeout;
	d_step {
		lost = served && asleep[OWNER(control)] && mail_waits;
		stuck = settled_all && ((able(S1) && asleep[S1]) || (able(S2) && asleep[S2]));
		kept = !(wanted & ~(handled | given_up | answered)) && (!served || !is_sent5 || (handled & BIT(5)));
		leak = settled_all && none_halted &&
			(ST(cell[1]) != FREE || ST(cell[2]) != FREE || !none_unburied)
	};
	check(5, !lost && !stuck);
	check(2, kept);
	check(7, !leak)
}

init
{
	byte n;

	atomic {
		control = R1 << 2;
		n = 0;
		do
		:: n < ENTRIES -> ring[n] = ENTRY(n, 0); n++
		:: else -> break
		od;
		select(n : 0 .. DEATHS); deaths = n;
		select(n : 0 .. HALTS); halts = n;
		n = 0; deadlines = DEADLINES; takeovers = TAKEOVERS; rejoins = 1;
		run kernel(); run at_rest();
		run sender(S1, 1, SENT1, (CALLS) & 1);
		run sender(S2, 3, 2 + SENT2, ((CALLS) >> 1) & 1);
		run reader(R1);
#ifndef DIRECT
		run reader(R2);
#else
		fate[R2] = DEAD; slot[R2] = BURIED;
#endif
		run burier(Z);
		if :: BURIERS == 2 -> run burier(Z2) :: else fi
	}
}
