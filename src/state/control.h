/* SPDX-License-Identifier: ISC */
/*
 * The control word of an application: who owns it, whether a transaction is open, how far a move is.
 *
 *   low half   generation:32, futex A: a client waits for a change (heir_wait_change, a takeover's turn); workers
 *              are rung at their doorbells instead (mail/doorbell.h)
 *   high half  owner slot:12 | heir slot:12 | phase:3 | open:1 | parity:1 | want:1 | 0:2, futex B: a target waits for
 *              the commit
 *
 * Every decision about who serves is one CAS of the whole word by one of the transitions below. A transition is
 * a pure function old word -> new word, or a refusal; control_cas() applies it. test/model/control.pml checks
 * the same transitions, under the same names, with parties that die, stop and wake at any step.
 *
 * Invariants
 *  - The owner slot is not 0 unless the phase is DOWN.
 *  - While open is set, only the owner stores to the state, to record[!parity] and to the cell that it holds; in
 *    RECOVERING the owner is the recoverer, and open is set.
 *  - parity names the valid commit record. Only commit changes it.
 *  - The generation rises at every transition but begin, commit, abort, want and unwant. A word seen twice with
 *    equal generation had the same owner, heir and phase in between: a delayed CAS lands on the word it was
 *    computed from, or fails.
 *
 * Orders: every CAS pairs with the CAS of the next transition by whomever: begin's with the commit, switch or claim
 * before it (the state's stores are seen), commit's release with the next begin's or switch's acquire. It is seq_cst,
 * as a new owner looks for mail behind it, and who sends looks for the owner behind its mail: mail/doorbell.h.
 *
 * Death and stop at each step: before its CAS a party has changed nothing here. After it the word says who has
 * to go on: its owner (SERVING, MOVING, RECOVERING), its owner's leader (HELD) or, these being dead, any
 * candidate by claim; a leader that has held, or a driver, may also be stopped for longer than it needs
 * (base/patience.h). A stopped owner at rest is switched away from; a stopped owner with open set is fenced,
 * and its life word awaited, before claim.
 */
#ifndef HEIR_STATE_CONTROL_H
#define HEIR_STATE_CONTROL_H

#include "base/atom.h"

enum control_phase { PHASE_DOWN, PHASE_SERVING, PHASE_HELD, PHASE_MOVING, PHASE_RECOVERING };

struct control {
	uint32_t generation;
	uint32_t owner, heir; /* slots */
	enum control_phase phase;
	unsigned open, parity, want;
};

/* Planned changes are refused beyond this generation; failovers go on to the last. */
#define CONTROL_GENERATION_LAST UINT32_C(0xfffffff0)
#define CONTROL_GENERATION_PLANNED UINT32_C(0xffff0000)

static inline struct control control_unpack(uint64_t w)
{
	return (struct control){
		.generation = (uint32_t)w,
		.owner = (uint32_t)(w >> 32) & 0xfff,
		.heir = (uint32_t)(w >> 44) & 0xfff,
		.phase = (enum control_phase)(w >> 56 & 7),
		.open = (unsigned)(w >> 59) & 1,
		.parity = (unsigned)(w >> 60) & 1,
		.want = (unsigned)(w >> 61) & 1,
	};
}

static inline uint64_t control_pack(struct control c)
{
	return (uint64_t)c.generation | (uint64_t)(c.owner & 0xfff) << 32 | (uint64_t)(c.heir & 0xfff) << 44 |
	       (uint64_t)(c.phase & 7) << 56 | (uint64_t)(c.open & 1) << 59 | (uint64_t)(c.parity & 1) << 60 |
	       (uint64_t)(c.want & 1) << 61;
}

/*
 * Transitions. Each returns 0 and changes *c, or a negative code and leaves it. `me` is the caller's slot.
 */
int control_begin(struct control *c, uint32_t me);    /* ESTALE EWANTED EOPEN */
int control_commit(struct control *c, uint32_t me);   /* ESTALE EOPEN */
int control_abort(struct control *c, uint32_t me);    /* ESTALE EOPEN */
int control_want(struct control *c, uint32_t me);     /* EALREADY (at rest, or mine): switch now */
/* by the target that gives up, or by the owner when no target lives any more */
int control_unwant(struct control *c, uint32_t me);   /* EALREADY (none set) */
/* EOPEN, EALREADY (mine), ESTALE (down, recovering), EGENERATION */
int control_switch(struct control *c, uint32_t me);
/* The owner is known dead (or there is none); in HELD, MOVING and RECOVERING the driver is dead too, or late. */
int control_claim(struct control *c, uint32_t me);    /* EALREADY EGENERATION */
int control_recovered(struct control *c, uint32_t me);/* ESTALE */
int control_serve(struct control *c, uint32_t me);    /* ESTALE EOPEN */
int control_switch_back(struct control *c, uint32_t me, uint32_t to); /* ESTALE EOPEN */
int control_hold(struct control *c, uint32_t owner);  /* ESTALE (the owner is another by now, or not serving) */
/* owner known dead, or at rest and mine: nobody serves */
int control_release(struct control *c, uint32_t owner); /* ESTALE EOPEN */
int control_name_heir(struct control *c, uint32_t heir);/* EALREADY, ESTALE (not serving) */

/*
 * Load, transit, CAS, again while the CAS fails. *ret_old and *ret_new (may be NULL) are the words. Wakes
 * nobody: control_wake_generation and control_wake_commit do, off the hot path where the caller says so.
 */
#define control_apply(word, ret_old, ret_new, transition, ...) \
	__extension__({ \
		atom64 *control_word_ = (word); \
		uint64_t control_old_ = atom_load_acquire(control_word_), control_new_ = 0; \
		int control_rc_; \
		do { \
			struct control control_c_ = control_unpack(control_old_); \
			control_rc_ = transition(&control_c_, __VA_ARGS__); \
			control_new_ = control_pack(control_c_); \
		} while (control_rc_ == 0 && !atom_cas_seq(control_word_, &control_old_, control_new_)); \
		*(ret_old) = control_old_; \
		if (control_rc_ == 0) \
			*(ret_new) = control_new_; \
		control_rc_; \
	})

/*
 * One CAS from exactly `old`: for transitions that were decided on evidence about the owner in `old`. 0,
 * HEIR_EAGAIN if it changed.
 */
int control_cas(atom64 *word, uint64_t old, struct control next);

/* little endian */
static inline atom32 *control_generation_futex(atom64 *word) { return (atom32 *)(void *)word; }
static inline atom32 *control_commit_futex(atom64 *word) { return (atom32 *)(void *)word + 1; }
void control_wake_generation(atom64 *word);
void control_wake_commit(atom64 *word);

#endif
