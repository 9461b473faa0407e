/* SPDX-License-Identifier: ISC */
/*
 * Who drives a move of an application: {slot:12 | step:4 | type:3 | from + 1:5 | to + 1:5 | until:35}, one word, so
 * that driver, step and deadline change together and a driver that is stopped between any two instructions has a
 * deadline. It is late when that has passed by patience_driver(): nobody waits for it any more, and another may take
 * its place.
 *
 *   nobody, dead or late -> me   move_begin
 *   me -> me                     move_step: the next step and its deadline
 *   me -> nobody                 move_end
 *   dead -> nobody               bury
 *
 * A late driver that goes on later can do nothing to the move of another. In this word: all that it does is a CAS
 * from its own slot. In the control word: app_acquire() asks move_is_mine() between its load and its CAS, so that
 * its switch either was done before it lost the move, or fails. Once it owns, the control word says for how long.
 *
 * The same word twice: a driver's deadline lies ahead when it is stored, so a late driver's word does not come back.
 * A dead one's could, if the slot's next process drove the same step within one unit of `until`: that one would be
 * replaced while it lives, be told so by its next step, and give up.
 */
#ifndef HEIR_PROC_MOVE_H
#define HEIR_PROC_MOVE_H

#include "proc/slot.h"

/* type: enum heir_start_type; from, to: nodes + 1; until: CLOCK_MONOTONIC, in units of 2^24 ns (for 18 years) */
struct move_word { uint32_t slot, step, type, from, to; int64_t until; };
struct move_word move_unpack(uint64_t w);
uint64_t move_pack(struct move_word m);

/* 0, or HEIR_EBUSY and *ret_winner (may be NULL). The first step has step_timeout. */
int move_begin(const struct shm *shm, uint32_t app, uint64_t me, uint32_t type, uint32_t from, uint32_t to,
	       struct move_word *ret_winner);
/* false: the move is another's by now, and not to be gone on with. */
bool move_step(const struct shm *shm, uint32_t app, uint64_t me, uint32_t step, int64_t deadline);
void move_end(const struct shm *shm, uint32_t app, uint64_t me);
bool move_is_mine(const struct shm *shm, uint32_t app, uint64_t me);

/* When the step that it drives by that word has to be over; -1: none. One word: a move may end between two loads. */
int64_t move_step_ends(struct move_word m, uint64_t driver);
bool move_driver_alive(const struct shm *shm, uint32_t app); /* false as well when there is none */
/* Somebody drives who lives and is not late: to be waited for. */
bool move_is_driven(const struct shm *shm, uint32_t app, int64_t now);
int64_t move_late_at(const struct shm *shm, uint32_t app); /* when it will be late; -1: nobody drives */
/* Handle of a driver that lives and is late, or 0. */
uint64_t move_late(const struct shm *shm, uint32_t app, int64_t now);

#endif
