/* SPDX-License-Identifier: ISC */
/*
 * A domain is made under a lock of its own, so that of several leaders that start at once one makes
 * it: state files first, the segment last, as it is the segment that says that there is a domain.
 */
#include "node/build.h"

#include "node/enact.h"
#include "node/search.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "base/log.h"
#include "heir.h"
#include "name/names.h"
#include "proc/slot.h"
#include "proc/verify.h"
#include "state/state.h"

#define CONF_EXTRA 4096u /* that a reload may add, beside as much again */
#define NAME_BYTES 40u /* a longer name counts as several of limits: names */
#define UNDO_MAX (UINT64_C(16) << 20)
#define UNDO_EXTRA (UINT64_C(64) << 10)

static uint32_t round_up(uint64_t n, uint64_t to)
{
	return (uint32_t)((n + to - 1) / to * to);
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static struct shm_limits limits_of(const struct conf *conf, size_t text)
{
	struct shm_limits l = {
		.nodes = conf->node_count,
		.apps = conf->application_count,
		.slots = conf->limits.processes + 1 > SHM_SLOTS_MAX ? SHM_SLOTS_MAX
	                                                            : conf->limits.processes + 1,
		.cells = conf->limits.messages + 1,
		.message = round_up(conf->limits.message, 64),
		.buckets = names_buckets_for(conf->limits.names),
		.trace = power_of_two(conf->limits.trace),
		.conf = round_up(2 * text + CONF_EXTRA, 64),
	};

	for (uint32_t i = 0; i < conf->application_count; i++)
		l.roles += conf->applications[i].role_count;
	l.name_cells = names_cells_for(conf->limits.names, NAME_BYTES, l.slots);
	return l;
}

static uint32_t flags_of(const struct conf_application *a, const struct conf_child *lead)
{
	uint32_t flags = 0;

	if (a->standby == CONF_HOT)
		flags |= APP_HOT;
	if (lead->ready != CONF_READY_ATTACH)
		flags |= APP_LED;
	if (a->step_count > 0 && a->steps[0].kind == CONF_STEP_STOP_OLD)
		flags |= APP_EXCLUSIVE;
	return flags;
}

static void fill_roles(struct shm *shm, const struct conf_application *a, uint32_t app,
                       uint32_t first)
{
	for (uint32_t i = 0; i < a->role_count; i++) {
		struct shm_role *r = shm_role(shm, first + i);

		(void)strlcpy(r->id, a->roles[i]->id, sizeof(r->id));
		r->app = app;
		r->flags = (a->roles[i]->ready == CONF_READY_ATTACH ? ROLE_ATTACH : 0) |
		           (a->roles[i]->state > 0 ? ROLE_STATE : 0);
	}
}

static void fill_app(struct shm *shm, const struct conf_application *a, uint32_t app,
                     uint32_t first)
{
	struct shm_app *s = shm_app(shm, app);
	uint32_t lead = 0;

	for (uint32_t i = 0; i < a->role_count; i++)
		if (a->roles[i]->state > 0)
			lead = i;
	(void)strlcpy(s->name, a->name, sizeof(s->name));
	s->first_role = first;
	s->roles = a->role_count;
	s->lead_role = first + lead;
	s->flags = flags_of(a, a->roles[lead]);
	s->state_size = a->roles[lead]->state;
	if (s->state_size)
		s->undo_size = (s->state_size < UNDO_MAX ? s->state_size : UNDO_MAX) + UNDO_EXTRA;
	for (uint32_t i = 0; i < a->candidate_count; i++)
		atom_or_relaxed(&s->permitted, UINT64_C(1) << a->candidates[i].node);
	s->steps = a->step_count;
	for (uint32_t i = 0; i < a->step_count; i++)
		(void)strlcpy(s->step[i], a->steps[i].name, sizeof(s->step[i]));
	atom_store_relaxed(&s->wanted, 1);
	fill_roles(shm, a, app, first);
}

/* Nobody else sees the segment yet: slot 1 is lent to this. */
static int fill_names(struct shm *shm, const struct conf_application *a, uint32_t app,
                      uint32_t first)
{
	for (uint32_t i = 0; i < a->role_count; i++) {
		const struct conf_child *c = a->roles[i];

		for (uint32_t n = 0; n < c->name_count; n++) {
			int rc = names_register(shm, 1, c->names[n], strlen(c->names[n]),
			                        name_binding_role(app, first + i), NULL, NULL);

			if (rc)
				return rc;
		}
	}
	return 0;
}

/* Every entry of a ring waits for its first ticket: mail/mailbox.h. */
static void fill_rings(struct shm *shm)
{
	for (uint32_t m = 0; m < shm_mailbox_count(shm); m++)
		for (uint32_t i = 0; i < shm->ring_entries; i++)
			atom_store_relaxed(&shm_ring(shm, m)[i], (uint64_t)i << 32);
}

static int fill(struct shm *shm, const struct conf *conf, const char *text, size_t length)
{
	uint32_t first = 0;
	int rc = 0;

	fill_rings(shm);
	for (uint32_t i = 0; i < conf->node_count; i++)
		(void)strlcpy(shm_node(shm, i)->name, conf->nodes[i],
		              sizeof(shm_node(shm, i)->name));
	for (uint32_t i = 0; i < conf->application_count && rc == 0; i++) {
		fill_app(shm, &conf->applications[i], i, first);
		rc = fill_names(shm, &conf->applications[i], i, first);
		first += conf->applications[i].role_count;
	}
	enact_fill(shm, 0, conf, text, length);
	return rc;
}

static void remove_matching(const char *pattern)
{
	glob_t found;

	if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			(void)unlink(found.gl_pathv[i]);
	globfree(&found);
}

/* Whatever a dead creator or a removed segment left; the lock is held and there is no segment. */
static void remove_leftovers(const char *path)
{
	char pattern[160];

	snprintf(pattern, sizeof(pattern), "%s.*", path);
	remove_matching(pattern);
}

static int make(const struct conf *conf, const char *domain)
{
	struct shm shm;
	struct shm_limits limits;
	char path[128], *text;
	size_t length;
	int rc = conf_print(conf, &text, &length);

	if (rc)
		return rc;
	limits = limits_of(conf, length);
	rc = shm_path(domain, path, sizeof(path));
	if (rc)
		goto out;
	remove_leftovers(path);
	rc = shm_create(&shm, domain, &limits, conf_signature(conf));
	if (rc)
		goto out;
	shm.head->spin = conf->low_latency.spin;
	shm.head->memory = (conf->low_latency.lock_memory ? MEMORY_LOCKED : 0) |
	                   (conf->low_latency.prefault ? MEMORY_PREFAULTED : 0);
	rc = fill(&shm, conf, text, length);
	for (uint32_t i = 0; i < limits.apps && rc == 0; i++)
		if (shm_app(&shm, i)->state_size)
			rc = state_create(&shm, i);
	if (rc == 0)
		rc = shm_publish(&shm);
	if (rc)
		remove_leftovers(path);
	shm_detach(&shm);
out:
	free(text);
	return rc;
}

/* The lock is held, and the domain was made under it: nobody is in it. */
static void remove_made(const char *path)
{
	(void)unlink(path);
	remove_leftovers(path);
}

/* The descriptor of the lock, which is held, or -errno. */
static int lock_domain(const char *path, char *lock, size_t size)
{
	snprintf(lock, size, "%s:lock", path);
	for (;;) {
		struct stat mine, there;
		int fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd < 0)
			return -errno;
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR) {
				int rc = -errno;

				close(fd);
				return rc;
			}
		/* The holder before may have removed it, and another made a new one. */
		if (fstat(fd, &mine) == 0 && stat(lock, &there) == 0 && mine.st_ino == there.st_ino)
			return fd;
		close(fd);
	}
}

