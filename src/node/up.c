/* SPDX-License-Identifier: ISC */
/*
 * heir up: the domain made or found, a leader for every node, and one that dies started again. It
 * holds nothing: when it dies, everything goes on, and the next one finds the leaders that run.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bsd/string.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/log.h"
#include "lib/handle.h"
#include "node/args.h"
#include "node/build.h"
#include "node/detach.h"
#include "node/node.h"
#include "node/notify.h"
#include "node/reload.h"
#include "node/search.h"
#include "node/spawn.h"
#include "proc/bury.h"
#include "shm/policy.h"
#include "state/control.h"

#define DELAY_FIRST INT64_C(100000000)
#define DELAY_MOST (5 * NS_PER_SECOND)
#define PATIENCE_MS 500 /* for the end of an `up` that has been killed */

struct led_node {
	const char *name;
	pid_t pid; /* 0: does not run, or is not known to */
	int pidfd;
	bool watched; /* its pidfd is in the epoll set */
	bool mine;    /* started by this process */
	bool been_up; /* while this process watched it */
	bool stopped; /* in order, and not by this process: not started again */
	unsigned failures;
	int64_t up_since, start_at;
};

struct up {
	heir_t *h;
	struct shm *shm;
	struct conf *conf;
	struct waitset waits;
	const char *file; /* that it was started with, or NULL */
	char domain[64], self[4096];
	struct led_node nodes[CONF_NODES_MAX];
	int epoll, signals;
	int64_t now, again;
	int64_t stop_asked; /* when the first signal to stop came; 0: none came */
	bool said, failed;
};

static bool is_stopping(const struct up *u)
{
	return atom_load_acquire(&u->shm->head->stopping) != 0;
}

static void stop_domain(struct up *u)
{
	uint32_t none = 0;

	(void)atomic_compare_exchange_strong(&u->shm->head->stopping, &none, 1);
	atom_add_release(&u->shm->head->changed, 1);
	(void)futex_wake(&u->shm->head->changed, INT_MAX);
}

/* Tried again, and the end of what is not watched looked for, until it is. */
static void listen_to(struct up *u, struct led_node *n)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = n};

	n->watched = epoll_ctl(u->epoll, EPOLL_CTL_ADD, n->pidfd, &e) == 0;
	if (!n->watched)
		u->again = deadline_min(u->again, u->now + DELAY_FIRST);
}

static void watch(struct up *u, struct led_node *n, pid_t pid, int pidfd)
{
	n->pid = pid;
	n->pidfd = pidfd;
	n->been_up = false;
	n->up_since = u->now;
	listen_to(u, n);
}

static void delay(struct up *u, struct led_node *n)
{
	int64_t wait = 0;

	if (n->been_up && u->now - n->up_since > DELAY_MOST)
		n->failures = 0;
	for (unsigned k = n->failures; k > 0 && wait < DELAY_MOST; k--)
		wait = wait ? wait * 2 : DELAY_FIRST;
	n->failures++;
	n->start_at = u->now + (wait < DELAY_MOST ? wait : DELAY_MOST);
}

static void start_node(struct up *u, struct led_node *n)
{
	char *argv[] = {u->self, "node", "-d", u->domain, (char *)(uintptr_t)n->name, NULL};
	struct spawn s = {.path = u->self, .argv = argv, .envp = environ, .out = -1, .outlive = 1};
	struct spawned got;
	int rc = spawn_process(&s, &got);

	if (rc) {
		log_error("node %s cannot be started: %s", n->name, strerror(-rc));
		n->been_up = false;
		delay(u, n);
		return;
	}
	close(got.exec); /* a failed exec shows as exit 127 */
	n->mine = true;
	watch(u, n, got.pid, got.pidfd);
}

static void adopt_or_start(struct up *u, struct led_node *n, uint32_t index)
{
	uint64_t leader = atom_load_acquire(&shm_node(u->shm, index)->leader);
	int fd;

	if (n->pid)
		return;
	fd = leader && !handle_gone(u->shm, leader) ? handle_pidfd(u->shm, leader) : -1;
	if (fd >= 0) {
		n->mine = n->stopped = false;
		watch(u, n, handle_pid(u->shm, leader), fd);
		return;
	}
	if (n->stopped || is_stopping(u))
		return;
	if (u->now < n->start_at)
		u->again = deadline_min(u->again, n->start_at);
	else
		start_node(u, n);
}

static void kill_orphan(pid_t pid, void *arg)
{
	const struct up *u = arg;

	for (uint32_t n = 0; n < u->conf->node_count; n++)
		if (u->nodes[n].pid == pid)
			return;
	(void)kill(pid, SIGKILL);
}

