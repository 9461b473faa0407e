/* SPDX-License-Identifier: ISC */
/* The program: everything is in cmd.c, so that tests can call it. */
#include "cmd/cmd.h"

int main(int argc, char **argv)
{
	struct out out;

	out_guard();
	out_init(&out);
	return cmd_main(argc, argv, &out);
}
