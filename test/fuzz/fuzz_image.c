/* SPDX-License-Identifier: ISC */
#define FUZZ_KERNEL_ITSELF
#include "fuzz/fuzz_image.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz/fuzz_atoms.h"
#include "heir.h"
#include "mail/record.h"
#include "name/names.h"
#include "proc/recover.h"
#include "proc/slot.h"
#include "state/control.h"
#include "state/state.h"
#include "trace/moves.h"

#define PAGE 4096u
#define STATE_FILE (PAGE + IMAGE_STATE + IMAGE_STATE)
#define ARENAS 4 /* mappings of the state file at a time */
#define PATCHES_MAX 64u
#define ENDLESS UINT64_C(4000000) /* points: the longest run of a sound segment passes some 100 000 */

uint64_t fuzz_points, fuzz_next = UINT64_MAX;

static struct {
	unsigned char *model, *copy; /* of the segment */
	size_t size;
	unsigned char state_model[STATE_FILE], *state, *arena[ARENAS];
	int arena_used[ARENAS];
	int state_fd;
	struct shm shm; /* of the copy */
} image;

/* Parts of the image that changes are aimed at: bytes from the start of the segment, or of the state file. */
static struct part {
	size_t start, size;
	int state;
} parts[24];
static unsigned part_count;

static struct patch {
	uint64_t when;
	unsigned char *at;
	unsigned mode;
	uint32_t value;
	uint64_t old;
} patches[PATCHES_MAX];
static unsigned patch_count, patch_next;

const char *const image_names[] = {"one", "two", "alpha", "beta",
				   "a name of more than forty bytes, in two cells, as is",
				   "one@a", "one@b", "heir@a", "heir@c", "alpha@a", "absent", "one@absent", "two@b"};
const unsigned image_names_count = sizeof(image_names) / sizeof(image_names[0]);

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "the harness itself: %s\n", what);
	abort();
}

/* size bytes that end at a page which cannot be touched, and begin behind one. */
static unsigned char *guarded(size_t size)
{
	unsigned char *p = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED && mprotect(p + PAGE, size, PROT_READ | PROT_WRITE) == 0, "mmap");
	return p + PAGE;
}

static void set_slot(struct shm *s, uint32_t slot, enum slot_kind kind, int node, int app, int role, int dead)
{
	struct shm_slot *p = &s->slots[slot];

	atom_store_relaxed(&p->word, slot_pack((struct slot_word){5, SLOT_ALIVE, 4000 + slot}));
	atom_store_relaxed(&p->place, (uint64_t)kind << 56 | (uint64_t)(uint8_t)(node + 1) << 48 |
					      (uint64_t)(uint16_t)(app + 1) << 32 | (uint32_t)(role + 1));
	for (unsigned i = 0; i < SHM_LIVES; i++)
		atom_store_relaxed(slot_life(s, slot, i), dead ? FUTEX_OWNER_DIED | FUTEX_WAITERS
							       : (4000 + slot) | FUTEX_WAITERS);
}

static uint64_t handle_at(uint32_t slot)
{
	return handle_make(slot, 5);
}

static void fill_app(struct shm *s, uint32_t app, const char *name, uint32_t first, uint32_t roles)
{
	static const char *const steps[] = {"start", "switch", "takeover", "go", "stop_old"};
	struct shm_app *a = &s->apps[app];

	strcpy(a->name, name);
	a->first_role = a->lead_role = first;
	a->roles = roles;
	a->flags = APP_HOT;
	a->state_size = a->undo_size = IMAGE_STATE;
	a->policy[0].step_timeout = 2000000000;
	a->policy[0].yield_timeout = 1000000;
	a->policy[0].claim_grace = 5000000;
	a->policy[0].failover_intensity = 10;
	a->policy[0].failover_period = 1000000000;
	a->policy[0].max_deliveries = 3;
	for (unsigned i = 0; i < IMAGE_NODES; i++)
		a->policy[0].priority[i] = (uint8_t)(i + 1);
	for (unsigned i = 0; i < 5; i++)
		strcpy(a->step[a->steps++], steps[i]);
	atom_store_relaxed(&a->permitted, 7);
	atom_store_relaxed(&a->wanted, 1);
	for (uint32_t r = first; r < first + roles; r++) {
		strcpy(s->roles[r].id, r == first ? "server" : "helper");
		s->roles[r].app = app;
		s->roles[r].flags = ROLE_ATTACH | (r == first ? ROLE_STATE : 0);
	}
}

