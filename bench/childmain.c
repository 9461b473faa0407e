/* SPDX-License-Identifier: ISC */
/* heir-bench-child FILE: the least program that a supervisor can start anew. */
#include "bench/barespawn.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct timespec ts;
	struct child_share *share;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	fd = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return 2;
	share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (share == MAP_FAILED)
		return 1;
	child_sleep(share, (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec, false);
}
