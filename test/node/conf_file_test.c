/* SPDX-License-Identifier: ISC */
/* Programs that are there or not, and configurations in files. */
#include "conf_fixture.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char *write_file(const char *directory, const char *name, const char *text, mode_t mode)
{
	char *path;
	assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void test_find_exec(void **state)
{
	char directory[] = "/tmp/conf_test.XXXXXX", path[PATH_MAX], search[PATH_MAX];
	(void)state;
	assert_non_null(mkdtemp(directory));
	char *good = write_file(directory, "good", "", 0755),
	     *plain = write_file(directory, "plain", "", 0644);
	(void)snprintf(search, sizeof(search), "/nowhere:%s", directory);
	assert_int_equal(conf_find_exec("good", search, path, sizeof(path)), 0);
	assert_string_equal(path, good);
	assert_int_equal(conf_find_exec(good, "", path, sizeof(path)), 0);
	assert_string_equal(path, good);
	assert_int_equal(conf_find_exec("good", search, path, strlen(good) + 1), 0);
	assert_int_equal(conf_find_exec("good", search, path, strlen(good)), -ENAMETOOLONG);
	assert_int_equal(conf_find_exec("plain", search, path, sizeof(path)), -EACCES);
	assert_int_equal(conf_find_exec("none", search, path, sizeof(path)), -ENOENT);
	assert_int_equal(conf_find_exec("good", "/nowhere", path, sizeof(path)), -ENOENT);
	assert_int_equal(conf_find_exec("/nowhere/good", search, path, sizeof(path)), -ENOENT);
	assert_int_equal(conf_find_exec(directory, search, path, sizeof(path)), -EACCES);
	assert_int_equal(conf_find_exec("sh", NULL, path, sizeof(path)), 0);
	char *text;
	assert_true(asprintf(&text,
			    "nodes: [a]\napplications:\n  x: {supervisor: {children: [{id: g, "
			    "exec: [good]},\n"
			    "    {id: p, exec: [plain]}, {id: n, exec: [none]}]}}\n"
			    "  t: {instances: {i: [a], j: [a]}, supervisor: {children: [{id: n, "
			    "exec: [%s/n]}]}}\n",
			    directory) > 0);
	struct conf *conf = load_good(text);
	struct conf_report report = {0};
	assert_int_equal(conf_check_exec(conf, search, &report), -EINVAL);
	assert_int_equal(report.count, 3);
	strip_report(&report);
	char *expected;
	assert_true(asprintf(&expected,
			    "4:20: program 'plain' of child 'p' is not an executable file\n"
			    "4:44: program 'none' of child 'n' was not found\n"
			    "5:75: program '%s/n' of child 'n' was not found\n",
			    directory) > 0);
	assert_string_equal(report.text, expected);
	conf_report_finish(&report);
	conf_free(conf);
	conf = load_good("nodes: [a]\napplications: {x: {supervisor: {children: [{id: g, exec: "
			 "[good]}]}}}\n");
	assert_int_equal(conf_check_exec(conf, search, &report), 0);
	assert_null(report.text);
	conf_free(conf);
	assert_int_equal(unlink(good) | unlink(plain) | rmdir(directory), 0);
	free(expected);
	free(text);
	free(good);
	free(plain);
}

static void test_files(void **state)
{
	char directory[] = "/tmp/conf_test.XXXXXX";
	struct conf *conf = NULL;
	struct conf_report report = {0};
	(void)state;
	assert_non_null(mkdtemp(directory));
	char *path =
		write_file(directory, "heir.yaml", "\xef\xbb\xbfnodes: [a]\r\ndomain: d\r\n", 0644);
	assert_int_equal(conf_load(path, NULL, &conf, &report), 0);
	assert_string_equal(conf->domain, "d");
	conf_free(conf);
	free(write_file(directory, "heir.yaml", "nodes: [a]\r\nnods: [b]\r\n", 0644));
	assert_int_equal(conf_load(path, NULL, &conf, &report), -EINVAL);
	char *expected;
	assert_true(
		asprintf(&expected,
			"%s:2:1: error: unknown key 'nods' of the domain; did you mean 'nodes'?\n"
			"  nods: [b]\n  ^\n",
			path) > 0);
	assert_string_equal(report.text, expected);
	free(expected);
	conf_report_finish(&report);
	assert_int_equal(conf_load("named", "nodes: 1", &conf, &report), -EINVAL);
	assert_ptr_equal(report.text, strstr(report.text, "named:1:8: error: "));
	conf_report_finish(&report);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(conf_load(path, NULL, &conf, &report), -ENOENT);
	assert_int_equal(conf_load(directory, NULL, &conf, &report), -EISDIR);
	assert_true(asprintf(&expected,
			    "%s: error: No such file or directory\n%s: error: Is a directory\n",
			    path, directory) > 0);
	assert_string_equal(report.text, expected);
	assert_int_equal(report.count, 2);
	conf_report_finish(&report);
	assert_int_equal(rmdir(directory), 0);
	free(expected);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find_exec),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests_name("conf_file", tests, NULL, NULL);
}