static void fill_people(struct shm *s)
{
	struct control one = {.generation = 7, .owner = OWNER, .heir = STANDBY, .phase = PHASE_SERVING};
	struct control two = {.generation = 9, .owner = DEAD_OWNER, .phase = PHASE_SERVING, .open = 1, .parity = 1};

	set_slot(s, LEADER_A, KIND_LEADER, 0, -1, -1, 0);
	set_slot(s, LEADER_B, KIND_LEADER, 1, -1, -1, 0);
	set_slot(s, OWNER, KIND_WORKER, 0, 0, 0, 0);
	set_slot(s, STANDBY, KIND_WORKER, 1, 0, 0, 0);
	set_slot(s, DEAD_OWNER, KIND_WORKER, 1, 1, 2, 1);
	set_slot(s, DEAD_CLIENT, KIND_CLIENT, -1, -1, -1, 1);
	set_slot(s, CLIENT, KIND_CLIENT, -1, -1, -1, 0);
	atom_store_relaxed(&s->slots[JOINER].word, slot_pack((struct slot_word){9, SLOT_JOINING, 4001}));
	for (unsigned n = 0; n < 2; n++) {
		atom_store_relaxed(&s->nodes[n].leader, handle_at(LEADER_A + n));
		atom_store_relaxed(&s->nodes[n].state, NODE_UP);
	}
	atom_store_relaxed(&s->slots[OWNER].ready, WORKER_SERVING);
	atom_store_relaxed(&s->slots[STANDBY].ready, WORKER_STANDBY);
	atom_store_relaxed(&s->slots[DEAD_OWNER].ready, WORKER_SERVING);
	atom_store_relaxed(&s->slots[DEAD_CLIENT].names, 1);
	atom_store_relaxed(&s->roles[0].candidate[0], handle_at(OWNER));
	atom_store_relaxed(&s->roles[0].candidate[1], handle_at(STANDBY));
	atom_store_relaxed(&s->roles[2].candidate[1], handle_at(DEAD_OWNER));
	atom_store_relaxed(&s->roles[0].child[0], UINT64_C(1) << 32 | (uint64_t)CHILD_RUNNING << 24 | 4003);
	atom_store_relaxed(&s->apps[0].control, control_pack(one));
	atom_store_relaxed(&s->apps[1].control, control_pack(two));
	atom_store_relaxed(&s->apps[0].start, (uint64_t)HEIR_NORMAL << 56 | 7);
	atom_store_relaxed(&s->apps[1].start, (uint64_t)HEIR_TAKEOVER << 56 | UINT64_C(1) << 48 | 9);
	atom_store_relaxed(&s->apps[0].instance[0], INSTANCE_RUNNING);
	atom_store_relaxed(&s->apps[0].instance[1], INSTANCE_STANDBY);
}

static struct cell_ref put(struct shm *s, uint32_t slot, uint32_t flags, uint32_t mailbox, uint64_t target,
			   const char *text)
{
	uint32_t hint = 0;
	struct cell_ref ref;

	must(cell_alloc(s, slot, flags, &hint, &ref) == 0, "a cell");
	must(cell_fill(s, ref, CELL_USER, "one", 3, text, strlen(text)) == 0, "its filling");
	atom_store_relaxed(&shm_cell(s, ref.cell)->mailbox, mailbox);
	atom_store_relaxed(&shm_cell(s, ref.cell)->target, target);
	return ref;
}

