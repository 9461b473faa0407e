/* SPDX-License-Identifier: ISC */
/*
 * A point after a step that others can see. Nothing in the shipped build; with HEIR_TESTPOINTS the test's
 * testpoint() may die there, or stop and go on later.
 */
#ifndef HEIR_BASE_TESTPOINT_H
#define HEIR_BASE_TESTPOINT_H

#ifdef HEIR_TESTPOINTS
void testpoint(const char *label);
#define TESTPOINT(label) testpoint(label)
#else
#define TESTPOINT(label) ((void)0)
#endif

#endif
