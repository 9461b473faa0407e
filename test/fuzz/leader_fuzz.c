/* SPDX-License-Identifier: ISC */
/*
 * Hostile bytes under a leader: its loop, as it is, over the segment of fuzz_image.h, in which the input changes words
 * at the n-th access, while a client asks it for things and its children start, attach and end. Nothing is spawned,
 * killed or listened to: the linker gives those calls to this file.
 *
 * Proves, as far as it was run: no access outside the segment, no undefined behaviour, no endless loop, no process
 * group killed that is not a child's. Not: that what it decides on damaged words is useful.
 *
 * Input: count of rounds, an operation for each (2 bytes), then changes (fuzz_image.h).
 */
#include "fuzz/fuzz_atoms.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "fuzz/fuzz_kernel.h"
#include "heir.h"
#include "node/ask.h"
#include "node/belong.h"
#include "node/instance.h"
#include "node/listen.h"
#include "node/loop.h"
#include "state/control.h"

#define ROUNDS_MAX 40u
#define CHILDREN_MAX 64u
#define MS INT64_C(1000000)
#define PID_FIRST 5000 /* even: the pretended kernel has it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char text[] =
	"{domain: fuzz, nodes: [a, b, c], applications: {"
	"one: {standby: hot, supervisor: {children: [{id: server, exec: [sh], names: [one], state: 4KiB},"
	" {id: helper, exec: [sh]}]}},"
	"two: {standby: hot, supervisor: {children: [{id: server, exec: [sh], names: [two], state: 4KiB}]}}}}";

static struct conf *conf;
static struct leader l;
static heir_t *client;
static struct heir_ticket ticket;
static const uint8_t *operations;
static size_t rounds, round_at;

/* What the leader believes to have spawned. */
static struct {
	int exit, lifeline; /* the ends that are the child's */
} children[CHILDREN_MAX];
static unsigned child_count;

int __wrap_spawn_process(const struct spawn *s, struct spawned *ret);
int __wrap_spawn_process(const struct spawn *s, struct spawned *ret)
{
	int ends[2];

	if (child_count == CHILDREN_MAX || child_count % 7 == 6)
		return -EAGAIN;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	close(ends[1]); /* exec has succeeded */
	children[child_count].exit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	children[child_count].lifeline = -1;
	for (unsigned i = 0; i < s->fd_count; i++)
		children[child_count].lifeline = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, 100);
	*ret = (struct spawned){PID_FIRST + 2 * (int)child_count,
				fcntl(children[child_count].exit, F_DUPFD_CLOEXEC, 100), ends[0]};
	child_count++;
	return 0;
}

int __wrap_spawn_children(void (*each)(pid_t pid, void *arg), void *arg);
int __wrap_spawn_children(void (*each)(pid_t pid, void *arg), void *arg)
{
	(void)each, (void)arg;
	return 0;
}

unsigned __wrap_belong_kill_adopted(const struct belong_to *to, bool (*is_known)(pid_t pid, void *arg), void *arg);
unsigned __wrap_belong_kill_adopted(const struct belong_to *to, bool (*is_known)(pid_t pid, void *arg), void *arg)
{
	(void)to, (void)is_known, (void)arg;
	return round_at % 5 == 4;
}

unsigned __wrap_belong_kill_survivors(const struct belong_to *to, void (*killed)(pid_t pid, int pidfd, void *arg),
				      void *arg, bool *ret_unsure);
unsigned __wrap_belong_kill_survivors(const struct belong_to *to, void (*killed)(pid_t pid, int pidfd, void *arg),
				      void *arg, bool *ret_unsure)
{
	(void)to, (void)killed, (void)arg;
	*ret_unsure = round_at % 7 == 6;
	return 0;
}

void __wrap_instance_reap(struct leader *leader);
void __wrap_instance_reap(struct leader *leader)
{
	(void)leader;
}

void __wrap_log_line(int level, const char *format, ...);
void __wrap_log_line(int level, const char *format, ...)
{
	char line[8192];
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args); /* what it is given is read */
	va_end(args);
}

void __wrap_listen_advance(struct leader *leader);
void __wrap_listen_advance(struct leader *leader)
{
	(void)leader;
}

bool __wrap_listen_ready(const struct leader *leader, uint32_t app);
bool __wrap_listen_ready(const struct leader *leader, uint32_t app)
{
	(void)leader, (void)app;
	return true;
}

const int *__wrap_listen_sockets(const struct leader *leader, uint32_t app);
const int *__wrap_listen_sockets(const struct leader *leader, uint32_t app)
{
	(void)leader, (void)app;
	return NULL;
}

static void say(const char *what)
{
	(void)heir_send(client, "heir@c", what, strlen(what));
}

static void ask(unsigned arg)
{
	struct request r = {
		.op = 1 + arg % 7, .app = arg >> 3 & 1, .type = arg % 5, .from_node = arg % 4, .how = arg % 3};

	lib_forget(client, ticket);
	(void)lib_request(client, l.h->self, &r, &ticket);
}

