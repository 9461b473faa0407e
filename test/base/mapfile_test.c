/* SPDX-License-Identifier: ISC */
/* A file of shared memory: all of it reserved and mapped, in huge pages where this kernel gives them. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mapfile.h"

#define HUGE ((size_t)2 << 20)

static int made(void)
{
	int fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* Of the mapping that has this address; in KiB. */
static long smaps(const void *address, const char *key)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512], *end;
	int here = 0;
	long n = -1;

	assert_non_null(f);
	while (n < 0 && fgets(line, sizeof(line), f)) {
		uintptr_t from = strtoul(line, &end, 16);

		if (*end == '-')
			here = from <= (uintptr_t)address && (uintptr_t)address < strtoul(end + 1, NULL, 16);
		else if (here && strncmp(line, key, strlen(key)) == 0)
			n = strtol(line + strlen(key), NULL, 10);
	}
	fclose(f);
	assert_true(n >= 0);
	return n;
}

static long reserved(int fd, size_t size)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	return (long)st.st_blocks * 512;
}

/* Without mapfile: what this kernel makes of one extent when it is asked. */
static int kernel_has_huge_pages(void)
{
	int fd = made(), has;
	unsigned char *p;

	assert_int_equal(posix_fallocate(fd, 0, 2 * HUGE), 0);
	p = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	p += -(uintptr_t)p & (HUGE - 1);
	p = mmap(p, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	has = madvise(p, HUGE, 25) == 0 && madvise(p, HUGE, MADV_POPULATE_READ) == 0 &&
	      smaps(p, "ShmemPmdMapped:") == HUGE / 1024;
	close(fd);
	return has;
}

static void test_reserved_and_mapped(void **state)
{
	static const size_t sizes[] = {4096, HUGE - 4096, HUGE, HUGE + 4096, 5 * HUGE + 12288};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = made();
		unsigned char *p = NULL;

		assert_int_equal(mapfile_reserve(fd, sizes[i]), 0);
		assert_int_equal(reserved(fd, sizes[i]), sizes[i]);
		assert_int_equal(mapfile_map(fd, sizes[i], 1, (void **)&p), 0);
		assert_true(p[0] == 0 && memcmp(p, p + 1, sizes[i] - 1) == 0);
		memset(p, 7, sizes[i]);
		assert_int_equal(pread(fd, (char[1]){0}, 1, (off_t)sizes[i] - 1), 1);
		assert_int_equal(munmap(p, sizes[i]), 0);
		close(fd);
	}
}

static void test_huge_pages(void **state)
{
	const size_t size = 3 * HUGE + 4096;
	int fd = made();
	unsigned char *p = NULL;

	(void)state;
	assert_int_equal(mapfile_reserve(fd, size), 0);
	assert_int_equal(mapfile_map(fd, size, 1, (void **)&p), 0);
	assert_int_equal((uintptr_t)p % HUGE, 0);
	assert_int_equal(madvise(p, size, MADV_POPULATE_WRITE), 0);
	assert_int_equal(smaps(p, "ShmemPmdMapped:"), kernel_has_huge_pages() ? 3 * HUGE / 1024 : 0);
	assert_int_equal(smaps(p, "Rss:"), size / 1024);
	munmap(p, size);
	close(fd);
}

static int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int c, n = 0;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* Of the room that is looked for, or of a mapping that failed. */
static void test_leaves_nothing(void **state)
{
	const size_t size = 2 * HUGE + 4096;
	int fd = made(), before;
	void *p = NULL;

	(void)state;
	assert_int_equal(mapfile_reserve(fd, size), 0);
	before = mappings();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(mapfile_map(fd, size, 1, &p), 0);
		assert_int_equal(mappings(), before + 1);
		assert_int_equal(munmap(p, size), 0);
		assert_int_equal(mapfile_map(-1, size, 1, &p), -EBADF);
		assert_int_equal(mappings(), before);
	}
	close(fd);
}

