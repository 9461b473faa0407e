/* SPDX-License-Identifier: ISC */
/* The verb demo. argv[0] is the verb; returns the exit status of heir(1). */
#ifndef HEIR_CMD_DEMO_H
#define HEIR_CMD_DEMO_H

int demo_main(int argc, char **argv);

#endif
