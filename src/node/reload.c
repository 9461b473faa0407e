/* SPDX-License-Identifier: ISC */
/*
 * heir reload, and SIGHUP: another configuration put into force while the domain runs. shm/policy.h has the protocol.
 * Between the claim and the end nobody else can change what is in force, so what is compared is what is replaced.
 */
#include "node/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "heir.h"
#include "lib/handle.h"
#include "node/args.h"
#include "node/build.h"
#include "node/check.h"
#include "node/enact.h"
#include "node/node.h"
#include "proc/inforce.h"
#include "proc/recover.h"

#define EXIT_FAILED 1
#define EXIT_CONFIGURATION 6
#define EXIT_NOT_RUNNING 7

static int fill(const struct shm *shm, unsigned area, const struct conf *given)
{
	char *text;
	size_t length;
	int rc = conf_print(given, &text, &length);

	if (rc)
		return rc;
	if (length < shm->limits.conf)
		enact_fill(shm, area, given, text, length);
	else
		rc = HEIR_ETOOBIG;
	free(text);
	return rc;
}

static int compare(const struct shm *shm, const struct conf *given, struct conf_changes *ret)
{
	struct conf *now;
	uint32_t generation;
	int rc = enact_load(shm, &now, &generation);

	if (rc)
		return rc;
	rc = conf_compare(now, given, ret);
	conf_free(now);
	return rc;
}

/*
 * The leaders, and standbys that wait by the times of before (pairs with watch_owner() in standby.c). Where nothing
 * changes, too: who published may have died before it.
 */
static void wake_all(const struct shm *shm)
{
	for (uint32_t a = 0; a < shm->limits.apps; a++)
		app_changed(shm, a);
}

int reload_conf(const struct shm *shm, uint64_t self, const struct conf *given, struct conf_changes *ret,
                uint64_t *ret_other)
{
	struct conf_changes changes = {0};
	unsigned area;
	int rc = inforce_claim(shm, self, &area, ret_other);

	if (rc)
		return rc;
	rc = compare(shm, given, &changes);
	if (rc == 0 && changes.refused == 0 && changes.count > 0) {
		rc = fill(shm, area, given);
		TESTPOINT("reload: filled");
		if (rc == 0)
			rc = inforce_publish(shm, self);
	}
	inforce_abandon(shm, self); /* where it was not published */
	if (rc == 0)
		wake_all(shm);
	if (rc)
		conf_changes_finish(&changes);
	else
		*ret = changes;
	return rc;
}

/* A text as it is, a list or mapping as JSON. */
static const char *plain(char *json)
{
	size_t length = strlen(json);

	if (length >= 2 && json[0] == '"') {
		json[length - 1] = '\0';
		return json + 1;
	}
	return length ? json : "none";
}

static void say_failure(const struct shm *shm, const char *domain, int rc, uint64_t other)
{
	int pid = rc == HEIR_EBUSY ? (int)handle_pid(shm, other) : 0;

	if (pid)
		log_error("domain %s: process %d is at a reload already: try again when it has ended", domain, pid);
	else if (rc == HEIR_EBUSY)
		log_error("domain %s: another process was at a reload just now: try again", domain);
	else if (rc == HEIR_ETOOBIG)
		log_error("domain %s has no room for a configuration as large as this: `heir down -d %s`, then "
		          "`heir up` with it",
		          domain, domain);
	else if (rc == HEIR_EGENERATION)
		log_error("domain %s was reloaded too often: `heir down -d %s`, then `heir up`", domain, domain);
	else
		log_error("domain %s: %s", domain, rc == -ENOMEM ? strerror(ENOMEM) : heir_strerror(rc));
}

static void say_refused(const char *domain, struct conf_changes *changes)
{
	for (size_t i = 0; i < changes->count; i++) {
		struct conf_change *c = &changes->list[i];

		if (!c->reloads)
			log_error("%s: %s cannot become %s while the domain runs", c->key, plain(c->from),
			          plain(c->to));
	}
	log_error("nothing was changed: `heir down -d %s`, then `heir up` with this file", domain);
}

