/* SPDX-License-Identifier: ISC */
/*
 * Moves (takeovers, failovers, starts, restarts in place) in the trace: written by their drivers,
 * put together again by readers.
 *
 * A move is {application, generation of its control word when it began, handle of its driver}. The
 * driver writes its begin, its steps and its end into its own ring; there, what follows a begin and
 * has its application and generation belongs to it. Another process that does a step for it (the
 * old node's leader: stop_old; the target's: spawn) writes it into a ring of its own, and names
 * the driver where it knows it. If more than one move fits such a step, it is the last one that had
 * begun when the step did.
 *
 * A move without an end is under way, or its driver has died: result 0, and whoever knows the
 * process table tells one from the other. A move whose begin is overwritten is gone.
 */
#ifndef HEIR_TRACE_MOVES_H
#define HEIR_TRACE_MOVES_H

#include "heir.h"
#include "trace/tracering.h"

#define TRACE_DRIVER_UNKNOWN UINT64_MAX

struct trace_move {
	uint32_t app;        /* index */
	uint32_t generation; /* of the control word when the move began */
	uint64_t driver;     /* handle; 0: the writer itself, or TRACE_DRIVER_UNKNOWN */
	/* for trace_move_begin alone: */
	enum heir_start_type kind;
	uint32_t from, to; /* node + 1, 0: none */
	int64_t began;
};

/*
 * For the thread that has `slot`. step: an index into shm_app.step, or of enum trace_step;
 * failed_step: that, or TRACE_STEP_NONE. Times are of clock_ns().
 */
void trace_move_begin(const struct shm *shm, uint32_t slot, const struct trace_move *move);
void trace_step(const struct shm *shm, uint32_t slot, const struct trace_move *move, unsigned step,
		int64_t start_ns, int64_t duration_ns);
void trace_move_end(const struct shm *shm, uint32_t slot, const struct trace_move *move,
		    enum heir_result result, int error, unsigned failed_step);

/*
 * The newest moves first, at most max of them, of application `app` or (-1) of all. Returns how
 * many, or -ENOMEM. Steps are in the order of their starts, the first HEIR_STEPS_MAX of them; times
 * are since the begin or the first start, whichever was earlier. total_ns lasts to the end of the
 * last step that is not stop_old. ret_drivers gets the handle of each move's driver, unless NULL.
 * With a slot, not 0: only what that slot's thread has driven, and only the steps that it did
 * itself; for who waits, and must not take long.
 */
int moves_read(const struct shm *shm, int app, uint32_t slot, struct heir_move *ret,
	       uint64_t *ret_drivers, size_t max);

#endif
