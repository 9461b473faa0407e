/* SPDX-License-Identifier: ISC */
/* The kernel that fuzz_kernel.c pretends to be. */
#ifndef HEIR_TEST_FUZZ_KERNEL_H
#define HEIR_TEST_FUZZ_KERNEL_H

#include "fuzz/fuzz_image.h"

void kernel_reset(void);
/* Between operations: the limit of sleeps is one operation's. */
void kernel_again(void);
/* Time passes until then, or a millisecond. */
void kernel_pass(int64_t until);
/* What shm_attach() finds. */
void kernel_segment(void *base, size_t size);

#endif
