/* SPDX-License-Identifier: ISC */
/*
 * What a move goes through for the first time in this process is touched beforehand, so that no page fault is on its
 * path: its trace, its mailbox, cells; the code, of which a program that has only waited has run little; the stack.
 */
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/worker.h"

#define STEP 4096
#define CELLS_MOST ((size_t)1 << 20)
#define CODE_MOST  ((size_t)8 << 20) /* of one program or library */
#define STACK      16384              /* deeper than a move goes, less than any thread has */

static void touch(void *from, size_t size)
{
	for (size_t i = 0; i + sizeof(atom64) <= size; i += STEP)
		(void)atom_load_relaxed((atom64 *)(void *)((unsigned char *)from + i));
}

/* Of whatever is loaded: the program, this library, libc. Where the kernel does not do it, the path has its faults. */
static int touch_code(struct dl_phdr_info *info, size_t size, void *page)
{
	const uintptr_t mask = ~(*(uintptr_t *)page - 1);

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr) & mask, end = info->dlpi_addr + p->p_vaddr + p->p_memsz;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		(void)madvise((void *)from, end - from < CODE_MOST ? end - from : CODE_MOST, MADV_POPULATE_READ);
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
