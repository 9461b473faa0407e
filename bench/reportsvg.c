/* SPDX-License-Identifier: ISC */
/* 360 units wide: as wide as a phone, so that type is as large there as it says. y is logarithmic. */
#include "bench/reportsvg.h"

#include <math.h>
#include <string.h>

#define WIDTH  360.0
#define HEIGHT 230.0
#define LEFT   52.0
#define RIGHT  20.0
#define TOP    10.0
#define BOTTOM 40.0
#define ROW    26.0 /* of a timeline */
#define LABEL  78.0
#define LABEL_MOST 160.0
#define LETTER 6.4 /* about */
#define VALUE  48.0 /* behind a bar */

struct scale {
	double low, high; /* logarithms */
};

void html_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", file);
			break;
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '"':
			fputs("&quot;", file);
			break;
		default:
			fputc(*text, file);
		}
	}
}

static void widen(struct scale *s, double value)
{
	if (value <= 0)
		return;
	s->low = fmin(s->low, log10(value));
	s->high = fmax(s->high, log10(value));
}

/* At least half a decade, with room above and below. */
static void settle(struct scale *s)
{
	if (s->low > s->high)
		*s = (struct scale){0, 1};
	if (s->high - s->low < 0.5) {
		double middle = (s->low + s->high) / 2;

		*s = (struct scale){middle - 0.25, middle + 0.25};
	}
	s->low -= 0.06;
	s->high += 0.06;
}

static double y_of(const struct scale *s, double value)
{
	return TOP + (HEIGHT - TOP - BOTTOM) * (s->high - log10(value)) / (s->high - s->low);
}

static void open_chart(FILE *file, const char *title, const char *limit_is, const char *unit)
{
	fputs("<figure><figcaption>", file);
	html_text(file, title);
	fputs(" <small>", file);
	html_text(file, unit);
	if (limit_is[0])
		fputs("<br>against ", file);
	html_text(file, limit_is);
	fprintf(file, "</small></figcaption>\n<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", WIDTH,
		HEIGHT);
	html_text(file, title);
	fputs("\">\n", file);
}

static void close_chart(FILE *file)
{
	fputs("</svg></figure>\n", file);
}

static void tick(FILE *file, const struct scale *s, double value)
{
	double y = y_of(s, value), shown = value >= 1e6 ? value / 1e6 : value >= 1e4 ? value / 1e3 : value;

	fprintf(file,
		"<path class=\"grid\" d=\"M%g %.1fH%g\"/><text class=\"y\" x=\"%g\" y=\"%.1f\">%g%s</text>\n",
		LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, shown,
		value >= 1e6   ? " M"
		: value >= 1e4 ? " k"
			       : "");
}

static void y_axis(FILE *file, const struct scale *s)
{
	static const double parts[] = {1, 2, 5};
	size_t fine = s->high - s->low < 2.2 ? 3 : 1;

	for (int decade = (int)floor(s->low); decade <= (int)ceil(s->high); decade++)
		for (size_t i = 0; i < fine; i++) {
			double value = parts[i] * pow(10, decade);

			if (log10(value) >= s->low && log10(value) <= s->high)
				tick(file, s, value);
		}
}

static double x_of(size_t point, size_t points)
{
	double room = WIDTH - LEFT - RIGHT;

	return LEFT + room * ((double)point + 0.5) / (double)points;
}

static void put_curve(FILE *file, const struct scale *s, const struct curve *c, const char (*x)[32],
		      size_t points, const char *unit)
{
	bool is_open = false;

	fprintf(file, "<path class=\"line %s\" d=\"", c->class);
	for (size_t i = 0; i < points; i++) {
		if (c->y[i] > 0)
			fprintf(file, "%c%.1f %.1f", is_open ? 'L' : 'M', x_of(i, points), y_of(s, c->y[i]));
		is_open |= c->y[i] > 0;
	}
	fputs("\"/>\n", file);
	for (size_t i = 0; i < points; i++) {
		if (c->y[i] <= 0)
			continue;
		fprintf(file,
			"<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%s, %s: %.3g "
			"%s</title></circle>\n",
			c->class, x_of(i, points), y_of(s, c->y[i]), c->label, x[i], c->y[i], unit);
	}
}

void svg_curves(FILE *file, const char *title, const char (*x)[32], size_t points, const struct curve *curve,
		size_t curves, const char *unit)
{
	struct scale s = {INFINITY, -INFINITY};

	for (size_t i = 0; i < curves; i++)
		for (size_t j = 0; j < points; j++)
			widen(&s, curve[i].y[j]);
	settle(&s);
	open_chart(file, title, "", unit);
	y_axis(file, &s);
	for (size_t i = 0; i < points; i++)
		fprintf(file, "<text class=\"x\" x=\"%.1f\" y=\"%g\">%s</text>\n", x_of(i, points),
			HEIGHT - BOTTOM + 18, x[i]);
	for (size_t i = 0; i < curves; i++)
		put_curve(file, &s, &curve[i], x, points, unit);
	close_chart(file);
}