/* Whatever is a child of this process and not a leader was a dead leader's. */
static void kill_orphans(struct up *u)
{
	(void)spawn_children(kill_orphan, u);
}

/* Something was started in this domain, be it by an `up` before this one. */
static bool has_run(const struct up *u)
{
	for (uint32_t a = 0; a < u->shm->limits.apps; a++)
		if (control_unpack(atom_load_acquire(&shm_app(u->shm, a)->control)).generation > 0)
			return true;
	return false;
}

static void ended(struct up *u, struct led_node *n)
{
	siginfo_t info = {0};
	bool known = n->mine && waitid(P_PID, (id_t)n->pid, &info, WEXITED | WNOHANG) == 0 &&
	             info.si_pid;
	bool in_order = known && info.si_code == CLD_EXITED && info.si_status == 0;
	uint32_t index = (uint32_t)(n - u->nodes);

	if (!known)
		in_order = atom_load_acquire(&shm_node(u->shm, index)->state) == NODE_DOWN;
	(void)epoll_ctl(u->epoll, EPOLL_CTL_DEL, n->pidfd, NULL);
	close(n->pidfd);
	n->pidfd = -1;
	n->pid = 0;
	(void)bury_all(u->shm, u->h->slot);
	kill_orphans(u);
	if (is_stopping(u))
		return;
	if (in_order) {
		log_note("node %s has stopped; `heir node -d %s %s` starts it again", n->name,
		         u->domain, n->name);
		n->stopped = true;
	} else if (!n->been_up && !u->said && !has_run(u)) {
		log_error("node %s could not start; the domain is stopped", n->name);
		u->failed = true;
		stop_domain(u);
	} else {
		if (known && info.si_code != CLD_EXITED)
			log_warning("node %s was killed by signal %d and is started again", n->name,
			            info.si_status);
		else
			log_warning("node %s has ended and is started again", n->name);
		delay(u, n);
	}
}

static bool is_running(const struct up *u, uint32_t app, int *ret_node)
{
	struct control c = control_unpack(atom_load_acquire(&shm_app(u->shm, app)->control));

	*ret_node = slot_place(u->shm, c.owner).node;
	return c.phase == PHASE_SERVING && *ret_node >= 0 && *ret_node < (int)u->conf->node_count &&
	       !handle_gone(u->shm, slot_handle(u->shm, c.owner));
}

static void add_text(char *text, size_t size, const char *a, const char *b)
{
	(void)strlcat(text, a, size);
	(void)strlcat(text, b, size);
}

static void say_standbys(const struct up *u, uint32_t app, int owner, char *text, size_t size)
{
	const char *between = ", standby ";

	for (uint32_t n = 0; n < u->conf->node_count; n++)
		if ((int)n != owner &&
		    atom_load_acquire(&shm_app(u->shm, app)->instance[n]) == INSTANCE_STANDBY) {
			add_text(text, size, between, u->conf->nodes[n]);
			between = " and ";
		}
}

static bool waits_for_standby(const struct up *u, uint32_t app, int owner)
{
	const struct shm_app *a = shm_app(u->shm, app);
	bool waits = false;

	if (!(a->flags & APP_HOT))
		return false;
	for (uint32_t n = 0; n < u->conf->node_count; n++) {
		uint32_t state = atom_load_acquire(&((struct shm_app *)(uintptr_t)a)->instance[n]);

		if ((int)n != owner && policy_priority(u->shm, a, n) &&
		    (state == INSTANCE_STARTING || state == INSTANCE_ABSENT) &&
		    !u->nodes[n].stopped)
			waits = true;
	}
	return waits && u->now - u->nodes[0].up_since < 2 * NS_PER_SECOND;
}

static void say_try(const struct up *u, char *text, size_t size)
{
	for (uint32_t a = 0; a < u->conf->application_count; a++)
		for (uint32_t k = 0; k < u->conf->applications[a].listen_count; k++) {
			const struct conf_listen *at = &u->conf->applications[a].listen[k];
			const struct sockaddr_in *in =
				(const struct sockaddr_in *)(const void *)&at->socket;
			char port[16];

			if (strcmp(at->name, "resp") != 0 || at->socket.ss_family != AF_INET)
				continue;
			snprintf(port, sizeof(port), "%u", ntohs(in->sin_port));
			add_text(text, size, ". Try: redis-cli -p ", port);
			return;
		}
}

