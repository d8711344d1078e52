/*
 * aws_source.h - the places where keys may be, one function each, for aws_credentials.c.
 *
 * A source answers DR_E_NOTFOUND when it is not set up here, with a message that says so, and
 * another code when it is and does not work. It keeps nothing between two calls. What the environment says
 * was read once, when the credentials were made: the environment of a process with threads is not to be
 * read later.
 */
#ifndef DR_NET_AWS_SOURCE_H
#define DR_NET_AWS_SOURCE_H

#include "dr/net/aws_credentials.h"

/* Variables that count; NULL: not set, or empty. Owned. */
struct aws_environment {
    char *access_key, *secret_key, *session_token;
    char *profile, *file, *home;
    char *relative_uri, *full_uri, *token, *token_file;
    char *endpoint, *disabled;
};

/* What a source may look at besides. Nothing else is read: a test makes such a world whole. */
struct aws_world {
    struct aws_environment env;
    char *profile; /* given by name, or NULL */
    struct gate *gate;
    int64_t fetch_ms;
};

/* What it gives, on success only; ends with aws_found_fini(). */
struct aws_found {
    struct aws_keys keys;
    char *source;  /* in words */
    char *warning; /* or NULL */
};

typedef enum dr_rc aws_find(const struct aws_world *w, struct aws_found *ret, struct dr_err *err);

/* Copies what is set now; nobody may set variables meanwhile. The second wipes the copies. */
void aws_environment_read(struct aws_environment *env);
void aws_environment_fini(struct aws_environment *env);

void aws_found_fini(struct aws_found *f);

/* Wipe a string and free it; NULL is fine. */
void aws_wipe(char *secret);

aws_find aws_find_environment, aws_find_profile, aws_find_container, aws_find_instance;

/* -- aws_profile.c ------------------------------------------------------------------------- */

/* The keys of a profile out of the text of a credentials file; path is for messages. DR_E_NOTFOUND:
 * there is no such profile (with the nearest one as a hint). DR_E_CONFIG: "FILE:LINE: ...". */
enum dr_rc aws_profile_parse(const char *path, const char *text, const char *profile,
                             struct aws_keys *ret, struct dr_err *err) DR_MUST_USE;

/* -- aws_service.c ------------------------------------------------------------------------- */

/* The keys out of what a service answered ("AccessKeyId", "SecretAccessKey", "Token",
 * "Expiration"). The message repeats nothing of it. */
enum dr_rc aws_service_parse(const char *what, const char *bytes, size_t len, struct aws_keys *ret,
                             struct dr_err *err) DR_MUST_USE;

#endif
