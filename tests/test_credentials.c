/*
 * AWS credentials: found where the AWS tools find them, kept while they hold, never sent when expired,
 * and never told in a message. Runs under TSan, against services that this test plays.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/time.h"
#include "dr/net/aws_source.h"
#include "tests/support/loopserver.h"
#include "tests/support/servers.h"
#include "tests/support/spoil.h"

#define SECRET "s3cr3t+/ofTheTest"
#define MINUTE (INT64_C(60) * 1000000000)

static const char *const variables[] = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_DISABLED",
};

static char dir[160];
static struct clock_ops real_clock;
static _Atomic int64_t later_ns; /* than it really is */

static struct world {
    struct aws_credentials *c;
    struct aws_keys keys;
    struct dr_err err;
    struct loopserver *server;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    bool shut;                  /* answers wait */
    unsigned waiting, given;    /* keys are numbered: "AK1", "AK2" */
    unsigned fail, fail_status; /* so many answers are that status */
    int64_t lifetime_ns;
    bool no_role;
    const char *instead;  /* of the JSON; or NULL */
    struct text_list log; /* "GET /path token" */
} w;

static int64_t fake_wall(void)
{
    return real_clock.wall_ns() + later_ns;
}

static int64_t fake_boot(void)
{
    return real_clock.boot_ns() + later_ns;
}

/* -- the services -------------------------------------------------------------------------- */

static bool say_text(int fd, const char *text)
{
    return loopserver_say(fd, 200, "", text, strlen(text));
}

static bool say_keys(int fd)
{
    char at[TIME_TEXT_MAX];
    pthread_mutex_lock(&w.lock);
    w.waiting++;
    pthread_cond_broadcast(&w.changed);
    while (w.shut)
        pthread_cond_wait(&w.changed, &w.lock);
    w.waiting--;
    time_print_s(fake_wall() + w.lifetime_ns, at);
    DR_FREE char *json =
        dr_strf("{\"Code\":\"Success\",\"AccessKeyId\":\"AK%u\",\"SecretAccessKey\":\"" SECRET
                "\",\"Token\":\"T/%u\",\"Expiration\":\"%s\"}",
                w.given + 1, w.given + 1, at);
    w.given++;
    const char *instead = w.instead;
    pthread_mutex_unlock(&w.lock);
    return say_text(fd, instead != NULL ? instead : json);
}

static bool answer(void *arg, const struct loopserver_request *q)
{
    char token[128], ttl[32];
    (void)arg;
    loopserver_header(q, "authorization", token, sizeof(token));
    if (token[0] == '\0')
        loopserver_header(q, "x-aws-ec2-metadata-token", token, sizeof(token));
    loopserver_header(q, "x-aws-ec2-metadata-token-ttl-seconds", ttl, sizeof(ttl));
    DR_FREE char *line = dr_strf("%s %s %s%s", q->method, q->target, token, ttl);
    pthread_mutex_lock(&w.lock);
    text_list_add(&w.log, line);
    bool fails = w.fail > 0;
    w.fail -= fails;
    bool no_role = w.no_role;
    pthread_mutex_unlock(&w.lock);
    if (fails)
        return loopserver_say(q->fd, (int)w.fail_status, "", SECRET, strlen(SECRET));
    if (strcmp(q->target, "/latest/api/token") == 0)
        return say_text(q->fd, "imds-token==");
    if (strcmp(q->target, "/latest/meta-data/iam/security-credentials/") == 0)
        return no_role ? loopserver_say(q->fd, 404, "", "", 0) : say_text(q->fd, "the-role\n");
    return say_keys(q->fd);
}

static char *log_text(void)
{
    pthread_mutex_lock(&w.lock);
    char *text = text_list_join(&w.log, "\n");
    pthread_mutex_unlock(&w.lock);
    return text;
}

/* -- set-up -------------------------------------------------------------------------------- */

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    snprintf(dir, sizeof(dir), "%s/test_credentials.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    for (size_t i = 0; i < DR_ARRAY_LEN(variables); i++)
        unsetenv(variables[i]);
    memset(&w, 0, sizeof(w));
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    w.lifetime_ns = 60 * MINUTE;
    w.fail_status = 500;
    w.server = loopserver_start(answer, NULL);
    set("HOME", dir);
    DR_FREE char *closed = dr_strf("http://127.0.0.1:%d", server_free_port());
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", closed); /* never the real one */
    later_ns = 0;
    real_clock = dr_clock;
    dr_clock = (struct clock_ops){ .wall_ns = fake_wall, .boot_ns = fake_boot };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    aws_keys_fini(&w.keys);
    aws_credentials_free(w.c);
    loopserver_stop(w.server);
    text_list_fini(&w.log);
    dr_clock = real_clock;
    return fs_remove_tree(dir, &w.err) == DR_OK ? 0 : -1;
}

