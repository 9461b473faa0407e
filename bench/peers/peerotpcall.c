/* SPDX-License-Identifier: ISC */
/* Single operations beside OTP's: whereis, register, re_register, and a call, in blocks that take turns. */
#include "bench/peers/peerotp.h"

#include <stdio.h>
#include <string.h>

#define BATCH 100 /* lookups in one sample: one alone is shorter than the reading of a clock */

enum operation { WHEREIS, REGISTER, RE_REGISTER, CALL };

struct operations {
	const char *what, *parameters;
	enum operation heir;
	const char *command; /* without its count */
	bool is_elsewhere;   /* for OTP: asked by the node that does not run the service */
	unsigned block, rounds, rounds_quick;
};

static const struct operations all[] = {
	{"whereis", "\"names\":%u,\"batch\":100", WHEREIS, "whereis %u 100", true, 100, 50, 5},
	{"register", "\"names\":%u", REGISTER, "register %u", true, 50, 40, 2},
	{"re_register", "\"names\":%u", RE_REGISTER, "re_register %u", true, 50, 40, 2},
	{"call", "\"names\":%u,\"to\":\"another node\"", CALL, "call %u", true, 200, 50, 5},
	{"call", "\"names\":%u,\"to\":\"the same VM\"", CALL, "call %u", false, 200, 50, 5},
};

static int lookups(heir_t *h)
{
	struct heir_where where;
	int rc = 0;

	for (int i = 0; i < BATCH && !rc; i++)
		rc = heir_whereis(h, "svc-1", &where);
	return rc;
}

static int call(heir_t *h)
{
	char reply[8];
	size_t size = sizeof(reply);

	return heir_call(h, "svc-1", "ping", 4, reply, &size, TIMEOUT);
}

/* What is not part of the sample, behind it. */
static int undo(heir_t *h, enum operation operation)
{
	return operation == REGISTER ? heir_unregister(h, "bench") : 0;
}

static int run_one(heir_t *h, enum operation operation)
{
	switch (operation) {
	case WHEREIS:
		return lookups(h);
	case REGISTER:
		return heir_register(h, "bench", HEIR_SELF);
	case RE_REGISTER:
		return heir_re_register(h, "bench", HEIR_SELF);
	case CALL:
		return call(h);
	}
	return HEIR_EINVAL;
}

static bool run_block(heir_t *h, const struct operations *of, struct samples *samples)
{
	int64_t from, took;
	int rc = 0;

	for (unsigned i = 0; i < of->block && !rc; i++) {
		from = measure_now();
		rc = run_one(h, of->heir);
		took = measure_now() - from;
		if (!rc)
			rc = undo(h, of->heir);
		if (!rc && samples)
			rc = samples_add(samples, of->heir == WHEREIS ? took / BATCH : took);
	}
	if (!rc && of->heir == RE_REGISTER)
		rc = heir_unregister(h, "bench");
	return !rc || complain("%s: %s", of->what, heir_strerror(rc));
}

static bool measure(struct otp *o, const struct operations *of, unsigned names)
{
	const unsigned rounds = o->p->is_quick ? of->rounds_quick : of->rounds;
	const int node = of->is_elsewhere ? !o->owner : o->owner;
	struct samples warm_up = {0};
	char parameters[96], command[64];
	struct measured m;
	bool is_well;

	snprintf(parameters, sizeof(parameters), of->parameters, names);
	snprintf(command, sizeof(command), of->command, of->block);
	measured_init(&m, PEER_OTP, of->what, parameters);
	is_well = run_block(o->domain.h, of, NULL) && otp_samples(o, node, command, &warm_up, 1);
	for (unsigned i = 0; i < rounds && is_well; i++)
		is_well = run_block(o->domain.h, of, &m.ours) &&
			  otp_samples(o, node, command, &m.theirs, of->heir == WHEREIS ? BATCH : 1);
	samples_finish(&warm_up);
	if (is_well)
		out_measured(o->p, &m);
	return is_well;
}

bool otp_operations(struct otp *o, unsigned names)
{
	struct heir_app_status status;
	bool is_well = domain_protected(&o->domain, "svc", TIMEOUT, &status) || complain("%s", o->domain.error);

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && is_well; i++)
		is_well = measure(o, &all[i], names);
	return is_well;
}
