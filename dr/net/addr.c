/*
 * addr.c - numeric addresses, written and compared in one way.
 *
 * A port is read apart from the address, because "::1" and "127.0.0.1:53" look alike to
 * nobody but a parser: an IPv6 address with a port must stand in brackets.
 */
#include "dr/net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static bool port_parse(const char *text, uint16_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    unsigned long port = strtoul(text, NULL, 10);
    if (port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

/* "ADDRESS[:PORT]" or "[ADDRESS][:PORT]" into its parts. host has size bytes. */
static bool split(const char *text, char *host, size_t size, uint16_t *port)
{
    const char *end;
    const char *colon = strchr(text, ':');
    if (text[0] == '[') {
        text++;
        end = strchr(text, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return false;
        colon = end[1] == ':' ? end + 1 : NULL;
    } else if (colon && strchr(colon + 1, ':')) {
        end = text + strlen(text);
        colon = NULL;
    } else {
        end = colon ? colon : text + strlen(text);
    }
    if ((size_t)(end - text) >= size || (colon && !port_parse(colon + 1, port)))
        return false;
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    return true;
}

bool net_addr_parse(const char *text, uint16_t default_port, struct net_addr *ret)
{
    struct net_addr addr = { 0 };
    if (text[0] == '/') {
        struct sockaddr_un *un = (struct sockaddr_un *)&addr.sa;
        if (strlen(text) >= sizeof(un->sun_path))
            return false;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, text, strlen(text) + 1);
        addr.len = sizeof(*un);
        *ret = addr;
        return true;
    }
    char host[INET6_ADDRSTRLEN];
    uint16_t port = default_port;
    if (!split(text, host, sizeof(host), &port))
        return false;
    struct sockaddr_in *in = (struct sockaddr_in *)&addr.sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr.sa;
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        addr.len = sizeof(*in);
    } else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        addr.len = sizeof(*in6);
    } else {
        return false;
    }
    *ret = addr;
    return true;
}

char *net_addr_print(const struct sockaddr *sa, char out[NET_ADDR_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, host,
                  sizeof(host));
        snprintf(out, NET_ADDR_TEXT_MAX, "%s:%u", host, net_addr_port(sa));
    } else if (sa->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, host,
                  sizeof(host));
        snprintf(out, NET_ADDR_TEXT_MAX, "[%s]:%u", host, net_addr_port(sa));
    } else if (sa->sa_family == AF_UNIX) {
        snprintf(out, NET_ADDR_TEXT_MAX, "%s",
                 ((const struct sockaddr_un *)(const void *)sa)->sun_path);
    } else {
        snprintf(out, NET_ADDR_TEXT_MAX, "address of family %d", sa->sa_family);
    }
    return out;
}

uint16_t net_addr_port(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port);
    if (sa->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
    return 0;
}

/* Any Internet address as 16 bytes, so that one form is compared. */
static bool host_bytes(const struct sockaddr *sa, uint8_t out[16])
{
    if (sa->sa_family == AF_INET) {
        memset(out, 0, 10);
        memset(out + 10, 0xff, 2);
        memcpy(out + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
        return true;
    }
    return false;
}

bool net_addr_same_host(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family == AF_UNIX && b->sa_family == AF_UNIX)
        return strcmp(((const struct sockaddr_un *)(const void *)a)->sun_path,
                      ((const struct sockaddr_un *)(const void *)b)->sun_path) == 0;
    uint8_t bytes_a[16], bytes_b[16];
    return host_bytes(a, bytes_a) && host_bytes(b, bytes_b) && memcmp(bytes_a, bytes_b, 16) == 0;
}
