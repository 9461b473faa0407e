/* SPDX-License-Identifier: ISC */
/*
 * A process's view of the segment: made at the gate, private, trusted from then on.
 */
#ifndef HEIR_SHM_SEGMENT_H
#define HEIR_SHM_SEGMENT_H

#include "shm/layout.h"

struct shm {
	unsigned char *base;
	size_t size;
	int writable;
	struct shm_limits limits; /* a checked copy */
	uint32_t ring_entries;    /* power of two */
	size_t cell_stride, trace_stride;
	struct shm_head *head;
	struct shm_node *nodes;
	struct shm_app *apps;
	struct shm_role *roles;
	struct shm_slot *slots;
	struct shm_mailbox *mailboxes;
	atom64 *rings;
	unsigned char *cells;
	struct shm_bucket *buckets;
	struct shm_name_cell *name_cells;
	unsigned char *traces;
	char *conf; /* two of them: shm/policy.h */
	char path[128]; /* /dev/shm/heir.UID.DOMAIN */
};

/* Size of a segment with these limits, or 0 if one is out of range. */
size_t shm_size(const struct shm_limits *limits);
uint64_t layout_signature(void);

/* Writes /dev/shm/heir.UID.DOMAIN into buf. 0, or HEIR_EINVAL for a bad domain name. */
int shm_path(const char *domain, char *buf, size_t size);

/*
 * Create under a temporary name: full size reserved (-ENOSPC here and not SIGBUS later), head and limits
 * filled, the rest zero. The caller fills nodes, applications, roles and configuration, then publishes: -EEXIST
 * if another was quicker.
 */
int shm_create(struct shm *shm, const char *domain, const struct shm_limits *limits, uint64_t conf_signature);
int shm_publish(struct shm *shm);
/* The gate. HEIR_ENODOMAIN EFOREIGN ELAYOUT ECORRUPT EPERM, -errno. */
int shm_attach(struct shm *shm, const char *domain, int writable);
/* As shm_attach; *why (may be NULL) says which gate refused, and what it saw there. "" where it has nothing to add. */
struct shm_refusal { char text[160]; };
int shm_attach_why(struct shm *shm, const char *domain, int writable, struct shm_refusal *why);
/* As above for a mapping made by the caller over its own memory (tests, fuzzing): checks head and carves. */
int shm_view(struct shm *shm, void *base, size_t size, int writable);
void shm_detach(struct shm *shm);
int shm_unlink(const char *domain);

/* Checked access: NULL when the index is out of range (slot 0, cell 0 and name cell 0 are nobody's). */
static inline struct shm_node *shm_node(const struct shm *s, uint64_t i)
{
	return i < s->limits.nodes ? &s->nodes[i] : NULL;
}
static inline struct shm_app *shm_app(const struct shm *s, uint64_t i)
{
	return i < s->limits.apps ? &s->apps[i] : NULL;
}
static inline struct shm_role *shm_role(const struct shm *s, uint64_t i)
{
	return i < s->limits.roles ? &s->roles[i] : NULL;
}
static inline struct shm_slot *shm_slot(const struct shm *s, uint64_t i)
{
	return i > 0 && i < s->limits.slots ? &s->slots[i] : NULL;
}
/* The node of the process in that slot, or -1. */
static inline int shm_slot_node(const struct shm *s, uint32_t slot)
{
	struct shm_slot *at = shm_slot(s, slot);
	uint32_t node = at ? (uint32_t)(atom_load_relaxed(&at->place) >> 48) & 0xff : 0;

	return node > 0 && node <= s->limits.nodes ? (int)node - 1 : -1;
}
static inline uint32_t shm_mailbox_count(const struct shm *s) { return s->limits.roles + s->limits.slots; }
static inline uint32_t shm_slot_mailbox(const struct shm *s, uint32_t slot) { return s->limits.roles + slot; }
static inline struct shm_mailbox *shm_mailbox(const struct shm *s, uint64_t i)
{
	return i < shm_mailbox_count(s) ? &s->mailboxes[i] : NULL;
}
static inline atom64 *shm_ring(const struct shm *s, uint64_t mailbox)
{
	return mailbox < shm_mailbox_count(s) ? s->rings + mailbox * s->ring_entries : NULL;
}
static inline struct shm_cell *shm_cell(const struct shm *s, uint64_t i)
{
	return i > 0 && i < s->limits.cells ? (struct shm_cell *)(void *)(s->cells + i * s->cell_stride) : NULL;
}
static inline unsigned char *shm_cell_data(struct shm_cell *c) { return (unsigned char *)(c + 1); }
static inline uint32_t shm_cell_room(const struct shm *s) { return s->limits.message + 256; }
static inline unsigned char *shm_cell_reply(const struct shm *s, struct shm_cell *c)
{
	return shm_cell_data(c) + shm_cell_room(s);
}
static inline struct shm_bucket *shm_bucket(const struct shm *s, uint64_t hash)
{
	return &s->buckets[hash & (s->limits.buckets - 1)];
}
static inline struct shm_name_cell *shm_name_cell(const struct shm *s, uint64_t i)
{
	return i > 0 && i < s->limits.name_cells ? &s->name_cells[i] : NULL;
}
static inline struct shm_trace_head *shm_trace(const struct shm *s, uint64_t slot)
{
	if (slot == 0 || slot >= s->limits.slots)
		return NULL;
	return (struct shm_trace_head *)(void *)(s->traces + slot * s->trace_stride);
}

/*
 * A handle is {incarnation:32 | slot:32}; the incarnation's top bit is never set, so that a binding can tell it
 * from a role.
 */
static inline uint64_t handle_make(uint32_t slot, uint32_t incarnation) { return (uint64_t)incarnation << 32 | slot; }
static inline uint32_t handle_slot(uint64_t handle) { return (uint32_t)handle; }
static inline uint32_t handle_incarnation(uint64_t handle) { return (uint32_t)(handle >> 32); }

#endif
