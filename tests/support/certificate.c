/*
 * certificate.c - a P-256 pair and a certificate over it.
 */
#include "tests/support/certificate.h"

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

bool certificate_make(const char *names, const char *cert, const char *key)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, pair);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(x, ext, -1);
    X509_sign(x, pair, EVP_sha256());
    FILE *c = fopen(cert, "we"), *k = fopen(key, "we");
    bool ok =
        c && k && PEM_write_X509(c, x) && PEM_write_PrivateKey(k, pair, NULL, NULL, 0, NULL, NULL);
    if (c)
        fclose(c);
    if (k)
        fclose(k);
    X509_EXTENSION_free(ext);
    X509_free(x);
    EVP_PKEY_free(pair);
    return ok;
}
