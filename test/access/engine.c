/* SPDX-License-Identifier: ISC */
/* Fibres, and the point before each access (engine.h). */
#include "access/engine.h"

#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define RANGES (ACTORS + 2)

struct fibre {
	ucontext_t context;
	enum actor_state state;
	actor_body *body;
	long arg;
	uint64_t left, steps;
	const void *address; /* of the access that it stands before */
	void *pc;
	uint8_t kinds[STEPS_MAX];
	_Alignas(64) unsigned char stack[STACK_SIZE];
};

static struct fibre fibres[ACTORS];
static ucontext_t home;
static unsigned current, acting;
static struct {
	const unsigned char *base, *end;
} range[RANGES];
static bool armed;
static uint64_t armed_left;

struct engine_at engine_at = {.point = -1, .nested = -1, .deeper = -1, .seed = -1, .id = -1};
uint64_t engine_points;

void engine_watch(const void *base, size_t size)
{
	for (unsigned i = 0; i < RANGES; i++)
		if (!range[i].base) {
			range[i].base = base;
			range[i].end = range[i].base + size;
			return;
		}
	abort();
}

void engine_unwatch(const void *base)
{
	for (unsigned i = 0; i < RANGES; i++)
		if (range[i].base == base)
			range[i].base = range[i].end = NULL;
}

unsigned engine_current(void)
{
	return current ? current : acting;
}

bool engine_in_fibre(void)
{
	return current != 0;
}

void engine_as(unsigned actor)
{
	acting = actor;
}

static bool shared(const void *address)
{
	const unsigned char *p = address;

	for (unsigned i = 0; i < RANGES; i++)
		if (p >= range[i].base && p < range[i].end)
			return true;
	return false;
}

void engine_access(enum access_kind kind, const void *address, void *pc)
{
	struct fibre *f = &fibres[current];

	if (!current || (kind != ACCESS_CALL && !shared(address)))
		return;
	if (armed) {
		if (armed_left-- == 0) {
			kill(getpid(), SIGKILL);
			for (;;)
				pause();
		}
		f->steps++;
		return;
	}
	f->address = address;
	f->pc = pc;
	if (f->left == 0)
		engine_yield(ACTOR_READY);
	f->left--;
	if (f->steps >= STEPS_MAX)
		access_fail(__FILE__, __LINE__, "an actor does not end");
	f->kinds[f->steps++] = (uint8_t)kind;
	engine_points++;
}

void engine_yield(enum actor_state state)
{
	struct fibre *f = &fibres[current];

	f->state = state;
	swapcontext(&f->context, &home);
}

static void trampoline(void)
{
	struct fibre *f = &fibres[current];

	f->body(current, f->arg);
	engine_yield(ACTOR_DONE);
	abort();
}

void engine_reset(void)
{
	for (unsigned i = 1; i < ACTORS; i++)
		fibres[i].state = ACTOR_NONE;
	current = acting = 0;
}

void actor_start(unsigned actor, actor_body *body, long arg)
{
	struct fibre *f = &fibres[actor];

	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = sizeof(f->stack);
	f->context.uc_link = NULL;
	makecontext(&f->context, trampoline, 0);
	f->state = ACTOR_READY;
	f->body = body;
	f->arg = arg;
	f->steps = f->left = 0;
}

enum actor_state actor_run(unsigned actor, uint64_t accesses)
{
	struct fibre *f = &fibres[actor];

	if (f->state != ACTOR_READY)
		return f->state;
	f->left = accesses;
	current = actor;
	swapcontext(&home, &f->context);
	current = 0;
	return f->state;
}

enum actor_state actor_finish(unsigned actor)
{
	for (;;) {
		enum actor_state state = actor_run(actor, UINT64_MAX);

		if (state != ACTOR_BLOCKED)
			return state; /* also where it was never started */
		if (sim.process[actor].deadline < 0)
			access_fail(__FILE__, __LINE__, "an actor sleeps, and nobody will wake it");
		sim_timeout(actor);
	}
}

void actor_kill(unsigned actor)
{
	fibres[actor].state = ACTOR_DEAD;
	sim_exit_begin(actor);
	while (sim_exit_walk(actor))
		;
	if (actor == current)
		engine_yield(ACTOR_DEAD);
}

void actor_die(unsigned actor)
{
	fibres[actor].state = ACTOR_DEAD;
	sim_exit_begin(actor);
}

void actor_exit(void)
{
	sim_exit_begin(current);
	engine_yield(ACTOR_DEAD);
}

void engine_wake(unsigned actor)
{
	if (fibres[actor].state == ACTOR_BLOCKED)
		fibres[actor].state = ACTOR_READY;
}

enum actor_state actor_state(unsigned actor)
{
	return fibres[actor].state;
}

uint64_t actor_steps(unsigned actor)
{
	return fibres[actor].steps;
}

const uint8_t *actor_kinds(unsigned actor)
{
	return fibres[actor].kinds;
}

void engine_arm(unsigned actor, uint64_t n)
{
	current = actor;
	fibres[actor].steps = 0;
	armed = true;
	armed_left = n;
}

void engine_disarm(void)
{
	armed = false;
	current = 0;
}

static void say_where(void)
{
	fprintf(stderr, "  group %s, %s%s%s", engine_at.group, engine_at.story ? engine_at.story : "",
		engine_at.what ? ", " : "", engine_at.what ? engine_at.what : "");
	if (engine_at.point >= 0)
		fprintf(stderr, ", point %ld", engine_at.point);
	if (engine_at.nested >= 0)
		fprintf(stderr, ", then %ld", engine_at.nested);
	if (engine_at.deeper >= 0)
		fprintf(stderr, ", then %ld", engine_at.deeper);
	if (engine_at.id >= 0)
		fprintf(stderr, ", message %ld", engine_at.id);
	if (engine_at.seed >= 0)
		fprintf(stderr, "\n  again: access_test %s --seed %ld", engine_at.group, engine_at.seed);
	fprintf(stderr, "\n");
	for (unsigned i = 1; i < ACTORS; i++) {
		struct fibre *f = &fibres[i];

		if (f->state == ACTOR_NONE)
			continue;
		fprintf(stderr, "  actor %u: %s after %lu accesses, before %p at ", i,
			(const char *[]){"", "stands", "sleeps", "has ended", "is dead"}[f->state],
			(unsigned long)f->steps, f->address);
		fflush(stderr);
		if (f->pc)
			backtrace_symbols_fd(&f->pc, 1, STDERR_FILENO);
		else
			fprintf(stderr, "its begin\n");
	}
}

void access_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	say_where();
	_exit(1);
}

void access_differs(const char *file, int line, const char *what, long long got, long long want)
{
	fprintf(stderr, "%s:%d: %s is %lld (%#llx), not %lld (%#llx)\n", file, line, what, got,
		(unsigned long long)got, want, (unsigned long long)want);
	say_where();
	_exit(1);
}
