/*
 * sure.c - one question, one word for an answer; anything but "yes" is no.
 */
#include "dr/cli/sure.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/log.h"

enum sure cli_sure(struct cli *cli, const char *what)
{
    if (cli->yes)
        return SURE_YES;
    if (cli->json || isatty(STDIN_FILENO) != 1) {
        (void)cli_usage(cli, "nobody is there to confirm: %s; add --yes", what);
        return SURE_NOBODY;
    }
    char line[64];
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s? This cannot be undone. Type yes: ", what);
    bool yes = fgets(line, sizeof(line), stdin) != NULL;
    line[yes ? strcspn(line, "\r\n") : 0] = '\0';
    if (yes && (strcmp(line, "yes") == 0 || strcmp(line, "y") == 0))
        return SURE_YES;
    log_line(LOG_NOTICE, "nothing was changed");
    return SURE_NO;
}