static void unlock_domain(const char *lock, int fd)
{
	(void)unlink(lock);
	close(fd);
}

static int explain(int rc, const char *domain)
{
	switch (rc) {
	case HEIR_ELAYOUT:
		log_error("domain %s was made by another version of heir: stop it with that "
		          "version's `heir down`, or, if nothing of it"
		          " runs, remove it with `heir up -d %s --discard`",
		          domain, domain);
		break;
	case HEIR_ECORRUPT:
	case HEIR_EFOREIGN:
		log_error("domain %s: %s; `heir fsck -d %s` says more; if nothing of it runs, remove it with "
		          "`heir up -d %s --discard`",
		          domain, heir_strerror(rc), domain, domain);
		break;
	case -ENOSPC:
		log_error("domain %s does not fit into /dev/shm: make room there, or lower limits "
		          "or state in the configuration",
		          domain);
		break;
	case HEIR_EINVAL:
		log_error("domain %s: the limits of the configuration, or this name, are out of "
		          "range: see `heir check`",
		          domain);
		break;
	default:
		log_error("domain %s: %s", domain, heir_strerror(rc));
	}
	return rc;
}

static bool is_deserted(const struct shm *shm)
{
	for (uint32_t i = 1; i < shm->limits.slots; i++) {
		uint64_t handle = slot_handle(shm, i);

		if (handle && !handle_gone(shm, handle))
			return false;
	}
	return true;
}

