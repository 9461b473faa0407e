/* SPDX-License-Identifier: ISC */
/*
 * Slots: who is attached, and whether it lives.
 *
 * A slot's word is {incarnation:32 | state:8 | pid:24}. FREE -> JOINING -> ALIVE by the joiner, ALIVE -> FREE
 * by an orderly leave, JOINING or ALIVE -> DEAD by whoever finds it dead, DEAD -> FREE when it is buried
 * (bury.h). The incarnation rises with each joining, so a handle (slot and incarnation) is never reused; slots
 * near the end of theirs are not used again.
 *
 * Alive or not is the life words' to say: robust mutexes, locked by the slot's thread when it joins and not
 * unlocked while it lives. The kernel marks them FUTEX_OWNER_DIED when the thread ends for whatever reason,
 * exec included, before it tears down the address space, and wakes one waiter of each; a waiter has a word of
 * its own. A marked word means that this thread runs no more user code: it stores nothing any more. That is
 * enough to claim what it owned, and, as a handle belongs to one thread, to reuse its memory (all words are
 * asked for that).
 */
#ifndef HEIR_PROC_SLOT_H
#define HEIR_PROC_SLOT_H

#include <linux/futex.h>

#include "shm/segment.h"

struct slot_word { uint32_t incarnation; enum slot_state state; uint32_t pid; };
struct slot_place { enum slot_kind kind; int node, app, role; }; /* -1: none */

static inline struct slot_word slot_unpack(uint64_t w)
{
	return (struct slot_word){(uint32_t)(w >> 32), (enum slot_state)(w >> 24 & 0xff), (uint32_t)w & 0xffffff};
}
static inline uint64_t slot_pack(struct slot_word s)
{
	return (uint64_t)s.incarnation << 32 | (uint64_t)s.state << 24 | (s.pid & 0xffffff);
}

/* Join as the calling thread. HEIR_EFULL, -errno. *ret is the handle. */
int slot_join(const struct shm *shm, struct slot_place place, uint64_t *ret);
/* by the joining thread; what it held is buried first: bury.h */
void slot_leave(const struct shm *shm, uint64_t handle);
/* Indexes are within the limits, or -1. */
struct slot_place slot_place(const struct shm *shm, uint32_t slot);
/* Handle of whoever is in the slot now, or 0. */
uint64_t slot_handle(const struct shm *shm, uint32_t slot);

/* The word to sleep on, and whether a value of it says that its thread is gone. */
/*
 * The kernel walks a thread's robust list from the mutex that was locked last: LIFE_HEIR is, so that whoever
 * has to go on is woken first, ahead of those who only look after the rest.
 */
atom32 *slot_life(const struct shm *shm, uint32_t slot, unsigned which);
static inline bool life_gone(uint32_t value) { return value == 0 || (value & FUTEX_OWNER_DIED); }

bool handle_alive(const struct shm *shm, uint64_t handle); /* joined, and not known to be dead */
/*
 * Notice: some life word is marked, so the thread runs no more user code (or is just leaving): enough to claim
 * what it owned. Gone: all are; enough to reuse its memory.
 */
bool handle_noticed(const struct shm *shm, uint64_t handle);
bool handle_gone(const struct shm *shm, uint64_t handle);
pid_t handle_pid(const struct shm *shm, uint64_t handle);  /* 0 when it is not alive */
/*
 * A pidfd of it, opened before its life word was seen alive and its uid checked. HEIR_ENOENT when it is gone.
 */
int handle_pidfd(const struct shm *shm, uint64_t handle);
/*
 * Kill it for good and wait until its life word says so. 0, HEIR_ETIMEDOUT (it cannot be killed now),
 * HEIR_EPERM.
 */
int handle_fence(const struct shm *shm, uint64_t handle, int64_t deadline);

/* Its pidfd may say that the process is gone where the notice by its life words was lost. */
void handle_confirm(const struct shm *shm, uint64_t handle, int pidfd);

/*
 * A pidfd of its process, be it dead or dying; taken while a control word names it, so that it is not buried
 * meanwhile. HEIR_ENOENT: it is gone, and reaped. exit_await: until the kernel has confirmed that the process
 * is gone with all that it held, files and locks too. 0, HEIR_ETIMEDOUT, -errno.
 */
int handle_exit_fd(const struct shm *shm, uint64_t handle);
int exit_await(int fd, int64_t deadline);

/*
 * Fatal signals of the calling process publish "dying" for this handle, wake its watchers, and go on to kill
 * it.
 */
int dying_install(const struct shm *shm, uint64_t handle);
void dying_remove(void);

#endif
