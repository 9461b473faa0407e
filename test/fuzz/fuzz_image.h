/* SPDX-License-Identifier: ISC */
/*
 * A small, valid and busy segment, with a state file beside it, built once and copied for each execution; and
 * the changes that an input makes to it. Each lies between pages that cannot be touched.
 */
#ifndef HEIR_TEST_FUZZ_IMAGE_H
#define HEIR_TEST_FUZZ_IMAGE_H

#include "shm/segment.h"

#define IMAGE_NODES 3
#define IMAGE_APPS 2
#define IMAGE_STATE 4096

/* Slots that the image has someone in. */
enum { LEADER_A = 1, LEADER_B, OWNER, STANDBY, DEAD_OWNER, DEAD_CLIENT, CLIENT, JOINER, IMAGE_FREE };

extern const char *const image_names[];
extern const unsigned image_names_count;

void image_build(void);
/* A fresh copy; *ret_size is its size. The state file is as it was, too. */
unsigned char *image_fresh(size_t *ret_size);
/* In that copy the applications start only when the kernel has confirmed that the one before is gone. */
void image_exclusive(void);
/* In that copy nobody is alive. */
void image_all_dead(void);
/* A file descriptor of the state file, and the way to a mapping of it between guards. */
int image_state_fd(void);
void *image_state_map(size_t size);
int image_state_unmap(void *base, size_t size);

#define PATCH_BYTES 10u /* of input for one change */
/* Take the changes from the input: those for point 0 are made at once, the others by fuzz_point(). */
void patches_take(const unsigned char *data, size_t size);
void patches_finish(void);
/* What a second thread does while the readers run: makes the later changes and takes them back, for ever. */
void patches_thread_start(void);
void patches_thread_stop(void);

#endif
