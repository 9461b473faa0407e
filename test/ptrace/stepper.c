/* SPDX-License-Identifier: ISC */
/*
 * Single-stepping (stepper.h).
 *
 * The kernel marks the life words of a thread that dies by walking its robust list. So does kernel_marks(), by the
 * same rules (kernel/futex: exit_robust_list(), handle_futex_death()), in the image: from the list's head, which
 * is in the child's private memory, over its links, which are in the segment. As the head can change alone, it
 * counts as a change. A dead process's pid is nobody's: in the image it is STAGE_NOBODY.
 */
#include "stepper.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS_MAX     2000000ul
#define SNAPSHOTS_MAX 5000u
#define ROBUST_MAX    2048
#define ACT_LIMIT     60 /* seconds */

struct robust_head {
	uint64_t list;
	int64_t offset;
	uint64_t pending;
};

struct child {
	pid_t pid;
	uint64_t robust; /* where its head is */
	struct robust_head head;
};

extern const char __executable_start, etext;

__attribute__((noinline, used)) static void stepper_end(void)
{
	__asm__ volatile("" ::: "memory");
}

void stepper_ask(int what)
{
	backstage->ask = what;
	raise(SIGSTOP);
}

void stepper_mapped(const struct shm *shm)
{
	backstage->base = (uint64_t)(uintptr_t)shm->base;
}

#if defined(__x86_64__)
static uint64_t program_counter(pid_t pid)
{
	return (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), NULL);
}
#define STEPPER_KNOWN 1
#else
/*
 * Stepping over load-exclusive and store-exclusive never gets through the loop: other machines need more than
 * this.
 */
static uint64_t program_counter(pid_t pid)
{
	(void)pid;
	return 0;
}
#define STEPPER_KNOWN 0
#endif

static bool peek(pid_t pid, uint64_t from, void *to, size_t size)
{
	struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* The robust list's futex word at that address of the child's dies. */
static void mark(unsigned char *image, pid_t tid, uint64_t address)
{
	uint64_t at = address - backstage->base;
	uint32_t word;

	if (address < backstage->base || at > stage.d.shm.size - sizeof(word))
		return;
	memcpy(&word, image + at, sizeof(word));
	if ((word & FUTEX_TID_MASK) != (uint32_t)tid)
		return;
	word = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
	memcpy(image + at, &word, sizeof(word));
}

static void kernel_marks(unsigned char *image, const struct child *c)
{
	uint64_t entry = c->head.list & ~UINT64_C(1), pending = c->head.pending & ~UINT64_C(1), next;

	for (int i = 0; i < ROBUST_MAX && entry != c->robust; i++) {
		if (!peek(c->pid, entry, &next, sizeof(next)))
			break;
		if (entry != pending)
			mark(image, c->pid, entry + (uint64_t)c->head.offset);
		entry = next & ~UINT64_C(1);
	}
	if (pending)
		mark(image, c->pid, pending + (uint64_t)c->head.offset);
}

static void bury_pid(unsigned char *image, pid_t pid)
{
	struct shm view = stage_view(image);

	for (uint32_t i = 1; i < view.limits.slots; i++) {
		struct slot_word w = slot_unpack(atom_load_relaxed(&view.slots[i].word));

		if (w.pid == (uint32_t)pid) {
			w.pid = STAGE_NOBODY;
			atom_store_relaxed(&view.slots[i].word, slot_pack(w));
		}
	}
}

static unsigned char *new_image(void)
{
	unsigned char *image =
		aligned_alloc(CACHE_LINE, (stage.size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));

	MUST(image);
	return image;
}

static void add_snapshot(struct steps *steps, struct child *c, unsigned char *seen, uint64_t at)
{
	struct snapshot *s;

	MUST(steps->snapshots < SNAPSHOTS_MAX);
	s = &steps->snapshot[steps->snapshots++];
	*s = (struct snapshot){.step = steps->count, .image = new_image()};
	if (at >= (uint64_t)(uintptr_t)&__executable_start && at < (uint64_t)(uintptr_t)&etext)
		s->at = at - (uint64_t)(uintptr_t)&__executable_start;
	stage_take(seen);
	memcpy(s->image, seen, stage.size);
	kernel_marks(s->image, c);
	bury_pid(s->image, c->pid);
}

/* The next stop of the child: true if it is by that signal. */
static bool stopped_by(pid_t pid, int signal_number)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSTOPPED(status) && WSTOPSIG(status) == signal_number)
		return true;
	if (WIFSTOPPED(status))
		fprintf(stderr, "the actor was stopped by signal %d\n", WSTOPSIG(status));
	else
		fprintf(stderr, "the actor ended with status %#x\n", status);
	return false;
}

