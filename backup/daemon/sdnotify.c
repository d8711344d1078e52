/*
 * sdnotify.c - one datagram.
 */
#include "backup/daemon/sdnotify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/sys.h"

/* NOLINTBEGIN(concurrency-mt-unsafe): at the start there is one thread */
static void find_socket(struct sdnotify *ret)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path != NULL ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(ret->to.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    ret->to.sun_family = AF_UNIX;
    memcpy(ret->to.sun_path, path, len);
    if (path[0] == '@')
        ret->to.sun_path[0] = '\0'; /* an abstract name: its length counts, and no NUL ends it */
    ret->to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
}

void sdnotify_init(struct sdnotify *ret)
{
    *ret = (struct sdnotify){ .to_size = 0 };
    const char *pid = getenv("WATCHDOG_PID"), *usec = getenv("WATCHDOG_USEC");
    bool ours = pid == NULL || strtoll(pid, NULL, 10) == (long long)getpid();
    find_socket(ret);
    if (usec != NULL && ours && ret->to_size > 0)
        ret->watchdog_ms = strtoll(usec, NULL, 10) / 1000;
    if (ret->watchdog_ms < 0)
        ret->watchdog_ms = 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
}
/* NOLINTEND(concurrency-mt-unsafe) */

void sdnotify_say(const struct sdnotify *sd, const char *lines)
{
    if (sd->to_size == 0)
        return;
    DR_CLEANUP(dr_close_fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    ssize_t sent;
    do
        sent = sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&sd->to,
                      sd->to_size);
    while (sent < 0 && errno == EINTR);
}

void sdnotify_say_reloading(const struct sdnotify *sd)
{
    struct timespec now;
    char lines[80];
    clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                   (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    sdnotify_say(sd, lines);
}
