/* SPDX-License-Identifier: ISC */
/* heir node: one leader, straight down. */
#include "node/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/args.h"
#include "node/ask.h"
#include "node/build.h"
#include "node/instance.h"
#include "node/latency.h"
#include "node/listen.h"
#include "node/loop.h"
#include "node/notify.h"
#include "node/search.h"
#include "proc/bury.h"
#include "proc/recover.h"

#define EXIT_DONE 0
#define EXIT_FAILED 1

static int say(struct leader *l, const char *what, int rc)
{
	(void)l;
	log_error("%s: %s", what, heir_strerror(rc));
	return rc;
}

/* This node's record: free, or of a dead leader. */
static int take_node(struct leader *l)
{
	struct shm_node *node = shm_node(l->shm, l->node);
	uint64_t old = atom_load_acquire(&node->leader);

	for (;;) {
		if (old && !handle_gone(l->shm, old)) {
			log_error("node %s is led already, by process %d: stop that one with `heir "
			          "down -d %s %s`",
			          node->name, (int)handle_pid(l->shm, old), l->domain, node->name);
			return HEIR_EEXIST;
		}
		if (atom_cas(&node->leader, &old, l->h->self))
			break;
	}
	atom_store_release(&node->state, NODE_STARTING);
	return 0;
}

static int find_node(struct leader *l, const char *name)
{
	int n = conf_find_node(l->conf, name);
	char known[CONF_NODES_MAX * (CONF_NODE_LENGTH_MAX + 2) + 1] = "";

	if (n >= 0) {
		l->node = (uint32_t)n;
		return 0;
	}
	for (uint32_t i = 0; i < l->conf->node_count; i++) {
		strcat(known, i ? ", " : "");
		strcat(known, l->conf->nodes[i]);
	}
	log_error("domain %s has no node %s; it has %s", l->domain, name, known);
	return HEIR_ENOENT;
}

static int create_instances(struct leader *l)
{
	for (uint32_t a = 0; a < l->conf->application_count; a++) {
		int rc = policy_priority(l->shm, shm_app(l->shm, a), l->node)
		                 ? instance_create(l, a, &l->instances[a])
		                 : 0;

		if (rc)
			return rc;
	}
	return 0;
}

static bool is_alone(const struct leader *l)
{
	for (uint32_t n = 0; n < l->conf->node_count; n++) {
		uint64_t leader = atom_load_seq(&shm_node(l->shm, n)->leader);

		if (leader && leader != l->h->self && !handle_gone(l->shm, leader))
			return false;
	}
	return true;
}

#define FILES_OWN   64 /* of a leader, but for what it watches and its children */
#define FILES_CHILD 6

/*
 * Each process that is watched takes a descriptor: more of them than select() can name, which children may use. What
 * children need comes first.
 */
static void raise_files(struct leader *l)
{
	uint64_t needed = FILES_OWN, watched = (uint64_t)l->conf->node_count * (l->conf->application_count + 1);
	struct rlimit raised;

	if (getrlimit(RLIMIT_NOFILE, &l->files) < 0)
		l->files.rlim_cur = l->files.rlim_max = 1024;
	raised = (struct rlimit){l->files.rlim_max, l->files.rlim_max};
	(void)setrlimit(RLIMIT_NOFILE, &raised);
	for (uint32_t a = 0; a < l->conf->application_count; a++)
		needed += l->conf->applications[a].role_count * FILES_CHILD + l->conf->applications[a].listen_count;
	l->watching_most = l->files.rlim_max > needed ? l->files.rlim_max - needed : 0;
	if (l->watching_most < watched)
		log_warning("%ju descriptors may be open here, %ju would be used at most: raise the limit (ulimit "
		            "-Hn; LimitNOFILE= of a unit); until then not all other nodes' processes are watched",
		            (uintmax_t)l->files.rlim_max, (uintmax_t)(needed + watched));
}

