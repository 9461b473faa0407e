/* SPDX-License-Identifier: ISC */
/*
 * Files of shared memory, reserved and mapped in huge pages of 2 MiB where the kernel gives them: a process that has 1
 * GiB mapped then dies, or attaches, with 512 entries in its page table instead of 262144, and misses fewer
 * translations. Linux 6.1 and newer, whatever its settings of transparent huge pages are (madvise(2), MADV_COLLAPSE);
 * elsewhere small pages, and no error. For tmpfs only.
 */
#ifndef HEIR_BASE_MAPFILE_H
#define HEIR_BASE_MAPFILE_H

#include <stddef.h>

/*
 * Makes the file `size` bytes long, all of it reserved, so that a full file system shows here and not as SIGBUS. What
 * stands in it stays. 0, or negative: what ftruncate(2) and posix_fallocate(3) say; the file may be longer then.
 */
int mapfile_reserve(int fd, size_t size);

/*
 * All of a file, shared, not inherited by forked children; the caller unmaps it with munmap(2). 0, or negative: what
 * mmap(2) and madvise(2) say; *ret is as it was.
 */
int mapfile_map(int fd, size_t size, int writable, void **ret);

#endif