/* Addresses enough for the file, but not for a huge page more. */
static int maps_in_a_limit(int fd, size_t size)
{
	void *p = MAP_FAILED, *probe;
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	rlim_t room;
	int rc;

	if (!f || fscanf(f, "%lu", &pages) != 1)
		return 4;
	fclose(f);
	room = pages * 4096 + size / 2;
	for (probe = MAP_FAILED; probe == MAP_FAILED; room += HUGE / 2) {
		if (setrlimit(RLIMIT_AS, &(struct rlimit){room, RLIM_INFINITY}))
			return 1;
		probe = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	munmap(probe, size);
	probe = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (probe != MAP_FAILED)
		return 2;
	rc = mapfile_map(fd, size, 1, &p);
	return rc || p == MAP_FAILED || *(volatile unsigned char *)p ? 3 : 0;
}

static void test_within_a_limit(void **state)
{
	int fd = made(), status;
	pid_t pid;

	(void)state;
	assert_int_equal(mapfile_reserve(fd, 8 * HUGE), 0);
	pid = fork();
	if (pid == 0)
		_exit(maps_in_a_limit(fd, 8 * HUGE));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(fd);
}

static void test_keeps_what_stands_there(void **state)
{
	int fd = made();
	char text[6];

	(void)state;
	assert_int_equal(pwrite(fd, "before", 6, HUGE - 3), 6);
	assert_int_equal(mapfile_reserve(fd, 2 * HUGE), 0);
	assert_int_equal(pread(fd, text, 6, HUGE - 3), 6);
	assert_memory_equal(text, "before", 6);
	close(fd);
}

static void test_read_only(void **state)
{
	int fd = made(), status;
	unsigned char *p = NULL;
	pid_t pid;

	(void)state;
	assert_int_equal(mapfile_reserve(fd, HUGE), 0);
	assert_int_equal(mapfile_map(fd, HUGE, 0, (void **)&p), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		setrlimit(RLIMIT_CORE, &(struct rlimit){0});
		*(volatile unsigned char *)p = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_int_equal(p[0], 0);
	munmap(p, HUGE);
	close(fd);
}

static void test_no_child_inherits(void **state)
{
	static const size_t sizes[] = {4096, HUGE};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int fd = made(), status;
		unsigned char *p = NULL;
		pid_t pid;

		assert_int_equal(mapfile_reserve(fd, sizes[i]), 0);
		assert_int_equal(mapfile_map(fd, sizes[i], 1, (void **)&p), 0);
		pid = fork();
		if (pid == 0) {
			unsigned char there;

			_exit(mincore(p, 4096, &there) < 0 && errno == ENOMEM ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		munmap(p, sizes[i]);
		close(fd);
	}
}

static void test_what_cannot_be(void **state)
{
	struct statvfs fs;
	int fd = made(), full;
	void *p = state;

	(void)state;
	assert_int_equal(mapfile_reserve(-1, 4096), -EBADF);
	assert_int_equal(mapfile_reserve(-1, HUGE), -EBADF);
	assert_int_equal(mapfile_map(-1, 4096, 1, &p), -EBADF);
	assert_int_equal(mapfile_map(-1, HUGE, 1, &p), -EBADF);
	assert_ptr_equal(p, state);
	assert_int_equal(fstatvfs(fd, &fs), 0);
	if (fs.f_blocks > 0) { /* else it would take all memory there is */
		full = mapfile_reserve(fd, (size_t)1 << 46); /* no tmpfs has as much */
		assert_true(full == -ENOSPC || full == -ENOMEM || full == -EFBIG);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserved_and_mapped),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_leaves_nothing),
		cmocka_unit_test(test_within_a_limit),
		cmocka_unit_test(test_keeps_what_stands_there),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_no_child_inherits),
		cmocka_unit_test(test_what_cannot_be),
	};

	alarm(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
