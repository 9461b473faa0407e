/* SPDX-License-Identifier: ISC */
/* The state file: created, mapped, marked, undone (state.h has the argument). */
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/testpoint.h"
#include "heir.h"

#define PAGE	       4096u
#define UNDO_POPULATED 65536u

#define VERSION_OFFSET UINT64_MAX /* not in the data: the version in the head */

struct undo_entry {
	uint64_t offset, size; /* then the old bytes, padded to 8; then this entry's whole length */
};

static size_t page_up(size_t n)
{
	return (n + PAGE - 1) & ~(size_t)(PAGE - 1);
}

int state_path(const struct shm *shm, uint32_t app, char *buf, size_t size)
{
	struct shm_app *a = shm_app(shm, app);
	int n;

	if (!a || !memchr(a->name, 0, sizeof(a->name)))
		return HEIR_ECORRUPT;
	n = snprintf(buf, size, "%s.%s", shm->path, a->name);
	if (n < 0 || (size_t)n >= size)
		return HEIR_EINVAL;
	for (char *p = buf + strlen(shm->path); *p; p++)
		if (*p == '/')
			*p = ':';
	return 0;
}

int state_create(const struct shm *shm, uint32_t app)
{
	struct shm_app *a = shm_app(shm, app);
	char path[512], temporary[560];
	struct shm_state_head head = {.magic = STATE_MAGIC};
	int fd, rc;

	if ((rc = state_path(shm, app, path, sizeof(path))))
		return rc;
	snprintf(temporary, sizeof(temporary), "%s.%d.new", path, (int)getpid());
	head.size = a->state_size;
	head.undo_size = a->undo_size;
	head.undo_offset = page_up(sizeof(head));
	head.data_offset = head.undo_offset + page_up(a->undo_size);
	head.file_size = head.data_offset + page_up(a->state_size);
	unlink(temporary);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = mapfile_reserve(fd, head.file_size);
	if (rc == 0 && pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		rc = errno ? -errno : -EIO;
	if (rc == 0 && link(temporary, path) < 0)
		rc = -errno;
	unlink(temporary);
	close(fd);
	return rc;
}

int state_unlink(const struct shm *shm, uint32_t app)
{
	char path[512];
	int rc = state_path(shm, app, path, sizeof(path));

	if (rc)
		return rc;
	return unlink(path) < 0 ? -errno : 0;
}

static int state_gate(const struct shm_app *a, const struct shm_state_head *h, size_t size)
{
	if (size < sizeof(*h) || h->magic != STATE_MAGIC)
		return HEIR_EFOREIGN;
	/* Each below the whole first: page_up() of a size near the largest would wrap. */
	if (h->size > size || h->undo_size > size || h->size != a->state_size || h->undo_size != a->undo_size ||
	    h->file_size != size || h->undo_offset != page_up(sizeof(*h)) ||
	    h->data_offset != h->undo_offset + page_up(h->undo_size) ||
	    h->file_size != h->data_offset + page_up(h->size))
		return HEIR_ECORRUPT;
	return 0;
}

/* 0, or why not, in *ret_what too. */
static int map_file(const struct shm *shm, uint32_t app, int writable, struct state *ret, const char **ret_what)
{
	struct shm_app *a = shm_app(shm, app);
	struct shm_state_head head; /* as it was at the gate */
	struct stat st;
	char path[512];
	void *base = NULL;
	int fd, rc;

	*ret_what = "its state file cannot be opened";
	if ((rc = state_path(shm, app, path, sizeof(path))))
		return rc;
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0177) || st.st_size < (off_t)PAGE) {
		close(fd);
		*ret_what = "its state file is not a regular file of this user with mode 0600";
		return HEIR_EFOREIGN;
	}
	rc = mapfile_map(fd, (size_t)st.st_size, writable, &base);
	close(fd);
	if (rc)
		return rc;
	memcpy(&head, base, sizeof(head));
	*ret_what = "the head of its state file contradicts itself, or the application";
	rc = state_gate(a, &head, (size_t)st.st_size);
	if (rc) {
		munmap(base, (size_t)st.st_size);
		return rc;
	}
	*ret = (struct state){.base = base, .mapped = (size_t)st.st_size, .head = base};
	ret->undo_size = head.undo_size;
	ret->size = head.size;
	ret->undo = ret->base + head.undo_offset;
	ret->data = ret->base + head.data_offset;
	return 0;
}

int state_map(const struct shm *shm, uint32_t app, int populate, struct state *ret)
{
	const char *what;
	int rc = map_file(shm, app, 1, ret, &what);

	if (rc)
		return rc;
	if (populate) {
		/*
		 * The data, and as much of the log as most transactions use: mapped pages cost when their
		 * process dies.
		 */
		size_t log = ret->undo_size < UNDO_POPULATED ? ret->undo_size : UNDO_POPULATED;

		(void)madvise(ret->base, (size_t)(ret->undo - ret->base) + log, MADV_POPULATE_WRITE);
		(void)madvise(ret->data, ret->size, MADV_POPULATE_WRITE);
	}
	return 0;
}

