/* SPDX-License-Identifier: ISC */
/*
 * The release build, instruction by instruction.
 *
 * What it proves: of each operation in the scenes, done once by a child that runs the static library as it ships
 * (no test points, the compiler's order of stores), after every single instruction: if the child dies there, all
 * that hold the segment together holds, the kernel's notice and a recovery by another process in a fresh mapping
 * leave the operation done entirely or not at all, nothing is lost (cells, slots, names, callers), and everything
 * goes on working. The recovery is stepped in the same way, from a sample of those states, and what is left when
 * it dies is recovered again. What the kernel does at a death is foreseen (stepper.c); at the end of each stepping,
 * and in many states of joining and leaving, the child is really killed, and the two are compared.
 *
 * What it does not prove: races (the others stand still while the actor steps), the order in which another
 * processor sees the stores, paths that the scenes do not take. A death within a system call counts as before it,
 * or after it.
 *
 * release_sweep [SECONDS [SCENE]]: how long recoveries are stepped (default 20; 0: none; -1: all of them, of every
 * state), and the one scene to run. Exit status: 0; 1: does not hold; 77: ptrace is not to be had here.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/txn.h"
#include "name/names.h"
#include "proc/bury.h"
#include "scene.h"
#include "wholecheck.h"

#define VERIFY_LIMIT 20 /* seconds */

/* Of a mutated build: whether the mutation found its place. */
extern const int mutation_applied __attribute__((weak));

heir_t *actor;
static pid_t first_process, stopped;
static unsigned long deaths, nested_deaths, steps_total, nested_steps, verified;

static void map(heir_t *h)
{
	stepper_mapped(&h->shm);
	actor = h;
}

void as_client(void)
{
	heir_t *h;

	MUST(heir_open(stage.d.name, 0, &h) == 0);
	map(h);
}

void as_worker(void)
{
	map(owner_open(stage.d.name, 1));
}

void as_owner(void)
{
	struct acquired got;

	as_worker();
	MUST(owner_acquire(actor, ACQUIRE_SWITCH, &got) == 0);
	owner_serve(actor);
}

void as_box(void)
{
	heir_t *h;

	MUST(lib_open(stage.d.name, (struct slot_place){KIND_WORKER, 1, 0, 1}, &h) == 0);
	map(h);
}

void as_other(void)
{
	heir_t *h;

	MUST(lib_open(stage.d.name, (struct slot_place){KIND_WORKER, 1, 0, 0}, &h) == 0);
	MUST(state_map(&h->shm, 0, 0, &h->state) == 0);
	map(h);
}

void let_stop(void (*body)(void))
{
	int status = 0;

	stopped = fork();
	MUST(stopped >= 0);
	if (stopped == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		backstage->handle = actor->self;
		raise(SIGSTOP);
		_exit(1);
	}
	MUST(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
}

static void end_stopped(void)
{
	if (!stopped)
		return;
	kill(stopped, SIGKILL);
	(void)waitpid(stopped, NULL, 0);
	stopped = 0;
}

/* Where it stops it wants to be called. */
void let_die(void (*body)(void))
{
	int status = 0;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		backstage->handle = actor->self;
		kill(getpid(), SIGKILL);
	}
	while (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) {
		MUST(heir_call_start(stage.client, "app@b", "called", 6, &backstage->ticket) == 0);
		kill(pid, SIGCONT);
	}
	MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (!backstage->handle) /* it did not come to the end of its body */
		backstage->handle = slot_handle(&stage.d.shm, owner_control(&stage.d.shm).owner);
}

uint64_t *counters(heir_t *h)
{
	return (uint64_t *)(void *)h->state.data;
}

int count_one(heir_t *h, const struct heir_message *message, void *arg)
{
	uint64_t *n = counters(h);
	(void)message;
	(void)arg;

	for (int i = 0; i < 2; i++) {
		int rc = heir_mark(h, &n[i], sizeof(n[i]));

		if (rc)
			return rc;
		n[i]++;
	}
	return 0;
}

void deny(const char *file, int line, const char *what)
{
	const char *base = strrchr(file, '/');

	snprintf(backstage->text, sizeof(backstage->text), "%s:%d: %s", base ? base + 1 : file, line, what);
	_exit(1);
}

static void sure_whole(const struct shm *shm, const char *(*check)(const struct shm *), const char *when)
{
	const char *wrong = check(shm);

	if (!wrong)
		return;
	snprintf(backstage->text, sizeof(backstage->text), "%s: %s", when, wrong);
	_exit(1);
}

