/* meter.c - bench_meter runs a command and tells what it cost; it also reads trees into the page cache.
 *
 *     bench_meter run OUT COMMAND...   one JSON object in the file OUT; exits as the command does
 *     bench_meter warm PATH...         read every regular file at or below each PATH
 *     bench_meter count PATH           print how many regular files, links and bytes lie below it
 *
 * What is measured, and how:
 *   wall_s       from just before fork to the exit of the command
 *   user_s sys_s of the command and all children it waited for (wait4)
 *   max_rss_kib  the largest resident size of one process (wait4). This program is small, so that the size
 *                which a child inherits from its parent at exec does not show, as it would under Python.
 *   rss_anon_kib the largest sum of RssAnon over the command and its descendants, looked at every 20 ms.
 *                Mapped files are not in it. A command that ends sooner has one look at most: 0 is "not seen".
 *   rchar wchar read_bytes write_bytes
 *                /proc/PID/io, read when the command has ended and before it is reaped: complete, with the
 *                children it waited for. rchar is what read() returned, whether from cache or disk.
 * The command runs in this process's directory with its descriptors.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MS = 20,
    DESCENDANTS_MAX = 64,
    BUFFER_SIZE = 1 << 20,
    OPEN_DIRS = 32,
};

static char buffer[BUFFER_SIZE];
static unsigned long long files, links, bytes;

static _Noreturn void stop(const char *what)
{
    err(125, "%s", what);
}

/* -- looking at a process ---------------------------------------------------------------------------- */

/* A small file of /proc as text, and closed; empty when it is gone. */
static void slurp_fd(int fd, char *text, size_t size)
{
    ssize_t got = fd >= 0 ? read(fd, text, size - 1) : 0;

    text[got > 0 ? got : 0] = '\0';
    if (fd >= 0) {
        (void)close(fd); /* read only */
    }
}

static void slurp(const char *path, char *text, size_t size)
{
    slurp_fd(open(path, O_RDONLY | O_CLOEXEC), text, size);
}

/* The number behind KEY in a text of lines "KEY: NUMBER"; 0 when it is not there. */
static unsigned long long value_of(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* Append the children of PID to PIDS; any thread may have made them. */
static size_t add_children(pid_t pid, pid_t *pids, size_t count)
{
    char path[600], text[2048];
    struct dirent *task;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    dir = opendir(path);
    while (dir != NULL &&
           (task = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        char *at = text, *end;

        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/children", pid, task->d_name);
        slurp(path, text, sizeof text);
        for (long child = strtol(at, &end, 10); end != at && count < DESCENDANTS_MAX;
             child = strtol(at, &end, 10)) {
            pids[count++] = (pid_t)child;
            at = end;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir); /* read only */
    }
    return count;
}

static unsigned long long rss_anon(pid_t pid)
{
    pid_t pids[DESCENDANTS_MAX] = { pid };
    size_t count = 1;
    unsigned long long sum = 0;

    for (size_t i = 0; i < count; i++) {
        char path[64], text[4096];

        (void)snprintf(path, sizeof path, "/proc/%d/status", pids[i]);
        slurp(path, text, sizeof text);
        sum += value_of(text, "RssAnon:");
        count = add_children(pids[i], pids, count);
    }
    return sum;
}

/* -- run ----------------------------------------------------------------------------------------------- */

static double seconds_since(const struct timespec *from)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Wait for the end of PID, looking at its memory meanwhile; it stays to be reaped. */
static unsigned long long watch(pid_t pid)
{
    struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
    unsigned long long most = 0;

    if (ended.fd < 0) {
        stop("pidfd_open");
    }
    for (int wait_ms = 2; poll(&ended, 1, wait_ms) == 0; wait_ms = LOOK_MS) {
        unsigned long long now = rss_anon(pid);

        most = now > most ? now : most;
    }
    (void)close(ended.fd); /* nothing was written */
    return most;
}

/* Start COMMAND, held before its exec until /proc/PID/io is open (of a process that has ended, only root
 * may open it), then let go. */
static pid_t start(char **command, int *ret_io)
{
    char path[64], go;
    int gate[2];
    pid_t pid;

    if (pipe2(gate, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        stop("fork");
    }
    if (pid == 0) {
        (void)close(gate[1]); /* read returns 0 when the other end is closed, too */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* who measures no more leaves nothing running */
        if (read(gate[0], &go, 1) == 0) {
            (void)execvp(command[0], command);
        }
        stop(command[0]);
    }
    (void)snprintf(path, sizeof path, "/proc/%d/io", pid);
    *ret_io = open(path, O_RDONLY | O_CLOEXEC);
    (void)close(gate[0]);
    (void)close(gate[1]); /* go */
    return pid;
}

static int run(const char *out_path, char **command)
{
    FILE *out = fopen(out_path, "we");
    char io[1024];
    int io_fd;
    unsigned long long anon;
    struct timespec from;
    struct rusage use;
    double wall;
    int status;
    pid_t pid;

    if (out == NULL) {
        stop(out_path);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    pid = start(command, &io_fd);
    anon = watch(pid);
    wall = seconds_since(&from);
    slurp_fd(io_fd, io, sizeof io);
    if (wait4(pid, &status, 0, &use) != pid) {
        stop("wait4");
    }
    status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    (void)fprintf(out,
                  "{\"exit\":%d,\"wall_s\":%.6f,\"user_s\":%.6f,\"sys_s\":%.6f,\"max_rss_kib\":%ld,"
                  "\"rss_anon_kib\":%llu,\"rchar\":%llu,\"wchar\":%llu,\"read_bytes\":%llu,"
                  "\"write_bytes\":%llu}\n",
                  status, wall, seconds(use.ru_utime), seconds(use.ru_stime), use.ru_maxrss, anon,
                  value_of(io, "rchar:"), value_of(io, "wchar:"), value_of(io, "\nread_bytes:"),
                  value_of(io, "\nwrite_bytes:"));
    if (fclose(out) != 0) {
        stop(out_path);
    }
    return status;
}

/* -- warm, count ----------------------------------------------------------------------------------------- */

static int warm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    int fd = type == FTW_F && S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    (void)ftw;
    while (fd >= 0 && read(fd, buffer, sizeof buffer) > 0) {
    }
    if (fd >= 0) {
        (void)close(fd); /* read only */
    }
    return 0;
}

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path;
    (void)ftw;
    if (type == FTW_F) {
        files++;
        bytes += (unsigned long long)st->st_size;
    } else if (type == FTW_SL) {
        links++;
    }
    return 0;
}

/* Show every entry at or below PATH to VISIT; 0 unless PATH cannot be read. */
static int walk(const char *path, __nftw_func_t visit)
{
    return nftw(path, visit, OPEN_DIRS, FTW_PHYS); /* NOLINT(concurrency-mt-unsafe): one thread */
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "run") == 0) {
        return run(argv[2], argv + 3);
    }
    if (argc >= 3 && strcmp(argv[1], "warm") == 0) {
        for (int i = 2; i < argc; i++) {
            (void)walk(argv[i], warm_one); /* what cannot be read stays cold */
        }
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "count") == 0) {
        if (walk(argv[2], count_one) != 0) {
            stop(argv[2]);
        }
        printf("%llu %llu %llu\n", files, links, bytes);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    (void)fputs("usage: bench_meter run OUT COMMAND... | warm PATH... | count PATH\n", stderr);
    return 2;
}
