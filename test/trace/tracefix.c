/* SPDX-License-Identifier: ISC */
#include "tracefix.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map(int fd, size_t size, int protection)
{
	void *base = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		abort();
	return base;
}

static void fill(struct shm *s)
{
	static const char *const steps[] = {"start", "switch", "takeover", "go", "stop_old"};

	for (uint32_t i = 0; i < s->limits.nodes; i++)
		snprintf(s->nodes[i].name, sizeof(s->nodes[i].name), "%c", (char)('a' + i));
	for (uint32_t i = 0; i < s->limits.apps; i++) {
		struct shm_app *app = &s->apps[i];

		snprintf(app->name, sizeof(app->name), "app%u", i);
		app->steps = sizeof(steps) / sizeof(steps[0]);
		for (uint32_t j = 0; j < app->steps; j++)
			snprintf(app->step[j], sizeof(app->step[j]), "%s", steps[j]);
	}
	for (uint32_t i = 1; i < s->limits.slots; i++)
		atom_store_relaxed(&s->slots[i].word, UINT64_C(7) << 32);
}

void tracefix_init(struct tracefix *f, uint32_t records)
{
	const struct shm_limits limits = {
		.nodes = TRACEFIX_NODES,
		.apps = TRACEFIX_APPS,
		.roles = 4,
		.slots = TRACEFIX_SLOTS,
		.cells = 4,
		.message = 64,
		.buckets = 4,
		.name_cells = 4,
		.trace = records,
		.conf = 64,
	};
	size_t size = shm_size(&limits);
	int fd = memfd_create("segment", MFD_CLOEXEC);
	struct shm_head *head;

	if (size == 0 || fd < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	*f = (struct tracefix){0};
	head = map(fd, size, PROT_READ | PROT_WRITE);
	head->magic = SHM_MAGIC;
	head->major = SHM_MAJOR;
	head->signature = layout_signature();
	head->size = size;
	head->limits = limits;
	if (shm_view(&f->rw, head, size, 1) || shm_view(&f->ro, map(fd, size, PROT_READ), size, 0))
		abort();
	close(fd);
	fill(&f->rw);
}

void tracefix_finish(struct tracefix *f)
{
	munmap(f->rw.base, f->rw.size);
	munmap(f->ro.base, f->ro.size);
}
