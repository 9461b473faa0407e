/* SPDX-License-Identifier: ISC */
/* Creation, the attach gate and the carving of the segment. */
#include "shm/segment.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mapfile.h"
#include "heir.h"

#define LIMIT_SIZE_MAX ((size_t)1 << 40)

uint64_t layout_signature(void)
{
	static const uint32_t shape[] = {
		sizeof(struct shm_head),
		offsetof(struct shm_head, limits),
		offsetof(struct shm_head, in_force),
		offsetof(struct shm_head, changed),
		sizeof(struct shm_node),
		offsetof(struct shm_node, leader),
		sizeof(struct shm_app),
		sizeof(struct shm_policy),
		offsetof(struct shm_policy, priority),
		offsetof(struct shm_app, policy),
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
	s->conf = (void *)place(s, take(&at, 2, l->conf));
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

static int map_file(struct shm *s, int fd, size_t size, int writable)
{
	void *base = NULL;
	int rc = mapfile_map(fd, size, writable, &base);

	if (rc)
		return rc;
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
	rc = mapfile_reserve(fd, size);
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
	atom_store_relaxed(&n.head->conf_signature[0], conf_signature);
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

/* error; and why, for a person, to whoever asks. */
__attribute__((format(printf, 3, 4))) static int refuse(struct shm_refusal *why, int error, const char *format, ...)
{
	va_list arguments;

	if (!why)
		return error;
	va_start(arguments, format);
	vsnprintf(why->text, sizeof(why->text), format, arguments);
	va_end(arguments);
	return error;
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
static int static_valid(const struct shm *s, struct shm_refusal *why)
{
	if (!text_valid(s->head->domain, sizeof(s->head->domain)))
		return refuse(why, HEIR_ECORRUPT, "damaged: the domain's name in the head has no end");
	for (uint32_t i = 0; i < s->limits.nodes; i++)
		if (!text_valid(s->nodes[i].name, sizeof(s->nodes[i].name)))
			return refuse(why, HEIR_ECORRUPT, "damaged: the name of node %u has no end", i);
	for (uint32_t i = 0; i < s->limits.apps; i++)
		if (!app_valid(&s->apps[i], &s->limits))
			return refuse(why, HEIR_ECORRUPT,
				      "damaged: what is configured for application %u contradicts itself", i);
	for (uint32_t i = 0; i < s->limits.roles; i++)
		if (!text_valid(s->roles[i].id, sizeof(s->roles[i].id)) || s->roles[i].app >= s->limits.apps)
			return refuse(why, HEIR_ECORRUPT, "damaged: what is configured for role %u contradicts itself",
				      i);
	return 0;
}

static int view(struct shm *s, void *base, size_t size, int writable, struct shm_refusal *why)
{
	const struct shm_head *head = base;
	struct shm n = *s;
	int rc;

	if (size < sizeof(*head) || head->magic != SHM_MAGIC)
		return refuse(why, HEIR_EFOREIGN, "not a segment of heir: it does not begin with HIRSEG01");
	if (head->major != SHM_MAJOR)
		return refuse(why, HEIR_ELAYOUT, "made by major version %u of the layout; this heir has %u",
			      head->major, SHM_MAJOR);
	if (head->signature != layout_signature())
		return refuse(why, HEIR_ELAYOUT,
			      "made by an heir whose types differ: signature %016" PRIx64 ", here %016" PRIx64,
			      head->signature, layout_signature());
	n.base = base;
	n.size = size;
	n.writable = writable;
	n.limits = head->limits;
	if (head->size != size)
		return refuse(why, HEIR_ECORRUPT, "damaged: the file has %zu bytes, its head says %" PRIu64, size,
			      head->size);
	if (shm_size(&n.limits) != size)
		return refuse(why, HEIR_ECORRUPT, "damaged: the limits in the head do not make %zu bytes", size);
	carve(&n);
	rc = static_valid(&n, why);
	if (rc == 0)
		*s = n;
	return rc;
}

int shm_view(struct shm *s, void *base, size_t size, int writable)
{
	return view(s, base, size, writable, NULL);
}

static int file_valid(const struct stat *st, struct shm_refusal *why)
{
	if (!S_ISREG(st->st_mode))
		return refuse(why, HEIR_EFOREIGN, "not a regular file");
	if (st->st_uid != geteuid())
		return refuse(why, HEIR_EFOREIGN, "the file is of user %u, this process is of user %u",
			      (unsigned)st->st_uid, (unsigned)geteuid());
	if (st->st_mode & 0137)
		return refuse(why, HEIR_EFOREIGN, "the file has mode %04o; 0600 or 0640 is expected",
			      (unsigned)st->st_mode & 07777);
	if ((size_t)st->st_size < sizeof(struct shm_head) || st->st_size % 4096)
		return refuse(why, HEIR_ECORRUPT, "damaged: %jd bytes are not the size of a segment",
			      (intmax_t)st->st_size);
	return 0;
}

static int head_valid(const struct shm_head *head, uint64_t namespace, struct shm_refusal *why)
{
	if (head->uid != geteuid())
		return refuse(why, HEIR_EFOREIGN, "its head names user %u, this process is of user %u", head->uid,
			      (unsigned)geteuid());
	if (head->pid_namespace != namespace)
		return refuse(why, HEIR_EFOREIGN, "of another pid namespace: %" PRIu64 ", this process is in %" PRIu64,
			      head->pid_namespace, namespace);
	return 0;
}

static int open_failed(int error, struct shm_refusal *why)
{
	if (error == ENOENT)
		return refuse(why, HEIR_ENODOMAIN, "no such file");
	if (error == ELOOP)
		return refuse(why, -error, "a symbolic link, not a regular file");
	return refuse(why, error == EACCES ? HEIR_EPERM : -error, "cannot be opened: %s", strerrordesc_np(error));
}

int shm_attach_why(struct shm *s, const char *domain, int writable, struct shm_refusal *why)
{
	struct shm n = {0};
	struct stat st;
	uint64_t namespace = 0;
	int fd, rc;

	if (why)
		why->text[0] = '\0';
	if ((rc = shm_path(domain, n.path, sizeof(n.path))) || (rc = pid_namespace(&namespace)))
		return refuse(why, rc, "%s", heir_strerror(rc));
	fd = open(n.path, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return open_failed(errno, why);
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else
		rc = file_valid(&st, why);
	if (rc == 0)
		rc = map_file(&n, fd, (size_t)st.st_size, writable);
	close(fd);
	if (rc)
		return rc;
	rc = view(&n, n.base, n.size, writable, why);
	if (rc == 0)
		rc = head_valid(n.head, namespace, why);
	if (rc) {
		munmap(n.base, n.size);
		return rc;
	}
	*s = n;
	return 0;
}

int shm_attach(struct shm *s, const char *domain, int writable)
{
	return shm_attach_why(s, domain, writable, NULL);
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
