/* SPDX-License-Identifier: ISC */
/* A takeover asked for, and the record of moves. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/text.h"
#include "lib/handle.h"
#include "proc/recover.h"
#include "shm/policy.h"
#include "state/control.h"
#include "trace/moves.h"

#define MOVES_SEARCHED 16
#define TURN_LOOK_NS INT64_C(10000000)
#define NOT_TAKEN 1

static bool has_switched(const struct heir_move *m)
{
	for (size_t i = 0; i < m->steps; i++)
		if (strcmp(m->step[i].name, "switch") == 0 || strcmp(m->step[i].name, "claim") == 0)
			return true;
	return false;
}

/* A move without an end whose driver has died: before the switch it came to nothing, after it others went on. */
static void end_move(heir_t *h, struct heir_move *m, uint64_t driver)
{
	if (m->result || !handle_noticed(&h->shm, driver))
		return;
	m->result = has_switched(m) ? HEIR_FAILED_OVER : HEIR_ABORTED;
	m->error = HEIR_EDEAD;
}

static int read_moves(heir_t *h, int app, uint32_t slot, struct heir_move *ret, size_t max)
{
	uint64_t *drivers = calloc(max ? max : 1, sizeof(*drivers));
	int n = drivers ? moves_read(&h->shm, app, slot, ret, drivers, max) : -ENOMEM;

	for (int i = 0; i < n; i++)
		end_move(h, &ret[i], drivers[i]);
	free(drivers);
	return n;
}

int heir_moves(heir_t *h, const char *application, struct heir_move *ret, size_t max)
{
	int app = application ? lib_find_app(h, application) : -1;

	if (application && app < 0)
		return HEIR_ENOENT;
	return read_moves(h, app, 0, ret, max);
}

/* The process to ask: the hot standby itself, else its leader. */
static uint64_t target_of(heir_t *h, uint32_t app, uint32_t node)
{
	struct shm_app *a = shm_app(&h->shm, app);
	struct shm_role *lead = shm_role(&h->shm, a->lead_role);
	uint64_t handle = lead && !(a->flags & APP_LED) ? atom_load_acquire(&lead->candidate[node]) : 0;

	if (handle && handle_alive(&h->shm, handle) &&
	    atom_load_acquire(&shm_slot(&h->shm, handle_slot(handle))->ready) != WORKER_INIT)
		return handle;
	return atom_load_acquire(&shm_node(&h->shm, node)->leader);
}

/*
 * Of that generation there may be several: those that failed before the switch. A hot standby drives all of it: its
 * trace alone is read, as whoever has just been answered is on a processor that the new owner's callers need.
 */
static void find_move(heir_t *h, uint32_t app, uint32_t generation, uint32_t node, uint64_t asked,
		      struct heir_move *ret)
{
	const char *to = shm_node(&h->shm, node)->name;
	struct heir_move *moves = calloc(MOVES_SEARCHED, sizeof(*moves));
	uint32_t slot = slot_place(&h->shm, handle_slot(asked)).kind == KIND_WORKER ? handle_slot(asked) : 0;
	int n = moves ? read_moves(h, (int)app, slot, moves, MOVES_SEARCHED) : 0;

	for (int i = 0; i < n; i++)
		if (moves[i].generation == generation && strcmp(moves[i].to, to) == 0) {
			*ret = moves[i];
			break;
		}
	free(moves);
}

