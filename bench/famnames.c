/* SPDX-License-Identifier: ISC */
/*
 * Names: heir_whereis, the table below it, and lfht, each asked for a random name of its own in turns,
 * so that none finds what another has just fetched; over 1 to 1 048 576 names, and while another
 * process re-registers these very names. Then the changes, made by the owner of a role.
 */
#include "bench/lfhtside.h"
#include "bench/setup.h"
#include "name/names.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOKUPS	      200000u
#define LOOKUPS_QUICK 20000u
#define CHANGES	      50000u
#define CHANGES_QUICK 5000u

enum side { SIDE_WHEREIS, SIDE_TABLE, SIDE_LFHT, SIDES };

struct lookups {
	struct bench *bench;
	struct stage stage;
	struct shm shm; /* a second mapping, for the table alone */
	struct lfhtside *lfht;
	struct samples side[SIDES];
	uint32_t names;
	uint64_t wrong;
};

static uint64_t look(struct lookups *l, enum side side, const char *name, size_t length)
{
	struct heir_where where;
	uint64_t binding = 0;

	switch (side) {
	case SIDE_WHEREIS:
		return heir_whereis(l->stage.domain.h, name, &where) == 0;
	case SIDE_TABLE:
		return names_lookup(&l->shm, name, length, &binding, NULL) == 0;
	default:
		return l->lfht ? lfhtside_lookup(l->lfht, name, length) : 1;
	}
}

/* An empty sample costs what two time stamps do; the least of many is taken off each. */
static uint64_t empty_sample(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < 10000; i++) {
		uint64_t t = bench_ticks();

		t = bench_ticks() - t;
		least = t < least ? t : least;
	}
	return least;
}

static void look_up_all(struct lookups *l, uint32_t count)
{
	uint64_t seed = 88172645463325252u, empty = empty_sample();
	double ps = bench_ps_per_tick();
	char name[32];

	for (uint32_t i = 0; i < count; i++)
		for (unsigned turn = 0; turn < SIDES; turn++) {
			enum side side = (enum side)((i + turn) % SIDES);
			size_t length =
				(size_t)snprintf(name, sizeof(name), "name-%u", bench_draw(&seed, l->names));
			uint64_t t = bench_ticks();
			bool found = look(l, side, name, length) != 0;

			t = bench_ticks() - t;
			l->wrong += !found;
			samples_add(&l->side[side], (int64_t)((double)(t > empty ? t - empty : 0) * ps));
		}
}

static struct row *names_row(struct lookups *l, const char *what)
{
	struct row *row = bench_row(l->bench, "names", UNIT_NS, "");

	row->axis = "names";
	row->with.names = l->names;
	snprintf(row->what, sizeof(row->what), "%s", what);
	return row;
}

static void add_lookups(struct lookups *l)
{
	struct row *whereis = names_row(l, "whereis"), *table = names_row(l, "whereis, its table alone");

	whereis->heir = l->side[SIDE_WHEREIS];
	table->heir = l->side[SIDE_TABLE];
	if (!l->lfht) {
		samples_finish(&l->side[SIDE_LFHT]);
		return;
	}
	whereis->goal = table->goal = 1.5;
	snprintf(whereis->limit_is, sizeof(whereis->limit_is), "lfht lookup of such a key");
	snprintf(table->limit_is, sizeof(table->limit_is), "lfht lookup of such a key");
	samples_copy(&table->limit, &l->side[SIDE_LFHT]);
	whereis->limit = l->side[SIDE_LFHT];
}

/* Takes the names for itself, over and over, until it is killed. */
static _Noreturn void storm(const char *domain, uint32_t names, _Atomic uint32_t *made, pid_t parent)
{
	uint64_t seed = 362436069;
	char name[32];
	heir_t *h;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	if (getppid() != parent || heir_open(domain, 0, &h))
		_exit(1);
	for (;;) {
		snprintf(name, sizeof(name), "name-%u", bench_draw(&seed, names));
		if (heir_re_register(h, name, HEIR_SELF))
			_exit(1);
		atomic_fetch_add(made, 1);
	}
}

