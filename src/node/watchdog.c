/* SPDX-License-Identifier: ISC */
#include "node/watchdog.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/child.h"
#include "node/loop.h"
#include "proc/recover.h"

#define AGAIN NS_PER_SECOND

static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* For how long the process, and its first thread, have run, in ns. */
static struct ran ran(pid_t pid)
{
	struct ran r = {0};
	struct timespec t;
	clockid_t clock;
	char path[64], text[128];

	if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0)
		r.all = (int64_t)t.tv_sec * NS_PER_SECOND + t.tv_nsec;
	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	if (read_text(path, text, sizeof(text)))
		r.first = strtoll(text, NULL, 10);
	if (r.first == 0) /* the kernel does not count it */
		r.first = r.all;
	return r;
}

static bool is_runnable(pid_t pid, pid_t thread)
{
	char path[64], text[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)thread);
	if (!read_text(path, text, sizeof(text)))
		return false;
	p = strrchr(text, ')');
	return p && p[1] == ' ' && p[2] == 'R';
}

static bool is_another_runnable(pid_t pid)
{
	char path[64];
	struct dirent *e;
	bool found = false;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && !found && (e = readdir(tasks)))
		found = isdigit((unsigned char)e->d_name[0]) && atoi(e->d_name) != pid &&
		        is_runnable(pid, (pid_t)atoi(e->d_name));
	if (tasks)
		closedir(tasks);
	return found;
}

/* A thread of it is ready to run, and has not had the time in which it should have answered. */
static bool is_starved(const struct child *c, int64_t share)
{
	const struct ran *then = &c->pulse.ran;
	struct ran now = ran(c->pid);

	if (is_runnable(c->pid, c->pid) && now.first - then->first < share)
		return true;
	return now.all - then->all < share && is_another_runnable(c->pid);
}

void watchdog_beat(struct child *c)
{
	if (!c->watchdog)
		return;
	c->pulse.since = c->instance->leader->now;
	c->pulse.starved = false;
	c->pulse.ran = ran(c->pid);
}

void watchdog_forget(struct child *c)
{
	if (c->pulse.asked)
		lib_forget(c->instance->leader->h, c->pulse.ticket);
	c->pulse = (struct pulse){0};
}

static void bite(struct child *c, const char *why)
{
	struct leader *l = c->instance->leader;

	log_error("%s, pid %d, %s and is killed by its watchdog", child_name(c), (int)c->pid, why);
	child_kill(c);
	c->pulse.since = l->now + AGAIN; /* should it not end, that is said again */
}

void watchdog_trigger(struct child *c)
{
	if (c->watchdog && c->ready && c->state == CHILD_RUNNING)
		bite(c, "says that it has failed");
}

/* The steps of a move have their own deadlines, and its driver answers nobody meanwhile. */
static bool is_moving_here(const struct instance *i)
{
	const struct leader *l = i->leader;
	uint32_t driver = move_unpack(atom_load_acquire(&i->shm->move)).slot;

	return i->led.active || (driver && slot_place(l->shm, driver).node == (int)l->node &&
	                         move_driver_alive(l->shm, i->app));
}

static void collect(struct child *c)
{
	struct pulse *p = &c->pulse;
	struct reply reply;

	if (!p->asked || lib_reply(c->instance->leader->h, p->ticket, &reply) == HEIR_EAGAIN)
		return;
	p->asked = false; /* any answer will do */
	watchdog_beat(c);
}

static void ask(struct child *c)
{
	struct pulse *p = &c->pulse;
	struct leader *l = c->instance->leader;
	struct request r = {.op = REQ_PING, .app = c->instance->app};
	int rc = lib_request(l->h, c->handle, &r, &p->ticket);

	if (rc == 0) {
		p->asked = true;
		p->asked_at = l->now;
		p->ran = ran(c->pid);
	} else if (rc == HEIR_EFULL) { /* the domain is out of messages: it is not the child's fault */
		watchdog_beat(c);
	}
}

static int64_t expiry(const struct child *c)
{
	const struct pulse *p = &c->pulse;
	int64_t at = p->since + (int64_t)c->watchdog, asked = p->asked_at + (int64_t)c->watchdog / 2;

	return p->asked && asked > at ? asked : at;
}

/* Some time of silence is over: asked, waited for, or killed. */
static void check(struct child *c)
{
	struct pulse *p = &c->pulse;
	struct leader *l = c->instance->leader;
	int64_t dog = (int64_t)c->watchdog;
	bool attached = c->conf->ready == CONF_READY_ATTACH;

	if (attached && !p->asked)
		ask(c);
	if (!attached && l->now >= expiry(c))
		child_hear(c);
	if (l->now < expiry(c))
		return;
	if (!is_starved(c, attached ? dog / 2 : dog)) {
		bite(c, "was silent for too long");
		return;
	}
	if (!p->starved)
		log_warning("%s, pid %d, is late, as it gets too little of the processors: it is waited for",
		            child_name(c), (int)c->pid);
	p->starved = true;
}

void watchdog_advance(struct child *c)
{
	struct pulse *p = &c->pulse;
	struct leader *l = c->instance->leader;
	int64_t half = (int64_t)c->watchdog / 2;

	if (!half)
		return;
	if (!c->pid || !c->ready || c->state != CHILD_RUNNING || is_moving_here(c->instance)) {
		watchdog_forget(c);
		return;
	}
	collect(c);
	if (p->since == 0)
		watchdog_beat(c);
	if (l->now >= p->since + half)
		check(c);
	loop_again(l, l->now < p->since + half ? p->since + half : l->now < expiry(c) ? expiry(c) : l->now + half);
}