int collect_call(struct verifier *v, char ret[STAGE_MESSAGE])
{
	size_t size = STAGE_MESSAGE;

	SURE(heir_call_ready(v->h, v->call) == 1); /* it is not left waiting */
	return heir_call_finish(v->h, v->call, ret, &size, 0);
}

static void keep(char to[80], const struct heir_message *m)
{
	size_t n = m->size < 79 ? m->size : 79;

	memcpy(to, m->data, n);
	to[n] = 0;
}

static int serve_app(heir_t *h, const struct heir_message *m, void *arg)
{
	struct verifier *v = arg;

	if (m->size == 5 && memcmp(m->data, "other", 5) == 0) {
		v->others++;
		return 0;
	}
	SURE(v->others == 0); /* whatever the dead one sent was before that */
	v->served++;
	keep(v->last, m);
	return heir_reply(h, "V", 1);
}

static int serve_box(heir_t *h, const struct heir_message *m, void *arg)
{
	struct verifier *v = arg;

	v->boxed++;
	keep(v->last_boxed, m);
	return heir_reply(h, "V", 1);
}

static void own(struct verifier *v)
{
	struct acquired got;
	int rc = owner_acquire(v->h, ACQUIRE_SWITCH, &got);

	if (rc == HEIR_EALREADY)
		return;
	SURE(rc == 0 && got.forced == 0);
	owner_serve(v->h);
}

static void serve_all(struct verifier *v)
{
	heir_t *box;
	int rc;

	own(v);
	while ((rc = txn_message(v->h, 0, serve_app, v)) == 1)
		;
	SURE(rc == 0);
	SURE(lib_open(stage.copy, (struct slot_place){KIND_WORKER, 2, 0, 1}, &box) == 0);
	while ((rc = plain_message(box, STAGE_BOX, serve_box, v)) == 1)
		;
	SURE(rc == 0);
	heir_close(box);
}

/* What the dead left is put in order: owed burials go through when somebody else owns. */
static void recover(heir_t *h)
{
	uint64_t owner = slot_handle(&h->shm, owner_control(&h->shm).owner);
	struct acquired got;

	if (owner && handle_noticed(&h->shm, owner)) {
		SURE(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
		owner_serve(h);
	}
	(void)bury_all(&h->shm, h->slot);
	SURE(!bury_pending(&h->shm));
}

static void use_names(heir_t *h)
{
	static const char *const name[] = {"after", "after-a-death-a-name-of-more-than-forty-bytes"};
	uint64_t binding = name_binding_role(0, 1), is = 0;

	for (int i = 0; i < 2; i++) {
		size_t n = strlen(name[i]);

		SURE(names_register(&h->shm, h->slot, name[i], n, binding, NULL, NULL) == 0);
		SURE(names_lookup(&h->shm, name[i], n, &is, NULL) == 0 && is == binding);
		SURE(names_unregister(&h->shm, h->slot, name[i], n, binding, NULL, NULL) == 0);
	}
}

static void use_slots(heir_t *h)
{
	uint64_t other;

	SURE(slot_join(&h->shm, (struct slot_place){KIND_CLIENT, -1, -1, -1}, &other) == 0);
	slot_leave(&h->shm, other);
}

/* Nobody waits for a recovery: not those who look up, register, send, join. */
static void go_on_beside(struct verifier *v)
{
	use_names(v->h);
	use_slots(v->h);
	SURE(heir_send(v->h, "app", "other", 5) == 0);
	v->sent = 1;
}

/* Everything still works: names, mail, state, slots. */
static void use(struct verifier *v)
{
	struct verifier w = {.h = v->h};
	char reply[STAGE_MESSAGE];
	uint64_t before[2];

	for (int round = 0; round < 3; round++) {
		use_names(v->h);
		for (int i = 0; i < 2; i++) {
			SURE(heir_call_start(v->h, i ? "box" : "app", "use", 3, &w.call) == 0);
			serve_all(&w);
			SURE(collect_call(&w, reply) == 0 && reply[0] == 'V');
		}
	}
	SURE(w.served == 3 && w.boxed == 3);
	memcpy(before, counters(v->h), sizeof(before));
	SURE(heir_begin(v->h) == 0 && count_one(v->h, NULL, NULL) == 0 && heir_commit(v->h) == 0);
	SURE(heir_begin(v->h) == 0 && count_one(v->h, NULL, NULL) == 0 && heir_abort(v->h) == 0);
	SURE(counters(v->h)[0] == before[0] + 1 && counters(v->h)[1] == before[1] + 1);
	use_slots(v->h);
}

static unsigned slots_in_use(const struct shm *shm)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < shm->limits.slots; i++)
		n += slot_handle(shm, i) != 0;
	return n;
}

