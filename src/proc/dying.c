/* SPDX-License-Identifier: ISC */
/*
 * A fatal signal kills the process only after its core dump, and the kernel marks the life words after that. So
 * the signal is caught just long enough to say so: the slot is marked dying; if the signal hit the slot's own
 * thread, which will run no more user code, its life words are marked as the kernel would; watchers are woken;
 * the signal is raised again.
 */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/futex.h"
#include "heir.h"
#include "proc/slot.h"

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
#define FATALS (sizeof(fatal) / sizeof(fatal[0]))

static struct {
	const struct shm *shm;
	struct shm_slot *slot;
	pid_t pid, tid;
	void *stack;
	size_t stack_size;
	int installed[FATALS];
} dying;

static void publish(int signal_number)
{
	struct shm_slot *s = dying.slot;
	struct sigaction default_action = {.sa_handler = SIG_DFL};

	if (s && getpid() == dying.pid) {
		atom_store_release(&s->dying, 1);
		for (unsigned i = 0; i < SHM_LIVES; i++) {
			atom32 *life = (atom32 *)(void *)&s->life[i].mutex;

			if ((pid_t)syscall(SYS_gettid) == dying.tid)
				atom_store_release(life, FUTEX_OWNER_DIED | FUTEX_WAITERS);
			futex_wake(life, INT_MAX);
		}
	}
	sigaction(signal_number, &default_action, NULL);
	raise(signal_number); /* blocked until the handler returns; a fault happens again by itself */
}

int dying_install(const struct shm *shm, uint64_t handle)
{
	struct sigaction action = {.sa_handler = publish, .sa_flags = SA_ONSTACK}, old;
	stack_t stack = {0}, present;

	dying.shm = shm;
	dying.slot = shm_slot(shm, handle_slot(handle));
	dying.pid = getpid();
	dying.tid = (pid_t)syscall(SYS_gettid);
	if (sigaltstack(NULL, &present) == 0 && (present.ss_flags & SS_DISABLE)) {
		dying.stack_size = 65536;
		dying.stack = malloc(dying.stack_size);
		stack.ss_sp = dying.stack;
		stack.ss_size = dying.stack_size;
		if (!dying.stack || sigaltstack(&stack, NULL) < 0) {
			free(dying.stack);
			dying.stack = NULL;
		}
	}
	sigemptyset(&action.sa_mask);
	for (unsigned i = 0; i < FATALS; i++) {
		dying.installed[i] = 0;
		if (sigaction(fatal[i], NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
			dying.installed[i] = sigaction(fatal[i], &action, NULL) == 0;
	}
	return 0;
}

void dying_remove(void)
{
	struct sigaction default_action = {.sa_handler = SIG_DFL}, old;
	stack_t off = {.ss_flags = SS_DISABLE};

	dying.slot = NULL;
	for (unsigned i = 0; i < FATALS; i++)
		if (dying.installed[i] && sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == publish)
			sigaction(fatal[i], &default_action, NULL);
	if (dying.stack && sigaltstack(&off, NULL) == 0)
		free(dying.stack);
	dying.stack = NULL;
}
