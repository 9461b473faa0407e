/* SPDX-License-Identifier: ISC */
/* Slots and life words: joining, leaving, who is alive, fencing (slot.h has the argument). */
#include "proc/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/testpoint.h"
#include "heir.h"
#include "name/names.h"
#include "proc/bury.h"

#define INCARNATION_LAST UINT32_C(0x7ffffff0)

#define STARTED_BITS 48

/* Field 22 of /proc/PID/stat: ticks since boot at which the process started. 0 when it cannot be read. */
static uint64_t started_at(pid_t pid)
{
	char path[64], text[1024], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

static int lock_lives(struct shm_slot *s)
{
	pthread_mutexattr_t attr;
	int rc = pthread_mutexattr_init(&attr);

	if (rc)
		return -rc;
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	for (unsigned i = SHM_LIVES; i-- > 0 && rc == 0;) { /* LIFE_HEIR last: slot.h */
		rc = pthread_mutex_init(&s->life[i].mutex, &attr);
		if (rc == 0)
			rc = pthread_mutex_lock(&s->life[i].mutex);
		/* Always set, so that the kernel wakes a waiter whenever the thread dies. */
		if (rc == 0)
			atom_or_relaxed((atom32 *)(void *)&s->life[i].mutex, FUTEX_WAITERS);
	}
	pthread_mutexattr_destroy(&attr);
	return -rc;
}

static uint64_t place_pack(struct slot_place p)
{
	return (uint64_t)p.kind << 56 | (uint64_t)(uint8_t)(p.node + 1) << 48 |
	       (uint64_t)(uint16_t)(p.app + 1) << 32 | (uint32_t)(p.role + 1);
}

/* An index + 1, 0 for none; one that is out of range is none as well. */
static int place_index(uint64_t plus_1, uint32_t count)
{
	return plus_1 <= count ? (int)plus_1 - 1 : -1;
}

struct slot_place slot_place(const struct shm *shm, uint32_t slot)
{
	struct shm_slot *s = shm_slot(shm, slot);
	uint64_t w = s ? atom_load_relaxed(&s->place) : 0;

	return (struct slot_place){(enum slot_kind)(w >> 56), place_index(w >> 48 & 0xff, shm->limits.nodes),
				   place_index(w >> 32 & 0xffff, shm->limits.apps),
				   place_index((uint32_t)w, shm->limits.roles)};
}

/* With some bits of the incarnation, so that a joiner's is told from what the one before it left. */
static uint64_t started_pack(uint32_t incarnation, uint64_t started)
{
	return (uint64_t)incarnation << STARTED_BITS | (started & ((UINT64_C(1) << STARTED_BITS) - 1));
}

static int try_slot(const struct shm *shm, uint32_t slot, struct slot_place place, uint64_t *ret)
{
	struct shm_slot *s = shm_slot(shm, slot);
	uint64_t w = atom_load_relaxed(&s->word);
	struct slot_word sw = slot_unpack(w);
	uint64_t started;
	int rc;

	if (sw.state != SLOT_FREE || sw.incarnation >= INCARNATION_LAST)
		return HEIR_EFULL;
	sw = (struct slot_word){sw.incarnation + 1, SLOT_JOINING, (uint32_t)getpid()};
	started = started_pack(sw.incarnation, started_at(getpid()));
	if (!atom_cas(&s->word, &w, slot_pack(sw)))
		return HEIR_EFULL;
	TESTPOINT("slot: joining");
	atom_store_release(&s->started, started);
	atom_store_relaxed(&s->place, place_pack(place));
	atom_store_relaxed(&s->version, 0);
	atom_store_relaxed(&s->ready, WORKER_INIT);
	atom_store_relaxed(&s->dying, 0);
	atom_store_relaxed(&s->names, 0);
	atom_store_relaxed(&s->asleep, 0); /* whoever had the slot before may have died asleep */
	rc = lock_lives(s);
	TESTPOINT("slot: lives locked");
	w = slot_pack(sw);
	sw.state = rc ? SLOT_FREE : SLOT_ALIVE;
	/*
	 * release: whoever sees ALIVE sees locked life words; pairs with the acquire loads in handle_alive and
	 * handle_gone
	 */
	if (!atom_cas(&s->word, &w, slot_pack(sw)) && rc == 0)
		/* declared dead while it lived: not its own any more, so nothing is touched */
		return HEIR_ECORRUPT;
	if (rc)
		return rc;
	*ret = handle_make(slot, sw.incarnation);
	return 0;
}

int slot_join(const struct shm *shm, struct slot_place place, uint64_t *ret)
{
	uint32_t n = shm->limits.slots;

	for (int attempt = 0; attempt < 2; attempt++) {
		/* From a moving start, so that a slot's trace outlives its process for as long as can be. */
		uint32_t at = (uint32_t)(atom_add_relaxed(&shm->head->join_hint, 1) % (n - 1));

		for (uint32_t i = 0; i < n - 1; i++) {
			int rc = try_slot(shm, 1 + (at + i) % (n - 1), place, ret);

			if (rc == 0 || rc != HEIR_EFULL)
				return rc;
		}
		(void)bury_all(shm, 0);
	}
	return HEIR_EFULL;
}

void slot_leave(const struct shm *shm, uint64_t handle)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	uint64_t w = atom_load_relaxed(&s->word);
	struct slot_word sw = slot_unpack(w);

	if (sw.incarnation != handle_incarnation(handle) || sw.state != SLOT_ALIVE)
		return;
	/* While it is still this thread's: behind the unlocks the slot may become another's at any instant. */
	if (atom_load_relaxed(&s->names) &&
	    names_drop_binding((struct shm *)(uintptr_t)shm, handle_slot(handle), handle) == 0)
		atom_store_relaxed(&s->names, 0);
	atom_store_relaxed(&s->asleep, 0); /* whoever had the slot before may have died asleep */
	for (unsigned i = SHM_LIVES; i-- > 0;) {
		pthread_mutex_unlock(&s->life[i].mutex);
		TESTPOINT("slot: life unlocked");
	}
	(void)bury(shm, 0, handle);
}

