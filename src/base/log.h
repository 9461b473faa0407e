/* SPDX-License-Identifier: ISC */
/* Lines on standard error, "WHO: message", one write each. For programs; the library never logs. */
#ifndef HEIR_BASE_LOG_H
#define HEIR_BASE_LOG_H

enum log_level { LOG_ERRORS, LOG_WARNINGS, LOG_NOTES, LOG_DETAILS };

/* who stands at the start of each line; what is above level is not printed. */
void log_init(const char *who, enum log_level level);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERRORS, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNINGS, __VA_ARGS__)
#define log_note(...) log_line(LOG_NOTES, __VA_ARGS__)
#define log_detail(...) log_line(LOG_DETAILS, __VA_ARGS__)

#endif