/* The child says that it has attached, and is whoever is in that slot. */
static void attach(unsigned arg)
{
	struct shm *s = &client->shm;
	unsigned which = arg % (child_count ? child_count : 1);
	uint32_t slot = 1 + arg % (s->limits.slots - 1);
	struct slot_word w = slot_unpack(atom_load_acquire(&s->slots[slot].word));

	if (!child_count)
		return;
	w.pid = PID_FIRST + 2 * which;
	atom_store_relaxed(&s->slots[slot].word, slot_pack(w));
	for (uint32_t r = 0; r < s->limits.roles; r++)
		if (arg >> 5 & 1 << r)
			atom_store_relaxed(&s->roles[r].candidate[2], handle_make(slot, w.incarnation));
	if (children[which].lifeline >= 0)
		(void)!send(children[which].lifeline, "R", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void end_child(unsigned arg)
{
	unsigned which = arg % (child_count ? child_count : 1);

	if (!child_count)
		return;
	if (children[which].lifeline >= 0)
		close(children[which].lifeline);
	children[which].lifeline = -1;
	(void)eventfd_write(children[which].exit, 1);
	eventfd_read(children[which].exit, &(eventfd_t){0}); /* it has ended, but is not reaped: once */
}

static void operate(unsigned what, unsigned arg)
{
	static const char *const orders[] = {"stop one", "start one", "stop two", "start two", "permit one c no",
					     "permit one c yes", "permit two c no", "down", "shutdown",
					     "shutdown keep", "",
					     "permit one", "nothing of this"};

	switch (what % 6) {
	case 0:
		break;
	case 1:
		say(orders[arg % (sizeof(orders) / sizeof(orders[0]))]);
		break;
	case 2:
		ask(arg);
		break;
	case 3:
		attach(arg);
		break;
	case 4:
		end_child(arg);
		break;
	case 5:
		(void)lib_reply(client, ticket, &(struct reply){0});
		break;
	}
}

/* The leader's only wait: time passes, and something happens. */
int __wrap_waitset_wait(struct waitset *w, const struct wait_word *words, unsigned n, int epoll_fd, int64_t deadline);
int __wrap_waitset_wait(struct waitset *w, const struct wait_word *words, unsigned n, int epoll_fd, int64_t deadline)
{
	uint32_t seen = 0;

	(void)w, (void)epoll_fd;
	for (unsigned i = 0; i < n; i++)
		seen |= atom_load_relaxed(words[i].word) ^ words[i].expected; /* they can be read */
	if (round_at == rounds) {
		l.ended = true;
		return 0;
	}
	kernel_again();
	kernel_pass(seen ? 0 : deadline < 0 ? 10 * MS : deadline);
	operate(operations[2 * round_at], operations[2 * round_at + 1]);
	round_at++;
	return WAIT_WORD;
}

static int begin(void)
{
	struct slot_place place = {KIND_LEADER, 2, -1, -1};

	l = (struct leader){.conf = conf, .node = 2, .signals.fd = -1, .search = "/bin"};
	strcpy(l.domain, "fuzz");
	for (uint32_t n = 0; n < SHM_NODES_MAX; n++)
		l.peers[n].exit.fd = -1;
	if (lib_open(NULL, place, &l.h))
		return -1;
	l.shm = &l.h->shm;
	if (l.shm->limits.nodes != conf->node_count || l.shm->limits.apps != conf->application_count)
		return -1; /* enact_load() refuses it */
	for (uint32_t a = 0; a < conf->application_count; a++)
		if (l.shm->apps[a].first_role != 2 * a || l.shm->apps[a].roles != 2 - a)
			return -1;
	atom_store_release(&l.shm->nodes[2].leader, l.h->self);
	atom_store_release(&l.shm->nodes[2].state, NODE_STARTING);
	l.up_since = clock_ns();
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	return 0;
}

static void finish(void)
{
	if (l.h && l.shm)
		ask_answer_all(&l, "ok");
	for (uint32_t a = 0; a < conf->application_count; a++)
		instance_destroy(l.instances[a]);
	while (l.zombies) {
		struct zombie *z = l.zombies;

		l.zombies = z->next;
		source_close(&l, &z->exit);
		free(z);
	}
	if (l.h && l.epoll > 0)
		loop_finish(&l);
	for (unsigned i = 0; i < child_count; i++) {
		close(children[i].exit);
		if (children[i].lifeline >= 0)
			close(children[i].lifeline);
	}
	child_count = 0;
	heir_close(l.h);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct conf_report report = {0};

	(void)argc, (void)argv;
	setenv("HEIR_DOMAIN", "fuzz", 1);
	kernel_reset();
	image_build();
	if (conf_load(NULL, text, &conf, &report)) {
		fputs(report.text, stderr);
		abort();
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bytes;
	unsigned char *base = image_fresh(&bytes);
	int rc = 0;

	if (size < 1)
		return 0;
	rounds = data[0] % ROUNDS_MAX;
	round_at = 0;
	if (size < 1 + 2 * rounds)
		return 0;
	operations = data + 1;
	ticket = (struct heir_ticket){0};
	kernel_reset();
	kernel_segment(base, bytes);
	patches_take(data + 1 + 2 * rounds, size - 1 - 2 * rounds);
	if (heir_open(NULL, 0, &client) == 0) {
		rc = begin();
		for (uint32_t a = 0; rc == 0 && a < conf->application_count; a++)
			if (l.shm->apps[a].policy[0].priority[2])
				rc = instance_create(&l, a, &l.instances[a]);
		if (rc == 0)
			loop_run(&l);
		finish();
		heir_close(client);
	}
	patches_finish();
	return 0;
}
