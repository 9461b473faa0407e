/* SPDX-License-Identifier: ISC */
/* Sweeps over the points of a story (sweep.h). */
#include "access/sweep.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH_MAX 2

void sweep_lay(const struct story *s)
{
	world_lay();
	s->prepare(s->arg);
	engine_as(ACTOR);
	s->enter(ACTOR, s->arg);
	engine_as(0);
	if (s->after)
		s->after(s->arg);
}

/* Up to its n-th access; false: it has ended before. Where it sleeps, time passes. */
static bool run_to(unsigned actor, uint64_t n)
{
	for (;;) {
		enum actor_state state = actor_run(actor, n - actor_steps(actor));

		if (state == ACTOR_BLOCKED && sim.process[actor].deadline >= 0)
			sim_timeout(actor);
		else if (state == ACTOR_BLOCKED)
			access_fail(__FILE__, __LINE__, "an actor sleeps, and nobody will wake it");
		else
			return state == ACTOR_READY;
	}
}

/* The kinds of the accesses of a whole run. */
struct course {
	uint64_t count;
	uint8_t kinds[];
};

static struct course *note_course(unsigned actor)
{
	uint64_t n = actor_steps(actor);
	struct course *c = malloc(sizeof(*c) + n);

	if (!c)
		abort();
	c->count = n;
	memcpy(c->kinds, actor_kinds(actor), n);
	return c;
}

/* A death before a read is one before the next store: the same is in memory. */
static bool tells(const struct course *c, uint64_t n)
{
	return n == c->count || c->kinds[n] != ACCESS_READ;
}

static void recover_from(const struct story *s, const struct image *from, unsigned recoverer, int depth,
			 struct swept *t)
{
	struct course *course;
	struct image *mine;

	world_load(from);
	actor_start(recoverer, s->recover, s->arg);
	(void)actor_finish(recoverer);
	course = note_course(recoverer);
	world_sound();
	s->check(s->arg);
	if (depth > 0) {
		mine = image_new();
		for (uint64_t n = 0; n <= course->count; n++) {
			if (!tells(course, n))
				continue;
			*(recoverer == FIRST_RECOVER ? &engine_at.nested : &engine_at.deeper) = (long)n;
			world_load(from);
			actor_start(recoverer, s->recover, s->arg);
			(void)run_to(recoverer, n);
			actor_kill(recoverer);
			history_died(recoverer);
			world_sound();
			world_save(mine);
			recover_from(s, mine, recoverer + 1, depth - 1, t);
			t->nested++;
		}
		*(recoverer == FIRST_RECOVER ? &engine_at.nested : &engine_at.deeper) = -1;
		image_free(mine);
	}
	free(course);
}

static void sweep_deaths(const struct story *s, const struct sweep_options *o, const struct image *begin,
			 const struct course *course, struct swept *t)
{
	struct image *at = image_new();

	engine_at.what = "it dies";
	for (uint64_t n = 0; n <= course->count; n++) {
		engine_at.point = (long)n;
		t->deaths++;
		if (!tells(course, n))
			continue;
		world_load(begin);
		actor_start(ACTOR, s->body, s->arg);
		(void)run_to(ACTOR, n);
		actor_kill(ACTOR);
		history_died(ACTOR);
		world_sound();
		world_save(at);
		recover_from(s, at, FIRST_RECOVER, o->depth < DEPTH_MAX ? o->depth : DEPTH_MAX, t);
	}
	image_free(at);
}

static void stop_at(const struct story *s, const struct meanwhile *m, const struct image *begin, uint64_t n,
		    bool dies)
{
	world_load(begin);
	actor_start(ACTOR, s->body, s->arg);
	(void)run_to(ACTOR, n);
	m->run(s->arg);
	world_sound();
	if (actor_state(ACTOR) != ACTOR_DEAD) { /* it may have been fenced */
		if (dies)
			actor_kill(ACTOR);
		else
			(void)actor_finish(ACTOR);
	}
	history_died(ACTOR);
	for (unsigned i = FIRST_RECOVER + 1; i < ACTORS; i++) /* whom the others left standing */
		(void)actor_finish(i);
	world_sound();
	actor_start(FIRST_RECOVER, s->recover, s->arg);
	(void)actor_finish(FIRST_RECOVER);
	s->check(s->arg);
}

static void sweep_stops(const struct story *s, const struct sweep_options *o, const struct image *begin,
			const struct course *course, struct swept *t)
{
	for (unsigned i = 0; i < MEANWHILES && s->meanwhile[i].run; i++) {
		engine_at.what = s->meanwhile[i].name;
		for (uint64_t n = 0; n <= course->count; n += (uint64_t)o->nth) {
			engine_at.point = (long)n;
			stop_at(s, &s->meanwhile[i], begin, n, false);
			stop_at(s, &s->meanwhile[i], begin, n, true);
			t->stops += 2;
		}
	}
}

/*
 * The actor stops at n, the rival at m; the actor goes on to its end, or dies; then the rival goes on. False: the
 * rival ends before m.
 */
