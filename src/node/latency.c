/* SPDX-License-Identifier: ISC */
#include "node/latency.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

#define DEVICE "/dev/cpu_dma_latency"

static void check_locking(const struct shm *shm)
{
	struct rlimit most;
	uint64_t needed = shm->size;

	for (uint32_t a = 0; a < shm->limits.apps; a++)
		needed += shm_app(shm, a)->state_size + shm_app(shm, a)->undo_size;
	if (geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &most) < 0 || most.rlim_cur == RLIM_INFINITY ||
	    most.rlim_cur >= needed)
		return;
	log_warning("low_latency: lock_memory: %ju KiB may be locked here, segment and state alone are %ju KiB: "
	            "raise the limit (ulimit -l; LimitMEMLOCK= of a unit); until then workers lock what they may",
	            (uintmax_t)most.rlim_cur / 1024, (uintmax_t)needed / 1024);
}

int latency_hold(const struct conf *conf, const struct shm *shm)
{
	int32_t us;
	int fd;

	if (conf->low_latency.lock_memory)
		check_locking(shm);
	if (conf->low_latency.cpu_dma_latency == CONF_INFINITY)
		return -1;
	us = (int32_t)(conf->low_latency.cpu_dma_latency / CONF_US);
	fd = open(DEVICE, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, &us, sizeof(us)) == (ssize_t)sizeof(us))
		return fd;
	log_warning("low_latency: cpu_dma_latency: %s: %s: processors sleep as deep as they do; it takes root, or a "
	            "udev rule that lets this user write there",
	            DEVICE, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}
