/* SPDX-License-Identifier: ISC */
/* Writing and reading trace rings; the argument is in tracering.h. */
#include "trace/tracering.h"

static struct shm_trace_record *record_at(const struct shm *shm, struct shm_trace_head *head,
					  uint64_t number)
{
	return (struct shm_trace_record *)(void *)(head + 1) + (number & (shm->limits.trace - 1));
}

void trace_write(const struct shm *shm, uint32_t slot, const struct trace_record *r)
{
	struct shm_trace_head *head = shm->writable ? shm_trace(shm, slot) : NULL;
	struct shm_trace_record *to;
	uint64_t number;

	if (!head)
		return;
	number = atom_load_relaxed(&head->next); /* this thread's, or handed over with the slot */
	to = record_at(shm, head, number);
	/* The release of each word orders W1 before it: pairs with R2 in trace_read. */
	atom_store_relaxed(&to->words[0], number << 8 | TRACE_NONE);
	atom_store_release(&to->words[1], (uint64_t)r->b << 48 | (uint64_t)r->a << 40 |
						  (uint64_t)r->app << 32 | r->generation);
	atom_store_release(&to->words[2], (uint64_t)r->at_ns);
	atom_store_release(&to->words[3], r->value);
	/* W3: the words before it are seen by an R1 that sees it. */
	atom_store_release(&to->words[0], number << 8 | (uint64_t)r->event);
	atom_store_release(&head->next, number + 1); /* pairs with trace_range */
}

void trace_range(const struct shm *shm, uint32_t slot, uint64_t *ret_first, uint64_t *ret_end)
{
	struct shm_trace_head *head = shm_trace(shm, slot);
	uint64_t next = head ? atom_load_acquire(&head->next) : 0;

	*ret_first = next > shm->limits.trace ? next - shm->limits.trace : 0;
	*ret_end = head ? next + 1 : 0; /* a writer may have died between W3 and W4 */
	if (*ret_end == 0)
		*ret_first = 0;
}

int trace_read(const struct shm *shm, uint32_t slot, uint64_t number, struct trace_record *ret)
{
	struct shm_trace_head *head = shm_trace(shm, slot);
	struct shm_trace_record *from;
	uint64_t before, after, w1, w2, w3;

	if (!head)
		return 0;
	from = record_at(shm, head, number);
	before = atom_load_acquire(&from->words[0]); /* pairs with W3 */
	w1 = atom_load_acquire(&from->words[1]);     /* these with W2 of a later record */
	w2 = atom_load_acquire(&from->words[2]);
	w3 = atom_load_acquire(&from->words[3]);
	after = atom_load_relaxed(&from->words[0]);
	if (before != after || before >> 8 != (number & UINT64_MAX >> 8))
		return 0;
	if ((before & 0xff) == TRACE_NONE || (before & 0xff) >= TRACE_EVENTS_END)
		return 0;
	*ret = (struct trace_record){
		.event = (enum trace_event)(before & 0xff),
		.generation = (uint32_t)w1,
		.app = (uint8_t)(w1 >> 32),
		.a = (uint8_t)(w1 >> 40),
		.b = (uint16_t)(w1 >> 48),
		.at_ns = (int64_t)w2,
		.value = w3,
	};
	return 1;
}

const char *trace_event_name(enum trace_event event)
{
	static const char *const names[] = {
#define X(event, name, a, b, at, value) [TRACE_##event] = name,
		TRACE_EVENTS(X)
#undef X
	};

	if (event <= TRACE_NONE || event >= TRACE_EVENTS_END)
		return "?";
	return names[event];
}
