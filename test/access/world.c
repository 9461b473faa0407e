/* SPDX-License-Identifier: ISC */
/* The segment of the access tests, its images and its invariants (world.h). */
#define SIMCALLS_NOT_RENAMED
#include "access/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/simcalls.h"
#include "heir.h"
#include "lib/resolve.h"
#include "name/namecell.h"
#include "name/names.h"
#include "proc/bury.h"
#include "proc/recover.h"

#define PAGE	   4096u
#define UNDO	   512u
#define STATE_FILE (3 * (size_t)PAGE) /* head, log, data */

struct shm world;
struct state world_state;
struct ledger *ledger;

static heir_t handles[ACTORS];
static unsigned char bytes[ACTORS][SHM_NAME_MAX + 2 + 64];
static unsigned char *state_file;
static size_t state_used; /* what is saved of it */

struct image {
	struct sim sim;
	struct ledger ledger;
	heir_t handles[ACTORS];
	unsigned char state[2 * PAGE + WORLD_STATE];
	unsigned char segment[];
};

struct image *image_new(void)
{
	struct image *image = malloc(sizeof(*image) + world.size);

	if (!image)
		abort();
	return image;
}

void image_free(struct image *image)
{
	free(image);
}

void world_save(struct image *image)
{
	image->sim = sim;
	image->ledger = *ledger;
	memcpy(image->handles, handles, sizeof(handles));
	memcpy(image->state, state_file, state_used);
	memcpy(image->segment, world.base, world.size);
}

void world_load(const struct image *image)
{
	engine_reset();
	sim_unmap();
	sim = image->sim;
	*ledger = image->ledger;
	memcpy(handles, image->handles, sizeof(handles));
	memcpy(state_file, image->state, state_used);
	memcpy(world.base, image->segment, world.size);
}

static void *map_shared(size_t size, int fd)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	if (base == MAP_FAILED)
		abort();
	return base;
}

void world_open(void)
{
	const struct shm_limits limits = {
		.nodes = 3,
		.apps = 1,
		.roles = 2,
		.slots = WORLD_SLOTS,
		.cells = WORLD_CELLS + 1,
		.message = 64,
		.buckets = 1,
		.name_cells = 245,
		.trace = 8,
	};
	size_t size = shm_size(&limits);
	struct shm_head *head = map_shared(size, -1);
	int fd = memfd_create("state", MFD_CLOEXEC);

	head->magic = SHM_MAGIC;
	head->major = SHM_MAJOR;
	head->signature = layout_signature();
	head->size = size;
	head->limits = limits;
	MUST(shm_view(&world, head, size, 1) == 0);
	engine_watch(world.base, world.size);
	strcpy(world.path, "/dev/shm/access");
	if (fd < 0 || fchmod(fd, 0600) < 0 || ftruncate(fd, STATE_FILE) < 0)
		abort();
	sim_state_file(fd);
	state_file = map_shared(STATE_FILE, fd);
	state_used = 2 * PAGE + WORLD_STATE;
	engine_watch(state_file, STATE_FILE);
	ledger = map_shared(sizeof(*ledger), -1);
}

static void lay_state(void)
{
	struct shm_state_head *h = (struct shm_state_head *)(void *)state_file;

	memset(state_file, 0, STATE_FILE);
	h->magic = STATE_MAGIC;
	h->size = WORLD_STATE;
	h->undo_size = UNDO;
	h->undo_offset = PAGE;
	h->data_offset = 2 * PAGE;
	h->file_size = STATE_FILE;
	world_state = (struct state){
		.base = state_file,
		.mapped = STATE_FILE,
		.head = h,
		.undo = state_file + PAGE,
		.data = state_file + 2 * PAGE,
		.undo_size = UNDO,
		.size = WORLD_STATE,
	};
}

static void lay_app(void)
{
	static const char *const steps[] = {"start", "switch", "takeover", "go", "stop_old"};
	struct shm_app *a = &world.apps[0];

	strcpy(a->name, "app");
	a->roles = 2;
	a->flags = APP_HOT;
	a->state_size = WORLD_STATE;
	a->undo_size = UNDO;
	a->policy[0].step_timeout = 2000000000;
	a->policy[0].yield_timeout = 100000000;
	a->policy[0].claim_grace = 50000000;
	a->policy[0].failover_intensity = 1000;
	a->policy[0].failover_period = 1000000000;
	a->policy[0].max_deliveries = 100; /* deaths of handlers are what this is about */
	for (; a->steps < 5; a->steps++)
		strcpy(a->step[a->steps], steps[a->steps]);
	for (unsigned i = 0; i < 3; i++)
		a->policy[0].priority[i] = (uint8_t)(i + 1);
	atom_store_relaxed(&a->permitted, 7);
	atom_store_relaxed(&a->wanted, 1);
	for (uint32_t r = 0; r < 2; r++) {
		strcpy(world.roles[r].id, r ? "box" : "server");
		world.roles[r].flags = r ? 0 : ROLE_ATTACH | ROLE_STATE; /* the box has no steps */
	}
}

