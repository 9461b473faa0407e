/* SPDX-License-Identifier: ISC */
/* A configuration made into a segment, and got back from one. */
#ifndef HEIR_NODE_BUILD_H
#define HEIR_NODE_BUILD_H

#include "node/conf.h"
#include "shm/segment.h"

enum build_result {
	BUILD_MADE = 1, /* a new domain */
	BUILD_FOUND,    /* one that is there, with live leaders or none */
};

/*
 * The segment of the domain: made from the configuration if there is none, else checked against it
 * (path NULL: the one that is there will do, whatever it is). Prints why not, and what to do.
 * *ret_conf is what is in force. domain NULL: the configuration's. BUILD_…, or a negative code
 * after a message. join: only one that is there; HEIR_ENODOMAIN, without a message, if none is.
 */
int build_domain(const char *path, const char *domain, bool join, char *ret_domain, size_t size,
                 struct conf **ret_conf);

/* The file, or the embedded default; check: its programs too. 0, or a negative code after messages. */
int build_load(const char *path, bool check, struct conf **ret);
/* Which domain is meant: the option, else HEIR_DOMAIN, else the configuration's, else the default. */
const char *build_domain_name(const char *domain, const struct conf *given);
/* Whether the file can be used here, its programs included: 0, or a negative code after messages. */
int build_check(const char *path);
/* A domain that was stopped goes on with whoever comes first. self: the caller's handle. */
void build_resume(const struct shm *shm, uint64_t self);
/* It is still the one that the domain's name stands for. */
bool build_is_current(const struct shm *shm);
/* Segment and state files go, if they are still those of the domain's name. Only when nobody uses
 * them. */
void build_unlink(const struct shm *shm);
/* A domain that was made just now, by a process that cannot go on: it goes, unless somebody is in it. */
void build_abandon(const char *domain);
/* The same for a segment that cannot be attached to, or whose processes are all dead. HEIR_EBUSY
 * after a message: it is in use. */
int build_discard(const char *path, const char *domain);

#endif