static void fill_mail(struct shm *s)
{
	struct mail_head head;
	struct mail_record record = {.sent = 1, .outcome = MAIL_ANSWERED, .mailbox = 2};
	struct cell_ref ref;

	must(mailbox_publish(s, 0, put(s, CLIENT, CELL_CALL, 0, 0, "a call")) == 0, "publish");
	must(mailbox_publish(s, 0, put(s, DEAD_CLIENT, CELL_CALL, 0, 0, "another")) == 0, "publish");
	must(mailbox_publish(s, 0, put(s, CLIENT, 0, 0, 0, "a message")) == 0, "publish");
	must(mailbox_publish(s, 2, put(s, CLIENT, CELL_CALL, 2, 0, "to the dead")) == 0, "publish");
	must(mailbox_peek(s, 2, &head) == 1 && mailbox_take(s, DEAD_OWNER, &head) == 0, "take");
	record.ref = head.ref;
	record.ticket = head.ticket;
	record.outbox[0].ref = put(s, DEAD_OWNER, 0, 0, 0, "sent by the dead");
	record.outbox[0].mailbox = 0;
	record_store(&s->apps[1].record[1], &record);
	ref = put(s, CLIENT, CELL_CALL, shm_slot_mailbox(s, DEAD_OWNER), handle_at(DEAD_OWNER), "direct");
	must(mailbox_publish(s, shm_slot_mailbox(s, DEAD_OWNER), ref) == 0, "publish");
	(void)put(s, DEAD_CLIENT, CELL_CALL, 0, 0, "never published");
}

static void fill_rest(struct shm *s)
{
	struct trace_move move = {.app = 0, .generation = 5, .kind = HEIR_TAKEOVER, .from = 1, .to = 2, .began = 1000};

	must(names_register(s, CLIENT, "one", 3, name_binding_role(0, 0), NULL, NULL) == 0 &&
		     names_register(s, CLIENT, "two", 3, name_binding_role(1, 2), NULL, NULL) == 0 &&
		     names_register(s, CLIENT, "alpha", 5, handle_at(CLIENT), NULL, NULL) == 0 &&
		     names_register(s, DEAD_CLIENT, "beta", 4, handle_at(DEAD_CLIENT), NULL, NULL) == 0 &&
		     names_register(s, CLIENT, image_names[4], strlen(image_names[4]), name_binding_role(0, 1), NULL,
				    NULL) == 0,
	     "names");
	trace_move_begin(s, STANDBY, &move);
	trace_step(s, STANDBY, &move, 0, 1100, 50);
	trace_step(s, LEADER_A, &move, TRACE_STEP_STOP_OLD, 1200, 50);
	trace_move_end(s, STANDBY, &move, HEIR_DONE, 0, TRACE_STEP_NONE);
	move.generation = 9;
	move.app = 1;
	trace_move_begin(s, DEAD_OWNER, &move);
}

static void add_part(size_t start, size_t size, int state)
{
	must(part_count < sizeof(parts) / sizeof(parts[0]), "parts");
	parts[part_count++] = (struct part){start, size, state};
}

static void find_parts(struct shm *s)
{
#define AT(p) ((size_t)((unsigned char *)(p) - s->base))
	add_part(0, sizeof(struct shm_head), 0);
	add_part(offsetof(struct shm_head, limits), sizeof(struct shm_limits), 0);
	add_part(AT(s->nodes), s->limits.nodes * sizeof(*s->nodes), 0);
	add_part(AT(s->apps), AT(&s->apps[0].control) - AT(s->apps), 0);
	for (unsigned i = 0; i < IMAGE_APPS; i++)
		add_part(AT(&s->apps[i].control), sizeof(struct shm_app) - offsetof(struct shm_app, control), 0);
	add_part(AT(&s->apps[1]), offsetof(struct shm_app, control), 0);
	add_part(AT(s->roles), s->limits.roles * sizeof(*s->roles), 0);
	add_part(AT(s->slots), IMAGE_FREE * sizeof(*s->slots), 0);
	for (unsigned i = 1; i < 3; i++) /* whoever joins */
		add_part(AT(&s->slots[IMAGE_FREE - 1 + i]), offsetof(struct shm_slot, life), 0);
	add_part(AT(s->mailboxes), shm_mailbox_count(s) * sizeof(*s->mailboxes), 0);
	add_part(AT(s->rings), shm_mailbox_count(s) * s->ring_entries * sizeof(atom64), 0);
	add_part(AT(s->rings), 3 * s->ring_entries * sizeof(atom64), 0);
	add_part(AT(s->cells), s->limits.cells * s->cell_stride, 0);
	for (unsigned i = 1; i < 4; i++)
		add_part(AT(shm_cell(s, i)), sizeof(struct shm_cell), 0);
	add_part(AT(s->buckets), s->limits.buckets * sizeof(*s->buckets), 0);
	add_part(AT(s->name_cells), s->limits.name_cells * sizeof(*s->name_cells), 0);
	add_part(AT(s->traces), s->limits.slots * s->trace_stride, 0);
	add_part(0, image.size, 0);
	add_part(0, sizeof(struct shm_state_head), 1);
	add_part(PAGE, 256, 1);
#undef AT
}

