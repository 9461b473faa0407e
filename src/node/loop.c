/* SPDX-License-Identifier: ISC */
#include "node/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "mail/doorbell.h"
#include "node/act.h"
#include "node/ask.h"
#include "node/follow.h"
#include "node/instance.h"
#include "node/listen.h"
#include "node/notify.h"
#include "node/reload.h"
#include "proc/bury.h"
#include "proc/recover.h"
#include "state/control.h"

#define BURY_AGAIN INT64_C(2000000)
#define BURY_AGAIN_MOST NS_PER_SECOND
#define EVENTS_A_ROUND 256

int source_open(struct leader *l, struct source *s, int fd,
                void (*ready)(struct leader *leader, struct source *source, uint32_t events))
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
	int rc;

	s->fd = -1;
	s->ready = ready;
	if (fd < 0)
		return -EBADF;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	s->fd = fd;
	return 0;
}

int source_release(struct leader *l, struct source *s)
{
	int fd = s->fd;

	if (fd >= 0)
		(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
	s->fd = -1;
	return fd;
}

void source_close(struct leader *l, struct source *s)
{
	int fd = source_release(l, s);

	if (fd >= 0)
		close(fd);
}

void loop_again(struct leader *l, int64_t deadline)
{
	l->again = deadline_min(l->again, deadline);
}

static void dump(struct leader *l)
{
	static const char *const owners[] = {"nobody", "child", "leader", "other", "dead"};
	static const char *const phases[] = {"down", "serving", "held", "moving"};
	static const char *const trees[] = {"empty", "partial", "ready", "stopping"};

	for (uint32_t a = 0; a < l->conf->application_count; a++) {
		struct instance *i = l->instances[a];
		struct seen s;

		if (!i)
			continue;
		view_fill(i, &s);
		log_note("%s: owner %s, node %s, phase %s, generation %u; here %s%s%s%s; next: %s",
		         i->conf->name, owners[s.view.owner],
		         s.owner_node >= 0 ? l->conf->nodes[s.owner_node] : "-",
		         phases[s.view.phase], s.control.generation, trees[s.view.tree],
		         s.view.served ? ", served" : "", s.view.gave_up ? ", gave up" : "",
		         s.view.asked ? ", starting" : "",
		         app_action_name(app_step(&s.view).action));
		for (uint32_t k = 0; k < i->count; k++)
			log_note("%s/%s: pid %d%s, restarts %u", i->conf->name,
			         i->children[k].conf->id, (int)i->children[k].pid,
			         i->children[k].ready ? ", ready" : "", i->children[k].restarts);
	}
}

static void leave(struct leader *l)
{
	if (l->leaving)
		return;
	l->leaving = true;
	log_note("stops: its applications are handed over first");
}

static void signals_ready(struct leader *l, struct source *source, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			instance_reap(l);
			break;
		case SIGTERM:
		case SIGINT:
			leave(l);
			break;
		case SIGHUP:
			reload_signalled(l->shm, l->h->self, l->file);
			break;
		case SIGQUIT:
			dump(l);
			break;
		}
	}
}

int loop_init(struct leader *l)
{
	static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return -errno;
	l->signals.fd = -1;
	for (uint32_t n = 0; n < SHM_NODES_MAX; n++)
		l->peers[n].exit.fd = -1;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return source_open(l, &l->signals, fd, signals_ready);
}

void loop_finish(struct leader *l)
{
	source_close(l, &l->signals);
	for (uint32_t n = 0; n < SHM_NODES_MAX; n++)
		source_close(l, &l->peers[n].exit);
	if (l->epoll >= 0)
		close(l->epoll);
	l->epoll = -1;
}

/* One at a time: what one does may close another. */
static void take_events(struct leader *l)
{
	struct epoll_event e;

	for (unsigned n = 0; n < EVENTS_A_ROUND; n++) {
		if (epoll_wait(l->epoll, &e, 1, 0) != 1)
			return;
		((struct source *)e.data.ptr)->ready(l, e.data.ptr, e.events);
	}
	loop_again(l, l->now);
}

static void unwatch(struct leader *l, struct watched *w)
{
	l->watching -= w->exit.fd >= 0;
	source_close(l, &w->exit);
}

