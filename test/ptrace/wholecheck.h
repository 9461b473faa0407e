/* SPDX-License-Identifier: ISC */
/*
 * What holds of a segment as a whole. whole_check(): at every instant, whoever has died or stopped wherever; the
 * segment must not change meanwhile. whole_rest(): when besides all the dead are buried, all mail is read and
 * every call collected. NULL, or what does not hold.
 */
#ifndef HEIR_TEST_WHOLECHECK_H
#define HEIR_TEST_WHOLECHECK_H

#include "shm/segment.h"

const char *whole_check(const struct shm *shm);
const char *whole_rest(const struct shm *shm);

#endif
