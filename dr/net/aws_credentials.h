/*
 * aws_credentials.h - with which keys requests are signed, found where the AWS tools find them.
 *
 * Kinds, and what each reads:
 *
 *   keys         what the caller gives
 *   environment  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   profile      ~/.aws/credentials or AWS_SHARED_CREDENTIALS_FILE; profile as given, or AWS_PROFILE,
 *                or "default". Read strictly: a mistake is an error with file and line
 *   container    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, with the token of
 *                AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN
 *   instance     metadata service version 2 (token, role, credentials), at
 *                AWS_EC2_METADATA_SERVICE_ENDPOINT or 169.254.169.254; AWS_EC2_METADATA_DISABLED
 *   NULL         environment, profile, container, instance: the first that is set up. One that is
 *                set up wrongly is an error, not a reason to go on to the next
 *
 * Temporary keys are kept until 5 minutes before they expire; then one thread fetches new ones while the
 * others use the old. Expired keys are never given out. Secrets are wiped when they are freed and appear
 * in no message. Requests pass the gate. Any thread may call.
 */
#ifndef DR_NET_AWS_CREDENTIALS_H
#define DR_NET_AWS_CREDENTIALS_H

#include "dr/net/gate.h"

struct aws_credentials;

struct aws_credentials_options {
    const char *kind;                                    /* or NULL: the chain */
    const char *access_key, *secret_key, *session_token; /* of kind keys; token may be NULL */
    const char *profile;                                 /* of kind profile; or NULL */
    struct gate *gate;                                   /* borrowed for its life; or NULL */
    int64_t fetch_ms; /* one fetch from container or instance, at most; 0: 5 s */
};

/* A copy for one or more requests; the caller ends it. */
struct aws_keys {
    char *access_key, *secret_key;
    char *session_token; /* or NULL */
    int64_t expires_ns;  /* wall time; 0: never */
};

void aws_keys_fini(struct aws_keys *k); /* wipes them */

/* Options are copied; nothing is read yet. DR_E_CONFIG: an unknown kind, or keys that are missing. */
enum dr_rc aws_credentials_new(const struct aws_credentials_options *o,
                               struct aws_credentials **ret, struct dr_err *err) DR_MUST_USE;
void aws_credentials_free(struct aws_credentials *c);
DR_DEFINE_CLEANUP(struct aws_credentials, aws_credentials_free)

/*
 * The keys of now. DR_E_DENIED: there are none; the message lists each source that was tried and what
 * it said, the hint what to do. DR_E_CONFIG: a file or variable is wrong. DR_E_TRANSIENT,
 * DR_E_TIMEOUT: a service did not answer and there are no keys that still hold. DR_E_REFUSED: it is
 * in a dark region.
 */
enum dr_rc aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret, struct dr_err *err)
    DR_MUST_USE;

/* The server called keys with this access key expired or unknown: the next get reads them anew. */
void aws_credentials_distrust(struct aws_credentials *c, const char *access_key);

/* The source that the keys came from ("profile 'default' of '/root/.aws/credentials'") and what is to be
 * warned about (a file that others can read) or "". Both valid after a get; the caller frees. */
char *aws_credentials_source(struct aws_credentials *c) DR_MUST_USE;
char *aws_credentials_warning(struct aws_credentials *c) DR_MUST_USE;

#endif