static bool under_storm(struct lookups *l, uint32_t count)
{
	_Atomic uint32_t *made =
		mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t self = getpid(), pid;
	struct row *row;
	int status;

	if (made == MAP_FAILED)
		return bench_complain("shared memory", -errno);
	pid = fork();
	if (pid == 0)
		storm(l->stage.domain.name, l->names, made, self);
	while (pid > 0 && atomic_load(made) == 0 && waitpid(pid, &status, WNOHANG) == 0)
		pause_a_little();
	memset(l->side, 0, sizeof(l->side));
	look_up_all(l, count);
	if (pid <= 0 || waitpid(pid, &status, WNOHANG) != 0)
		return bench_say("whoever was to re-register names has ended");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap((void *)made, sizeof(*made));
	row = names_row(l, "whereis while its names are re-registered");
	row->heir = l->side[SIDE_WHEREIS];
	samples_finish(&l->side[SIDE_TABLE]);
	samples_finish(&l->side[SIDE_LFHT]);
	return true;
}

static bool over(struct bench *b, uint32_t names)
{
	struct lookups l = {.bench = b, .names = names};
	struct setup setup = {.with = {.names = names}, .is_cold = true};
	uint32_t count = bench_rounds(b, LOOKUPS, LOOKUPS_QUICK);
	bool is_well = stage_start(&l.stage, b, &setup) && stage_fill(&l.stage);
	int error;

	if (is_well && names == 1) { /* stage_fill() leaves that to the name of the mailbox */
		error = heir_register(l.stage.domain.h, "name-0", HEIR_SELF);
		is_well = !error || bench_complain("name-0", error);
	}
	if (is_well && (error = shm_attach(&l.shm, l.stage.domain.name, 0)))
		is_well = bench_complain("the segment", error);
	if (is_well) {
		l.lfht = lfhtside_create(names);
		look_up_all(&l, count / 10);
		for (unsigned i = 0; i < SIDES; i++)
			samples_finish(&l.side[i]);
		look_up_all(&l, count);
		add_lookups(&l);
		is_well = under_storm(&l, count / 2);
		lfhtside_destroy(l.lfht);
		shm_detach(&l.shm);
	}
	if (l.wrong)
		is_well = bench_say("%" PRIu64 " lookups of %u names found nothing", l.wrong, names);
	return stage_stop(&l.stage) && is_well;
}

static bool change(struct bench *b, struct stage *stage, const char *node, uint64_t which, const char *what)
{
	struct row *row = bench_row(b, "names", UNIT_NS, "");
	char name[80];
	pid_t pid;
	int error;

	row->axis = "changes";
	snprintf(row->what, sizeof(row->what), "%s, by the owner of a role", what);
	snprintf(name, sizeof(name), "bench@%s", node);
	error = ask(
		stage->domain.h, name,
		(struct ask){.op = ASK_CHANGES, .at = which, .count = bench_rounds(b, CHANGES, CHANGES_QUICK)},
		&pid, sizeof(pid));
	if (error)
		return bench_complain(what, error);
	for (uint32_t i = 0; i < stage->share->count; i++)
		samples_add(&row->heir, stage->share->heir[i]);
	return true;
}

static bool changes(struct bench *b)
{
	static const char *const what[] = {"register", "re_register", "unregister"};
	struct setup setup = {.with = {.names = 1}, .is_cold = true, .room = CHANGES};
	struct heir_app_status status;
	struct stage stage;
	bool is_well = stage_start(&stage, b, &setup) && stage_protected(&stage, &status);

	for (unsigned i = 0; i < 3 && is_well; i++)
		is_well = change(b, &stage, status.node, i, what[i]);
	return stage_stop(&stage) && is_well;
}

bool names_run(struct bench *b)
{
	static const uint32_t sizes[] = {1, 1024, 65536, 1 << 20};
	bool is_well = true;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && is_well; i++)
		if (!b->is_quick || sizes[i] == 1 || sizes[i] == 1 << 20)
			is_well = over(b, sizes[i]);
	return is_well && changes(b);
}
