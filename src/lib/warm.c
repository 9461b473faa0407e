/* SPDX-License-Identifier: ISC */
/*
 * What a move goes through for the first time in this process is touched beforehand, so that few page faults are on its
 * path: its application, its trace, its mailbox, some cells, this library's code, the stack. No more than that: each
 * page that a process has mapped makes its end longer, and where the standby is woken on the dying one's processor, it
 * waits for that end.
 */
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/worker.h"

#define STEP 4096
#define CELLS_MOST ((size_t)1 << 20)
#define CODE_MOST  ((uintptr_t)128 << 10) /* to either side of here: this library, also within a program */
#define STACK      16384              /* deeper than a move goes, less than any thread has */

static void touch(void *from, size_t size)
{
	for (size_t i = 0; i + sizeof(atom64) <= size; i += STEP)
		(void)atom_load_relaxed((atom64 *)(void *)((unsigned char *)from + i));
}

/* Where the kernel does not do it, the path has its faults. */
static int touch_code(struct dl_phdr_info *info, size_t size, void *page)
{
	const uintptr_t mask = ~(*(uintptr_t *)page - 1), here = (uintptr_t)&warm_path;

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr, end = from + p->p_memsz;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || here < from || here >= end)
			continue;
		from = here - from > CODE_MOST ? here - CODE_MOST : from;
		end = end - here > CODE_MOST ? here + CODE_MOST : end;
		from &= mask;
		(void)madvise((void *)from, end - from, MADV_POPULATE_READ);
	}
	return 0;
}

__attribute__((noinline)) static void touch_stack(void)
{
	volatile unsigned char room[STACK];

	for (size_t i = 0; i < sizeof(room); i += STEP / 2)
		room[i] = 0;
}

void warm_path(heir_t *h)
{
	const struct shm *s = &h->shm;
	size_t cells = (size_t)s->limits.cells * s->cell_stride;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	touch(worker_app(h), sizeof(struct shm_app));
	touch(shm_trace(s, h->slot), s->trace_stride);
	touch(shm_ring(s, (uint32_t)h->place.role), s->ring_entries * sizeof(atom64));
	touch(s->cells, cells < CELLS_MOST ? cells : CELLS_MOST);
	(void)dl_iterate_phdr(touch_code, &page);
	touch_stack();
}

/* What the limit of locked memory does not allow is not locked: the leader has said so. */
void warm_memory(heir_t *h)
{
	uint32_t how = h->shm.head->memory;

	if (how & MEMORY_PREFAULTED)
		(void)madvise(h->shm.base, h->shm.size, MADV_POPULATE_WRITE);
	if (how & MEMORY_LOCKED)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE);
}
