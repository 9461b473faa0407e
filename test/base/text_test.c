/* SPDX-License-Identifier: ISC */
/* Text out of fields and literals: always ended, never read past its NUL or its field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"

struct field { char text[64]; };

static void test_lengths(void **state)
{
	struct field from, to;
	char few[8], most[16];
	(void)state;

	for (size_t n = 0; n <= sizeof(from.text); n++) {
		memset(&from, 0, sizeof(from));
		memset(from.text, 'x', n);
		memset(&to, 0x55, sizeof(to));
		TEXT_COPY(to.text, from.text);
		assert_int_equal(strlen(to.text), n < sizeof(to.text) ? n : sizeof(to.text) - 1);
		TEXT_COPY(few, from.text);
		assert_int_equal(strlen(few), n < sizeof(few) ? n : sizeof(few) - 1);
		TEXT_COPY(most, from.text);
		assert_int_equal(strlen(most), n < sizeof(most) ? n : sizeof(most) - 1);
	}
}

/* A NUL anywhere among bytes that are not 0, in either half of what is copied at once. */
static void test_every_place(void **state)
{
	struct field from, to;
	(void)state;

	for (int byte = 1; byte < 256; byte++)
		for (size_t n = 0; n < sizeof(from.text); n++) {
			memset(&from, byte, sizeof(from));
			from.text[n] = 0;
			TEXT_COPY(to.text, from.text);
			assert_int_equal(strlen(to.text), n);
			assert_memory_equal(to.text, from.text, n);
		}
}

/* Of a text with its NUL, nothing behind that is read: it stands right before memory that is not there. */
static void test_short_source(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct field to;
	(void)state;

	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
	for (size_t n = 0; n < 40; n++) {
		char *text = memory + page - n - 1;

		memset(text, 'y', n);
		text[n] = 0;
		text_copy(to.text, sizeof(to.text), text, sizeof(to.text));
		assert_string_equal(to.text, text);
	}
	assert_int_equal(munmap(memory, 2 * page), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_every_place),
		cmocka_unit_test(test_short_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
