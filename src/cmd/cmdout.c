/* SPDX-License-Identifier: ISC */
/* Escaping, alignment, colours and trees. Width is that of the characters, not of the bytes. */
#include "cmd/cmdout.h"

#include "cmd/cmdtext.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define COLUMNS_DEFAULT 80

static const char *const colours[] = {
	[PLAIN] = "",
	[BOLD] = "\033[1m",
	[DIM] = "\033[2m",
	[GOOD] = "\033[32m",
	[WARN] = "\033[33m",
	[BAD] = "\033[31m",
};

static bool terminal_has_colours(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && *term &&
	       strcmp(term, "dumb");
}

void out_init(struct out *out)
{
	struct winsize size;

	setlocale(LC_CTYPE, "");
	out->in = stdin;
	out->file = stdout;
	out->error = stderr;
	out->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	out->colour = terminal_has_colours();
	out->columns = COLUMNS_DEFAULT;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		out->columns = size.ws_col;
}

void out_guard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

bool out_finish(struct out *out)
{
	bool failed = ferror(out->file) != 0;

	errno = 0;
	if (fflush(out->file) == 0 && !failed)
		return true;
	if (errno != EPIPE)
		fprintf(out->error, "heir: output: %s\n", errno ? strerror(errno) : "write error");
	return false;
}

static bool is_plain(char c)
{
	return c >= ' ' && c < 0x7f && c != '\\';
}

/* The next character as it is shown, with room for 5 bytes. Returns how many it took of text. */
static size_t show_char(const struct out *out, const char *text, char *shown, int *width)
{
	uint32_t point = 0;
	size_t length;
	bool overrides;

	if (is_plain(*text)) {
		shown[0] = *text;
		shown[1] = '\0';
		*width = 1;
		return 1;
	}
	length = utf8_char(text, strnlen(text, 4), &point);
	overrides = (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
	if (length > 1 && out->utf8 && !overrides && wcwidth((wchar_t)point) >= 0) {
		memcpy(shown, text, length);
		shown[length] = '\0';
		*width = wcwidth((wchar_t)point);
		return length;
	}
	*width = *text == '\\' ? snprintf(shown, 5, "\\\\")
			      : snprintf(shown, 5, "\\x%02x", (unsigned char)*text);
	return 1;
}

int out_width(const struct out *out, const char *text)
{
	char shown[5];
	int width, sum = 0;

	while (*text) {
		text += show_char(out, text, shown, &width);
		sum += width;
	}
	return sum;
}

void out_text(struct out *out, FILE *file, const char *text)
{
	char shown[5];
	int width;

	while (*text) {
		text += show_char(out, text, shown, &width);
		fputs(shown, file);
	}
}

void out_colour(struct out *out, enum colour colour)
{
	if (out->colour)
		fputs(colour == PLAIN ? "\033[0m" : colours[colour], out->file);
}

void out_measure(const struct out *out, const struct cell *cells, size_t count, int *width)
{
	for (size_t i = 0; i < count; i++) {
		int needed = out_width(out, cells[i].text);

		if (needed > width[i])
			width[i] = needed;
	}
}

static void put_cell(struct out *out, const struct cell *cell)
{
	if (cell->colour != PLAIN)
		out_colour(out, cell->colour);
	out_text(out, out->file, cell->text);
	if (cell->colour != PLAIN)
		out_colour(out, PLAIN);
}

void out_cells(struct out *out, const struct cell *cells, size_t count, const int *width)
{
	int blanks = 0;

	for (size_t i = 0; i < count; i++) {
		int padding = width[i] - out_width(out, cells[i].text);

		if (width[i] == 0)
			continue;
		if (*cells[i].text) {
			fprintf(out->file, "%*s", blanks + (cells[i].right ? padding : 0), "");
			put_cell(out, &cells[i]);
			blanks = cells[i].right ? 2 : padding + 2;
		} else {
			blanks += padding + 2;
		}
	}
	fputc('\n', out->file);
}

void tree_init(struct tree *tree, struct out *out)
{
	*tree = (struct tree){.out = out};
}

void tree_branch(struct tree *tree, bool last)
{
	const char *open = tree->out->utf8 ? "│  " : "|  ";
	const char *fork = tree->out->utf8 ? "├─ " : "|- ";
	const char *end = tree->out->utf8 ? "└─ " : "`- ";

	for (int i = 0; i < tree->depth; i++)
		fputs(tree->last[i] ? "   " : open, tree->out->file);
	fputs(last ? end : fork, tree->out->file);
}

void tree_enter(struct tree *tree, bool last)
{
	if (tree->depth < TREE_DEPTH)
		tree->last[tree->depth++] = last;
}

void tree_leave(struct tree *tree)
{
	if (tree->depth > 0)
		tree->depth--;
}
