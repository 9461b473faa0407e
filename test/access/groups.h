/* SPDX-License-Identifier: ISC */
/* What access_test can be told to do. */
#ifndef HEIR_TEST_GROUPS_H
#define HEIR_TEST_GROUPS_H

#include "access/sweep.h"

void names_group(const struct sweep_options *options);
void names_seed(void);
void mail_group(const struct sweep_options *options);
void mail_seed(void);
void txn_group(const struct sweep_options *options);
void txn_seed(void);
void slot_group(const struct sweep_options *options);
void slot_seed(void);
void trace_group(const struct sweep_options *options);
void trace_seed(void);
void service_seed(void);

#endif
