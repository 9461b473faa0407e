/* SPDX-License-Identifier: ISC */
/*
 * A private domain: `heir up` as a child of its own, its output kept, its configuration in memory.
 * The process that starts it becomes the reaper of whatever is orphaned below it.
 */
#ifndef HEIR_CMD_DEMODOMAIN_H
#define HEIR_CMD_DEMODOMAIN_H

#include <heir.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct demo_domain {
	char name[64];
	char error[256]; /* after a failure */
	heir_t *h;
	pid_t up;
	int up_fd, log, configuration; /* -1: none */
};

/* As a double-quoted scalar of YAML. False: no room. */
bool domain_quote(const char *text, char *buffer, size_t size);

/* A port of 127.0.0.1 that nobody listens at now; 0: none. */
uint16_t domain_free_port(void);

/*
 * Start `heir up` from this program file and wait until the application is served and protected.
 * False: domain->error says why; domain_stop() is to be called either way.
 */
bool domain_start(struct demo_domain *domain, const char *heir, const char *name,
	const char *configuration, const char *application);
/* Without waiting for a standby: a cold one is not ready. */
bool domain_start_alone(struct demo_domain *domain, const char *heir, const char *name,
	const char *configuration, const char *application);
/*
 * Until the application is served, or served and protected. False: it has ended, or the application
 * is not so within the time. *ret is untouched then.
 */
bool domain_served(struct demo_domain *domain, const char *application, int64_t timeout,
	struct heir_app_status *ret);
bool domain_protected(struct demo_domain *domain, const char *application, int64_t timeout,
	struct heir_app_status *ret);
/* In order; then by force what is left. False: domain->error says what was not in order. */
bool domain_stop(struct demo_domain *domain);
/* The last that `up` and its children printed, to this descriptor. */
void domain_show_log(const struct demo_domain *domain, int fd);

/* Files of the domain in /dev/shm: how many; they are removed if `remove`. */
int domain_segments(const char *name, bool remove);
/* Kill every child of this process and every orphan that comes to it. How many there were. */
int domain_kill_children(void);

#endif
