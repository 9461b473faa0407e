/* SPDX-License-Identifier: ISC */
/* The child's side; alone in a file, since heir-bench-child has nothing else. */
#include "bench/barespawn.h"

#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

void child_tell(struct child_share *s, int64_t main_ns)
{
	atomic_store(&s->main_ns, main_ns);
	atomic_store(&s->pid, getpid());
	atomic_fetch_add(&s->starts, 1);
	syscall(SYS_futex, &s->starts, FUTEX_WAKE, 2, NULL, NULL, 0);
}

_Noreturn void child_sleep(struct child_share *s, int64_t main_ns, bool holds)
{
	struct robust_list_head head = {.list.next = &s->node};

	if (holds) {
		s->node.next = &head.list;
		head.futex_offset = (char *)&s->life - (char *)&s->node;
		atomic_store(&s->life, (uint32_t)syscall(SYS_gettid) | FUTEX_WAITERS);
		if (syscall(SYS_set_robust_list, &head, sizeof(head)) < 0)
			_exit(1);
	}
	child_tell(s, main_ns);
	for (;;)
		pause();
}
