/* SPDX-License-Identifier: ISC */
/* Creation, the attach gate and the carving of the segment. */
#include "shm/segment.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "heir.h"

#define LIMIT_SIZE_MAX ((size_t)1 << 40)

uint64_t layout_signature(void)
{
	static const uint32_t shape[] = {
		sizeof(struct shm_head),
		offsetof(struct shm_head, limits),
		offsetof(struct shm_head, changed),
		sizeof(struct shm_node),
		offsetof(struct shm_node, leader),
		sizeof(struct shm_app),
		offsetof(struct shm_app, priority),
		offsetof(struct shm_app, control),
		offsetof(struct shm_app, move),
		offsetof(struct shm_app, instance),
		offsetof(struct shm_app, record),
		sizeof(struct shm_record),
		sizeof(struct shm_role),
		offsetof(struct shm_role, candidate),
		sizeof(struct shm_slot),
		offsetof(struct shm_slot, life),
		sizeof(struct shm_life),
		sizeof(pthread_mutex_t),
		offsetof(struct shm_slot, doorbell),
		sizeof(struct shm_mailbox),
		offsetof(struct shm_mailbox, tail),
		sizeof(struct shm_cell),
		sizeof(struct shm_bucket),
		sizeof(struct shm_name_cell),
		sizeof(struct shm_trace_record),
		sizeof(struct shm_trace_head),
		SHM_NODES_MAX,
		SHM_STEPS_MAX,
		SHM_LIVES,
		SHM_OUTBOX_MAX,
		sizeof(void *),
	};

	return hash_bytes(shape, sizeof(shape));
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static int limits_valid(const struct shm_limits *l)
{
	return l->nodes >= 1 && l->nodes <= SHM_NODES_MAX && l->apps >= 1 && l->apps <= SHM_APPS_MAX &&
	       l->roles >= 1 && l->roles <= SHM_ROLES_MAX && l->slots >= 2 && l->slots <= SHM_SLOTS_MAX &&
	       l->cells >= 2 && l->cells <= SHM_CELLS_MAX + 1 && l->message >= 64 && l->message <= 1u << 24 &&
	       l->message % 64 == 0 && l->buckets >= 1 && l->buckets <= SHM_NAMES_MAX &&
	       (l->buckets & (l->buckets - 1)) == 0 && l->name_cells >= 2 &&
	       l->name_cells <= 16 * SHM_NAMES_MAX && l->trace >= 2 && l->trace <= 1u << 16 &&
	       (l->trace & (l->trace - 1)) == 0 && l->conf <= 1u << 24 && l->conf % 64 == 0;
}

static size_t take(size_t *at, size_t count, size_t each)
{
	size_t offset = *at;

	*at = (offset + count * each + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	return offset;
}

/* NULL where only the size is asked for. */
static unsigned char *place(const struct shm *s, size_t offset)
{
	return s->base ? s->base + offset : NULL;
}

/*
 * Fills everything of *s that follows from base and limits; returns the size. The products stay below 2^40 by
 * limits_valid().
 */
static size_t carve(struct shm *s)
{
	const struct shm_limits *l = &s->limits;
	size_t at = 0;

	s->ring_entries = power_of_two(l->cells);
	s->cell_stride = sizeof(struct shm_cell) + (size_t)l->message * 2 + 256;
	s->trace_stride = sizeof(struct shm_trace_head) + (size_t)l->trace * sizeof(struct shm_trace_record);
	s->head = (void *)place(s, take(&at, 1, sizeof(struct shm_head)));
	s->nodes = (void *)place(s, take(&at, l->nodes, sizeof(struct shm_node)));
	s->apps = (void *)place(s, take(&at, l->apps, sizeof(struct shm_app)));
	s->roles = (void *)place(s, take(&at, l->roles, sizeof(struct shm_role)));
	s->slots = (void *)place(s, take(&at, l->slots, sizeof(struct shm_slot)));
	s->mailboxes = (void *)place(s, take(&at, shm_mailbox_count(s), sizeof(struct shm_mailbox)));
	s->rings = (void *)place(s, take(&at, (size_t)shm_mailbox_count(s) * s->ring_entries, sizeof(atom64)));
	s->cells = place(s, take(&at, l->cells, s->cell_stride));
	s->buckets = (void *)place(s, take(&at, l->buckets, sizeof(struct shm_bucket)));
	s->name_cells = (void *)place(s, take(&at, l->name_cells, sizeof(struct shm_name_cell)));
	s->traces = place(s, take(&at, l->slots, s->trace_stride));
	s->conf = (void *)place(s, take(&at, 1, l->conf));
	return (at + 4095) & ~(size_t)4095;
}

size_t shm_size(const struct shm_limits *limits)
{
	struct shm s = {.base = NULL, .limits = *limits};
	size_t size = limits_valid(limits) ? carve(&s) : 0;

	return size <= LIMIT_SIZE_MAX ? size : 0;
}

int shm_path(const char *domain, char *buf, size_t size)
{
	size_t n = strlen(domain);

	if (n < 1 || n > 63)
		return HEIR_EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)domain[i]) && !strchr("_-", domain[i]))
			return HEIR_EINVAL;
	if (snprintf(buf, size, "/dev/shm/heir.%u.%s", (unsigned)geteuid(), domain) >= (int)size)
		return HEIR_EINVAL;
	return 0;
}

static int pid_namespace(uint64_t *ret)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

/*
 * Whole pages of tmpfs are reserved, so that a full /dev/shm shows here and not as SIGBUS; not inherited by
 * forked children.
 */
