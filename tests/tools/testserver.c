/*
 * testserver radosgw|plain DIR COUNT: S3 regions for shell tests, the demo and the benchmark.
 *
 * It starts COUNT regions, real ones (tests/support/radosgw.h) in DIR/r1, DIR/r2 ..., or plain HTTP servers that keep
 * a bucket in memory and cost next to nothing (tests/support/httpfault.h, a process each; only "env", "bucket"
 * and "kill"). Then it takes one command a line from its standard input and answers each with one line, "ok" or "failed":
 *
 *     env                          first the lines to source: S3_1_HTTP='http://127.0.0.1:PORT', S3_1_HTTPS,
 *                                  S3_1_VIRTUAL, S3_1_CA; S3_OWNER_KEY, S3_OWNER_SECRET, S3_SOURCE_..., S3_GUARD_..., S3_DRILL_...
 *     bucket N NAME plain|versioned|locked
 *     kill N                       SIGKILL to the front of region N; its objects stay
 *     again N                      the same front on the same ports
 *
 * The first line it says is "ok" when all are up. At the end of its input it stops them and ends, so that
 * nothing stays behind a shell that dies.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/text.h"
#include "tests/support/httpfault.h"
#include "tests/support/radosgw.h"

enum { REGIONS_MAX = 8 };

static struct radosgw regions[REGIONS_MAX];
static unsigned long count;

/* A plain server: a child that lives until the other end of its pipe is closed. */
static struct plain {
    pid_t pid;
    int life;
    char url[64];
} plains[REGIONS_MAX];
static bool real;

static bool say(bool good)
{
    puts(good ? "ok" : "failed");
    (void)fflush(stdout); /* who reads it notices */
    return good;
}

static bool tell_env(void)
{
    if (!real) {
        for (unsigned long i = 0; i < count; i++)
            printf("S3_%lu_HTTP='%s'\n", i + 1, plains[i].url);
        puts("S3_OWNER_KEY='plain'\nS3_OWNER_SECRET='plain'");
        return true;
    }
    const struct radosgw_user *const users[] = { &radosgw_owner, &radosgw_source, &radosgw_guard,
                                                 &radosgw_drill };
    static const char *const words[] = { "OWNER", "SOURCE", "GUARD", "DRILL" };
    for (unsigned long i = 0; i < count; i++) {
        const struct radosgw *r = &regions[i];
        printf("S3_%lu_HTTP='%s'\nS3_%lu_HTTPS='%s'\nS3_%lu_VIRTUAL='%s'\nS3_%lu_CA='%s'\n", i + 1,
               r->http, i + 1, r->https, i + 1, r->virtual_http, i + 1, r->ca);
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(users); i++)
        printf("S3_%s_KEY='%s'\nS3_%s_SECRET='%s'\n", words[i], users[i]->access_key, words[i],
               users[i]->secret_key);
    return true;
}

static bool make_bucket(struct radosgw *r, const char *name, const char *kind)
{
    static const char *const kinds[] = { "plain", "versioned", "locked" };
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++) {
        if (strcmp(kind, kinds[i]) == 0)
            return radosgw_make_bucket(r, name, (enum radosgw_bucket)i);
    }
    return false;
}

static _Noreturn void serve_plainly(int life, int tell)
{
    struct httpfault *h = httpfault_start();
    httpfault_bucket(h, "bench");
    const char *url = httpfault_url(h);
    bool told = write(tell, url, strlen(url) + 1) == (ssize_t)strlen(url) + 1;
    close(tell);
    char byte;
    bool ended = told && read(life, &byte, 1) == 0; /* nothing ever comes but the end */
    _exit(ended ? 0 : 1);
}

static bool start_plain(struct plain *p)
{
    int life[2];
    int tell[2];
    if (pipe2(life, O_CLOEXEC) != 0 || pipe2(tell, O_CLOEXEC) != 0)
        return false;
    p->pid = fork();
    if (p->pid == 0) {
        close(life[1]);
        for (unsigned long i = 0; i < count; i++)
            close(plains[i].life);
        serve_plainly(life[0], tell[1]);
    }
    close(life[0]);
    close(tell[1]);
    p->life = life[1];
    bool up = p->pid > 0 && read(tell[0], p->url, sizeof(p->url) - 1) > 0;
    close(tell[0]);
    return up;
}

static void end_plain(struct plain *p, bool at_once)
{
    if (p->pid == 0)
        return;
    if (at_once)
        kill(p->pid, SIGKILL);
    close(p->life);
    (void)waitpid(p->pid, NULL, 0);
    p->pid = 0;
}

static bool start(const char *dir)
{
    char name[16];
    snprintf(name, sizeof(name), "r%lu", count + 1);
    return real ? radosgw_start(&regions[count], dir, name) : start_plain(&plains[count]);
}

static bool obey_plainly(const char *verb, unsigned long n)
{
    if (strcmp(verb, "kill") == 0)
        end_plain(&plains[n - 1], true);
    return strcmp(verb, "kill") == 0 || strcmp(verb, "bucket") == 0;
}

static bool obey(char *line)
{
    char *rest = NULL;
    const char *verb = strtok_r(line, " \n", &rest);
    const char *number = strtok_r(NULL, " \n", &rest);
    if (verb == NULL)
        return false;
    if (strcmp(verb, "env") == 0)
        return tell_env();
    unsigned long n = number != NULL ? strtoul(number, NULL, 10) : 0;
    if (n < 1 || n > count)
        return false;
    if (!real)
        return obey_plainly(verb, n);
    struct radosgw *r = &regions[n - 1];
    if (strcmp(verb, "bucket") == 0) {
        const char *name = strtok_r(NULL, " \n", &rest);
        const char *kind = strtok_r(NULL, " \n", &rest);
        return name != NULL && kind != NULL && make_bucket(r, name, kind);
    }
    if (strcmp(verb, "kill") == 0) {
        radosgw_kill(r);
        return true;
    }
    return strcmp(verb, "again") == 0 && radosgw_again(r);
}

int main(int argc, char **argv)
{
    real = argc == 4 && strcmp(argv[1], "radosgw") == 0;
    if (argc != 4 || (!real && strcmp(argv[1], "plain") != 0)) {
        fputs("usage: testserver radosgw|plain DIR COUNT\n", stderr);
        return 2;
    }
    unsigned long wanted = strtoul(argv[3], NULL, 10);
    bool up = wanted >= 1 && wanted <= REGIONS_MAX;
    while (up && count < wanted) {
        up = start(argv[2]);
        count += up;
    }
    char line[512];
    if (say(up)) {
        while (fgets(line, sizeof(line), stdin) != NULL)
            say(obey(line));
    }
    for (unsigned long i = 0; i < count && real; i++)
        radosgw_stop(&regions[i]);
    for (unsigned long i = 0; i < count && !real; i++)
        end_plain(&plains[i], false);
    return up ? 0 : 1;
}