uint64_t slot_handle(const struct shm *shm, uint32_t slot)
{
	struct shm_slot *s = shm_slot(shm, slot);
	struct slot_word sw = slot_unpack(s ? atom_load_acquire(&s->word) : 0);

	return sw.state == SLOT_FREE ? 0 : handle_make(slot, sw.incarnation);
}

atom32 *slot_life(const struct shm *shm, uint32_t slot, unsigned which)
{
	struct shm_slot *s = shm_slot(shm, slot);

	return s ? (atom32 *)(void *)&s->life[which % SHM_LIVES].mutex : NULL;
}

/*
 * No process has its pid, or another one by now. One that died before it said when it started is taken for alive as
 * long as there is a process of its pid.
 */
static bool process_gone(const struct shm_slot *slot, struct slot_word sw)
{
	uint64_t then = atom_load_acquire(&((struct shm_slot *)(uintptr_t)slot)->started), now;

	if (kill((pid_t)sw.pid, 0) < 0 && errno == ESRCH)
		return true;
	now = started_at((pid_t)sw.pid);
	return now && started_pack(sw.incarnation, 0) != then &&
	       then >> STARTED_BITS == (sw.incarnation & 0xffff) && then != started_pack(sw.incarnation, now);
}

/*
 * How many of its life words say that the thread is gone; all of them where the slot is another's or nobody's
 * by now.
 */
static unsigned lives_gone(const struct shm *shm, uint64_t handle)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	struct slot_word sw;
	unsigned n = 0;

	if (!s)
		return SHM_LIVES;
	sw = slot_unpack(atom_load_acquire(&s->word));
	if (sw.incarnation != handle_incarnation(handle) || sw.state == SLOT_DEAD || sw.state == SLOT_FREE)
		return SHM_LIVES;
	if (sw.state == SLOT_JOINING) /* it has no life words yet */
		return process_gone(s, sw) ? SHM_LIVES : 0;
	for (unsigned i = 0; i < SHM_LIVES; i++)
		n += life_gone(atom_load_acquire(slot_life(shm, handle_slot(handle), i)));
	/* Joined anew meanwhile: then the old one was gone before, all of it. */
	if (slot_unpack(atom_load_acquire(&s->word)).incarnation != handle_incarnation(handle))
		return SHM_LIVES;
	return n;
}

bool handle_noticed(const struct shm *shm, uint64_t handle)
{
	return lives_gone(shm, handle) > 0;
}

bool handle_gone(const struct shm *shm, uint64_t handle)
{
	return lives_gone(shm, handle) == SHM_LIVES;
}