static void make(const char *kind)
{
    aws_credentials_free(DR_TAKE(w.c));
    struct aws_credentials_options o = { .kind = kind };
    assert_int_equal(aws_credentials_new(&o, &w.c, &w.err), DR_OK);
}

static enum dr_rc get(void)
{
    aws_keys_fini(&w.keys);
    w.err = (struct dr_err){ 0 };
    enum dr_rc rc = aws_credentials_get(w.c, &w.keys, &w.err);
    assert_null(strstr(w.err.msg, SECRET));
    assert_null(strstr(w.err.hint, SECRET));
    return rc;
}

static enum dr_rc get_of(const char *kind)
{
    make(kind);
    return get();
}

static void assert_access(const char *access_key)
{
    assert_int_equal(get(), DR_OK);
    assert_string_equal(w.keys.access_key, access_key);
    assert_string_equal(w.keys.secret_key, SECRET);
}

static void use_container(const char *path)
{
    DR_FREE char *url = dr_strf("http://127.0.0.1:%d%s", loopserver_port(w.server), path);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
}

static void use_instance(void)
{
    DR_FREE char *url = dr_strf("http://127.0.0.1:%d/", loopserver_port(w.server));
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
}

static char *put_file(const char *name, const char *text, mode_t mode)
{
    DR_FREE char *parent = dr_strf("%s/.aws", dir);
    char *path = dr_strf("%s/%s", parent, name);
    assert_int_equal(fs_make_dirs(parent, 0700, &w.err), DR_OK);
    assert_int_equal(fs_replace(parent, name, text, strlen(text), &w.err), DR_OK);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

/* -- keys and environment ------------------------------------------------------------------ */

static void keys_of_the_configuration_are_given_back(void **state)
{
    (void)state;
    struct aws_credentials_options o = {
        .kind = "keys", .access_key = "AK", .secret_key = SECRET, .session_token = "T"
    };
    assert_int_equal(aws_credentials_new(&o, &w.c, &w.err), DR_OK);
    assert_access("AK");
    assert_string_equal(w.keys.session_token, "T");
    assert_int_equal(w.keys.expires_ns, 0);
    aws_credentials_distrust(w.c, "AK"); /* there are no others */
    assert_access("AK");
    struct aws_credentials *none = NULL;
    o.secret_key = "";
    assert_int_equal(aws_credentials_new(&o, &none, &w.err), DR_E_CONFIG);
    o.kind = "key";
    assert_int_equal(aws_credentials_new(&o, &none, &w.err), DR_E_CONFIG);
    assert_non_null(strstr(w.err.msg, "'key' are not known"));
    assert_null(none);
}

static void environment_gives_keys_or_says_which_is_missing(void **state)
{
    (void)state;
    assert_int_equal(get_of("environment"), DR_E_DENIED);
    assert_non_null(strstr(w.err.msg, "AWS_ACCESS_KEY_ID is not set"));
    set("AWS_ACCESS_KEY_ID", "AKENV");
    assert_int_equal(get_of("environment"), DR_E_CONFIG);
    assert_non_null(strstr(w.err.msg, "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not"));
    set("AWS_SECRET_ACCESS_KEY", SECRET);
    make("environment");
    assert_access("AKENV");
    assert_null(w.keys.session_token);
    set("AWS_SESSION_TOKEN", "TOK");
    make("environment");
    assert_access("AKENV");
    assert_string_equal(w.keys.session_token, "TOK");
    DR_FREE char *source = aws_credentials_source(w.c);
    assert_string_equal(source, "the environment");
}

/* -- profile ------------------------------------------------------------------------------- */

#define PAIR "aws_access_key_id = AK\naws_secret_access_key = " SECRET "\n"

static void a_credentials_file_is_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum dr_rc rc;
        const char *words;
    } rows[] = {
        { "[default]\n" PAIR, DR_OK, "" },
        { "\n# of us\n; too\n[other]\nregion = eu\n\n[default]\r\n" PAIR, DR_OK, "" },
        { "[default]\naws_access_key_id=AK\n\taws_x=1\n", DR_E_CONFIG, "F:3: the line begins" },
        { "[default]\n" PAIR "s3 =\n  max = 1\n  # x\n  min = 2\nregion = x\n", DR_OK, "" },
        { "[default]\n" PAIR "s3 =\nregion = x\n  min = 2\n", DR_E_CONFIG, "F:6: the line begins" },
        { "[default]\n" PAIR PAIR, DR_E_CONFIG, "F:4: 'aws_access_key_id' is there twice" },
        { "[default]\n" PAIR "[default]\n", DR_E_CONFIG, "F:4: profile 'default' is there twice" },
        { "[default\n" PAIR, DR_E_CONFIG, "F:1: a profile is written" },
        { "[]\n" PAIR, DR_E_CONFIG, "F:1: a profile is written" },
        { "[ ]\n" PAIR, DR_E_CONFIG, "F:1: a profile is written" },
        { PAIR, DR_E_CONFIG, "F:1: a key before the first" },
        { "[default]\n" SECRET "\n", DR_E_CONFIG, "F:2: neither" },
        { "[default]\n= " SECRET "\n", DR_E_CONFIG, "F:2: neither" },
        { "[default]\naws secret = " SECRET "\n", DR_E_CONFIG, "F:2: neither" },
        { "[default]\naws_secret_access_key =\n", DR_E_CONFIG, "F:2: 'aws_secret_access_key' is" },
        { "[default]\naws_secret_access_key = " SECRET " # mine\n", DR_E_CONFIG, "F:2: 'aws_sec" },
        { "[default]\n" PAIR "\x01\n", DR_E_CONFIG, "F:4: a control character" },
        { "[default]\naws_access_key_id = AK\n", DR_E_CONFIG, "has no aws_secret_access_key" },
        { "[default]\nrole_arn = x\nsource_profile = y\n", DR_E_CONFIG, "by 'source_profile'" },
        { "[other]\nrole_arn = x\nsso_session = y\n[default]\n" PAIR, DR_OK, "" },
        { "[defalt]\n" PAIR, DR_E_NOTFOUND, "'F' has no profile 'default'" },
        { "", DR_E_NOTFOUND, "'F' has no profile 'default'" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct dr_err err = { 0 };
        enum dr_rc rc = aws_profile_parse("F", rows[i].text, "default", &w.keys, &err);
        if (rc != rows[i].rc || strstr(err.msg, rows[i].words) == NULL)
            fail_msg("row %zu: %s: %s", i, dr_rc_name(rc), err.msg);
        assert_null(strstr(err.msg, SECRET));
        if (rc == DR_OK) {
            assert_string_equal(w.keys.access_key, "AK");
            assert_string_equal(w.keys.secret_key, SECRET);
        }
        aws_keys_fini(&w.keys);
    }
}

