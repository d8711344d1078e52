/*
 * aws_profile.c - the shared credentials file: "[PROFILE]" and "key = value", read strictly.
 *
 * A line that is not understood is an error with its place, also in a profile that is not ours: a
 * file that is half understood may hold a key that is half a key. What other tools put below an
 * empty value ("s3 =", then indented lines) is passed over. Messages name keys, never values.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/base/text.h"
#include "dr/net/aws_source.h"

enum { FILE_MAX = 1 << 20, PROFILES_MAX = 1000, VALUE_MAX = 16 << 10 };

struct reading {
    const char *path, *profile;
    unsigned line;
    struct text_list names; /* of profiles so far */
    bool ours;              /* the section at hand is */
    bool nested;            /* the value above is empty: indented lines belong to it */
    const char
        *elsewhere; /* a key of our profile that says how to get keys, as it is written here */
    struct aws_keys keys;
};

/* Other ways of a profile to its keys, which are not ours. */
static const char *const other_ways[] = {
    "role_arn",    "source_profile", "credential_process",      "credential_source",
    "sso_session", "sso_start_url",  "web_identity_token_file",
};

static enum dr_rc wrong(const struct reading *r, const char *what, struct dr_err *err)
{
    return dr_fail(err, DR_E_CONFIG, "%s:%u: %s", r->path, r->line, what);
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
        len--;
    text[len] = '\0';
    return text;
}

static enum dr_rc read_section(struct reading *r, char *line, struct dr_err *err)
{
    size_t len = strlen(line);
    if (line[len - 1] != ']' || len < 3)
        return wrong(r, "a profile is written '[NAME]'", err);
    line[len - 1] = '\0';
    const char *name = trim(line + 1);
    if (name[0] == '\0' || strpbrk(name, "[]") != NULL)
        return wrong(r, "a profile is written '[NAME]'", err);
    if (r->names.count == PROFILES_MAX)
        return wrong(r, "there are too many profiles", err);
    if (text_list_has(&r->names, name))
        return dr_fail(err, DR_E_CONFIG, "%s:%u: profile '%s' is there twice", r->path, r->line,
                       name);
    text_list_add(&r->names, name);
    r->ours = strcmp(name, r->profile) == 0;
    return DR_OK;
}

static enum dr_rc take_value(struct reading *r, char **slot, const char *key, const char *value,
                             struct dr_err *err)
{
    if (*slot != NULL)
        return dr_fail(err, DR_E_CONFIG, "%s:%u: '%s' is there twice", r->path, r->line, key);
    size_t len = strlen(value);
    bool good = len > 0 && len <= VALUE_MAX;
    for (size_t i = 0; i < len; i++)
        good &= value[i] > ' ' && value[i] < 127;
    if (!good)
        return dr_fail(err, DR_E_CONFIG,
                       "%s:%u: '%s' is empty, or has a blank or a character that no key has",
                       r->path, r->line, key);
    *slot = dr_strdup(value);
    return DR_OK;
}

static enum dr_rc read_pair(struct reading *r, char *line, struct dr_err *err)
{
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return wrong(r, "neither '[PROFILE]' nor 'key = value'", err);
    *equals = '\0';
    const char *key = trim(line), *value = trim(equals + 1);
    if (key[0] == '\0' || strpbrk(key, " \t") != NULL)
        return wrong(r, "neither '[PROFILE]' nor 'key = value'", err);
    if (r->names.count == 0)
        return wrong(r, "a key before the first '[PROFILE]'", err);
    r->nested = value[0] == '\0';
    if (!r->ours)
        return DR_OK;
    for (size_t i = 0; i < DR_ARRAY_LEN(other_ways); i++)
        if (strcmp(key, other_ways[i]) == 0)
            r->elsewhere = other_ways[i];
    if (strcmp(key, "aws_access_key_id") == 0)
        return take_value(r, &r->keys.access_key, key, value, err);
    if (strcmp(key, "aws_secret_access_key") == 0)
        return take_value(r, &r->keys.secret_key, key, value, err);
    if (strcmp(key, "aws_session_token") == 0)
        return take_value(r, &r->keys.session_token, key, value, err);
    return DR_OK;
}

