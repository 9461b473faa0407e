/* SPDX-License-Identifier: ISC */
/*
 * A child of any supervisor: says when its main() began, and who it is, to the pipe that PEER_CHILD_FIFO names;
 * says that it is ready to the descriptor PEER_CHILD_READY, if there is one; sleeps.
 */
#include "bench/peers/peerchild.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	struct timespec now;
	struct peer_began began;
	const char *path, *ready;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &now);
	began.ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	began.pid = getpid();
	path = getenv(PEER_CHILD_FIFO);
	ready = getenv(PEER_CHILD_READY);
	fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	if (fd < 0 || write(fd, &began, sizeof(began)) != (ssize_t)sizeof(began))
		return 1;
	if (ready && write(atoi(ready), "\n", 1) != 1)
		return 1;
	for (;;)
		pause();
}