static void profiles_are_found_by_file_and_name(void **state)
{
    (void)state;
    assert_int_equal(get_of("profile"), DR_E_DENIED);
    assert_non_null(strstr(w.err.msg, "there is no '"));
    DR_FREE char *home = put_file("credentials", "[default]\n" PAIR, 0600);
    make("profile");
    assert_access("AK");
    DR_FREE char *source = aws_credentials_source(w.c), *warning = aws_credentials_warning(w.c);
    DR_FREE char *want = dr_strf("profile 'default' of '%s'", home);
    assert_string_equal(source, want);
    assert_string_equal(warning, "");

    DR_FREE char *other = put_file("other",
                                   "[work]\naws_access_key_id=AKW\naws_secret_access_key=" SECRET
                                   "\naws_session_token=T\n",
                                   0600);
    set("AWS_SHARED_CREDENTIALS_FILE", other);
    assert_int_equal(get_of("profile"), DR_E_CONFIG); /* it names a file without 'default' */
    set("AWS_PROFILE", "wrok");
    assert_int_equal(get_of("profile"), DR_E_CONFIG);
    assert_string_equal(w.err.hint, "Did you mean profile 'work'?");
    set("AWS_PROFILE", "work");
    make("profile");
    assert_access("AKW");
    assert_string_equal(w.keys.session_token, "T");
    set("AWS_PROFILE", "nobody"); /* what is given by name wins */
    aws_credentials_free(DR_TAKE(w.c));
    struct aws_credentials_options o = { .kind = "profile", .profile = "work" };
    assert_int_equal(aws_credentials_new(&o, &w.c, &w.err), DR_OK);
    assert_access("AKW");
}