/* Once, when all that is to run runs. */
static void say_up(struct up *u)
{
	char text[4096] = "";
	const char *between = "";

	for (uint32_t a = 0; a < u->conf->application_count; a++) {
		bool failed = atom_load_acquire(&shm_app(u->shm, a)->failed);
		bool wanted = atom_load_acquire(&shm_app(u->shm, a)->wanted);
		int node;
		bool runs = is_running(u, a, &node);

		if (wanted && !failed && (!runs || waits_for_standby(u, a, node))) {
			u->again = deadline_min(u->again, u->now + DELAY_FIRST);
			return;
		}
		add_text(text, sizeof(text), between, u->conf->applications[a].name);
		between = "; ";
		if (runs)
			add_text(text, sizeof(text), " on ", u->conf->nodes[node]);
		else
			add_text(text, sizeof(text), failed ? " failed" : " down", "");
		say_standbys(u, a, runs ? node : -1, text, sizeof(text));
	}
	say_try(u, text, sizeof(text));
	u->said = true;
	printf("heir: domain %s is up: %s\n", u->domain, text);
	(void)fflush(stdout);
	notify_say("READY=1");
	detach_done();
}

/* A second interrupt kills; one that comes at once is the same one, sent to the process and to its
 * group. */
static void interrupted(struct up *u, bool again)
{
	if (u->stop_asked == 0) {
		u->stop_asked = u->now;
		notify_say("STOPPING=1");
		stop_domain(u);
		return;
	}
	if (!again || u->now - u->stop_asked < NS_PER_SECOND / 2)
		return;
	log_warning("what has not stopped yet is killed");
	for (uint32_t n = 0; n < u->conf->node_count; n++)
		if (u->nodes[n].pid)
			(void)syscall(SYS_pidfd_send_signal, u->nodes[n].pidfd, SIGKILL, NULL, 0);
}

static void take_signals(struct up *u)
{
	struct signalfd_siginfo info;

	while (read(u->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			interrupted(u, info.ssi_signo == SIGINT);
		} else if (info.ssi_signo == SIGHUP) {
			reload_signalled(u->shm, u->h->self, u->file);
		} else if (info.ssi_signo == SIGQUIT) {
			for (uint32_t n = 0; n < u->conf->node_count; n++)
				if (u->nodes[n].pid)
					(void)syscall(SYS_pidfd_send_signal, u->nodes[n].pidfd,
					              SIGQUIT, NULL, 0);
		} else {
			siginfo_t dead = {0};
			bool known = false;

			/* Leaders are reaped where their pidfds are seen; the rest is what they
			 * left. */
			while (!known &&
			       waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 &&
			       dead.si_pid) {
				for (uint32_t n = 0; n < u->conf->node_count; n++)
					known |= u->nodes[n].pid == dead.si_pid;
				if (!known)
					(void)waitid(P_PID, (id_t)dead.si_pid, &dead,
					             WEXITED | WNOHANG);
			}
		}
	}
}

static void take_events(struct up *u)
{
	struct epoll_event e;

	while (epoll_wait(u->epoll, &e, 1, 0) == 1) {
		if (e.data.ptr)
			ended(u, e.data.ptr);
		take_signals(u);
	}
}

static bool look(struct up *u)
{
	bool alive = false, coming = false;

	u->now = clock_ns();
	u->again = DEADLINE_NEVER;
	take_events(u);
	for (uint32_t n = 0; n < u->conf->node_count; n++) {
		struct led_node *node = &u->nodes[n];

		adopt_or_start(u, node, n);
		if (node->pid && !node->watched)
			listen_to(u, node);
		node->been_up |=
			node->pid && atom_load_acquire(&shm_node(u->shm, n)->state) == NODE_UP;
		alive |= node->pid != 0;
		coming |= !node->stopped && !is_stopping(u);
	}
	if (!u->said && !is_stopping(u))
		say_up(u);
	return alive || coming;
}

static bool is_settled(const struct up *u)
{
	bool settled = u->said;

	for (uint32_t n = 0; n < u->conf->node_count; n++)
		settled = settled && u->nodes[n].pid && u->nodes[n].been_up;
	return settled;
}

static void run(struct up *u)
{
	for (;;) {
		struct wait_word word = {&u->shm->head->changed,
		                         atom_load_acquire(&u->shm->head->changed)};
		int rc;

		if (!look(u))
			return;
		/* Once all runs, only deaths concern it; moves are not to wake it. */
		rc = waitset_wait(&u->waits, &word, !is_settled(u), u->epoll, u->again);
		if (rc < 0) {
			log_error("cannot wait: %s", strerror(-rc));
			u->failed = true;
			return;
		}
	}
}

/* Until one that is being killed is gone, if it is; then 0. */
static int await_end(const struct up *u, uint64_t other)
{
	int fd = handle_pidfd(u->shm, other);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return fd == HEIR_ENOENT ? 0 : fd;
	while (poll(&p, 1, PATIENCE_MS) < 0 && errno == EINTR)
		;
	close(fd);
	return p.revents ? 0 : HEIR_EBUSY;
}