static void agree(int with)
{
	if (with < 0)
		return;
	SURE(backstage->found < 0 || backstage->found == with);
	backstage->found = with;
}

/* How a verifier goes about it. */
enum how { BURY_FIRST, SERVE_FIRST, AGAIN };
static const char *const how_text[] = {"", ", served before it is buried", ", recovered half-way"};

_Noreturn static void verify_child(const struct scene *scene, enum how how, bool busy)
{
	struct verifier v = {.call = backstage->ticket, .early = how == SERVE_FIRST};
	struct shm reader;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(VERIFY_LIMIT);
	SURE(shm_attach(&reader, stage.copy, 0) == 0);
	sure_whole(&reader, whole_check, "at the death");
	if (scene->glance && how != AGAIN)
		agree(scene->glance(&reader));
	v.h = owner_open(stage.copy, 2);
	if (busy)
		go_on_beside(&v);
	if (how == SERVE_FIRST)
		serve_all(&v);
	recover(v.h);
	sure_whole(&reader, whole_check, "recovered");
	if (scene->found)
		agree(scene->found(&v));
	serve_all(&v);
	if (scene->judge)
		agree(scene->judge(&v));
	SURE(v.others == v.sent);
	sure_whole(&v.h->shm, whole_rest, "served");
	use(&v);
	sure_whole(&v.h->shm, whole_rest, "used");
	SURE(app_release(&v.h->shm, 0, v.h->self) == 0);
	heir_close(v.h);
	SURE(slots_in_use(&reader) == 5); /* three leaders, the server, the client */
	_exit(0);
}

/* What the verifier found, from 0, or -1 if it has nothing to say; -2: it is not right, and said so. */
static int verify(const struct scene *scene, const struct snapshot *s, enum how how, bool busy)
{
	int status = 0;
	pid_t pid;

	stage_fill_copy(s->image);
	backstage->found = -1;
	snprintf(backstage->text, sizeof(backstage->text), "a verifier that does not end, or crashes");
	fflush(NULL);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		verify_child(scene, how, busy);
	MUST(waitpid(pid, &status, 0) == pid);
	verified++;
	if (status == 0)
		return backstage->found;
	printf("not ok - %s%s%s: after %lu instructions, the last one at %#lx: %s (status %#x)\n", scene->name,
	       how_text[how], busy ? ", others beside" : "", s->step, (unsigned long)s->at, backstage->text,
	       status);
	return -2;
}

/* Nothing of it, then all of it. */
static bool sweep(const struct scene *scene, struct steps *steps, enum how how)
{
	int before = -1, last = how == SERVE_FIRST ? scene->last_early : scene->last;

	for (size_t i = 0; i < steps->snapshots; i++) {
		struct snapshot *s = &steps->snapshot[i];
		int found = verify(scene, s, how, false);

		/* Also where the others do not wait for the recovery, which may do some of it for the dead. */
		if (found == -2 || verify(scene, s, how, true) == -2)
			return false;
		if (how == BURY_FIRST)
			s->found = found;
		if (i > 0 ? found < before : found > 0) {
			printf("not ok - %s%s: %d done after %lu instructions, %d before them\n", scene->name,
			       how_text[how], found, s->step, before);
			return false;
		}
		before = found;
	}
	if (before != last) {
		printf("not ok - %s%s: it has returned, and %d are done, not %d\n", scene->name, how_text[how],
		       before, last);
		return false;
	}
	return true;
}

static void act_recovery(void)
{
	recover(actor);
}

/* Whoever recovers dies after each of its instructions; what it was to find is found by the next one. */
static bool sweep_recovery(const struct scene *scene, const struct snapshot *from)
{
	const struct actor recoverer = {as_worker, act_recovery, NULL};
	struct steps steps;
	bool good;

	stage_restore(from->image);
	good = stepper_run(&recoverer, SIZE_MAX, &steps);
	for (size_t i = 0; good && i < steps.snapshots; i++) {
		int found = verify(scene, &steps.snapshot[i], AGAIN, verified % 2);

		good = found != -2 && (found < 0 || from->found < 0 || found == from->found);
		if (!good && found != -2)
			printf("not ok - %s: %d done; recovered half-way, %lu instructions: %d\n", scene->name,
			       from->found, steps.snapshot[i].step, found);
		nested_deaths++;
	}
	nested_steps += steps.count;
	stepper_free(&steps);
	return good;
}

static size_t common_divisor(size_t a, size_t b)
{
	return b ? common_divisor(b, a % b) : a;
}