static void a_file_that_others_can_read_is_warned_about(void **state)
{
    (void)state;
    DR_FREE char *path = put_file("credentials", "[default]\n" PAIR, 0640);
    make("profile");
    assert_access("AK");
    DR_FREE char *warning = aws_credentials_warning(w.c);
    assert_non_null(strstr(warning, path));
    assert_non_null(strstr(warning, "(mode 0640): chmod 600"));
}

static bool accepts_profile(void *arg, const void *data, size_t len)
{
    (void)arg;
    struct aws_keys keys = { 0 };
    struct dr_err err = { 0 };
    DR_FREE char *text = dr_memdup(data, len);
    bool good = aws_profile_parse("F", text, "default", &keys, &err) == DR_OK;
    aws_keys_fini(&keys);
    return good;
}

static bool accepts_json(void *arg, const void *data, size_t len)
{
    (void)arg;
    struct aws_keys keys = { 0 };
    struct dr_err err = { 0 };
    bool good = aws_service_parse("it", data, len, &keys, &err) == DR_OK;
    aws_keys_fini(&keys);
    return good;
}

static void spoiled_answers_and_files_are_read_within_bounds(void **state)
{
    (void)state;
    static const char profile[] = "[a]\ns3 =\n  x = 1\n[default]\n" PAIR;
    static const char json[] = "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S\",\"Token\":\"T\","
                               "\"Expiration\":\"2030-01-01T00:00:00Z\"}";
    struct buf text = { 0 };
    buf_adds(&text, profile);
    print_message("  profile: %u spoiled forms are accepted\n",
                  spoil_all(accepts_profile, NULL, &text));
    buf_clear(&text);
    buf_adds(&text, json);
    print_message("  JSON: %u spoiled forms are accepted\n", spoil_all(accepts_json, NULL, &text));
    buf_fini(&text);
}

/* -- container ----------------------------------------------------------------------------- */

static void container_is_asked_with_its_token(void **state)
{
    (void)state;
    assert_int_equal(get_of("container"), DR_E_DENIED);
    assert_non_null(strstr(w.err.msg, "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor"));
    use_container("/role/x");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "plain");
    make("container");
    assert_access("AK1");
    assert_string_equal(w.keys.session_token, "T/1");
    DR_FREE char *file = put_file("token", "from-file\n", 0600);
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file);
    make("container");
    assert_access("AK2");
    DR_FREE char *log = log_text();
    assert_string_equal(log, "GET /role/x plain\nGET /role/x from-file");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere/token");
    assert_int_equal(get_of("container"), DR_E_CONFIG);
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "two\r\nX-Lines: 1");
    assert_int_equal(get_of("container"), DR_E_CONFIG);
}

static void a_containers_token_is_not_carried_to_strangers(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "http://192.0.2.1/x",
        "http://localhost.example.com/x",
        "http://127.0.0.1.example.com/",
        "http://1.2.3.4@192.0.2.1/",
        "http://[2001:db8::1]/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "x",
    };
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", SECRET);
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        set("AWS_CONTAINER_CREDENTIALS_FULL_URI", rows[i]);
        assert_int_equal(get_of("container"), DR_E_CONFIG);
        assert_non_null(strstr(w.err.msg, "AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    }
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@192.0.2.1/");
    assert_int_equal(get_of("container"), DR_E_CONFIG);
}

static void a_service_that_stumbles_is_asked_again_and_one_that_refuses_is_not(void **state)
{
    (void)state;
    use_container("/x");
    w.fail = 2;
    make("container");
    assert_access("AK1");
    assert_int_equal(loopserver_requests(w.server), 3);
    w.fail = 9;
    assert_int_equal(get_of("container"), DR_E_TRANSIENT);
    assert_int_equal(loopserver_requests(w.server), 6);
    w.fail = 1;
    w.fail_status = 403;
    assert_int_equal(get_of("container"), DR_E_DENIED);
    assert_int_equal(loopserver_requests(w.server), 7);
}

static void an_answer_that_is_no_set_of_keys_is_refused_without_repeating_it(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum dr_rc rc;
    } rows[] = {
        { "", DR_E_CORRUPT },
        { "<html>" SECRET "</html>", DR_E_CORRUPT },
        { "[\"" SECRET "\"]", DR_E_CORRUPT },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"" SECRET "\"}", DR_E_CORRUPT },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"" SECRET
          "\",\"Token\":\"\",\"Expiration\":\"soon\"}",
          DR_E_CORRUPT },
        { "{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"" SECRET
          "\",\"Token\":\"\",\"Expiration\":\"2999-01-01T00:00:00Z\"}",
          DR_E_CORRUPT },
        { "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"" SECRET "\"}", DR_E_DENIED },
        { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"" SECRET
          "\",\"Token\":\"\",\"Expiration\":\"2001-01-01T00:00:00Z\"}",
          DR_E_DENIED },
    };
    use_container("/x");
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        w.instead = rows[i].json;
        assert_int_equal(get_of("container"), rows[i].rc);
    }
    assert_non_null(strstr(w.err.msg, "keys that expired at 2001-01-01T00:00:00Z"));
}