void world_lay(void)
{
	static const char *const nodes[] = {"a", "b", "c"};
	struct shm_head head = {
		.magic = SHM_MAGIC,
		.major = SHM_MAJOR,
		.signature = layout_signature(),
		.size = world.size,
		.uid = geteuid(),
		.limits = world.limits,
	};

	engine_reset();
	sim_unmap();
	sim_reset();
	memset(ledger, 0, sizeof(*ledger));
	memset(handles, 0, sizeof(handles));
	memset(world.base, 0, world.size);
	*world.head = head;
	lay_app();
	lay_state();
	for (uint32_t m = 0; m < shm_mailbox_count(&world); m++)
		for (uint32_t i = 0; i < world.ring_entries; i++)
			atom_store_relaxed(&shm_ring(&world, m)[i], (uint64_t)i << 32);
	for (int i = 0; i < 3; i++)
		strcpy(world.nodes[i].name, nodes[i]);
	for (int i = 0; i < 2; i++) {
		uint64_t leader;

		MUST_BE(slot_join(&world, (struct slot_place){KIND_LEADER, i, -1, -1}, &leader), 0);
		MUST(handle_slot(leader) == TEST_SLOT || i > 0);
		atom_store_relaxed(&world.nodes[i].leader, leader);
	}
	for (uint32_t r = 0; r < 2; r++)
		MUST_BE(names_register(&world, TEST_SLOT, r ? "box" : "app", 3, name_binding_role(0, r), NULL,
				       NULL),
			0);
}

uint64_t world_leader(int node)
{
	return atom_load_relaxed(&world.nodes[node].leader);
}

heir_t *world_handle(unsigned actor)
{
	return &handles[actor];
}

heir_t *world_join(unsigned actor, struct slot_place place)
{
	static atom32 here = 1;
	heir_t *h = &handles[actor];
	int rc;

	if (!engine_in_fibre())
		engine_as(actor);
	*h = (heir_t){.shm = world, .place = place, .epoll = -1, .here = &here};
	h->in.bytes = bytes[actor];
	rc = slot_join(&world, place, &h->self);
	MUST(rc == 0 || (rc == HEIR_EFULL && engine_in_fibre()));
	if (rc)
		return NULL;
	ledger->self[actor] = h->self;
	h->slot = handle_slot(h->self);
	h->cell_hint = h->slot * 7 % WORLD_CELLS;
	if (!engine_in_fibre())
		engine_as(0);
	return h;
}

heir_t *world_worker(unsigned actor, int node, uint32_t role)
{
	heir_t *h = world_join(actor, (struct slot_place){KIND_WORKER, node, 0, (int)role});
	int last = role == ROLE_LEAD ? node : (int)world.limits.nodes - 1; /* the box is read wherever the owner is */

	if (!h)
		return NULL;
	if (role == ROLE_LEAD)
		h->state = world_state;
	for (int n = role == ROLE_LEAD ? node : 0; n <= last; n++) {
		uint64_t old = atom_load_acquire(&world.roles[role].candidate[n]);

		do
			MUST(!old || handle_gone(&world, old));
		while (!atom_cas_seq(&world.roles[role].candidate[n], &old, h->self));
	}
	atom_store_release(&world.slots[h->slot].ready, WORKER_STANDBY);
	return h;
}

heir_t *world_client(unsigned actor)
{
	return world_join(actor, (struct slot_place){KIND_CLIENT, -1, -1, -1});
}

struct control world_control(void)
{
	return control_unpack(atom_load_acquire(&world.apps[0].control));
}

