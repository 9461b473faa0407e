/* SPDX-License-Identifier: ISC */
#include "base/timeslice.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sched_attr of the kernel in its first version: <linux/sched/types.h> cannot stand beside <sched.h>. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/* As it is, of a thread that has a slice. */
static int load(struct attr *ret)
{
	struct attr attr = {.size = sizeof(attr)};

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0)
		return -errno;
	if (attr.policy != SCHED_OTHER && attr.policy != SCHED_BATCH)
		return -EINVAL;
	*ret = attr;
	return 0;
}

int64_t slice_get(void)
{
	struct attr attr;

	return load(&attr) ? 0 : (int64_t)attr.runtime;
}

int slice_set(int64_t ns)
{
	struct attr attr;
	int rc = load(&attr);

	if (rc)
		return rc;
	attr.size = sizeof(attr);
	attr.runtime = (uint64_t)ns;
	return syscall(SYS_sched_setattr, 0, &attr, 0) < 0 ? -errno : 0;
}