static int say_damage(const struct heir_finding *finding, void *arg)
{
	const char *domain = arg;

	if (finding->kind == HEIR_DAMAGE)
		log_error("domain %s: %s %u: %s", domain, finding->part, (unsigned)finding->index, finding->what);
	return finding->kind == HEIR_DAMAGE ? HEIR_ECORRUPT : 0; /* one is enough: `heir fsck` has them all */
}

/* With nobody there who has something in hand, what is wrong stays wrong. */
static int check_deserted(const struct shm *shm, const char *domain)
{
	struct heir_check check;
	int rc = is_deserted(shm) ? verify(shm, VERIFY_STATE, say_damage, (void *)(uintptr_t)domain, &check) : 0;

	return rc ? explain(rc, domain) : 0;
}

static int check_same(const struct shm *shm, const struct conf *given, const char *domain)
{
	if (!given || enact_signature(shm) == conf_signature(given))
		return 0;
	log_error("domain %s has another configuration in force: `heir reload -d %s -f FILE` puts this one in its "
	          "place; or start without -f",
	          domain, domain);
	return HEIR_EEXIST;
}

/* The one that is there. HEIR_ENODOMAIN without a message. */
static int find(const char *domain, const struct conf *given, struct conf **ret)
{
	struct shm shm;
	int rc = shm_attach(&shm, domain, 0);

	if (rc == HEIR_ENODOMAIN)
		return rc;
	if (rc)
		return explain(rc, domain);
	rc = check_same(&shm, given, domain);
	if (rc == 0)
		rc = check_deserted(&shm, domain);
	if (rc == 0 && (rc = enact_load(&shm, ret, &(uint32_t){0})))
		explain(rc, domain);
	shm_detach(&shm);
	return rc;
}

int build_load(const char *path, bool check, struct conf **ret)
{
	struct conf_report report = {0};
	struct conf *conf = NULL;
	char *search = search_path();
	int rc = search ? conf_load(path, NULL, &conf, &report) : -ENOMEM;

	if (rc == 0 && check)
		rc = conf_check_exec(conf, search, &report);
	free(search);
	if (report.length > 0)
		(void)fwrite(report.text, 1, report.length, stderr);
	else if (rc)
		log_error("%s: %s", path ? path : "the embedded configuration", strerror(-rc));
	conf_report_finish(&report);
	if (rc)
		conf_free(conf);
	else
		*ret = conf;
	return rc;
}