bool handle_alive(const struct shm *shm, uint64_t handle)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	struct slot_word sw = slot_unpack(s ? atom_load_acquire(&s->word) : 0);

	return sw.incarnation == handle_incarnation(handle) && sw.state == SLOT_ALIVE &&
	       lives_gone(shm, handle) == 0;
}

pid_t handle_pid(const struct shm *shm, uint64_t handle)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	struct slot_word sw = slot_unpack(s ? atom_load_acquire(&s->word) : 0);

	return handle_alive(shm, handle) ? (pid_t)sw.pid : 0;
}

/* Certainly, though its life words stand: their notice was lost. From exactly that word. */
static void declare_dead(struct shm_slot *s, uint64_t w)
{
	struct slot_word sw = slot_unpack(w);

	if (sw.state != SLOT_ALIVE)
		return;
	sw.state = SLOT_DEAD;
	(void)atom_cas(&s->word, &w, slot_pack(sw));
}

int handle_pidfd(const struct shm *shm, uint64_t handle)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	pid_t pid = handle_pid(shm, handle);
	struct stat st;
	char path[64];
	uint64_t w;
	int fd;

	if (pid <= 1)
		return HEIR_ENOENT;
	w = atom_load_acquire(&s->word);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0 && errno != ESRCH)
		return -errno;
	if (slot_unpack(w).incarnation == handle_incarnation(handle) && process_gone(s, slot_unpack(w))) {
		declare_dead(s, w);
		if (fd >= 0)
			close(fd);
		return HEIR_ENOENT;
	}
	if (fd < 0)
		return HEIR_ENOENT;
	/* Alive after the open: the pidfd is of that process and of no later one with its pid. */
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) < 0 || !handle_alive(shm, handle)) {
		close(fd);
		return HEIR_ENOENT;
	}
	if (st.st_uid != shm->head->uid && geteuid() != 0) {
		close(fd);
		return HEIR_EPERM;
	}
	return fd;
}

/* The kernel says that the whole process is gone, and yet its life words may stand. */
void handle_confirm(const struct shm *shm, uint64_t handle, int pidfd)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	uint64_t w = atom_load_acquire(&s->word);

	if (pidfd >= 0 && poll(&p, 1, 0) == 1 && slot_unpack(w).incarnation == handle_incarnation(handle))
		declare_dead(s, w);
}

int handle_fence(const struct shm *shm, uint64_t handle, int64_t deadline)
{
	atom32 *life = slot_life(shm, handle_slot(handle), LIFE_SPARE0);
	int fd = handle_pidfd(shm, handle), rc = 0;

	if (fd < 0 && fd != HEIR_ENOENT)
		return fd;
	if (fd >= 0 && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		rc = errno == EPERM ? HEIR_EPERM : -errno;
	while (rc == 0 && !handle_gone(shm, handle)) {
		uint32_t v = atom_load_acquire(life);

		/*
		 * Its four words fall one after the other; the spare one may be marked before the last. Look
		 * again soon then.
		 */
		if (life_gone(v))
			(void)futex_wait(life, v, deadline_min(deadline, clock_ns() + 100000));
		else
			(void)futex_wait(life, v, deadline_min(deadline, clock_ns() + 10000000));
		handle_confirm(shm, handle, fd);
		if (deadline_passed(deadline) && !handle_gone(shm, handle))
			rc = HEIR_ETIMEDOUT;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

int handle_exit_fd(const struct shm *shm, uint64_t handle)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	struct slot_word sw = slot_unpack(s ? atom_load_acquire(&s->word) : 0);
	int fd;

	if (sw.incarnation != handle_incarnation(handle) || sw.state == SLOT_FREE || sw.pid <= 1)
		return HEIR_ENOENT;
	fd = (int)syscall(SYS_pidfd_open, sw.pid, 0);
	if (fd < 0)
		return errno == ESRCH ? HEIR_ENOENT : -errno;
	/* Another process of the same pid by now? Then that one is gone. */
	if (started_pack(sw.incarnation, started_at((pid_t)sw.pid)) != atom_load_acquire(&s->started)) {
		close(fd);
		return HEIR_ENOENT;
	}
	return fd;
}

int exit_await(int fd, int64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int rc;

	do {
		int64_t left = deadline_left(deadline);

		rc = poll(&poll_fd, 1, left < 0 ? -1 : (int)(left / 1000000) + 1);
	} while (rc < 0 && errno == EINTR);
	return rc > 0 ? 0 : rc == 0 ? HEIR_ETIMEDOUT : -errno;
}
