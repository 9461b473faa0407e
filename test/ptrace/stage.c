/* SPDX-License-Identifier: ISC */
/* The domain of the sweep, its images and its copy (stage.h). */
#include "stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "name/names.h"
#include "state/state.h"

struct stage stage;
struct backstage *backstage;

static unsigned char *map_file(const char *path, size_t size, int create)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
	struct stat st;
	void *at;

	MUST(fd >= 0);
	MUST(!create || ftruncate(fd, (off_t)size) == 0);
	MUST(fstat(fd, &st) == 0 && (size_t)st.st_size == size);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(at != MAP_FAILED);
	close(fd);
	return at;
}

static void state_path_of(const char *domain, char *path, size_t size)
{
	struct shm shm = stage.d.shm;

	MUST(shm_path(domain, shm.path, sizeof(shm.path)) == 0);
	MUST(state_path(&shm, 0, path, size) == 0);
}

void stage_open(void)
{
	const struct domain_options options = {.cells = STAGE_CELLS,
					       .message = STAGE_MESSAGE,
					       .names = 16,
					       .slots = STAGE_SLOTS,
					       .roles = 2,
					       .trace = 2,
					       .state = 4096,
					       .yield_timeout = 2000000};
	struct acquired got;
	struct stat st;

	backstage = mmap(NULL, sizeof(*backstage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(backstage != MAP_FAILED);
	domain_init(&stage.d, &options);
	alarm(0);
	MUST(names_register(&stage.d.shm, handle_slot(stage.d.leader[0]), "box", 3, name_binding_role(0, 1),
			    NULL, NULL) == 0);
	stage.server = owner_open(stage.d.name, 0);
	MUST(owner_acquire(stage.server, ACQUIRE_CLAIM, &got) == 0);
	owner_serve(stage.server);
	MUST(heir_open(stage.d.name, 0, &stage.client) == 0);

	MUST(shm_path(stage.d.name, stage.path[0], sizeof(stage.path[0])) == 0);
	state_path_of(stage.d.name, stage.path[1], sizeof(stage.path[1]));
	snprintf(stage.copy, sizeof(stage.copy), "%.50s-copy", stage.d.name);
	MUST(shm_path(stage.copy, stage.path[2], sizeof(stage.path[2])) == 0);
	state_path_of(stage.copy, stage.path[3], sizeof(stage.path[3]));

	MUST(stat(stage.path[1], &st) == 0);
	stage.state_size = (size_t)st.st_size;
	stage.state = map_file(stage.path[1], stage.state_size, 0);
	stage.size = stage.d.shm.size + stage.state_size;
	stage.rest = aligned_alloc(CACHE_LINE, (stage.size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	MUST(stage.rest);
	stage_take(stage.rest);
	stage.copy_segment = map_file(stage.path[2], stage.d.shm.size, 1);
	stage.copy_state = map_file(stage.path[3], stage.state_size, 1);
}

void stage_unlink(void)
{
	for (unsigned i = 0; i < 4; i++)
		if (stage.path[i][0])
			(void)unlink(stage.path[i]);
}

void stage_close(void)
{
	if (stage.rest)
		stage_restore(stage.rest);
	heir_close(stage.client);
	heir_close(stage.server);
	domain_finish(&stage.d);
	stage_unlink();
}

void stage_take(unsigned char *image)
{
	memcpy(image, stage.d.shm.base, stage.d.shm.size);
	memcpy(image + stage.d.shm.size, stage.state, stage.state_size);
}

void stage_restore(const unsigned char *image)
{
	memcpy(stage.d.shm.base, image, stage.d.shm.size);
	memcpy(stage.state, image + stage.d.shm.size, stage.state_size);
	stage.server->open = 0; /* it may have begun a transaction for a scene */
}

void stage_fill_copy(const unsigned char *image)
{
	memcpy(stage.copy_segment, image, stage.d.shm.size);
	memcpy(stage.copy_state, image + stage.d.shm.size, stage.state_size);
}

bool stage_same(const unsigned char *image)
{
	return memcmp(stage.d.shm.base, image, stage.d.shm.size) == 0 &&
	       memcmp(stage.state, image + stage.d.shm.size, stage.state_size) == 0;
}

struct shm stage_view(const unsigned char *image)
{
	struct shm view = {0};

	MUST(shm_view(&view, (void *)(uintptr_t)image, stage.d.shm.size, 1) == 0);
	return view;
}