static int find_or_make(const char *domain, const struct conf *given, bool join, struct conf **ret)
{
	char path[128], lock[160];
	struct conf *standard = NULL;
	int fd, rc = find(domain, given, ret);

	if (rc != HEIR_ENODOMAIN || join)
		return rc ? rc : BUILD_FOUND;
	rc = shm_path(domain, path, sizeof(path));
	if (rc)
		return explain(rc, domain);
	fd = lock_domain(path, lock, sizeof(lock));
	if (fd < 0)
		return explain(fd, domain);
	rc = find(domain, given, ret);
	if (rc == HEIR_ENODOMAIN) {
		rc = given ? 0 : build_load(NULL, false, &standard);
		if (rc == 0 && (rc = make(given ? given : standard, domain)))
			explain(rc, domain);
		if (rc == 0 && (rc = find(domain, NULL, ret)) == 0)
			rc = BUILD_MADE;
		else if (rc < 0)
			remove_made(path);
	} else if (rc == 0) {
		rc = BUILD_FOUND;
	}
	unlock_domain(lock, fd);
	conf_free(standard);
	return rc;
}

const char *build_domain_name(const char *domain, const struct conf *given)
{
	const char *name = domain ? domain : getenv("HEIR_DOMAIN");

	if (name && *name)
		return name;
	return given ? given->domain : "default";
}

int build_domain(const char *path, const char *domain, bool join, char *ret_domain, size_t size,
                 struct conf **ret_conf)
{
	struct conf *given = NULL;
	int rc = path ? build_load(path, false, &given) : 0;

	if (rc)
		return rc;
	(void)strlcpy(ret_domain, build_domain_name(domain, given), size);
	rc = find_or_make(ret_domain, given, join, ret_conf);
	conf_free(given);
	return rc;
}

void build_resume(const struct shm *shm, uint64_t self)
{
	uint32_t stopping = atom_load_acquire(&shm->head->stopping);

	for (uint32_t n = 0; n < shm->limits.nodes; n++) {
		uint64_t leader = atom_load_acquire(&shm_node(shm, n)->leader);

		if (leader && leader != self && !handle_gone(shm, leader))
			return;
	}
	if (stopping)
		(void)atomic_compare_exchange_strong(&shm->head->stopping, &stopping, 0);
}

bool build_is_current(const struct shm *shm)
{
	struct shm there;
	bool same = false;

	if (shm_attach(&there, shm->head->domain, 0) == 0) {
		same = there.head->created_ns == shm->head->created_ns;
		shm_detach(&there);
	}
	return same;
}

void build_unlink(const struct shm *shm)
{
	char lock[160];
	int fd = lock_domain(shm->path, lock, sizeof(lock));

	if (fd < 0)
		return;
	if (build_is_current(shm)) {
		/* By their names first: that needs no descriptor. */
		for (uint32_t i = 0; i < shm->limits.apps; i++)
			(void)state_unlink(shm, i);
		remove_made(shm->path);
	}
	unlock_domain(lock, fd);
}

void build_abandon(const char *domain)
{
	struct shm shm;

	if (shm_attach(&shm, domain, 0))
		return;
	if (is_deserted(&shm))
		build_unlink(&shm);
	shm_detach(&shm);
}

static int discard(const char *domain)
{
	char path[128], lock[160];
	struct shm shm;
	int fd, rc = shm_path(domain, path, sizeof(path));

	if (rc)
		return explain(rc, domain);
	fd = lock_domain(path, lock, sizeof(lock));
	if (fd < 0)
		return explain(fd, domain);
	if (shm_attach(&shm, domain, 0) == 0) {
		if (!is_deserted(&shm)) {
			log_error("domain %s is in use: stop it with `heir down -d %s`", domain,
			          domain);
			rc = HEIR_EBUSY;
		}
		shm_detach(&shm);
	}
	if (rc == 0) {
		(void)unlink(path);
		remove_leftovers(path);
	}
	unlock_domain(lock, fd);
	return rc;
}

int build_check(const char *path)
{
	struct conf *given = NULL;
	int rc = build_load(path, true, &given);

	conf_free(given);
	return rc;
}

int build_discard(const char *path, const char *domain)
{
	struct conf *given = NULL;
	int rc = path ? build_load(path, false, &given) : 0;

	if (rc == 0)
		rc = discard(build_domain_name(domain, given));
	conf_free(given);
	return rc;
}
