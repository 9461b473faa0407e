/* SPDX-License-Identifier: ISC */
#include "node/args.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {
	{"file", required_argument, NULL, 'f'},
	{"domain", required_argument, NULL, 'd'},
	{"detach", no_argument, NULL, 'D'},
	{"discard", no_argument, NULL, 'X'},
	{"default", no_argument, NULL, 'S'},
	{"json", no_argument, NULL, 'J'},
	{NULL, 0, NULL, 0},
};

static int usage(const char *verb)
{
	fprintf(stderr, "heir: see `heir %s --help`\n", verb);
	return 2;
}

static void put(struct args *a, int letter)
{
	if (letter == 'f')
		a->file = optarg;
	else if (letter == 'd')
		a->domain = optarg;
	else if (letter == 'D')
		a->detach = true;
	else if (letter == 'X')
		a->discard = true;
	else if (letter == 'S')
		a->standard = true;
	else
		a->json = true;
}

int args_parse(int argc, char **argv, const char *allowed, bool operand, struct args *ret)
{
	const char *verb = argv[0];
	struct args a = {0};
	int letter;

	optind = 0;
	while ((letter = getopt_long(argc, argv, "f:d:", options, NULL)) != -1) {
		if (letter == '?' || !strchr(allowed, letter))
			return usage(verb);
		put(&a, letter);
	}
	if (operand && optind < argc)
		a.operand = argv[optind++];
	if (optind < argc)
		return usage(verb);
	*ret = a;
	return 0;
}