/*
 * From a sample of the states that is spread evenly, until `budget` has been spent on this scene and those before it;
 * below 0: from all.
 */
static bool sweep_recoveries(const struct scene *scene, const struct steps *steps, int64_t budget,
			     unsigned *ret_count)
{
	static int64_t spent;
	size_t n = steps->snapshots, stride = n * 5 / 8 + 1, at;
	bool good = true;

	while (common_divisor(stride, n) != 1) /* so that in the end all are met */
		stride++;
	*ret_count = 0;
	at = (size_t)clock_ns() % n; /* another sample each time; -1 finds again what one has found */
	for (size_t i = 0; good && i < n && (budget < 0 || spent < budget); i++, at = (at + stride) % n) {
		int64_t begun = clock_ns();

		good = sweep_recovery(scene, &steps->snapshot[at]);
		spent += clock_ns() - begun;
		++*ret_count;
	}
	return good;
}

/* The actor is really killed in some of its states, from as many as `stride` says: stepper_run() compares. */
static bool die_really(const struct scene *scene, size_t snapshots)
{
	bool good = true;

	for (size_t most = 1; good && scene->really && most < snapshots; most += scene->really) {
		struct steps steps;

		stage_restore(stage.rest);
		*backstage = (struct backstage){0};
		good = stepper_run(&scene->actor, most, &steps);
		end_stopped();
		stepper_free(&steps);
		if (!good)
			printf("not ok - %s: killed in state %zu, it is not as foreseen\n", scene->name, most);
	}
	return good;
}

static bool run_scene(const struct scene *scene, int64_t budget)
{
	struct steps steps;
	unsigned recoveries = 0;
	bool good;

	stage_restore(stage.rest);
	*backstage = (struct backstage){0};
	good = stepper_run(&scene->actor, SIZE_MAX, &steps);
	end_stopped();
	for (size_t i = 0; scene->besides && i < steps.snapshots; i++) {
		struct shm view = stage_view(steps.snapshot[i].image);

		scene->besides(&view);
	}
	if (!good)
		printf("not ok - %s: it could not be stepped through\n", scene->name);
	for (int how = BURY_FIRST; good && how <= (scene->early ? SERVE_FIRST : BURY_FIRST); how++)
		good = sweep(scene, &steps, (enum how)how);
	if (good)
		good = sweep_recoveries(scene, &steps, budget, &recoveries);
	if (good)
		good = die_really(scene, steps.snapshots);
	if (good)
		printf("ok - %s: %lu instructions, %zu states, %u recoveries stepped\n", scene->name,
		       steps.count, steps.snapshots, recoveries);
	deaths += steps.snapshots;
	steps_total += steps.count;
	stepper_free(&steps);
	return good;
}

static void clean_up(void)
{
	if (getpid() == first_process)
		stage_close();
}

static void be_told_to_end(int signal_number)
{
	static const char text[] = "not ok - told to end by a signal\n";
	ssize_t n = write(STDOUT_FILENO, text, sizeof(text) - 1);

	(void)n;
	(void)signal_number;
	stage_unlink();
	_exit(1); /* the children go with it */
}

int main(int argc, char **argv)
{
	static const struct scene *const all[] = {name_scenes, mail_scenes, txn_scenes, control_scenes,
						  slot_scenes};
	long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 20;
	unsigned scenes = 0, bad = 0, n = 0;

	if (!stepper_allowed()) {
		printf("skipped: this machine does not let a process trace its child, or is no x86-64\n");
		return 77;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (&mutation_applied && !mutation_applied) {
		printf("the mutation found nothing to change: its expression is out of date\n");
		return 2;
	}
	first_process = getpid();
	atexit(clean_up);
	signal(SIGTERM, be_told_to_end);
	signal(SIGINT, be_told_to_end);
	stage_open();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const struct scene *s = all[i]; s->name; s++)
			n += argc <= 2 || strcmp(s->name, argv[2]) == 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const struct scene *s = all[i]; s->name; s++) {
			if (argc > 2 && strcmp(s->name, argv[2]) != 0)
				continue;
			scenes++;
			bad += !run_scene(s, seconds < 0 ? -1 : seconds * NS_PER_SECOND * scenes / n);
		}
	printf("%u operations, %lu instructions, %lu states; recoveries: %lu instructions, %lu states; %lu "
	       "verified; %u "
	       "do not hold\n",
	       scenes, steps_total, deaths, nested_steps, nested_deaths, verified, bad);
	return scenes == 0 || bad ? 1 : 0;
}