static void sound_mailbox(uint32_t mailbox)
{
	struct shm_mailbox *m = shm_mailbox(&world, mailbox);
	uint64_t head = atom_load_seq(&m->head), tail = atom_load_seq(&m->tail);

	MUST(tail - head <= world.ring_entries || head - tail <= 1);
	for (uint32_t i = 0; i < world.ring_entries; i++) {
		uint64_t entry = atom_load_seq(&shm_ring(&world, mailbox)[i]);
		uint32_t cell = (uint32_t)entry;

		MUST_BE((entry >> 32) % world.ring_entries, i);
		MUST((entry >> 32) - head + 1 <= world.ring_entries + 1);
		MUST(cell < world.limits.cells);
		for (uint32_t k = 0; cell && k < i; k++)
			MUST((uint32_t)atom_load_seq(&shm_ring(&world, mailbox)[k]) != cell);
	}
}

void world_sound(void)
{
	struct control c = world_control();

	MUST_BE(names_check(&world), 0);
	MUST(c.phase <= PHASE_RECOVERING && (c.owner != 0) == (c.phase != PHASE_DOWN));
	MUST(c.owner < WORLD_SLOTS && c.heir < WORLD_SLOTS && (!c.open || c.owner));
	MUST(!(c.phase == PHASE_RECOVERING) || c.open);
	for (uint32_t i = 0; i < shm_mailbox_count(&world); i++)
		sound_mailbox(i);
	for (uint32_t i = 1; i < world.limits.cells; i++) {
		struct cell_word w = cell_unpack(atom_load_seq(&shm_cell(&world, i)->word));

		MUST(w.state <= CELL_ASIDE && w.slot < WORLD_SLOTS);
		MUST(w.state != CELL_FREE || (w.slot == 0 && w.flags == 0 && w.deliveries == 0));
	}
	for (uint32_t i = 1; i < WORLD_SLOTS; i++)
		MUST(slot_unpack(atom_load_seq(&world.slots[i].word)).state <= SLOT_DEAD);
}

static void quiet_app(void)
{
	struct shm_app *a = &world.apps[0];
	struct control c = world_control();
	struct move_word m = move_unpack(atom_load_seq(&a->move));

	MUST(!c.open && !c.want);
	if (c.phase != PHASE_DOWN)
		MUST(handle_alive(&world, slot_handle(&world, c.owner)));
	MUST(!c.heir || handle_alive(&world, slot_handle(&world, c.heir)));
	MUST(!m.slot || handle_alive(&world, slot_handle(&world, m.slot)));
	MUST(atom_load_seq(&a->redone) <= c.generation);
	MUST_BE(atom_load_seq(&world_state.head->undo_used[c.parity]), 0);
	for (uint32_t r = 0; r < 2; r++)
		for (uint32_t n = 0; n < 3; n++) {
			uint64_t handle = atom_load_seq(&world.roles[r].candidate[n]);

			MUST(!handle || handle_alive(&world, handle));
		}
	for (uint32_t n = 0; n < 3; n++)
		MUST(!world_leader((int)n) || handle_alive(&world, world_leader((int)n)));
}

void world_quiet(unsigned aside, uint32_t name_cells)
{
	unsigned kept = 0;

	world_sound();
	quiet_app();
	for (uint32_t i = 0; i < shm_mailbox_count(&world); i++) {
		struct shm_mailbox *m = shm_mailbox(&world, i);
		uint64_t head = atom_load_seq(&m->head);

		/* Whoever emptied an entry may have died before it advanced the head: the next reader does. */
		while (atom_load_seq(&shm_ring(&world, i)[head % world.ring_entries]) >> 32 ==
		       head + world.ring_entries)
			head++;
		MUST_BE(atom_load_seq(&m->tail), head);
		for (uint64_t t = head; t < head + world.ring_entries; t++)
			MUST_BE(atom_load_seq(&shm_ring(&world, i)[t % world.ring_entries]), t << 32);
	}
	for (uint32_t i = 1; i < world.limits.cells; i++) {
		struct cell_word w = cell_unpack(atom_load_seq(&shm_cell(&world, i)->word));

		kept += w.state == CELL_ASIDE;
		MUST(w.state == CELL_FREE || w.state == CELL_ASIDE);
		MUST(w.slot == 0 || slot_handle(&world, w.slot) != 0);
	}
	MUST_BE(kept, aside);
	for (uint32_t i = 1; i < WORLD_SLOTS; i++) {
		struct slot_word s = slot_unpack(atom_load_seq(&world.slots[i].word));

		MUST(s.state == SLOT_FREE || s.state == SLOT_ALIVE);
		MUST(s.state == SLOT_FREE || handle_alive(&world, handle_make(i, s.incarnation)));
	}
	MUST_BE(names_sweep(&world), name_cells);
}
