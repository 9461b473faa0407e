/* SPDX-License-Identifier: ISC */
/*
 * The service beside OTP's: n names that the first owner registers at run time, s bytes of state that it fills.
 * Later owners have both. It answers `where` with its node and the size of the state, any other call with itself.
 */
#include <errno.h>
#include <heir.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 16384 /* of the state, filled in one transaction */

static int fill(heir_t *h)
{
	size_t size, piece;
	char *state = heir_state(h, &size);
	int rc;

	for (size_t at = 0; state && at < size; at += piece) {
		piece = size - at < PIECE ? size - at : PIECE;
		rc = heir_begin(h);
		if (rc == 0)
			rc = heir_mark(h, state + at, piece);
		if (rc == 0)
			memset(state + at, 1, piece);
		if (rc == 0)
			rc = heir_commit(h);
		if (rc)
			return rc;
	}
	return 0;
}

static int start_phase(heir_t *h, const char *phase, const struct heir_start *start, void *arg)
{
	unsigned long names = *(unsigned long *)arg;
	char name[32];
	int rc;

	if (strcmp(phase, "go") != 0 || start->type != HEIR_NORMAL)
		return 0;
	rc = fill(h);
	for (unsigned long i = 1; i <= names && rc == 0; i++) {
		snprintf(name, sizeof(name), "svc-%lu", i);
		rc = heir_register(h, name, HEIR_ROLE);
	}
	return rc;
}

static int handle(heir_t *h, const struct heir_message *message, void *arg)
{
	size_t size = 0;
	const char *state;
	char text[96];

	(void)arg;
	if (message->size != 5 || memcmp(message->data, "where", 5) != 0)
		return heir_reply(h, message->data, message->size);
	state = heir_state(h, &size);
	if (state && (state[0] != 1 || state[size - 1] != 1))
		return -EIO;
	return heir_reply(h, text,
			  (size_t)snprintf(text, sizeof(text), "%s %zu", heir_node(h), state ? size : 0));
}

int main(int argc, char **argv)
{
	static const struct heir_worker worker = {
		.size = sizeof(worker), .version = 1, .start_phase = start_phase, .handle = handle};
	unsigned long names = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	heir_t *h;
	int rc = heir_worker_open(&worker, &names, &h);

	if (rc == 0)
		rc = heir_serve(h);
	if (rc)
		fprintf(stderr, "peer-worker: %s\n", heir_strerror(rc));
	return rc != 0;
}
