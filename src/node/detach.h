/* SPDX-License-Identifier: ISC */
/* `heir up --detach`: the rest of the program runs in the background; the caller returns when it
 * has got somewhere. */
#ifndef HEIR_NODE_DETACH_H
#define HEIR_NODE_DETACH_H

#include <stdbool.h>

/*
 * true in the foreground, with the exit status: what was printed in the background until
 * detach_done() was printed here. false in the background, whose output goes to a file that is
 * named there.
 */
bool detach(const char *domain, int *ret_status);
/* Nothing where detach() was not called. */
void detach_done(void);

#endif
