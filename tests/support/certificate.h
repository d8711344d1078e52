/*
 * certificate.h - a certificate that signs itself, valid for an hour, for a server of a test.
 *
 * names: as OpenSSL writes subject alternative names: "IP:127.0.0.1" or "DNS:a.example.invalid". The files
 * are written as PEM; cert is also what a client trusts (its 'ca').
 */
#ifndef TESTS_SUPPORT_CERTIFICATE_H
#define TESTS_SUPPORT_CERTIFICATE_H

#include "dr/base/base.h"

bool certificate_make(const char *names, const char *cert, const char *key);

#endif