static bool pair_at(const struct story *s, const struct rival *r, const struct image *begin, uint64_t n,
		    uint64_t m, bool dies)
{
	bool stands;

	world_load(begin);
	actor_start(ACTOR, s->body, s->arg);
	actor_start(r->actor, r->body, s->arg);
	(void)run_to(ACTOR, n);
	stands = run_to(r->actor, m);
	world_sound();
	if (dies && actor_state(ACTOR) != ACTOR_DEAD)
		actor_kill(ACTOR);
	else if (!dies)
		(void)actor_finish(ACTOR);
	history_died(ACTOR);
	(void)actor_finish(r->actor);
	world_sound();
	actor_start(FIRST_RECOVER, s->recover, s->arg);
	(void)actor_finish(FIRST_RECOVER);
	s->check(s->arg);
	return stands;
}

static void sweep_pairs(const struct story *s, const struct sweep_options *o, const struct image *begin,
			const struct course *course, struct swept *t)
{
	for (unsigned i = 0; i < RIVALS && s->rival[i].body; i++) {
		uint64_t step = 1, n, m;

		engine_at.what = s->rival[i].name;
		while (o->pairs && (course->count / step) * (course->count / step) > (uint64_t)o->pairs)
			step++;
		for (n = step / 2; n <= course->count; n += step) {
			engine_at.point = (long)n;
			for (m = 1 + n % step; m < STEPS_MAX; m += step) {
				bool more = pair_at(s, &s->rival[i], begin, n, m, false);

				engine_at.nested = (long)m;
				(void)pair_at(s, &s->rival[i], begin, n, m, true);
				t->pairs += 2;
				if (!more)
					break;
			}
		}
		engine_at.nested = -1;
	}
}

/* In a process of its own for each story: its robust list lies in the segment, which is restored. */
static pid_t spawn(void)
{
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(300);
	}
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, WUNTRACED) == pid); /* bounded by the child's alarm */
	return status;
}

/* The actor dies before access n; the judge recovers and looks. False: it has ended before. */
static bool real_death(const struct story *s, const struct image *begin, uint64_t n)
{
	bool died;
	int status;
	pid_t pid;

	world_load(begin);
	pid = spawn();
	if (pid == 0) {
		s->enter(ACTOR, s->arg);
		raise(SIGSTOP);
		engine_arm(ACTOR, n);
		s->body(ACTOR, s->arg);
		_exit(0);
	}
	status = wait_for(pid);
	MUST(WIFSTOPPED(status));
	if (s->after)
		s->after(s->arg);
	kill(pid, SIGCONT);
	status = wait_for(pid);
	died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	MUST(died || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	history_died(ACTOR);
	pid = spawn();
	if (pid == 0) {
		s->recover(FIRST_RECOVER, s->arg);
		s->check(s->arg);
		_exit(0);
	}
	status = wait_for(pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return died;
}

static void sweep_real(const struct story *s, struct swept *t)
{
	long *count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct image *begin;
	pid_t pid;
	int status;

	MUST(count != MAP_FAILED);
	pid = spawn();
	if (pid > 0) {
		status = wait_for(pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			exit(1);
		t->real = *count;
		munmap(count, sizeof(*count));
		return;
	}
	sim_real = true;
	engine_at.what = "its process dies";
	world_lay();
	s->prepare(s->arg);
	begin = image_new();
	world_save(begin);
	do {
		engine_at.point = *count;
	} while (real_death(s, begin, (uint64_t)*count) && ++*count);
	_exit(0);
}

void sweep(const struct story *s, const struct sweep_options *o, struct swept *total)
{
	struct swept t = {.operations = 1};
	struct image *begin = image_new();
	struct course *course;

	engine_at.story = s->name;
	engine_at.what = "it is not disturbed";
	engine_at.point = engine_at.nested = engine_at.deeper = -1;
	sweep_lay(s);
	world_save(begin);
	actor_start(ACTOR, s->body, s->arg);
	MUST_BE(actor_finish(ACTOR), ACTOR_DONE);
	course = note_course(ACTOR);
	actor_start(FIRST_RECOVER, s->recover, s->arg);
	(void)actor_finish(FIRST_RECOVER);
	s->check(s->arg);
	t.accesses = (long)course->count;
	for (uint64_t n = 0; n < course->count; n++)
		t.stores += tells(course, n);
	sweep_deaths(s, o, begin, course, &t);
	sweep_stops(s, o, begin, course, &t);
	sweep_pairs(s, o, begin, course, &t);
	engine_at.point = -1;
	if (o->real && !s->simulated)
		sweep_real(s, &t);
	free(course);
	image_free(begin);
	if (o->verbose)
		sweep_print(s->name, &t);
	total->operations += t.operations;
	total->accesses += t.accesses;
	total->stores += t.stores;
	total->deaths += t.deaths;
	total->nested += t.nested;
	total->stops += t.stops;
	total->pairs += t.pairs;
	total->real += t.real;
}

void sweep_print(const char *name, const struct swept *s)
{
	printf("%-44s %6ld points, %5ld stores: %6ld deaths, %7ld of recoverers, %6ld stops, %7ld pairs, "
	       "%5ld of processes\n",
	       name, s->accesses, s->stores, s->deaths, s->nested, s->stops, s->pairs, s->real);
	fflush(stdout);
}
