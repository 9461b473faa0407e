/* SPDX-License-Identifier: ISC */
/* Who drives a move (move.h has the argument). */
#include "proc/move.h"

#include "base/clock.h"
#include "base/patience.h"
#include "base/testpoint.h"
#include "heir.h"
#include "shm/policy.h"

#define UNIT_SHIFT 24
#define UNTIL_MASK ((UINT64_C(1) << 35) - 1)

struct move_word move_unpack(uint64_t w)
{
	return (struct move_word){.slot = (uint32_t)w & 0xfff,
				  .step = (uint32_t)(w >> 12) & 0xf,
				  .type = (uint32_t)(w >> 16) & 7,
				  .from = (uint32_t)(w >> 19) & 0x1f,
				  .to = (uint32_t)(w >> 24) & 0x1f,
				  .until = (int64_t)(w >> 29 << UNIT_SHIFT)};
}

uint64_t move_pack(struct move_word m)
{
	uint64_t until = m.until < 0 ? UNTIL_MASK : (uint64_t)m.until >> UNIT_SHIFT;

	return (uint64_t)(m.slot & 0xfff) | (uint64_t)(m.step & 0xf) << 12 | (uint64_t)(m.type & 7) << 16 |
	       (uint64_t)(m.from & 0x1f) << 19 | (uint64_t)(m.to & 0x1f) << 24 |
	       (until < UNTIL_MASK ? until : UNTIL_MASK) << 29;
}

/* Rounded up. */
static int64_t until(int64_t deadline)
{
	return deadline_from(deadline, (INT64_C(1) << UNIT_SHIFT) - 1);
}

static int64_t late_at(const struct shm *shm, uint32_t app, struct move_word m)
{
	return deadline_from(m.until, patience_driver(policy_time(POLICY_WORD(shm, shm_app(shm, app), claim_grace))));
}

static bool is_waited_for(const struct shm *shm, uint32_t app, struct move_word m, int64_t now)
{
	uint64_t driver = m.slot ? slot_handle(shm, m.slot) : 0;

	return driver && !handle_noticed(shm, driver) && now < late_at(shm, app, m);
}

int move_begin(const struct shm *shm, uint32_t app, uint64_t me, uint32_t type, uint32_t from, uint32_t to,
	       struct move_word *ret_winner)
{
	struct shm_app *a = shm_app(shm, app);

	for (;;) {
		uint64_t w = atom_load_acquire(&a->move);
		int64_t now = clock_ns();
		struct move_word m = move_unpack(w);

		if (m.slot != handle_slot(me) && is_waited_for(shm, app, m, now)) {
			if (ret_winner)
				*ret_winner = m;
			return HEIR_EBUSY;
		}
		m = (struct move_word){handle_slot(me), 0, type, from, to,
				       until(deadline_from(now, policy_time(POLICY_WORD(shm, a, step_timeout))))};
		TESTPOINT("move: beginning");
		if (atom_cas(&a->move, &w, move_pack(m)))
			break;
	}
	TESTPOINT("move: begun");
	return 0;
}

bool move_step(const struct shm *shm, uint32_t app, uint64_t me, uint32_t step, int64_t deadline)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t w = atom_load_acquire(&a->move);
	struct move_word m = move_unpack(w);

	m.step = step;
	m.until = until(deadline);
	TESTPOINT("move: stepping");
	/* Nobody changes the word of a driver but who takes its place. */
	return m.slot == handle_slot(me) && atom_cas(&a->move, &w, move_pack(m));
}

void move_end(const struct shm *shm, uint32_t app, uint64_t me)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t w = atom_load_acquire(&a->move);
	struct move_word m = move_unpack(w);

	if (m.slot != handle_slot(me))
		return;
	m.slot = 0;
	TESTPOINT("move: ending");
	(void)atom_cas(&a->move, &w, move_pack(m));
}

bool move_is_mine(const struct shm *shm, uint32_t app, uint64_t me)
{
	return move_unpack(atom_load_acquire(&shm_app(shm, app)->move)).slot == handle_slot(me);
}

int64_t move_step_ends(struct move_word m, uint64_t driver)
{
	return m.slot && m.slot == handle_slot(driver) ? m.until : DEADLINE_NEVER;
}

bool move_driver_alive(const struct shm *shm, uint32_t app)
{
	struct move_word m = move_unpack(atom_load_acquire(&shm_app(shm, app)->move));

	return m.slot && !handle_noticed(shm, slot_handle(shm, m.slot));
}

bool move_is_driven(const struct shm *shm, uint32_t app, int64_t now)
{
	return is_waited_for(shm, app, move_unpack(atom_load_acquire(&shm_app(shm, app)->move)), now);
}

int64_t move_late_at(const struct shm *shm, uint32_t app)
{
	struct move_word m = move_unpack(atom_load_acquire(&shm_app(shm, app)->move));

	return m.slot ? late_at(shm, app, m) : DEADLINE_NEVER;
}

uint64_t move_late(const struct shm *shm, uint32_t app, int64_t now)
{
	struct move_word m = move_unpack(atom_load_acquire(&shm_app(shm, app)->move));
	uint64_t driver = m.slot ? slot_handle(shm, m.slot) : 0;

	return driver && !handle_noticed(shm, driver) && !is_waited_for(shm, app, m, now) ? driver : 0;
}
