/* SPDX-License-Identifier: ISC */
#include "node/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/environ.h"
#include "node/instance.h"
#include "node/listen.h"
#include "node/loop.h"
#include "node/notify.h"
#include "node/remains.h"
#include "node/watchdog.h"

#define ANY_FD_MAX (SPAWN_FD_FIRST + CONF_LISTEN_MAX + 2)

const char *child_name(const struct child *c)
{
	static char name[2 * CONF_NAME_LENGTH_MAX];

	snprintf(name, sizeof(name), "%s/%s", c->instance->conf->name, c->conf->id);
	return name;
}

void child_init(struct child *c, struct instance *i, uint32_t index)
{
	*c = (struct child){.instance = i, .conf = i->conf->roles[index], .index = index};
	c->exit.fd = c->exec.fd = c->life.fd = c->notice.fd = -1;
}

static void close_sources(struct child *c)
{
	struct leader *l = c->instance->leader;

	source_close(l, &c->exit);
	source_close(l, &c->exec);
	source_close(l, &c->life);
	source_close(l, &c->notice);
}

void child_clear(struct child *c)
{
	close_sources(c);
	watchdog_forget(c);
	if (c->requested)
		lib_forget(c->instance->leader->h, c->request);
	if (c->index == c->instance->lead && c->instance->asked) {
		lib_forget(c->instance->leader->h, c->instance->ask);
		c->instance->asked = false;
	}
	c->requested = c->ready = c->running = c->begun = false;
	c->unswept = true;
	c->sweep_at = c->instance->leader->now + GONE_LOOK; /* its successor gets the processor first */
	c->pid = 0;
	c->handle = 0;
	c->ready_by = -1;
	c->state = CHILD_ABSENT;
}

void child_finish(struct child *c)
{
	close_sources(c);
}

static void make_ready(struct child *c)
{
	if (c->ready)
		return;
	c->ready = true;
	c->state = CHILD_RUNNING;
	c->ready_by = -1;
	c->healthy_since = c->instance->leader->now;
}

static void exit_ready(struct leader *l, struct source *source, uint32_t events)
{
	(void)source;
	(void)events;
	instance_reap(l);
}

static void exec_ready(struct leader *l, struct source *source, uint32_t events)
{
	struct child *c = (struct child *)(void *)((char *)source - offsetof(struct child, exec));
	int rc = spawn_result(source->fd);

	(void)events;
	if (rc == 0)
		return;
	source_close(l, source);
	if (rc < 0) {
		log_error("%s: cannot start %s: %s", child_name(c), c->conf->exec[0],
		          strerror(-rc));
		return;
	}
	c->running = true;
	if (c->conf->ready == CONF_READY_EXEC)
		make_ready(c);
}

/* A worker that has attached: its handle is where it has registered itself. */
static void attached(struct child *c)
{
	struct leader *l = c->instance->leader;
	struct shm_role *role = shm_role(l->shm, c->instance->first_role + c->index);
	uint64_t handle = atom_load_acquire(&role->candidate[l->node]);

	if (!handle || handle_pid(l->shm, handle) != c->pid)
		return;
	c->handle = handle;
	make_ready(c);
}

/* The lifeline has ended: the process is ending, or has executed another program. */
static void lifeline_ended(struct child *c)
{
	struct leader *l = c->instance->leader;

	source_close(l, &c->life);
	if (!c->handle || handle_alive(l->shm, c->handle))
		return;
	if (child_crashed(c)) {
		child_kill(c);
		return;
	}
	c->ready = false;
	c->ready_by = deadline_from(l->now, NS_PER_SECOND);
	loop_again(l, c->ready_by);
}

static void life_ready(struct leader *l, struct source *source, uint32_t events)
{
	struct child *c = (struct child *)(void *)((char *)source - offsetof(struct child, life));
	char byte;
	ssize_t n = recv(source->fd, &byte, 1, MSG_DONTWAIT);

	(void)l;
	(void)events;
	if (n == 1 && byte == 'R')
		attached(c);
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		lifeline_ended(c);
}

void child_hear(struct child *c)
{
	unsigned said = c->notice.fd < 0 || c->conf->ready != CONF_READY_NOTIFY ? 0 : notify_hear(c->notice.fd);

	if (said & NOTIFY_READY)
		make_ready(c);
	if (said & (NOTIFY_READY | NOTIFY_ALIVE))
		watchdog_beat(c);
	if (said & NOTIFY_FAILED)
		watchdog_trigger(c);
}

static void notice_ready(struct leader *l, struct source *source, uint32_t events)
{
	struct child *c = (struct child *)(void *)((char *)source - offsetof(struct child, notice));
	char text[64];
	ssize_t n;

	(void)events;
	if (c->conf->ready == CONF_READY_NOTIFY) {
		child_hear(c);
		return;
	}
	n = read(source->fd, text, sizeof(text));
	if (n > 0 && memchr(text, '\n', (size_t)n))
		make_ready(c);
	if (n == 0 || c->ready)
		source_close(l, source);
}