/* -- instance ------------------------------------------------------------------------------ */

static void instance_is_asked_for_token_role_and_keys(void **state)
{
    (void)state;
    use_instance();
    make("instance");
    assert_access("AK1");
    DR_FREE char *log = log_text(), *source = aws_credentials_source(w.c);
    assert_string_equal(log,
                        "PUT /latest/api/token 21600\n"
                        "GET /latest/meta-data/iam/security-credentials/ imds-token==\n"
                        "GET /latest/meta-data/iam/security-credentials/the-role imds-token==");
    assert_string_equal(source, "role 'the-role' of this instance");
    w.no_role = true;
    assert_int_equal(get_of("instance"), DR_E_DENIED);
    assert_non_null(strstr(w.err.msg, "this instance has no role"));
    set("AWS_EC2_METADATA_DISABLED", "TRUE");
    unsigned before = loopserver_requests(w.server);
    assert_int_equal(get_of("instance"), DR_E_DENIED);
    assert_int_equal(loopserver_requests(w.server), before);
    set("AWS_EC2_METADATA_DISABLED", "false");
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "gopher://x");
    assert_int_equal(get_of("instance"), DR_E_CONFIG);
}

static void a_dark_region_gives_no_keys_and_is_counted(void **state)
{
    (void)state;
    use_instance();
    DR_CLEANUP(gate_free_ptr) struct gate *g = gate_new();
    gate_dark(g, "us-east-1", server_at(loopserver_port(w.server)));
    struct aws_credentials_options o = { .gate = g };
    assert_int_equal(aws_credentials_new(&o, &w.c, &w.err), DR_OK);
    assert_int_equal(get(), DR_E_REFUSED);
    assert_int_equal(gate_refused(g), 1);
    assert_int_equal(loopserver_connections(w.server), 0);
    aws_credentials_free(DR_TAKE(w.c));
}

/* -- chain --------------------------------------------------------------------------------- */

static void the_chain_takes_the_first_that_is_set_up(void **state)
{
    (void)state;
    use_instance();
    make(NULL);
    assert_access("AK1");
    use_container("/x");
    make(NULL);
    assert_access("AK2");
    DR_FREE char *log = log_text();
    assert_true(text_ends(log, "\nGET /x "));
    DR_FREE char *file = put_file("credentials", "[default]\n" PAIR, 0600);
    make(NULL);
    assert_access("AK");
    set("AWS_ACCESS_KEY_ID", "AKENV");
    set("AWS_SECRET_ACCESS_KEY", SECRET);
    make(NULL);
    assert_access("AKENV");
}

static void the_chain_says_all_that_it_tried(void **state)
{
    (void)state;
    assert_int_equal(get_of(NULL), DR_E_DENIED);
    static const char *const words[] = { "environment: AWS_ACCESS_KEY_ID is not set",
                                         "profile: there is no '", "container: neither",
                                         "instance: the instance's metadata service" };
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        assert_non_null(strstr(w.err.msg, words[i]));
    assert_non_null(strstr(w.err.hint, "AWS_SECRET_ACCESS_KEY"));
}

static void what_is_set_up_wrongly_ends_the_chain(void **state)
{
    (void)state;
    use_instance();
    DR_FREE char *file = put_file("credentials", "[default]\naws_access_key_id AK\n", 0600);
    DR_FREE char *place = dr_strf("%s:2: ", file);
    assert_int_equal(get_of(NULL), DR_E_CONFIG);
    assert_non_null(strstr(w.err.msg, place));
    set("AWS_ACCESS_KEY_ID", "AKENV");
    assert_int_equal(get_of(NULL), DR_E_CONFIG);
    assert_non_null(strstr(w.err.msg, "AWS_SECRET_ACCESS_KEY is not"));
    assert_int_equal(loopserver_requests(w.server), 0);
}

/* -- keeping ------------------------------------------------------------------------------- */