static void build_state(void)
{
	struct shm_state_head head = {.magic = STATE_MAGIC, .size = IMAGE_STATE, .undo_size = IMAGE_STATE};
	uint64_t entry[] = {16, 8, 4711, 32, UINT64_MAX, 8, 0, 32};

	head.undo_offset = PAGE;
	head.data_offset = PAGE + IMAGE_STATE;
	head.file_size = STATE_FILE;
	atom_store_relaxed(&head.undo_used[1], sizeof(entry));
	memcpy(image.state_model, &head, sizeof(head));
	memcpy(image.state_model + PAGE, entry, sizeof(entry));
	image.state_fd = memfd_create("state", MFD_CLOEXEC);
	must(image.state_fd >= 0 && ftruncate(image.state_fd, STATE_FILE) == 0 &&
		     fchmod(image.state_fd, 0600) == 0,
	     "a state file");
	image.state = mmap(NULL, STATE_FILE, PROT_READ | PROT_WRITE, MAP_SHARED, image.state_fd, 0);
	for (unsigned i = 0; i < ARENAS; i++)
		image.arena[i] = guarded(STATE_FILE);
	must(image.state != MAP_FAILED, "its mapping");
}

void image_build(void)
{
	struct shm_limits limits = {.nodes = IMAGE_NODES, .apps = IMAGE_APPS, .roles = 3, .slots = IMAGE_FREE + 3,
				    .cells = 17, .message = 64, .buckets = 4, .name_cells = 321, .trace = 8,
				    .conf = 64};
	struct shm_head head = {.magic = SHM_MAGIC, .major = SHM_MAJOR, .signature = layout_signature(),
				.uid = (uint32_t)geteuid(), .domain = "fuzz", .limits = limits};
	struct shm s = {.path = "/dev/shm/heir.0.fuzz"};

	image.size = head.size = shm_size(&limits);
	must(image.size > 0, "limits");
	image.copy = guarded(image.size);
	image.model = malloc(image.size);
	memcpy(image.copy, &head, sizeof(head));
	must(image.model && shm_view(&s, image.copy, image.size, 1) == 0, "the gate");
	strcpy(s.nodes[0].name, "a");
	strcpy(s.nodes[1].name, "b");
	strcpy(s.nodes[2].name, "c");
	fill_app(&s, 0, "one", 0, 2);
	fill_app(&s, 1, "two", 2, 1);
	for (uint32_t m = 0; m < shm_mailbox_count(&s); m++)
		for (uint32_t i = 0; i < s.ring_entries; i++)
			atom_store_relaxed(&shm_ring(&s, m)[i], (uint64_t)i << 32);
	fill_people(&s);
	fill_mail(&s);
	fill_rest(&s);
	atom_store_relaxed(&s.head->join_hint, IMAGE_FREE - 1);
	must(names_check(&s) == 0, "the names");
	memcpy(image.model, image.copy, image.size);
	image.shm = s;
	find_parts(&s);
	build_state();
}

unsigned char *image_fresh(size_t *ret_size)
{
	memcpy(image.copy, image.model, image.size);
	memcpy(image.state, image.state_model, STATE_FILE);
	*ret_size = image.size;
	fuzz_points = 0;
	return image.copy;
}

void image_exclusive(void)
{
	for (unsigned i = 0; i < IMAGE_APPS; i++)
		image.shm.apps[i].flags |= APP_EXCLUSIVE;
}

void image_all_dead(void)
{
	/* But the joiner, who has no life words yet: there is no process of its pid, which is odd. */
	for (uint32_t i = 1; i < image.shm.limits.slots; i++)
		for (unsigned n = 0; n < SHM_LIVES; n++)
			atom_or_relaxed((atom32 *)(void *)&image.shm.slots[i].life[n].mutex, FUTEX_OWNER_DIED);
}

int image_state_fd(void)
{
	return image.state_fd;
}

void *image_state_map(size_t size)
{
	must(size == STATE_FILE, "the size of the state file");
	for (unsigned i = 0; i < ARENAS; i++) {
		if (image.arena_used[i])
			continue;
		image.arena_used[i] = 1;
		return mmap(image.arena[i], size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, image.state_fd, 0);
	}
	must(0, "mappings of the state are left");
	return NULL;
}