void state_unmap(struct state *state)
{
	if (state->base)
		munmap(state->base, state->mapped);
	*state = (struct state){0};
}

void state_begin(struct state *s, unsigned parity)
{
	if (s->head)
		s->used = &s->head->undo_used[parity & 1];
}

void state_commit(struct state *s, unsigned parity)
{
	if (s->head)
		atom_store_release(&s->head->undo_used[!(parity & 1)], 0);
}

int state_mark(struct state *s, const void *start, size_t size)
{
	struct undo_entry e = {.size = size};
	uint64_t used;
	size_t need = sizeof(e) + ((size + 7) & ~(size_t)7) + 8;

	if (!s->head || !s->used)
		return HEIR_EINVAL;
	e.offset = (uint64_t)((const unsigned char *)start - s->data);
	if (start == (const void *)&s->head->version && size == sizeof(s->head->version))
		e.offset = VERSION_OFFSET;
	else if ((const unsigned char *)start < s->data || e.offset > s->size || size > s->size - e.offset)
		return HEIR_EINVAL;
	if (size == 0)
		return 0;
	used = atom_load_relaxed(s->used);
	if (need < size || used > s->undo_size || need > s->undo_size - used)
		return HEIR_ETOOBIG;
	memcpy(s->undo + used, &e, sizeof(e));
	memcpy(s->undo + used + sizeof(e), start, size);
	memcpy(s->undo + used + need - 8, &(uint64_t){need}, 8);
	TESTPOINT("state: entry written");
	/*
	 * The entry before the count, the count before the caller's stores to the range: a death leaves a
	 * prefix of these.
	 */
	atom_store_release(s->used, used + need);
	fence_release();
	TESTPOINT("state: marked");
	return 0;
}

/* The entry that ends at `end`, checked: all of it lies in the log and its range in the data. */
static int entry_before(const struct state *s, uint64_t end, uint64_t *ret_start, struct undo_entry *ret)
{
	uint64_t need, start;

	if (end < sizeof(*ret) + 8)
		return HEIR_ECORRUPT;
	memcpy(&need, s->undo + end - 8, 8);
	if (need > end || need < sizeof(*ret) + 8)
		return HEIR_ECORRUPT;
	start = end - need;
	memcpy(ret, s->undo + start, sizeof(*ret));
	if (ret->size > need - sizeof(*ret) - 8)
		return HEIR_ECORRUPT;
	if (ret->offset == VERSION_OFFSET ? ret->size != sizeof(s->head->version)
					  : ret->offset > s->size || ret->size > s->size - ret->offset)
		return HEIR_ECORRUPT;
	*ret_start = start;
	return 0;
}

int state_undo(struct state *s, unsigned parity)
{
	atom64 *count = s->head ? &s->head->undo_used[parity & 1] : NULL;
	uint64_t used, at;
	struct undo_entry e;
	int n = 0;

	if (!count)
		return 0;
	used = atom_load_acquire(count);
	if (used > s->undo_size)
		return HEIR_ECORRUPT;
	for (at = used; at > 0;)
		if (entry_before(s, at, &at, &e))
			return HEIR_ECORRUPT;
	for (at = used; at > 0; n++) {
		if (entry_before(s, at, &at, &e))
			return HEIR_ECORRUPT;
		memcpy(e.offset == VERSION_OFFSET ? (void *)&s->head->version : s->data + e.offset,
		       s->undo + at + sizeof(e), e.size);
		TESTPOINT("state: undone one");
	}
	atom_store_release(count, 0);
	return n;
}

/* What a look at one count says, or NULL. */
static const char *check_log(const struct state *s, unsigned parity, enum state_still still)
{
	uint64_t used = atom_load_acquire(&s->head->undo_used[parity & 1]);
	struct undo_entry e;

	if (used > s->undo_size)
		return "its undo log is said to be longer than there is room";
	if (still == STATE_AT_REST && used)
		return "its undo log is not empty, though no transaction is open";
	while (still == STATE_OPEN && used > 0)
		if (entry_before(s, used, &used, &e))
			return "an entry of its undo log is out of range: the open transaction cannot be undone";
	return NULL;
}

int state_check(const struct shm *shm, uint32_t app, unsigned parity, enum state_still still, const char **ret_what)
{
	struct state s = {0};
	const char *what, *log;
	int rc = map_file(shm, app, 0, &s, &what);

	if (rc) {
		*ret_what = what;
		return rc;
	}
	log = check_log(&s, parity, still);
	if (!log)
		log = check_log(&s, !parity, STATE_IN_USE);
	state_unmap(&s);
	if (!log)
		return 0;
	*ret_what = log;
	return HEIR_ECORRUPT;
}