/* One `up` at a time starts leaders; of several that find it dead one goes on. */
static int take_domain(struct up *u)
{
	atom64 *cell = &u->shm->head->up;
	uint64_t other = atom_load_acquire(cell);

	for (;;) {
		if (other && !handle_gone(u->shm, other) && await_end(u, other)) {
			int pid = (int)handle_pid(u->shm, other);

			if (is_stopping(u))
				log_error("domain %s is being stopped; its `heir up`, process %d, has not ended yet: "
				          "try again then",
				          u->domain, pid);
			else
				log_error("domain %s is up already, and `heir up`, process %d, watches over it: see "
				          "`heir status -d %s`; `heir down -d %s` stops it",
				          u->domain, pid, u->domain, u->domain);
			return HEIR_EBUSY;
		}
		if (atom_cas(cell, &other, u->h->self))
			return 0;
	}
}

/* In the domain, alone in what it does. It is made anew where it has ended since it was found. */
static int enter(struct up *u, const struct args *args)
{
	for (;;) {
		int rc = lib_open(u->domain, (struct slot_place){KIND_CLIENT, -1, -1, -1}, &u->h);
		bool here = rc == 0;

		if (rc && rc != HEIR_ENODOMAIN) {
			log_error("domain %s: %s", u->domain, heir_strerror(rc));
			return rc;
		}
		if (here) {
			u->shm = &u->h->shm;
			(void)bury_all(u->shm, u->h->slot);
			rc = take_domain(u);
			if (rc || build_is_current(u->shm))
				return rc;
			heir_close(u->h);
			u->h = NULL;
			u->shm = NULL;
		}
		conf_free(u->conf);
		u->conf = NULL;
		rc = build_domain(args->file, args->domain, false, u->domain, sizeof(u->domain), &u->conf);
		if (rc < 0)
			return rc;
	}
}

static int begin(struct up *u)
{
	static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct epoll_event e = {.events = EPOLLIN};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	(void)signal(SIGPIPE, SIG_IGN);
	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	u->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (u->epoll < 0 || u->signals < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
	    epoll_ctl(u->epoll, EPOLL_CTL_ADD, u->signals, &e) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return -errno;
	u->now = clock_ns();
	build_resume(u->shm, 0);
	for (uint32_t n = 0; n < u->conf->node_count; n++) {
		u->nodes[n] = (struct led_node){.name = u->conf->nodes[n],
		                                .pidfd = -1,
		                                .up_since = u->now};
		adopt_or_start(u, &u->nodes[n], n);
	}
	return waitset_init(&u->waits, 0);
}

/* When the domain was to stop and its leaders are gone without having removed it. */
static int finish(struct up *u)
{
	bool stopping = atom_load_acquire(&u->shm->head->stopping) == 1;
	uint64_t self = u->h->self;
	int status = u->failed ? 1 : 0;

	kill_orphans(u);
	if (stopping)
		build_unlink(u->shm);
	else if (!is_stopping(u))
		log_note("all nodes have stopped; the domain's state is kept: `heir up -d %s` goes "
		         "on with it,"
		         " `heir up -d %s --discard` starts anew",
		         u->domain, u->domain);
	(void)atom_cas(&u->shm->head->up, &self, 0);
	waitset_finish(&u->waits);
	heir_close(u->h);
	conf_free(u->conf);
	return status;
}

/* It cannot go on: what it has made goes again, unless others are in it. */
static int give_up(struct up *u, bool made, int status)
{
	heir_close(u->h);
	if (made)
		build_abandon(u->domain);
	return status;
}

int up_main(int argc, char **argv)
{
	static struct up u;
	struct args args;
	bool made;
	int rc = args_parse(argc, argv, "fdDX", false, &args);

	if (rc)
		return rc;
	log_init("heir", LOG_NOTES);
	if (setenv("HEIR_JOIN", "1", 1) < 0)
		return 1;
	u.file = args.file;
	search_self(u.self, sizeof(u.self));
	if (args.discard && build_discard(args.file, args.domain))
		return 1;
	if (args.file && build_check(args.file))
		return 6;
	rc = build_domain(args.file, args.domain, false, u.domain, sizeof(u.domain), &u.conf);
	if (rc < 0)
		return rc == -EINVAL ? 6 : 1;
	made = rc == BUILD_MADE;
	if (args.detach && detach(u.domain, &rc))
		return give_up(&u, made && rc != 0, rc);
	rc = enter(&u, &args);
	if (rc < 0)
		return give_up(&u, made, rc == -EINVAL ? 6 : 1);
	rc = begin(&u);
	if (rc) {
		log_error("domain %s: %s", u.domain, heir_strerror(rc));
		return give_up(&u, made, 1);
	}
	run(&u);
	return finish(&u);
}