int image_state_unmap(void *base, size_t size)
{
	for (unsigned i = 0; i < ARENAS; i++) {
		if (base != image.arena[i])
			continue;
		must(image.arena_used[i], "unmapping what is mapped");
		must(mmap(base, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base, "unmapping");
		image.arena_used[i] = 0;
		return 1;
	}
	return 0;
}

/* Words are copied as bytes: an image has no types here. */
static uint64_t load64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static uint64_t changed(const struct patch *p, uint64_t old)
{
	switch (p->mode % 8) {
	case 0:
		return (old & ~UINT64_C(0xffffffff)) | p->value;
	case 1:
		return p->value;
	case 2:
		return (uint64_t)(int64_t)(int32_t)p->value;
	case 3:
		return old + (uint64_t)(int64_t)(int32_t)p->value;
	case 4:
		return old ^ UINT64_C(1) << (p->value & 63);
	case 5:
		return (uint64_t)(p->value >> 16) << 32 | (p->value & 0xffff);
	case 6:
		return (old & UINT64_C(0xffffffff)) | (uint64_t)p->value << 32;
	default:
		return (old & ~(UINT64_C(0xff) << (p->value % 8 * 8))) |
		       (uint64_t)(p->value >> 8 & 0xff) << (p->value % 8 * 8);
	}
}

static void apply(struct patch *p)
{
	uint64_t now;

	p->old = load64(p->at);
	now = changed(p, p->old);
	memcpy(p->at, &now, 8);
}

void fuzz_change(void)
{
	if (fuzz_points > ENDLESS) {
		fprintf(stderr, "endless: %llu accesses to shared memory\n", (unsigned long long)fuzz_points);
		abort();
	}
	while (patch_next < patch_count && patches[patch_next].when <= fuzz_points)
		apply(&patches[patch_next++]);
	fuzz_next = patch_next < patch_count ? patches[patch_next].when : ENDLESS;
}

static int by_time(const void *a, const void *b)
{
	const struct patch *x = a, *y = b;

	return x->when < y->when ? -1 : x->when > y->when;
}

void patches_take(const unsigned char *data, size_t size)
{
	patch_count = patch_next = 0;
	for (; size >= PATCH_BYTES && patch_count < PATCHES_MAX; data += PATCH_BYTES, size -= PATCH_BYTES) {
		const struct part *part = &parts[data[0] % part_count];
		struct patch *p = &patches[patch_count++];
		size_t word = (size_t)(data[1] | data[2] << 8) % (part->size / 4) * 4;

		if (word + 8 > part->size)
			word = part->size - 8;
		p->at = (part->state ? image.state : image.copy) + part->start + word;
		p->mode = data[3];
		p->when = (uint64_t)(data[4] | data[5] << 8);
		memcpy(&p->value, data + 6, 4);
	}
	qsort(patches, patch_count, sizeof(patches[0]), by_time);
	fuzz_change();
}

void patches_finish(void)
{
	patch_count = patch_next = 0;
	fuzz_next = UINT64_MAX;
}

static atomic_int thread_phase; /* 0 idle, 1 to run, 2 to stop */

static void *mutate(void *arg)
{
	(void)arg;
	for (;;) {
		while (atomic_load(&thread_phase) == 0)
			sched_yield();
		for (unsigned n = 0; atomic_load(&thread_phase) == 1; n++) {
			struct patch *p = patch_count ? &patches[n % patch_count] : NULL;

			if (!p || p->when == 0)
				continue;
			apply(p);
			memcpy(p->at, &p->old, 8);
		}
		atomic_store(&thread_phase, 0);
	}
	return NULL;
}

void patches_thread_start(void)
{
	static int running;
	pthread_t thread;

	if (!running)
		must(pthread_create(&thread, NULL, mutate, NULL) == 0, "a thread");
	running = 1;
	patch_next = patch_count; /* left to the thread */
	fuzz_next = ENDLESS;
	atomic_store(&thread_phase, 1);
}

void patches_thread_stop(void)
{
	atomic_store(&thread_phase, 2);
	while (atomic_load(&thread_phase) != 0)
		sched_yield();
}
