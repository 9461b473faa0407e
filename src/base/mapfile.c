/* SPDX-License-Identifier: ISC */
#include "base/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE /* glibc 2.36 has no name for it */
#define MADV_COLLAPSE 25
#endif

#define HUGE_PAGE ((size_t)2 << 20)
#define TRIES	  4

/*
 * Addresses for `size` bytes from a border between two huge pages on; nothing is there yet. NULL where a limit does not
 * allow as many: any others do, for small pages.
 */
static unsigned char *find_room(size_t size)
{
	const int nothing = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	unsigned char *room = mmap(NULL, size + HUGE_PAGE, PROT_NONE, nothing, -1, 0);
	size_t before, behind;

	if (room == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)room & (HUGE_PAGE - 1);
	behind = HUGE_PAGE - before;
	if (before)
		(void)munmap(room, before);
	(void)munmap(room + before + size, behind);
	return room + before;
}

int mapfile_map(int fd, size_t size, int writable, void **ret)
{
	unsigned char *room = size >= HUGE_PAGE ? find_room(size) : NULL;
	void *base = mmap(room, size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
			  room ? MAP_SHARED | MAP_FIXED : MAP_SHARED, fd, 0);
	int rc;

	if (base == MAP_FAILED) {
		rc = -errno;
		if (room)
			(void)munmap(room, size);
		return rc;
	}
	if (madvise(base, size, MADV_DONTFORK) < 0) {
		rc = -errno;
		(void)munmap(base, size);
		return rc;
	}
	*ret = base;
	return 0;
}

/* Whether to go on with others: one whose page is in use by the kernel just now is asked for again, then left. */
static bool collapse_one(void *at)
{
	int rc = -1;

	for (int tries = 0; rc < 0 && tries < TRIES; tries++) {
		rc = madvise(at, HUGE_PAGE, MADV_COLLAPSE);
		if (rc < 0 && errno != EAGAIN)
			return false;
	}
	return true;
}

/*
 * One small page in each huge one, to be made into that: of an empty extent the kernel makes none. As far as it goes:
 * what is left is reserved in small pages. Not where all of it has no room: that is known at once then, and nobody's
 * room is taken meanwhile.
 */
static void collapse(int fd, size_t size)
{
	struct statvfs fs;
	void *base;

	if (size < HUGE_PAGE || fstatvfs(fd, &fs) < 0 || (fs.f_blocks && fs.f_bavail < size / fs.f_frsize) ||
	    mapfile_map(fd, size, 1, &base))
		return;
	for (size_t at = 0; size - at >= HUGE_PAGE; at += HUGE_PAGE)
		if (posix_fallocate(fd, (off_t)at, 1) || !collapse_one((unsigned char *)base + at))
			break;
	(void)munmap(base, size);
}

int mapfile_reserve(int fd, size_t size)
{
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	collapse(fd, size);
	return -posix_fallocate(fd, 0, (off_t)size);
}