static void watched_ended(struct leader *l, struct source *source, uint32_t events)
{
	struct watched *w = (struct watched *)(void *)((char *)source - offsetof(struct watched, exit));

	(void)events;
	handle_confirm(l->shm, w->handle, source->fd);
	unwatch(l, w);
	l->bury = true;
}

/* As far as descriptors go beside those that children need: else by life words alone. */
static void watch(struct leader *l, struct watched *w, uint64_t handle)
{
	int fd;

	if (handle == w->handle)
		return;
	unwatch(l, w);
	w->handle = handle;
	if (!handle || handle == l->h->self)
		return;
	if (l->watching >= l->watching_most) {
		w->handle = 0;
		return;
	}
	fd = handle_pidfd(l->shm, handle);
	if (fd == HEIR_ENOENT)
		l->bury = true;
	else if (fd < 0 || source_open(l, &w->exit, fd, watched_ended) < 0)
		w->handle = 0;
	else
		l->watching++;
}

static uint64_t owner_of(const struct leader *l, const struct instance *i)
{
	struct control c = control_unpack(atom_load_acquire(&i->shm->control));

	return c.phase == PHASE_DOWN ? 0 : slot_handle(l->shm, c.owner);
}

/*
 * Who serves on other nodes, and who stands by there: one that takes over tells nobody before it serves. The backstop
 * of life words, and where a leader is all that is left to see to it that somebody serves.
 */
static void watch_instance(struct leader *l, struct instance *i)
{
	const struct shm_role *lead = shm_role(l->shm, i->first_role + i->lead);
	uint64_t owner = owner_of(l, i);

	for (uint32_t n = 0; n < l->conf->node_count; n++) {
		uint64_t there = n == l->node ? 0 : atom_load_acquire(&lead->candidate[n]);

		watch(l, &i->watch[n], there);
		if (there == owner)
			owner = 0;
	}
	if (owner == instance_lead(i)->handle) /* a child's end is told already; what it leaves is watched then */
		owner = 0;
	watch(l, &i->watch[SHM_NODES_MAX], owner);
}

static void watch_all(struct leader *l)
{
	for (uint32_t n = 0; n < l->conf->node_count; n++)
		watch(l, &l->peers[n], atom_load_acquire(&shm_node(l->shm, n)->leader));
	for (uint32_t a = 0; a < l->conf->application_count; a++)
		if (l->instances[a])
			watch_instance(l, l->instances[a]);
}

/*
 * Whether a hot standby is there to take over. Then nobody waits for this leader, which would only take a
 * processor from those who do: the standby, its callers, and the dying owner. It learns of the death when the
 * kernel has ended the process.
 */
static bool has_standby(const struct leader *l, const struct instance *i)
{
	uint64_t permitted = atom_load_acquire(&i->shm->permitted);
	int owner = slot_place(l->shm, handle_slot(owner_of(l, i))).node;

	for (uint32_t n = 0; n < l->conf->node_count; n++)
		if ((permitted >> n & 1) && (int)n != owner &&
		    atom_load_acquire(&i->shm->instance[n]) == INSTANCE_STANDBY)
			return true;
	return false;
}

/* The owner whose death this leader has to see at once, or 0. */
static uint64_t watched_closely(const struct leader *l, uint32_t app)
{
	const struct instance *i = l->instances[app];

	return i && !has_standby(l, i) ? owner_of(l, i) : 0;
}

static unsigned add_life_word(const struct leader *l, uint64_t handle, struct wait_word *words, unsigned n)
{
	bool is_other = handle && handle != l->h->self;
	atom32 *word = is_other ? slot_life(l->shm, handle_slot(handle), LIFE_LEADER) : NULL;
	uint32_t value = word ? atom_load_acquire(word) : 0;

	if (word && !life_gone(value) && n < WAITSET_WORDS_MAX)
		words[n++] = (struct wait_word){word, value};
	return n;
}

/*
 * The lives of owners; and of who may switch, and be the owner without a word, as an exec ends a life and no process.
 * As many as there is room for.
 */
