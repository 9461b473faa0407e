/* SPDX-License-Identifier: ISC */
#include "support/domain.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/futex.h"
#include "name/names.h"
#include "proc/recover.h"
#include "state/control.h"

#define LIMIT_S 20
#define FILES	16

static const char *const nodes[] = {"a", "b", "c"};

static void fill(struct domain *d, const struct domain_options *o)
{
	static const char *const steps[] = {"start", "switch", "takeover", "go", "stop_old"};
	struct shm *s = &d->shm;
	struct shm_app *a = &s->apps[0];

	for (unsigned i = 0; i < 3; i++)
		strcpy(s->nodes[i].name, nodes[i]);
	strcpy(a->name, "app");
	a->roles = s->limits.roles;
	a->flags = APP_HOT;
	a->state_size = a->undo_size = o->state ? o->state : DOMAIN_STATE;
	a->policy[0].step_timeout = o->step_timeout ? o->step_timeout : 2000000000;
	a->policy[0].yield_timeout = o->yield_timeout ? o->yield_timeout : 100000000;
	a->policy[0].claim_grace = 50000000;
	a->policy[0].failover_intensity = 1000;
	a->policy[0].failover_period = 1000000000;
	a->policy[0].max_deliveries = o->max_deliveries ? o->max_deliveries : 3;
	for (unsigned i = 0; i < 3; i++)
		a->policy[0].priority[i] = (uint8_t)(i + 1);
	atom_store_relaxed(&a->permitted, 7);
	atom_store_relaxed(&a->wanted, 1);
	for (unsigned i = 0; i < SHM_STEPS_MAX && (o->steps[0] ? o->steps[i] != NULL : i < 5); i++)
		strcpy(a->step[a->steps++], o->steps[0] ? o->steps[i] : steps[i]);
	for (uint32_t r = 0; r < s->limits.roles; r++) {
		snprintf(s->roles[r].id, sizeof(s->roles[r].id), r ? "role%u" : "server", r);
		s->roles[r].flags = ROLE_ATTACH | (r ? 0 : ROLE_STATE);
	}
	for (uint32_t m = 0; m < shm_mailbox_count(s); m++)
		for (uint32_t i = 0; i < s->ring_entries; i++)
			atom_store_relaxed(&shm_ring(s, m)[i], (uint64_t)i << 32);
}

/*
 * The files of this process's domains, which are to go also where a setup fails, whose teardown is not run, and where
 * the alarm ends a test.
 */
static struct file {
	char path[192];
	pid_t of;
} files[FILES];

static void remove_files(void)
{
	for (unsigned i = 0; i < FILES; i++)
		if (files[i].path[0] && files[i].of == getpid())
			(void)unlink(files[i].path);
}

static void too_long(int signal_number)
{
	remove_files();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void promise_to_remove(const char *path)
{
	unsigned i = 0;

	while (i < FILES && files[i].path[0])
		i++;
	assert_true(i < FILES && strlen(path) < sizeof(files[i].path));
	strcpy(files[i].path, path);
	files[i].of = getpid();
}

static void removed(const char *path)
{
	for (unsigned i = 0; i < FILES; i++)
		if (strcmp(files[i].path, path) == 0)
			files[i].path[0] = '\0';
}

void domain_init(struct domain *d, const struct domain_options *options)
{
	static unsigned number;
	char path[512], unpublished[560];
	struct domain_options o = options ? *options : (struct domain_options){0};
	struct shm_limits limits = {.nodes = 3, .apps = 1, .roles = o.roles ? o.roles : 1};
	uint32_t names = o.names ? o.names : 256;

	memset(d, 0, sizeof(*d));
	if (number == 0)
		assert_int_equal(atexit(remove_files), 0);
	signal(SIGALRM, too_long);
	alarm(LIMIT_S * 3);
	snprintf(d->name, sizeof(d->name), "test-%d-%u", (int)getpid(), number++);
	limits.slots = (o.slots ? o.slots : 32) + 1;
	limits.cells = (o.cells ? o.cells : 64) + 1;
	limits.message = o.message ? o.message : 512;
	limits.buckets = names_buckets_for(names);
	limits.name_cells = names_cells_for(names, 40, limits.slots);
	limits.trace = o.trace ? o.trace : 256;
	assert_int_equal(shm_path(d->name, path, sizeof(path)), 0);
	promise_to_remove(path);
	snprintf(unpublished, sizeof(unpublished), "%s.%d.new", path, (int)getpid());
	promise_to_remove(unpublished);
	shm_unlink(d->name);
	assert_int_equal(shm_create(&d->shm, d->name, &limits, 1), 0);
	fill(d, &o);
	assert_int_equal(state_path(&d->shm, 0, path, sizeof(path)), 0);
	promise_to_remove(path);
	state_unlink(&d->shm, 0);
	assert_int_equal(state_create(&d->shm, 0), 0);
	assert_int_equal(shm_publish(&d->shm), 0);
	removed(unpublished);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(slot_join(&d->shm, (struct slot_place){KIND_LEADER, i, -1, -1}, &d->leader[i]),
				 0);
		atom_store_relaxed(&d->shm.nodes[i].leader, d->leader[i]);
	}
	assert_int_equal(names_register(&d->shm, handle_slot(d->leader[0]), "app", 3, name_binding_role(0, 0),
					NULL, NULL),
			 0);
}

