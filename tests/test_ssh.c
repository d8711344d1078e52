/*
 * test_ssh.c - nothing that a configuration says becomes an option of ssh, or a word of a shell.
 *
 * What a shell makes of a quoted word is asked of a real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "dr/step/ssh.h"

static const char *const hostile[] = {
    "a b",         "it's",
    "\"x\"",       "$(touch /tmp/x)",
    "`id`",        "a;b",
    "a\nb",        "-o",
    "--",          "",
    "\\",          "\\'",
    "'\\''",       "*",
    "~root",       "a\tb",
    "${HOME}",     "!!",
    "a&b|c>d",     "\xc3\xa9",
    "#no comment", "a\r\n\x1b[2J",
    "=cmd",        "{a,b}",
};

/* The first word that /bin/sh reads in this line. */
static char *read_by_shell(const char *line)
{
    DR_FREE char *script = dr_strf("printf '%%s' %s", line);
    char out[256] = "";
    FILE *script_file = tmpfile();
    assert_non_null(script_file);
    assert_int_equal(fwrite(script, 1, strlen(script), script_file), strlen(script));
    assert_int_equal(fflush(script_file), 0);
    DR_FREE char *command = dr_strf("/bin/sh /dev/fd/%d", fileno(script_file));
    rewind(script_file);
    FILE *pipe = popen(command, "r"); /* NOLINT(cert-env33-c): the shell is what is asked */
    assert_non_null(pipe);
    size_t len = fread(out, 1, sizeof(out) - 1, pipe);
    assert_int_equal(pclose(pipe), 0);
    fclose(script_file);
    return dr_memdup(out, len);
}

static void a_shell_reads_a_quoted_word_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(hostile); i++) {
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        ssh_quote(&line, hostile[i]);
        DR_FREE char *got = read_by_shell(line.data);
        assert_string_equal(got, hostile[i]);
    }
}

static void a_plain_word_stays_as_it_is(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    ssh_quote(&line, "/usr/bin/drctl-0.1");
    assert_string_equal(line.data, "/usr/bin/drctl-0.1");
}

static enum dr_rc command(const struct config_ssh *ssh, struct text_list *argv)
{
    struct dr_err err = { 0 };
    return ssh_command(ssh, argv, &err);
}

static void a_host_or_user_that_is_more_than_a_name_is_refused(void **state)
{
    (void)state;
    char host[] = "eu-db-1";
    for (size_t i = 0; i < DR_ARRAY_LEN(hostile); i++) {
        DR_FREE char *word = dr_strdup(hostile[i]);
        DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
        assert_int_equal(command(&(struct config_ssh){ .host = word }, &argv), DR_E_CONFIG);
        assert_int_equal(command(&(struct config_ssh){ .host = host, .user = word }, &argv),
                         DR_E_CONFIG);
    }
    char option[] = "-oProxyCommand=id";
    DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
    assert_int_equal(command(&(struct config_ssh){ .host = option }, &argv), DR_E_CONFIG);
    assert_int_equal(command(&(struct config_ssh){ .host = host, .program = option }, &argv),
                     DR_E_CONFIG);
}

static void addresses_and_names_are_hosts(void **state)
{
    (void)state;
    static const char *const good[] = { "eu-db-1", "192.0.2.1", "2001:db8::1", "fe80::1%eth0",
                                        "db_1.example.com" };
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++) {
        DR_FREE char *word = dr_strdup(good[i]);
        DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
        assert_int_equal(command(&(struct config_ssh){ .host = word }, &argv), DR_OK);
        assert_string_equal(argv.items[argv.count - 2], good[i]);
        assert_string_equal(argv.items[argv.count - 3], "--");
        assert_string_equal(argv.items[argv.count - 1], "drctl step --remote");
    }
}

static void a_known_host_key_is_always_wanted_and_nothing_is_forwarded(void **state)
{
    (void)state;
    static const char *const wanted[] = { "StrictHostKeyChecking=yes",
                                          "BatchMode=yes",
                                          "ControlPath=none",
                                          "ClearAllForwardings=yes",
                                          "ForwardAgent=no",
                                          "ForwardX11=no",
                                          "RequestTTY=no",
                                          "ServerAliveInterval=5",
                                          "ConnectTimeout=3",
                                          "GlobalKnownHostsFile=/dev/null",
                                          "UserKnownHostsFile=\"/k/a b%%h\"",
                                          "IdentityFile=\"/k/id\"",
                                          "IdentitiesOnly=yes" };
    char host[] = "eu", known[] = "/k/a b%h", identity[] = "/k/id", program[] = "/opt/my drctl";
    const struct config_ssh ssh = { .host = host,
                                    .known_hosts = known,
                                    .identity = identity,
                                    .program = program,
                                    .port = 2222,
                                    .timeout_ms = 2500 };
    DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
    assert_int_equal(command(&ssh, &argv), DR_OK);
    for (size_t i = 0; i < DR_ARRAY_LEN(wanted); i++)
        assert_true(text_list_has(&argv, wanted[i]));
    assert_string_equal(argv.items[argv.count - 1], "'/opt/my drctl' step --remote");
    assert_true(text_list_has(&argv, "2222"));
}

static void a_path_that_ssh_would_take_apart_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "relative", "/a\"b", "/a\\b", "/${HOME}/x", "/a\nb" };
    char host[] = "eu";
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        DR_FREE char *path = dr_strdup(bad[i]);
        DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
        assert_int_equal(command(&(struct config_ssh){ .host = host, .known_hosts = path }, &argv),
                         DR_E_CONFIG);
        assert_int_equal(command(&(struct config_ssh){ .host = host, .identity = path }, &argv),
                         DR_E_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shell_reads_a_quoted_word_byte_by_byte),
        cmocka_unit_test(a_plain_word_stays_as_it_is),
        cmocka_unit_test(a_host_or_user_that_is_more_than_a_name_is_refused),
        cmocka_unit_test(addresses_and_names_are_hosts),
        cmocka_unit_test(a_known_host_key_is_always_wanted_and_nothing_is_forwarded),
        cmocka_unit_test(a_path_that_ssh_would_take_apart_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