static int begin(struct leader *l, const struct args *args)
{
	char who[80];
	int rc = build_domain(args->file, args->domain, l->join, l->domain, sizeof(l->domain),
	                      &l->conf);

	if (rc < 0)
		return rc;
	l->made = rc == BUILD_MADE;
	rc = find_node(l, args->operand);
	if (rc)
		return rc;
	snprintf(who, sizeof(who), "heir node %s", l->conf->nodes[l->node]);
	log_init(who, getenv("HEIR_VERBOSE") ? LOG_DETAILS : LOG_NOTES);
	l->search = search_path();
	if (!l->search)
		return say(l, "start", -ENOMEM);
	raise_files(l);
	rc = loop_init(l);
	if (rc)
		return say(l, "event loop", rc);
	rc = lib_open(l->domain, (struct slot_place){KIND_LEADER, (int)l->node, -1, -1}, &l->h);
	if (rc == HEIR_ENODOMAIN)
		return rc;
	if (rc)
		return say(l, l->domain, rc);
	l->shm = &l->h->shm;
	l->latency = latency_hold(l->conf, l->shm);
	(void)bury_all(l->shm, l->h->slot);
	rc = take_node(l);
	if (rc)
		return rc;
	if (!build_is_current(l->shm))
		return HEIR_ENODOMAIN;
	if (!l->join)
		build_resume(l->shm, l->h->self);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return say(l, "subreaper", -errno);
	rc = waitset_init(&l->waits, 0);
	if (rc == 0)
		rc = listen_create(l);
	if (rc)
		return say(l, "descriptors", rc);
	rc = create_instances(l);
	return rc ? say(l, "applications", rc) : 0;
}

/* The last leader of a domain that stops removes it. Each leaves its record first, and looks then.
 */
static void leave_node(struct leader *l)
{
	struct shm_node *node = shm_node(l->shm, l->node);
	uint64_t self = l->h->self;

	if (atom_load_acquire(&node->leader) != self)
		return;
	for (uint32_t a = 0; a < l->conf->application_count; a++)
		if (l->instances[a])
			atom_store_release(&l->instances[a]->shm->instance[l->node],
			                   INSTANCE_ABSENT);
	atom_store_release(&node->state, NODE_DOWN);
	(void)atom_cas_seq(&node->leader, &self, 0);
	app_changed(l->shm, 0);
	if ((atom_load_acquire(&l->shm->head->stopping) == 1 || (l->made && l->fatal)) &&
	    is_alone(l))
		build_unlink(l->shm);
}

static void finish(struct leader *l)
{
	if (l->h && l->shm)
		leave_node(l);
	if (l->h)
		ask_answer_all(l, l->fatal ? "error: the node stopped; its log says why" : "ok");
	for (uint32_t a = 0; l->conf && a < l->conf->application_count; a++)
		instance_destroy(l->instances[a]);
	listen_destroy(l);
	loop_finish(l);
	waitset_finish(&l->waits);
	if (l->latency >= 0)
		close(l->latency);
	heir_close(l->h);
	conf_free(l->conf);
	free(l->search);
}

int node_main(int argc, char **argv)
{
	static struct leader l = {.epoll = -1, .latency = -1, .signals = {.fd = -1}};
	struct args args;
	int rc = args_parse(argc, argv, "fd", true, &args);

	if (rc)
		return rc;
	if (!args.operand) {
		fprintf(stderr, "heir: which node? See `heir node --help`\n");
		return 2;
	}
	log_init("heir", LOG_NOTES);
	l.up_since = clock_ns();
	l.file = args.file;
	l.join = getenv("HEIR_JOIN") != NULL;
	rc = begin(&l, &args);
	if (rc == 0)
		loop_run(&l);
	if (rc == HEIR_ENODOMAIN) {
		log_note("domain %s has ended", l.domain);
		rc = l.join ? 0 : rc;
	}
	finish(&l);
	if (rc == -EINVAL)
		return 6;
	return rc || l.fatal ? EXIT_FAILED : EXIT_DONE;
}