static int map_file(struct shm *s, int fd, size_t size, int writable)
{
	void *base = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	if (madvise(base, size, MADV_DONTFORK) < 0) {
		int rc = -errno;

		munmap(base, size);
		return rc;
	}
	s->base = base;
	s->size = size;
	s->writable = writable;
	return 0;
}

int shm_create(struct shm *s, const char *domain, const struct shm_limits *limits, uint64_t conf_signature)
{
	struct shm n = {.limits = *limits};
	size_t size = shm_size(limits);
	char temporary[160];
	uint64_t namespace = 0;
	int fd, rc;

	if (size == 0)
		return HEIR_EINVAL;
	if ((rc = shm_path(domain, n.path, sizeof(n.path))) || (rc = pid_namespace(&namespace)))
		return rc;
	snprintf(temporary, sizeof(temporary), "%s.%d.new", n.path, (int)getpid());
	unlink(temporary);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = -posix_fallocate(fd, 0, (off_t)size);
	if (rc == 0)
		rc = map_file(&n, fd, size, 1);
	close(fd);
	if (rc) {
		unlink(temporary);
		return rc;
	}
	carve(&n);
	n.head->magic = SHM_MAGIC;
	n.head->major = SHM_MAJOR;
	n.head->minor = SHM_MINOR;
	n.head->signature = layout_signature();
	n.head->size = size;
	n.head->uid = (uint32_t)geteuid();
	n.head->pid_namespace = namespace;
	n.head->conf_signature = conf_signature;
	n.head->created_ns = (uint64_t)clock_real_ns();
	n.head->limits = *limits;
	snprintf(n.head->domain, sizeof(n.head->domain), "%s", domain);
	*s = n;
	return 0;
}

int shm_publish(struct shm *s)
{
	char temporary[160];
	int rc = 0;

	snprintf(temporary, sizeof(temporary), "%s.%d.new", s->path, (int)getpid());
	if (link(temporary, s->path) < 0)
		rc = -errno;
	unlink(temporary);
	return rc;
}

static int text_valid(const char *text, size_t room)
{
	return memchr(text, 0, room) != NULL;
}

static int app_valid(const struct shm_app *a, const struct shm_limits *l)
{
	int valid = text_valid(a->name, sizeof(a->name)) && a->roles <= SHM_APP_ROLES_MAX &&
		    a->first_role <= l->roles && a->roles <= l->roles - a->first_role &&
		    a->lead_role < l->roles && a->steps <= SHM_STEPS_MAX;

	for (uint32_t i = 0; i < SHM_STEPS_MAX; i++)
		valid = valid && text_valid(a->step[i], sizeof(a->step[i]));
	return valid;
}

/* What nobody changes once the segment is linked into place. Words that change are looked at when they are used. */
static int static_valid(const struct shm *s)
{
	int valid = text_valid(s->head->domain, sizeof(s->head->domain));

	for (uint32_t i = 0; i < s->limits.nodes; i++)
		valid = valid && text_valid(s->nodes[i].name, sizeof(s->nodes[i].name));
	for (uint32_t i = 0; i < s->limits.apps; i++)
		valid = valid && app_valid(&s->apps[i], &s->limits);
	for (uint32_t i = 0; i < s->limits.roles; i++)
		valid = valid && text_valid(s->roles[i].id, sizeof(s->roles[i].id)) &&
			s->roles[i].app < s->limits.apps;
	return valid;
}

int shm_view(struct shm *s, void *base, size_t size, int writable)
{
	const struct shm_head *head = base;
	struct shm n = *s;

	if (size < sizeof(*head) || head->magic != SHM_MAGIC)
		return HEIR_EFOREIGN;
	if (head->major != SHM_MAJOR || head->signature != layout_signature())
		return HEIR_ELAYOUT;
	n.base = base;
	n.size = size;
	n.writable = writable;
	n.limits = head->limits;
	if (head->size != size || shm_size(&n.limits) != size)
		return HEIR_ECORRUPT;
	carve(&n);
	if (!static_valid(&n))
		return HEIR_ECORRUPT;
	*s = n;
	return 0;
}

int shm_attach(struct shm *s, const char *domain, int writable)
{
	struct shm n = {0};
	struct stat st;
	uint64_t namespace = 0;
	int fd, rc;

	if ((rc = shm_path(domain, n.path, sizeof(n.path))) || (rc = pid_namespace(&namespace)))
		return rc;
	fd = open(n.path, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? HEIR_ENODOMAIN : errno == EACCES ? HEIR_EPERM : -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0137))
		rc = HEIR_EFOREIGN;
	else if ((size_t)st.st_size < sizeof(struct shm_head) || st.st_size % 4096)
		rc = HEIR_ECORRUPT;
	else
		rc = map_file(&n, fd, (size_t)st.st_size, writable);
	close(fd);
	if (rc)
		return rc;
	rc = shm_view(&n, n.base, n.size, writable);
	if (rc == 0 && (n.head->uid != geteuid() || n.head->pid_namespace != namespace))
		rc = HEIR_EFOREIGN;
	if (rc) {
		munmap(n.base, n.size);
		return rc;
	}
	*s = n;
	return 0;
}

void shm_detach(struct shm *s)
{
	if (s->base)
		munmap(s->base, s->size);
	s->base = NULL;
}

int shm_unlink(const char *domain)
{
	char path[128];
	int rc = shm_path(domain, path, sizeof(path));

	if (rc)
		return rc;
	return unlink(path) < 0 ? -errno : 0;
}