static void keys_are_kept_until_five_minutes_before_they_expire(void **state)
{
    (void)state;
    use_container("/x");
    make(NULL);
    for (int i = 0; i < 10; i++)
        assert_access("AK1");
    later_ns = 54 * MINUTE;
    assert_access("AK1");
    assert_int_equal(w.given, 1);
    later_ns = 56 * MINUTE;
    assert_access("AK2");
    assert_access("AK2");
    assert_int_equal(w.given, 2);
}

static void old_keys_serve_while_the_service_fails_but_not_once_expired(void **state)
{
    (void)state;
    use_container("/x");
    make(NULL);
    assert_access("AK1");
    later_ns = 56 * MINUTE;
    w.fail = 1000;
    assert_access("AK1");
    unsigned asked = loopserver_requests(w.server);
    assert_access("AK1"); /* and the service is not asked at each call */
    assert_int_equal(loopserver_requests(w.server), asked);
    later_ns = 61 * MINUTE;
    assert_int_equal(get(), DR_E_TRANSIENT);
    assert_null(w.keys.access_key);
    assert_non_null(strstr(w.err.msg, "'container'"));
    w.fail = 0;
    assert_access("AK2");
}

static void distrusted_keys_are_fetched_anew(void **state)
{
    (void)state;
    use_container("/x");
    make(NULL);
    assert_access("AK1");
    aws_credentials_distrust(w.c, "AK0"); /* others than ours: already replaced */
    assert_access("AK1");
    aws_credentials_distrust(w.c, "AK1");
    assert_access("AK2");
    assert_access("AK2");
}

static void *get_in_thread(void *arg)
{
    char *ret = arg;
    struct aws_keys keys = { 0 };
    struct dr_err err = { 0 };
    if (aws_credentials_get(w.c, &keys, &err) == DR_OK)
        snprintf(ret, 16, "%s", keys.access_key);
    else
        snprintf(ret, 16, "%s", dr_rc_name(err.rc));
    aws_keys_fini(&keys);
    return NULL;
}

static void set_shut(bool shut)
{
    pthread_mutex_lock(&w.lock);
    w.shut = shut;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
}

static void wait_for_one_at_the_service(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&w.lock);
    int rc = 0;
    while (w.waiting == 0 && rc == 0)
        rc = pthread_cond_timedwait(&w.changed, &w.lock, &until);
    pthread_mutex_unlock(&w.lock);
    assert_int_equal(rc, 0);
}

static void one_thread_fetches_while_others_use_the_old_keys(void **state)
{
    (void)state;
    use_container("/x");
    make(NULL);
    assert_access("AK1");
    later_ns = 56 * MINUTE;
    set_shut(true);
    char got[16];
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, get_in_thread, got), 0);
    wait_for_one_at_the_service();
    assert_access("AK1");
    set_shut(false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(got, "AK2");
    assert_access("AK2");
    assert_int_equal(w.given, 2);
}

static void many_threads_without_keys_wait_for_one_fetch(void **state)
{
    (void)state;
    use_container("/x");
    make(NULL);
    char got[8][16];
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, got[i]), 0);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_string_equal(got[i], "AK1");
    }
    assert_int_equal(w.given, 1);
}

#define FACT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(keys_of_the_configuration_are_given_back),
        FACT(environment_gives_keys_or_says_which_is_missing),
        FACT(a_credentials_file_is_read_strictly),
        FACT(profiles_are_found_by_file_and_name),
        FACT(a_file_that_others_can_read_is_warned_about),
        FACT(spoiled_answers_and_files_are_read_within_bounds),
        FACT(container_is_asked_with_its_token),
        FACT(a_containers_token_is_not_carried_to_strangers),
        FACT(a_service_that_stumbles_is_asked_again_and_one_that_refuses_is_not),
        FACT(an_answer_that_is_no_set_of_keys_is_refused_without_repeating_it),
        FACT(instance_is_asked_for_token_role_and_keys),
        FACT(a_dark_region_gives_no_keys_and_is_counted),
        FACT(the_chain_takes_the_first_that_is_set_up),
        FACT(the_chain_says_all_that_it_tried),
        FACT(what_is_set_up_wrongly_ends_the_chain),
        FACT(keys_are_kept_until_five_minutes_before_they_expire),
        FACT(old_keys_serve_while_the_service_fails_but_not_once_expired),
        FACT(distrusted_keys_are_fetched_anew),
        FACT(one_thread_fetches_while_others_use_the_old_keys),
        FACT(many_threads_without_keys_wait_for_one_fetch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