void domain_finish(struct domain *d)
{
	char path[512];

	for (unsigned i = 0; i < d->children; i++)
		if (d->child[i]) {
			kill(d->child[i], SIGKILL);
			waitpid(d->child[i], NULL, 0);
		}
	for (int i = 0; i < 3; i++)
		if (d->leader[i])
			slot_leave(&d->shm, d->leader[i]);
	state_unlink(&d->shm, 0);
	if (state_path(&d->shm, 0, path, sizeof(path)) == 0)
		removed(path);
	shm_unlink(d->name);
	removed(d->shm.path);
	shm_detach(&d->shm);
	alarm(0);
}

pid_t domain_fork(struct domain *d, const char *node, int (*body)(void *arg), void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
			signal(fatal[i], SIG_DFL); /* cmocka has handlers */
		setenv("HEIR_DOMAIN", d->name, 1);
		if (node) {
			setenv("HEIR_NODE", node, 1);
			setenv("HEIR_APPLICATION", "app", 1);
			if (!getenv("HEIR_CHILD"))
				setenv("HEIR_CHILD", "server", 1);
		}
		signal(SIGALRM, SIG_DFL);
		alarm(LIMIT_S * 2);
		_exit(body(arg));
	}
	assert_true(d->children < 32);
	d->child[d->children++] = pid;
	return pid;
}

int domain_wait(struct domain *d, pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid); /* bounded by the child's alarm */
	for (unsigned i = 0; i < d->children; i++)
		if (d->child[i] == pid)
			d->child[i] = 0;
	return status;
}

void domain_kill(struct domain *d, pid_t pid)
{
	kill(pid, SIGKILL);
	(void)domain_wait(d, pid);
}

void domain_wait_ready(struct domain *d, unsigned node)
{
	int64_t deadline = deadline_after(LIMIT_S * NS_PER_SECOND);

	for (;;) {
		uint32_t seen = atom_load_acquire(&d->shm.head->changed);
		uint64_t handle = atom_load_acquire(&d->shm.roles[0].candidate[node]);

		if (handle && handle_alive(&d->shm, handle) &&
		    atom_load_acquire(&d->shm.slots[handle_slot(handle)].ready) >= WORKER_STANDBY)
			return;
		assert_false(deadline_passed(deadline));
		(void)futex_wait(&d->shm.head->changed, seen, deadline);
	}
}

void domain_wait_owner(struct domain *d, unsigned node)
{
	int64_t deadline = deadline_after(LIMIT_S * NS_PER_SECOND);

	for (;;) {
		uint64_t w = atom_load_acquire(&d->shm.apps[0].control);
		struct control c = control_unpack(w);

		if (c.phase == PHASE_SERVING && slot_place(&d->shm, c.owner).node == (int)node)
			return;
		assert_false(deadline_passed(deadline));
		(void)futex_wait(control_generation_futex(&d->shm.apps[0].control), (uint32_t)w, deadline);
	}
}

int domain_start(struct domain *d, heir_t *client, unsigned node)
{
	struct request r = {.op = REQ_START, .type = HEIR_NORMAL};
	struct heir_ticket t;
	struct reply reply = {0};
	size_t size = sizeof(reply);
	int rc = lib_request(client, atom_load_acquire(&d->shm.roles[0].candidate[node]), &r, &t);

	if (rc == 0)
		rc = heir_call_finish(client, t, &reply, &size, LIMIT_S * NS_PER_SECOND);
	return rc ? rc : reply.error;
}