static void say_changes(const char *domain, struct conf_changes *changes)
{
	if (changes->count == 0)
		log_note("domain %s: this configuration is in force already", domain);
	for (size_t i = 0; i < changes->count; i++)
		log_note("%s: %s, was %s", changes->list[i].key, plain(changes->list[i].to),
		         plain(changes->list[i].from));
}

void reload_signalled(const struct shm *shm, uint64_t self, const char *file)
{
	const char *domain = shm->head->domain;
	struct conf_changes changes;
	struct conf *given;
	uint64_t other = 0;
	int rc;

	if (!file) {
		log_note("was started without a file, and goes by what is in force: `heir reload -d %s -f FILE` "
		         "changes that",
		         domain);
		return;
	}
	if (build_load(file, true, &given)) {
		log_error("%s is not loaded: the configuration in force stays", file);
		return;
	}
	rc = reload_conf(shm, self, given, &changes, &other);
	conf_free(given);
	if (rc) {
		say_failure(shm, domain, rc, other);
		return;
	}
	if (changes.refused)
		say_refused(domain, &changes);
	else
		say_changes(domain, &changes);
	conf_changes_finish(&changes);
}

static void print_value(const char *name, const char *json)
{
	printf(",\"%s\":%s", name, *json ? json : "null");
}

static void print_json(const char *domain, const struct conf_changes *changes)
{
	fputs("{\"domain\":", stdout);
	check_print_string(domain, strlen(domain));
	printf(",\"ok\":%s,\"changed\":%s,\"changes\":[", changes->refused ? "false" : "true",
	       changes->count && !changes->refused ? "true" : "false");
	for (size_t i = 0; i < changes->count; i++) {
		const struct conf_change *c = &changes->list[i];

		fputs(i ? ",{\"key\":" : "{\"key\":", stdout);
		check_print_string(c->key, strlen(c->key));
		print_value("from", c->from);
		print_value("to", c->to);
		printf(",\"reloads\":%s}", c->reloads ? "true" : "false");
	}
	fputs("]}\n", stdout);
}

static void print_text(const char *domain, struct conf_changes *changes)
{
	if (changes->refused) {
		say_refused(domain, changes);
		return;
	}
	for (size_t i = 0; i < changes->count; i++)
		printf("%s: %s, was %s\n", changes->list[i].key, plain(changes->list[i].to),
		       plain(changes->list[i].from));
	if (changes->count == 0)
		printf("domain %s: this configuration is in force already\n", domain);
	else
		printf("domain %s: %zu change%s in force\n", domain, changes->count, changes->count == 1 ? "" : "s");
}

static int run(const char *domain, const struct conf *given, bool json)
{
	struct conf_changes changes;
	uint64_t other = 0;
	heir_t *h;
	int rc = lib_open(domain, (struct slot_place){KIND_CLIENT, -1, -1, -1}, &h);

	if (rc) {
		log_error("domain %s: %s", domain, heir_strerror(rc));
		return rc == HEIR_ENODOMAIN ? EXIT_NOT_RUNNING : EXIT_FAILED;
	}
	rc = reload_conf(&h->shm, h->self, given, &changes, &other);
	if (rc) {
		say_failure(&h->shm, domain, rc, other);
		heir_close(h);
		return EXIT_FAILED;
	}
	heir_close(h);
	if (json)
		print_json(domain, &changes);
	else
		print_text(domain, &changes);
	rc = changes.refused ? EXIT_FAILED : 0;
	conf_changes_finish(&changes);
	if (fflush(stdout) == 0)
		return rc;
	log_error("standard output: %s; %s", strerror(errno),
	          rc ? "nothing was changed" : "the configuration is in force");
	return EXIT_FAILED;
}

int reload_main(int argc, char **argv)
{
	struct conf_report report = {0};
	struct conf *given = NULL;
	struct args args;
	int rc = args_parse(argc, argv, "fdJ", false, &args);

	if (rc)
		return rc;
	log_init("heir", LOG_NOTES);
	rc = check_load(args.file, &given, &report);
	if (rc) {
		check_print(args.file, args.json, NULL, &report, rc);
		rc = EXIT_CONFIGURATION;
	} else {
		rc = run(build_domain_name(args.domain, given), given, args.json);
	}
	conf_free(given);
	conf_report_finish(&report);
	return rc;
}