/* One request. NOT_TAKEN: whoever was asked died before it took it; it can be sent again. */
static int once(heir_t *h, uint32_t app, uint32_t node, unsigned how, int64_t deadline, struct heir_move *ret)
{
	struct shm_app *a = shm_app(&h->shm, app);
	struct control c = control_unpack(atom_load_acquire(&a->control));
	struct request r = {
		.op = REQ_TAKEOVER, .app = app, .type = HEIR_TAKEOVER, .how = how, .generation = c.generation};
	struct heir_ticket ticket;
	struct reply reply = {0};
	size_t size = sizeof(reply);
	uint64_t to = target_of(h, app, node);
	int owner_node = c.phase == PHASE_DOWN ? -1 : slot_place(&h->shm, c.owner).node, rc;
	struct shm_node *from = owner_node >= 0 ? shm_node(&h->shm, (uint32_t)owner_node) : NULL;

	if (c.phase == PHASE_SERVING && owner_node == (int)node &&
	    !handle_noticed(&h->shm, slot_handle(&h->shm, c.owner)))
		return HEIR_EALREADY;
	if (!to)
		return HEIR_ENOTREADY;
	rc = lib_request(h, to, &r, &ticket);
	if (rc == 0)
		rc = heir_call_finish(h, ticket, &reply, &size,
				      deadline < 0 ? HEIR_FOREVER : deadline_left(deadline));
	if (rc == 0 && size != sizeof(reply))
		rc = HEIR_ECORRUPT;
	memset(ret, 0, sizeof(*ret));
	TEXT_COPY(ret->application, a->name);
	ret->kind = HEIR_TAKEOVER;
	TEXT_COPY(ret->to, shm_node(&h->shm, node)->name);
	ret->at_ns = clock_real_ns(); /* where the target has recorded nothing */
	if (from)
		TEXT_COPY(ret->from, from->name);
	if (rc == HEIR_EDEAD && !deadline_passed(deadline))
		return NOT_TAKEN;
	if (rc == HEIR_EDEAD || rc == HEIR_EUNKNOWN) {
		/* Its target died over it. */
		if (deadline_passed(deadline))
			return rc;
		ret->generation = c.generation;
		find_move(h, app, c.generation, node, 0, ret); /* by whomever */
		ret->error = HEIR_EDEAD;
		ret->result = ret->result ? ret->result : HEIR_ABORTED;
		return HEIR_EFAILED;
	}
	if (rc)
		return rc;
	reply.step[sizeof(reply.step) - 1] = 0;
	if (reply.error == HEIR_EBUSY && !reply.result) {
		struct shm_node *winner = reply.node ? shm_node(&h->shm, reply.node - 1) : NULL;

		text_copy(ret->to, sizeof(ret->to), winner ? winner->name : "",
			  winner ? sizeof(winner->name) : 1);
		return HEIR_EBUSY;
	}
	if (reply.error && !reply.result)
		return reply.error;
	find_move(h, app, reply.generation, node, to, ret);
	ret->result = (enum heir_result)reply.result;
	ret->error = reply.error;
	TEXT_COPY(ret->failed_step, reply.step);
	return reply.error ? HEIR_EFAILED : 0;
}

int heir_takeover(heir_t *h, const char *application, const char *node, unsigned how, int64_t timeout,
		  struct heir_move *ret)
{
	int app = application ? lib_find_app(h, application) : -1, to = node ? lib_find_node(h, node) : -1, rc;
	int64_t deadline = deadline_after(timeout);
	struct heir_move *move;

	if (how & ~(HEIR_OVERLAP | HEIR_EXCLUSIVE | HEIR_WAIT_TURN))
		return HEIR_EINVAL;
	if (app < 0 || to < 0 || policy_priority(&h->shm, shm_app(&h->shm, (uint32_t)app), (uint32_t)to) == 0)
		return HEIR_ENOENT;
	if (h->self == 0)
		return HEIR_EPERM;
	move = calloc(1, sizeof(*move));
	if (!move)
		return -ENOMEM;
	for (;;) {
		uint32_t generation = (uint32_t)atom_load_acquire(&shm_app(&h->shm, (uint32_t)app)->control);

		rc = once(h, (uint32_t)app, (uint32_t)to, how & ~HEIR_WAIT_TURN, deadline, move);
		if (rc != NOT_TAKEN && (rc != HEIR_EBUSY || !(how & HEIR_WAIT_TURN) || deadline_passed(deadline)))
			break;
		/* Woken when that move ends, which need not raise the generation; and look again soon in any case. */
		(void)futex_wait(control_generation_futex(&shm_app(&h->shm, (uint32_t)app)->control), generation,
		                 deadline_min(deadline, clock_ns() + TURN_LOOK_NS));
	}
	if (rc == 0 || rc == HEIR_EFAILED || rc == HEIR_EBUSY)
		*ret = *move;
	free(move);
	return rc;
}