/* 0 at the left, each further nine as wide as the one before it. */
static double x_of_share(double above, double most)
{
	return LEFT + (WIDTH - LEFT - RIGHT) * fmin(-log10(above), most) / most;
}

static void put_distribution(FILE *file, const struct scale *s, const char *class,
			     const struct told_spread *spread, double most)
{
	double sum = 0;

	if (spread->cells == 0)
		return;
	fprintf(file, "<path class=\"line %s\" d=\"M%.1f %.1f", class, LEFT, y_of(s, spread->histogram[0][0]));
	for (size_t i = 0; i < spread->cells; i++) {
		double value = spread->histogram[i][0], above;

		sum += spread->histogram[i][1];
		above = 1 - sum / spread->count;
		if (value <= 0)
			continue;
		if (above < pow(10, -most))
			above = pow(10, -most);
		fprintf(file, "L%.1f %.1f", x_of_share(above, most), y_of(s, value));
	}
	fputs("\"/>\n", file);
}

static void widen_all(struct scale *s, const struct told_spread *spread)
{
	for (size_t i = 0; i < spread->cells; i++)
		widen(s, spread->histogram[i][0]);
}

void svg_percentiles(FILE *file, const char *title, const char *limit_is, const struct told_spread *heir,
		     const struct told_spread *limit, const char *unit)
{
	static const struct {
		double above;
		const char *label;
	} marks[] = {{1, "0"}, {0.5, "50"}, {0.1, "90"}, {0.01, "99"}, {0.001, "99.9"}, {0.0001, "99.99"}};
	struct scale s = {INFINITY, -INFINITY};
	double most = ceil(fmax(1, log10(fmax(heir->count, limit->count))));

	most = fmin(most, 4);
	widen_all(&s, heir);
	widen_all(&s, limit);
	settle(&s);
	open_chart(file, title, limit_is, unit);
	y_axis(file, &s);
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		double x = x_of_share(marks[i].above, most);

		if (-log10(marks[i].above) > most)
			continue;
		fprintf(file,
			"<path class=\"grid\" d=\"M%.1f %gV%g\"/><text class=\"x\" x=\"%.1f\" "
			"y=\"%g\">%s</text>\n",
			x, TOP, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 18, marks[i].label);
	}
	fprintf(file, "<text class=\"x\" x=\"%g\" y=\"%g\">percentile</text>\n", (LEFT + WIDTH - RIGHT) / 2,
		HEIGHT - BOTTOM + 34);
	put_distribution(file, &s, "limit", limit, most);
	put_distribution(file, &s, "heir", heir, most);
	close_chart(file);
}

void svg_timeline(FILE *file, const struct told_timeline *t)
{
	double end = t->total, height, label = LABEL, room;

	for (size_t i = 0; i < t->steps; i++)
		if (strcmp(t->step[i].name, "stop_old") != 0)
			end = fmax(end, t->step[i].start + t->step[i].duration);
	for (size_t i = 0; i < t->steps; i++)
		label = fmax(label, fmin(LETTER * (double)strlen(t->step[i].name), LABEL_MOST));
	room = WIDTH - label - VALUE;
	if (end <= 0)
		return;
	height = ROW * (double)t->steps + 30;
	fprintf(file, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"steps of one %s\">\n", WIDTH,
		height, t->family);
	for (int i = 0; i <= 4; i++) {
		double x = label + room * i / 4;

		fprintf(file,
			"<path class=\"grid\" d=\"M%.1f 0V%g\"/><text class=\"x\" x=\"%.1f\" "
			"y=\"%g\">%.3g</text>\n",
			x, height - 24, i == 4 ? x - 10 : x, height - 8, end * i / 4);
	}
	for (size_t i = 0; i < t->steps; i++) {
		const struct told_step *step = &t->step[i];
		double x = label + room * fmin(step->start / end, 1), y = ROW * (double)i;
		double width = fmin(fmax(room * step->duration / end, 1.5), label + room - x + 1.5);

		fprintf(file, "<text class=\"y\" x=\"%g\" y=\"%.1f\">", label - 6, y + 17);
		html_text(file, step->name);
		fprintf(file, "</text><rect class=\"bar%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"16\"/>",
			step->is_other ? " other" : "", x, y + 5, width);
		fprintf(file, "<text class=\"v\" x=\"%.1f\" y=\"%.1f\">%.3g</text>\n", x + width + 5, y + 17,
			step->duration);
	}
	fputs("</svg>\n", file);
}