_Noreturn static void play(const struct actor *actor)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(ACT_LIMIT);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(77);
	backstage->base = 0;
	actor->ready();
	MUST(backstage->base);
	stepper_ask(STAGE_START);
	actor->act();
	stepper_end();
	_exit(0); /* not reached: killed there */
}

/* Where the robust list's head is, and what it says. */
static bool look_at_list(struct child *c)
{
	size_t size;

	return syscall(SYS_get_robust_list, c->pid, &c->robust, &size) == 0 && size == sizeof(c->head) &&
	       peek(c->pid, c->robust, &c->head, sizeof(c->head));
}

static bool reach_start(const struct actor *actor, struct child *c)
{
	for (;;) {
		if (!stopped_by(c->pid, SIGSTOP))
			return false;
		if (backstage->ask == STAGE_START)
			break;
		actor->help(backstage->ask);
		if (ptrace(PTRACE_CONT, c->pid, NULL, NULL) < 0)
			return false;
	}
	return look_at_list(c);
}

static bool step_through(struct child *c, unsigned char *seen, size_t most, struct steps *steps)
{
	uint64_t at = 0;

	add_snapshot(steps, c, seen, at);
	for (;;) {
		struct robust_head head;

		at = program_counter(c->pid);
		if (at == (uint64_t)(uintptr_t)stepper_end || steps->snapshots >= most)
			return true;
		if (steps->count++ == STEPS_MAX) {
			fprintf(stderr, "the actor does not end\n");
			return false;
		}
		if (ptrace(PTRACE_SINGLESTEP, c->pid, NULL, NULL) < 0 || !stopped_by(c->pid, SIGTRAP) ||
		    !peek(c->pid, c->robust, &head, sizeof(head)))
			return false;
		if (memcmp(&head, &c->head, sizeof(head)) == 0 && stage_same(seen))
			continue;
		c->head = head;
		add_snapshot(steps, c, seen, at);
	}
}

/* It has been killed there: did the kernel make of it what was foreseen? */
static bool foreseen(const struct steps *steps, pid_t pid, unsigned char *seen)
{
	stage_take(seen);
	bury_pid(seen, pid);
	if (memcmp(seen, steps->snapshot[steps->snapshots - 1].image, stage.size) == 0)
		return true;
	fprintf(stderr, "the kernel marks life words in another way than is foreseen here\n");
	return false;
}

bool stepper_run(const struct actor *actor, size_t most, struct steps *ret)
{
	unsigned char *seen = new_image();
	struct child c = {0};
	bool good;
	int status;

	*ret = (struct steps){.snapshot = calloc(SNAPSHOTS_MAX, sizeof(*ret->snapshot))};
	MUST(ret->snapshot);
	fflush(NULL);
	c.pid = fork();
	MUST(c.pid >= 0);
	if (c.pid == 0)
		play(actor);
	good = reach_start(actor, &c) && step_through(&c, seen, most, ret);
	kill(c.pid, SIGKILL);
	(void)waitpid(c.pid, &status, 0);
	good = good && foreseen(ret, c.pid, seen);
	free(seen);
	return good;
}

void stepper_free(struct steps *steps)
{
	for (size_t i = 0; i < steps->snapshots; i++)
		free(steps->snapshot[i].image);
	free(steps->snapshot);
	*steps = (struct steps){0};
}

bool stepper_allowed(void)
{
	struct child c = {0};
	bool allowed = false;
	int status = 0;

	if (!STEPPER_KNOWN)
		return false;
	c.pid = fork();
	MUST(c.pid >= 0);
	if (c.pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		_exit(0);
	}
	MUST(waitpid(c.pid, &status, 0) == c.pid);
	if (WIFSTOPPED(status)) {
		allowed = look_at_list(&c);
		kill(c.pid, SIGKILL);
		MUST(waitpid(c.pid, &status, 0) == c.pid);
	}
	return allowed;
}