struct plan {
	struct environ env;
	struct spawn spawn;
	struct spawn_fd fds[ANY_FD_MAX];
	char path[4096];
	int lifeline[2], notice[2], log;
};

static void add_fd(struct plan *p, int from, int to)
{
	p->fds[p->spawn.fd_count++] = (struct spawn_fd){from, to};
}

static int plan_listen(struct plan *p, const struct child *c)
{
	const struct instance *i = c->instance;
	const int *fds = listen_sockets(i->leader, i->app);
	char names[CONF_LISTEN_MAX * (CONF_ID_LENGTH_MAX + 1) + 1] = "";
	uint32_t n = i->conf->listen_count;

	for (uint32_t k = 0; k < n; k++) {
		add_fd(p, fds[k], (int)(SPAWN_FD_FIRST + k));
		if (k)
			strcat(names, ":");
		strcat(names, i->conf->listen[k].name);
	}
	if (n == 0)
		return SPAWN_FD_FIRST;
	environ_set(&p->env, "LISTEN_FDS", "%u", (unsigned)n);
	environ_set(&p->env, "LISTEN_FDNAMES", "%s", names);
	environ_set(&p->env, "LISTEN_PID", "%0*d", SPAWN_PID_WIDTH, 0);
	p->spawn.own_pid[0] = environ_value(&p->env, "LISTEN_PID");
	return (int)(SPAWN_FD_FIRST + n);
}

static int plan_ready(struct plan *p, const struct child *c, int next)
{
	char address[128];

	switch (c->conf->ready) {
	case CONF_READY_ATTACH:
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->lifeline) < 0)
			return -errno;
		add_fd(p, p->lifeline[1], next);
		environ_set(&p->env, "HEIR_LIFELINE", "%d", next);
		return 0;
	case CONF_READY_NOTIFY:
		p->notice[0] = notify_listen(address, sizeof(address));
		if (p->notice[0] < 0)
			return p->notice[0];
		environ_set(&p->env, "NOTIFY_SOCKET", "%s", address);
		return 0;
	case CONF_READY_FD:
		if (pipe2(p->notice, O_CLOEXEC | O_NONBLOCK) < 0)
			return -errno;
		add_fd(p, p->notice[1], (int)c->conf->ready_fd);
		return 0;
	case CONF_READY_EXEC:
		break;
	}
	return 0;
}

static void plan_environment(struct plan *p, const struct child *c)
{
	static const char *const types[] = {[APP_NORMAL] = "normal",
	                                    [APP_TAKEOVER] = "takeover",
	                                    [APP_FAILOVER] = "failover",
	                                    [APP_LOCAL] = "local"};
	const struct instance *i = c->instance;
	const struct leader *l = i->leader;
	enum app_start type = i->served ? APP_LOCAL : i->start_type;

	environ_init(&p->env); /* heir's own first: belong.c finds them there */
	environ_set(&p->env, "HEIR_DOMAIN", "%s", l->domain);
	environ_set(&p->env, "HEIR_NODE", "%s", l->conf->nodes[l->node]);
	environ_set(&p->env, "HEIR_APPLICATION", "%s", i->conf->name);
	environ_set(&p->env, "HEIR_CHILD", "%s", c->conf->id);
	environ_set(&p->env, "HEIR_SPAWN", "%llu", (unsigned long long)c->spawn);
	environ_set(&p->env, "HEIR_LEADER", "%016llx", (unsigned long long)l->h->self);
	environ_inherit(&p->env);
	if (c->conf->watchdog) {
		environ_set(&p->env, "WATCHDOG_USEC", "%llu", (unsigned long long)(c->conf->watchdog / 1000));
		environ_set(&p->env, "WATCHDOG_PID", "%0*d", SPAWN_PID_WIDTH, 0);
		p->spawn.own_pid[1] = environ_value(&p->env, "WATCHDOG_PID");
	}
	for (uint32_t k = 0; k < i->conf->env_count; k++)
		environ_set(&p->env, i->conf->env[k].name, "%s", i->conf->env[k].value);
	if (c->conf->ready == CONF_READY_ATTACH || !type)
		return;
	environ_set(&p->env, "HEIR_START_TYPE", "%s", types[type]);
	environ_set(&p->env, "HEIR_FROM_NODE", "%s",
	            type != APP_LOCAL && i->start_from >= 0 ? l->conf->nodes[i->start_from] : "");
	environ_set(&p->env, "HEIR_GENERATION", "%u",
	            (unsigned)(uint32_t)atom_load_acquire(&i->shm->control));
}

