/*
 * exec_start.c - from a url to what posix_spawn() wants.
 *
 * Links are resolved before the owner is looked at, and the resolved path is what is started: what
 * was checked is what runs, as long as only root and we can write there, which is the check.
 */
#include "backup/store/exec_start.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/store/exec.h"
#include "dr/base/mem.h"
#include "dr/data/duration.h"

enum { WORDS_MAX = 64, WORD_LEN_MAX = 4096 };

static const char scheme[] = "exec://";

void exec_start_fini(struct exec_start *p)
{
    for (char **w = p->argv; w != NULL && *w != NULL; w++)
        free(*w);
    for (char **w = p->env; w != NULL && *w != NULL; w++)
        free(*w);
    free(p->argv);
    free(p->env);
    free(p->program);
    *p = (struct exec_start){ 0 };
}

/* -- the url ----------------------------------------------------------------------------------- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL: a '%' without two digits, or a NUL. The caller frees. */
static char *decode(const char *text, size_t len)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_of(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_of(text[i + 2]) : -1;
            c = high < 0 || low < 0 ? 0 : (unsigned char)(high * 16 + low);
            i += 2;
        }
        if (c == 0)
            return NULL;
        buf_add(&out, &c, 1);
    }
    return out.len > 0 ? buf_take(&out) : dr_strdup("");
}

static enum dr_rc bad_url(const struct store_options *o, const char *what, struct dr_err *err)
{
    dr_fail(err, DR_E_CONFIG, "bucket '%s': %s in the url '%s'", o->name, what, o->url);
    return dr_hint(err, "It is exec:///ABSOLUTE/PROGRAM?KEY=VALUE&KEY=VALUE.");
}

static enum dr_rc take_timeout(const struct store_options *o, const char *text,
                               struct exec_start *p, struct dr_err *err)
{
    if (duration_parse(text, &p->timeout_ms) != QUANTITY_OK || p->timeout_ms < 1 ||
        p->timeout_ms > EXEC_TIMEOUT_MAX_MS)
        return bad_url(o, "timeout is no time between 1ms and 1h", err);
    return DR_OK;
}

static enum dr_rc take_words(const struct store_options *o, const char *query, struct exec_start *p,
                             struct dr_err *err)
{
    size_t count = 1;
    while (query != NULL) {
        const char *end = strchrnul(query, '&');
        size_t len = (size_t)(end - query);
        DR_FREE char *word = len <= WORD_LEN_MAX ? decode(query, len) : NULL;
        const char *equals = word != NULL ? strchr(word, '=') : NULL;
        if (equals == NULL || equals == word)
            return bad_url(o, "something that is no KEY=VALUE", err);
        if (text_starts(word, "timeout="))
            DR_TRY(take_timeout(o, equals + 1, p, err));
        else if (count < WORDS_MAX)
            p->argv[count++] = DR_TAKE(word);
        else
            return bad_url(o, "too many words", err);
        query = *end == '&' ? end + 1 : NULL;
    }
    return DR_OK;
}

/* -- the program ------------------------------------------------------------------------------- */

static enum dr_rc check_owner(const struct store_options *o, const char *path, bool folder,
                              struct dr_err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return dr_fail_sys(err, errno, "bucket '%s': cannot look at '%s'", o->name, path);
    if (!folder && (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0))
        return dr_fail(err, DR_E_CONFIG, "bucket '%s': '%s' is no program that may be run", o->name,
                       path);
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()))
        return DR_OK;
    dr_fail(err, DR_E_REFUSED, "bucket '%s': somebody else may write '%s'", o->name, path);
    return dr_hint(err, "chown root '%s', and chmod go-w it.", path);
}

static enum dr_rc find_program(const struct store_options *o, const char *named,
                               struct exec_start *p, struct dr_err *err)
{
    p->program = realpath(named, NULL);
    if (p->program == NULL) {
        dr_fail_sys(err, errno, "bucket '%s': cannot find the program '%s'", o->name, named);
        return dr_hint(err, "The url is exec:// and the absolute path: exec:///usr/libexec/NAME.");
    }
    DR_TRY(check_owner(o, p->program, false, err));
    DR_FREE char *folder = dr_strdup(p->program);
    char *slash = strrchr(folder, '/');
    slash[slash == folder] = '\0'; /* of "/name" the folder is "/" */
    return check_owner(o, folder, true, err);
}

/* Ours stand in front of what this process has, whose own of these names are left out. */
static void make_env(const struct store_options *o, struct exec_start *p)
{
    static const char prefix[] = "DRCTL_STORE_";
    const struct store_credentials *by = o->credentials;
    const char *const words[][2] = {
        { "VERSION", "1" },
        { "BUCKET", o->name },
        { "REGION", o->region != NULL ? o->region : "" },
        { "ACCESS_KEY", by != NULL ? by->access_key : NULL },
        { "SECRET_KEY", by != NULL ? by->secret_key : NULL },
        { "SESSION_TOKEN", by != NULL ? by->session_token : NULL },
        { "CA", o->ca },
    };
    size_t theirs = 0, count = 0;
    while (environ[theirs] != NULL)
        theirs++;
    p->env = dr_alloc(theirs + DR_ARRAY_LEN(words) + 1, sizeof(*p->env));
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++) {
        if (words[i][1] != NULL)
            p->env[count++] = dr_strf("%s%s=%s", prefix, words[i][0], words[i][1]);
    }
    for (size_t i = 0; i < theirs; i++) {
        if (!text_starts(environ[i], prefix))
            p->env[count++] = dr_strdup(environ[i]);
    }
}

enum dr_rc exec_start_of(const struct store_options *o, struct exec_start *ret, struct dr_err *err)
{
    DR_ASSERT(text_starts(o->url, scheme));
    DR_CLEANUP(exec_start_fini) struct exec_start p = { .timeout_ms = EXEC_TIMEOUT_MS };
    const char *path = o->url + strlen(scheme), *query = strchr(path, '?');
    DR_FREE char *named =
        query != NULL ? dr_strf("%.*s", (int)(query - path), path) : dr_strdup(path);
    DR_TRY(find_program(o, named, &p, err));
    p.argv = dr_alloc(WORDS_MAX + 1, sizeof(*p.argv));
    p.argv[0] = dr_strdup(p.program);
    DR_TRY(take_words(o, query != NULL ? query + 1 : NULL, &p, err));
    make_env(o, &p);
    *ret = p;
    p = (struct exec_start){ 0 };
    return DR_OK;
}
