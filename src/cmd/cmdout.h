/* SPDX-License-Identifier: ISC */
/*
 * Output for a person: lines, aligned cells and trees. Colours only on a terminal and without
 * NO_COLOR; characters beyond ASCII only where the locale is UTF-8. Text from the domain is
 * escaped: it cannot steer a terminal.
 */
#ifndef HEIR_CMD_OUT_H
#define HEIR_CMD_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum colour { PLAIN, BOLD, DIM, GOOD, WARN, BAD };

struct out {
	FILE *in, *file, *error;
	bool utf8, colour;
	int columns;
};

struct cell {
	const char *text;
	enum colour colour;
	bool right; /* aligned to the right */
};

#define TREE_DEPTH 16

struct tree {
	struct out *out;
	int depth;
	bool last[TREE_DEPTH];
};

/* Reads the locale of the environment, the terminal's width and NO_COLOR. */
void out_init(struct out *out);
/* Descriptors 0, 1 and 2 are open from here on, so that no file that is opened later can become
 * standard output. */
void out_guard(void);
/* Flush. False, with a message but for a reader that went away, when something could not be
 * written. */
bool out_finish(struct out *out);

int out_width(const struct out *out, const char *text);
void out_text(struct out *out, FILE *file, const char *text);
void out_colour(struct out *out, enum colour colour);

static inline struct cell out_cell(const char *text, enum colour colour)
{
	return (struct cell){.text = text, .colour = colour};
}

static inline struct cell out_number(const char *text, enum colour colour)
{
	return (struct cell){.text = text, .colour = colour, .right = true};
}

/* Raise width[] to what these cells need; empty ones need nothing. */
void out_measure(const struct out *out, const struct cell *cells, size_t count, int *width);
/* One line: cells two blanks apart, columns that are empty in every row left out. */
void out_cells(struct out *out, const struct cell *cells, size_t count, const int *width);

void tree_init(struct tree *tree, struct out *out);
void tree_branch(struct tree *tree, bool last); /* begin the line of an item */
void tree_enter(struct tree *tree, bool last);  /* what follows is below that item */
void tree_leave(struct tree *tree);

#endif
