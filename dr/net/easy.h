/*
 * easy.h - what every HTTP request of ours has in common, set up in one place.
 *
 * A request is a curl easy handle; http.h performs one at once, transfer.h many together. Both get here: a
 * URL that is http or https and nothing else, the gate (by name before the look-up, by address before
 * each connect), no redirects, no proxy of the environment, no signals, certificates verified by
 * name, TLS 1.2 or newer, and curl's verdict in our words and codes.
 */
#ifndef DR_NET_EASY_H
#define DR_NET_EASY_H

#include <curl/curl.h>

#include "dr/net/gate.h"

struct easy {
    CURL *curl;
    struct curl_slist *headers, *addresses;
    char *host, *port; /* of the URL; curl's memory. IPv6 hosts are in brackets */
    struct gate *gate; /* borrowed */
    bool connecting;   /* the name is known: a connection was begun */
    struct dr_err gate_err;
    int socket_errno; /* why no socket could be made; 0 */
    char words[CURL_ERROR_SIZE];
};

/* Read the URL, ask the gate about its host, make the handle. e: zeroed; it must not be moved
 * afterwards, and ends with easy_fini() also after a failure. DR_E_USAGE, DR_E_REFUSED, DR_E_NOMEM. */
enum dr_rc easy_init(struct easy *e, const char *url, struct gate *gate, struct dr_err *err)
    DR_MUST_USE;
void easy_fini(struct easy *e);

/* The common options; headers: "Name: value", ends with NULL, or NULL; ca: a file, or NULL. */
enum dr_rc easy_set_up(struct easy *e, const char *method, const char *const *headers,
                       const char *ca, struct dr_err *err) DR_MUST_USE;

/* The host is at these addresses ("192.0.2.1,2001:db8::1"), whatever a name service says. fleeting:
 * for a minute only, where connections are shared. */
void easy_set_addresses(struct easy *e, const char *list, bool fleeting);

/* A failure of curl ("HOST:PORT: its words"). A gate that refused is the gate's own error. */
enum dr_rc easy_judge(const struct easy *e, CURLcode code, struct dr_err *err) DR_MUST_USE;

#endif
