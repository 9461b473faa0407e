/* SPDX-License-Identifier: ISC */
#include "mail/doorbell.h"
#include "mail/mailfix.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Also used in threads and in forked children, so without cmocka's asserts. */
#define MUST(what)                                                                                 \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

void mailfix_init(struct shm *shm, uint32_t cells, uint32_t message)
{
	const struct shm_limits limits = {.nodes = 1,
					  .apps = 1,
					  .roles = MAILFIX_ROLES,
					  .slots = MAILFIX_SLOTS,
					  .cells = cells + 1,
					  .message = message,
					  .buckets = 1,
					  .name_cells = 2,
					  .trace = 2};
	size_t size = shm_size(&limits);
	struct shm_head *head;

	MUST(size);
	head = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(head != MAP_FAILED);
	head->magic = SHM_MAGIC;
	head->major = SHM_MAJOR;
	head->signature = layout_signature();
	head->size = size;
	head->limits = limits;
	memset(shm, 0, sizeof(*shm));
	MUST(shm_view(shm, head, size, 1) == 0);
	shm_app(shm, 0)->policy[0].max_deliveries = 3;
	for (uint32_t m = 0; m < shm_mailbox_count(shm); m++)
		for (uint32_t i = 0; i < shm->ring_entries; i++)
			atom_store_relaxed(&shm_ring(shm, m)[i], (uint64_t)i << 32);
}

void mailfix_finish(struct shm *shm)
{
	munmap(shm->base, shm->size);
}

uint64_t mailfix_slot(struct shm *shm, uint32_t slot, uint32_t incarnation, enum slot_state state)
{
	atom_store_seq(&shm_slot(shm, slot)->word,
		       (uint64_t)incarnation << 32 | (uint64_t)state << 24);
	return handle_make(slot, incarnation);
}

uint32_t mailfix_own(const struct shm *shm, uint32_t slot)
{
	return shm_slot_mailbox(shm, slot);
}

uint32_t mailfix_free_cells(const struct shm *shm)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < shm->limits.cells; i++)
		n += mailfix_word(shm, i).state == CELL_FREE;
	return n;
}

struct cell_word mailfix_word(const struct shm *shm, uint32_t cell)
{
	return cell_unpack(atom_load_acquire(&shm_cell(shm, cell)->word));
}

struct cell_ref mailfix_cell(struct shm *shm, uint32_t slot, uint32_t flags, uint32_t mailbox,
			     uint64_t target, uint64_t value)
{
	uint32_t hint = 0;
	struct cell_ref ref;

	MUST(cell_alloc(shm, slot, flags, &hint, &ref) == 0);
	MUST(cell_fill(shm, ref, CELL_USER, "", 0, &value, sizeof(value)) == 0);
	atom_store_relaxed(&shm_cell(shm, ref.cell)->mailbox, mailbox);
	atom_store_relaxed(&shm_cell(shm, ref.cell)->target, target);
	return ref;
}

struct cell_ref mailfix_send(struct shm *shm, uint32_t slot, uint32_t flags, uint32_t mailbox,
			     uint64_t target, uint64_t value)
{
	struct cell_ref ref = mailfix_cell(shm, slot, flags, mailbox, target, value);

	MUST(mailbox_publish(shm, mailbox, ref) == 0);
	mailbox_ring(shm, mailbox);
	return ref;
}

uint64_t mailfix_value(const struct shm *shm, uint32_t cell)
{
	uint64_t value;

	memcpy(&value, shm_cell_data(shm_cell(shm, cell)), sizeof(value));
	return value;
}

int mailfix_take(struct shm *shm, uint32_t slot, uint32_t mailbox, struct mail_head *ret)
{
	do {
		int rc = mailbox_peek(shm, mailbox, ret);

		MUST(rc >= 0);
		if (rc == 0)
			return 0;
	} while (mailbox_take(shm, slot, ret));
	return 1;
}

uint64_t mailfix_serve(struct shm *shm, uint32_t slot, uint32_t mailbox)
{
	struct mail_head head;
	uint64_t value;

	if (!mailfix_take(shm, slot, mailbox, &head))
		return 0;
	value = mailfix_value(shm, head.ref.cell);
	mailbox_pass(shm, mailbox, head.ticket, head.ref.cell);
	mail_answer(shm, head.ref);
	return value;
}

void mailfix_collect(struct shm *shm, struct cell_ref ref)
{
	uint64_t w;

	MUST(cell_load(shm, ref, &w) == 0 && cell_unpack(w).state == CELL_DONE);
	cell_free(shm, ref.cell, w);
}

void mailfix_give_up(struct shm *shm, struct cell_ref ref)
{
	uint64_t w;

	while (cell_load(shm, ref, &w) == 0) {
		struct cell_word next = cell_unpack(w);

		MUST(next.state != CELL_DONE && next.state != CELL_FREE);
		next.slot = 0;
		next.flags |= CELL_ABANDONED;
		if (cell_move(shm, ref.cell, w, next) == 0)
			return;
	}
}