static int make_plan(struct plan *p, struct child *c)
{
	int rc;

	*p = (struct plan){.lifeline = {-1, -1}, .notice = {-1, -1}, .log = -1};
	plan_environment(p, c);
	rc = plan_ready(p, c, plan_listen(p, c));
	if (rc == 0)
		rc = p->env.error;
	if (rc == 0)
		rc = conf_find_exec(c->conf->exec[0], c->instance->leader->search, p->path,
		                    sizeof(p->path));
	if (rc == 0 && c->conf->log) {
		p->log = open(c->conf->log,
		              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		              0640);
		if (p->log < 0)
			rc = -errno;
		else
			(void)fcntl(p->log, F_SETFL, O_APPEND);
	}
	p->spawn.path = p->path;
	p->spawn.argv = (char *const *)(uintptr_t)c->conf->exec;
	p->spawn.envp = p->env.words;
	p->spawn.fds = p->fds;
	p->spawn.out = p->log;
	p->spawn.files = &c->instance->leader->files;
	return rc;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void finish_plan(struct plan *p)
{
	close_fd(&p->lifeline[0]);
	close_fd(&p->lifeline[1]);
	close_fd(&p->notice[0]);
	close_fd(&p->notice[1]);
	close_fd(&p->log);
	environ_finish(&p->env);
}

static void take_over(struct child *c, struct plan *p, const struct spawned *s)
{
	struct leader *l = c->instance->leader;

	c->pid = s->pid;
	c->state = CHILD_STARTING;
	c->healthy_since = 0;
	(void)source_open(l, &c->exit, s->pidfd, exit_ready);
	(void)source_open(l, &c->exec, s->exec, exec_ready);
	if (p->lifeline[0] >= 0)
		(void)source_open(l, &c->life, p->lifeline[0], life_ready);
	if (p->notice[0] >= 0)
		(void)source_open(l, &c->notice, p->notice[0], notice_ready);
	p->lifeline[0] = p->notice[0] = -1;
	c->ready_by = deadline_from(l->now, c->instance->policy.step_timeout);
	loop_again(l, c->ready_by);
}

void child_spawn(struct child *c)
{
	struct plan p;
	struct spawned s;
	int rc;

	c->spawn = ++c->instance->leader->spawns;
	rc = make_plan(&p, c);
	c->begun = c->conf->ready != CONF_READY_ATTACH;
	c->watchdog = c->conf->watchdog;
	if (rc == 0)
		rc = spawn_process(&p.spawn, &s);
	if (rc == 0) {
		take_over(c, &p, &s);
	} else {
		log_error("%s: cannot start %s: %s", child_name(c), c->conf->exec[0],
		          strerror(-rc));
		instance_restart(c->instance, c->index, false);
	}
	finish_plan(&p);
}

static void signal_child(const struct child *c, int signal)
{
	(void)syscall(SYS_pidfd_send_signal, c->exit.fd, signal, NULL, 0);
}

void child_tell(struct child *c)
{
	struct leader *l = c->instance->leader;
	struct request r = {.op = REQ_STOP, .app = c->instance->app};

	c->state = CHILD_STOPPING;
	if (c->requested)
		lib_forget(l->h, c->request);
	c->requested = c->handle && lib_request(l->h, c->handle, &r, &c->request) == 0;
	if (!c->requested)
		signal_child(c, SIGTERM);
}

/* The whole process group: not yet reaped, the pid is no other's. */
void child_kill(struct child *c)
{
	signal_child(c, SIGKILL);
	if (c->pid > 1)
		(void)kill(-c->pid, SIGKILL);
}

/* Its thread has died holding its life words: it did not leave. */
bool child_crashed(const struct child *c)
{
	const struct shm *shm = c->instance->leader->shm;
	uint32_t slot = handle_slot(c->handle);

	return c->pid && c->handle && slot_handle(shm, slot) == c->handle &&
	       handle_gone(shm, c->handle) &&
	       (atom_load_acquire(slot_life(shm, slot, LIFE_LEADER)) & FUTEX_OWNER_DIED);
}

static void zombie_ready(struct leader *l, struct source *source, uint32_t events)
{
	(void)source;
	(void)events;
	instance_reap(l);
}

void child_disown(struct child *c)
{
	struct leader *l = c->instance->leader;
	struct zombie *z = calloc(1, sizeof(*z));

	child_kill(c);
	if (!z)
		return; /* then it is seen to end by its pidfd */
	snprintf(z->name, sizeof(z->name), "%s", child_name(c));
	z->pid = c->pid;
	z->app = c->instance->app;
	z->child = c->index;
	z->next = l->zombies;
	l->zombies = z;
	(void)source_open(l, &z->exit, source_release(l, &c->exit), zombie_ready);
	child_clear(c);
}
