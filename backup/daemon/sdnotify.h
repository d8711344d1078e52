/*
 * sdnotify.h - a word to the service manager: sd_notify(3), spoken directly.
 *
 * The protocol is one datagram of lines to the socket in NOTIFY_SOCKET. Without that variable, nothing is said. The
 * variables are taken out of the environment by sdnotify_init(): our children are not to speak for us.
 *
 *     sdnotify_init(&sd);
 *     sdnotify_say(&sd, "READY=1\nSTATUS=waiting");
 *     each half of sd.watchdog_ms at the latest: sdnotify_say(&sd, "WATCHDOG=1")
 */
#ifndef BACKUP_DAEMON_SDNOTIFY_H
#define BACKUP_DAEMON_SDNOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include "dr/base/base.h"

struct sdnotify {
    struct sockaddr_un to;
    socklen_t to_size;   /* 0: nobody listens */
    int64_t watchdog_ms; /* killed after so long without a word; 0: not watched */
};

void sdnotify_init(struct sdnotify *ret);

/* Not being heard is no failure of ours. */
void sdnotify_say(const struct sdnotify *sd, const char *lines);

/* RELOADING=1 with the time that the manager wants beside it. */
void sdnotify_say_reloading(const struct sdnotify *sd);

#endif