static unsigned add_life_words(struct leader *l, struct wait_word *words, unsigned n)
{
	for (uint32_t a = 0; a < l->conf->application_count; a++)
		n = add_life_word(l, watched_closely(l, a), words, n);
	for (uint32_t a = 0; a < l->conf->application_count; a++) {
		const struct instance *i = l->instances[a];
		const struct shm_role *lead = i ? shm_role(l->shm, i->first_role + i->lead) : NULL;

		for (uint32_t node = 0; lead && node < l->conf->node_count; node++) {
			uint64_t there = node == l->node ? 0 : atom_load_acquire(&lead->candidate[node]);

			if (there != owner_of(l, i))
				n = add_life_word(l, there, words, n);
		}
	}
	return n;
}

/* The kernel wakes one of those that sleep on a life word: that one wakes the others. */
static void tell_of_dead(const struct leader *l)
{
	for (uint32_t a = 0; a < l->conf->application_count; a++) {
		uint64_t owner = watched_closely(l, a);

		if (owner && handle_noticed(l->shm, owner))
			app_changed(l->shm, a);
	}
}

/*
 * A little after the death, when the next owner has answered who waited: before it has redone what the dead one
 * committed there is not much to bury, and then it is tried again.
 */
static void bury_dead(struct leader *l)
{
	if (l->bury) {
		tell_of_dead(l);
		l->bury = false;
		l->bury_delay = BURY_AGAIN;
		l->bury_at = l->now + BURY_AGAIN;
	}
	if (l->bury_delay == 0)
		return;
	if (l->now >= l->bury_at) {
		if (bury_all(l->shm, l->h->slot))
			app_changed(l->shm, 0);
		/* Who died may have left a change behind that it woke nobody for. */
		for (uint32_t a = 0; a < l->conf->application_count; a++)
			app_wake(l->shm, a);
		if (!bury_pending(l->shm)) {
			l->bury_delay = 0;
			return;
		}
		l->bury_at = l->now + l->bury_delay;
		if (l->bury_delay < BURY_AGAIN_MOST)
			l->bury_delay *= 2;
	}
	loop_again(l, l->bury_at);
}

static void end_if_done(struct leader *l)
{
	bool stopping = atom_load_acquire(&l->shm->head->stopping) != 0;

	if (!l->leaving && !stopping)
		return;
	if (atom_load_relaxed(&shm_node(l->shm, l->node)->state) != NODE_STOPPING) {
		notify_say("STOPPING=1");
		atom_store_release(&shm_node(l->shm, l->node)->state, NODE_STOPPING);
		app_changed(l->shm, 0);
	}
	for (uint32_t a = 0; a < l->conf->application_count; a++)
		if (l->instances[a] && !act_is_settled(l->instances[a]))
			return;
	l->ended = l->zombies == NULL;
}

static void announce(struct leader *l)
{
	struct shm_node *node = shm_node(l->shm, l->node);

	for (uint32_t a = 0; a < l->conf->application_count; a++)
		if (!listen_ready(l, a))
			return;
	if (atom_load_relaxed(&node->state) != NODE_STARTING)
		return;
	atom_store_release(&node->state, NODE_UP);
	app_changed(l->shm, 0);
	notify_say("READY=1");
}

static void look(struct leader *l)
{
	l->now = clock_ns();
	l->again = DEADLINE_NEVER;
	follow_advance(l);
	take_events(l);
	ask_receive(l);
	watch_all(l);
	listen_advance(l);
	announce(l);
	bury_dead(l);
	for (uint32_t a = 0; a < l->conf->application_count; a++)
		if (l->instances[a])
			act_on(l->instances[a]);
	if (l->bury)
		loop_again(l, l->now);
	end_if_done(l);
}

void loop_run(struct leader *l)
{
	while (!l->ended && !l->fatal) {
		struct wait_word words[WAITSET_WORDS_MAX];
		unsigned n = 2;
		int rc = 0;

		words[0] = (struct wait_word){&l->shm->head->changed,
		                              atom_load_acquire(&l->shm->head->changed)};
		words[1] = lib_doorbell(l->h);
		n = add_life_words(l, words, n);
		look(l);
		doorbell_sleep(l->shm, l->h->slot);
		if (!l->ended && !l->fatal)
			rc = waitset_wait(&l->waits, words, n, l->epoll, l->again);
		doorbell_awake(l->shm, l->h->slot);
		if (rc < 0) {
			log_error("cannot wait: %s", strerror(-rc));
			l->fatal = true;
		}
	}
}