static enum dr_rc read_line(struct reading *r, char *line, struct dr_err *err)
{
    bool indented = line[0] == ' ' || line[0] == '\t';
    char *text = trim(line);
    if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
        return DR_OK;
    for (const char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            return wrong(r, "a control character", err);
    if (indented)
        return r->nested ? DR_OK : wrong(r, "the line begins with a blank", err);
    r->nested = false;
    return text[0] == '[' ? read_section(r, text, err) : read_pair(r, text, err);
}

static enum dr_rc judge(struct reading *r, struct dr_err *err)
{
    if (!text_list_has(&r->names, r->profile)) {
        const char *near =
            text_nearest(r->profile, (const char *const *)r->names.items, r->names.count);
        (void)dr_fail(err, DR_E_NOTFOUND, "'%s' has no profile '%s'", r->path, r->profile);
        if (near != NULL)
            (void)dr_hint(err, "Did you mean profile '%s'?", near);
        return dr_not_ok(err->rc);
    }
    if (r->keys.access_key != NULL && r->keys.secret_key != NULL)
        return DR_OK;
    if (r->elsewhere != NULL) {
        (void)dr_fail(err, DR_E_CONFIG,
                      "'%s': profile '%s' gets its keys by '%s', which is not read here", r->path,
                      r->profile, r->elsewhere);
        return dr_hint(
            err,
            "Use a profile with aws_access_key_id and aws_secret_access_key, or give the keys in the environment.");
    }
    return dr_fail(err, DR_E_CONFIG, "'%s': profile '%s' has no %s", r->path, r->profile,
                   r->keys.access_key == NULL ? "aws_access_key_id" : "aws_secret_access_key");
}

enum dr_rc aws_profile_parse(const char *path, const char *text, const char *profile,
                             struct aws_keys *ret, struct dr_err *err)
{
    struct reading r = { .path = path, .profile = profile };
    enum dr_rc rc = DR_OK;
    for (const char *at = text; rc == DR_OK && *at != '\0';) {
        size_t len = strcspn(at, "\n");
        char *line = dr_memdup(at, len);
        r.line++;
        rc = read_line(&r, line, err);
        explicit_bzero(line, len);
        free(line);
        at += len + (at[len] == '\n');
    }
    if (rc == DR_OK)
        rc = judge(&r, err);
    text_list_fini(&r.names);
    if (rc == DR_OK)
        *ret = r.keys;
    else
        aws_keys_fini(&r.keys);
    return rc;
}

/* The text of the file, and a warning when others can read it. */
static enum dr_rc read_file(const char *path, char **ret_warning, struct buf *out,
                            struct dr_err *err)
{
    struct stat st;
    if (sys.fstatat(AT_FDCWD, path, &st, 0) != 0) {
        bool none = errno == ENOENT || errno == ENOTDIR;
        (void)dr_fail_sys(err, errno, "cannot look at '%s'", path);
        return none ? dr_fail(err, DR_E_NOTFOUND, "there is no '%s'", path) : dr_not_ok(err->rc);
    }
    DR_TRY(fs_read_file(path, FILE_MAX, out, err));
    if (out->len > 0 && strlen(out->data) != out->len)
        return dr_fail(err, DR_E_CONFIG, "'%s' is not a text", path);
    if ((st.st_mode & 077) != 0)
        *ret_warning = dr_strf("'%s' holds keys and others can read it (mode %04o): chmod 600 '%s'",
                               path, (unsigned)st.st_mode & 07777, path);
    return DR_OK;
}

static enum dr_rc find_in(const char *path, const char *profile, struct aws_found *ret,
                          struct dr_err *err)
{
    struct buf text = { 0 };
    DR_FREE char *warning = NULL;
    enum dr_rc rc = read_file(path, &warning, &text, err);
    if (rc == DR_OK)
        rc = aws_profile_parse(path, text.len > 0 ? text.data : "", profile, &ret->keys, err);
    if (text.cap > 0)
        explicit_bzero(text.data, text.cap);
    buf_fini(&text);
    if (rc != DR_OK)
        return rc;
    ret->source = dr_strf("profile '%s' of '%s'", profile, path);
    ret->warning = DR_TAKE(warning);
    return DR_OK;
}

enum dr_rc aws_find_profile(const struct aws_world *w, struct aws_found *ret, struct dr_err *err)
{
    const char *asked = w->profile != NULL ? w->profile : w->env.profile;
    if (w->env.file == NULL && w->env.home == NULL)
        return dr_fail(err, DR_E_NOTFOUND, "HOME is not set, nor AWS_SHARED_CREDENTIALS_FILE");
    DR_FREE char *path =
        w->env.file != NULL ? dr_strdup(w->env.file) : dr_strf("%s/.aws/credentials", w->env.home);
    enum dr_rc rc = find_in(path, asked != NULL ? asked : "default", ret, err);
    if (rc == DR_E_NOTFOUND && (asked != NULL || w->env.file != NULL)) {
        err->rc = DR_E_CONFIG; /* somebody said that it is there */
        return dr_not_ok(err->rc);
    }
    return rc;
}
