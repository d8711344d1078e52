/*
 * Marks of processes. Everything comes from the kernel's own files: /proc/PID/stat has the start in
 * ticks since boot, which together with the boot id is never given twice to one process id.
 */
#include "backup/work/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"

enum { SMALL_FILE_MAX = 4096, HOST_MAX = 256, PIDNS_MAX = 64 };

/* The first line of a small file, or "". The caller frees. */
static char *first_line(const char *path)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err ignored = { 0 };
    if (fs_read_file(path, SMALL_FILE_MAX, &b, &ignored) != DR_OK || b.len == 0)
        return dr_strdup("");
    return dr_memdup(b.data, strcspn(b.data, "\n"));
}

enum { START_UNKNOWN = 0, START_ZOMBIE = -1 }; /* a zombie's work is over */

/* Field 22 of stat; the name in field 2 may hold spaces and brackets. */
static int64_t start_of(int64_t pid)
{
    DR_FREE char *path = dr_strf("/proc/%lld/stat", (long long)pid);
    DR_FREE char *line = first_line(path);
    const char *at = strrchr(line, ')');
    if (at == NULL || at[1] != ' ')
        return START_UNKNOWN;
    if (at[2] == 'Z' || at[2] == 'X')
        return START_ZOMBIE;
    at++;
    enum { FIELDS_BEFORE = 19 }; /* from field 3, where we are, to 22; 23 is a size that changes */
    for (int i = 0; i < FIELDS_BEFORE && at != NULL; i++)
        at = strchr(at + 1, ' ');
    return at == NULL ? START_UNKNOWN : (int64_t)strtoll(at + 1, NULL, 10);
}

json_t *process_mark(void)
{
    char host[HOST_MAX] = "", pidns[PIDNS_MAX] = "";
    (void)gethostname(host, sizeof(host) - 1); /* without a name nobody concludes anything */
    ssize_t len = readlink("/proc/self/ns/pid", pidns, sizeof(pidns) - 1);
    pidns[len > 0 ? len : 0] = '\0';
    DR_FREE char *boot = first_line("/proc/sys/kernel/random/boot_id");
    DR_FREE char *machine = first_line("/etc/machine-id");
    json_t *o = json_object();
    json_put(o, "boot", json_printable(boot));
    json_put(o, "host", json_printable(host));
    json_put(o, "machine", json_printable(machine));
    json_put_int(o, "pid", getpid());
    json_put_text(o, "pidns", pidns);
    json_put_int(o, "start", start_of(getpid()));
    return o;
}

static bool is_same(const json_t *a, const json_t *b, const char *key)
{
    const char *left = json_string_value(json_object_get(a, key));
    const char *right = json_string_value(json_object_get(b, key));
    return left != NULL && right != NULL && strcmp(left, right) == 0;
}

static bool is_told(const json_t *mark, const char *key)
{
    const char *text = json_string_value(json_object_get(mark, key));
    return text != NULL && text[0] != '\0';
}

bool process_is_dead(const json_t *mark)
{
    DR_JSON json_t *own = process_mark();
    if (!json_is_object(mark) || !is_told(mark, "host") || !is_told(mark, "boot") ||
        !is_told(own, "boot") || !is_same(mark, own, "host") || !is_same(mark, own, "machine"))
        return false;
    if (!is_same(mark, own, "boot"))
        return true; /* the host was started anew since */
    struct dr_err ignored = { 0 };
    int64_t pid, start;
    if (!is_told(mark, "pidns") || !is_same(mark, own, "pidns") ||
        json_get_int(mark, "pid", &pid, &ignored) != DR_OK ||
        json_get_int(mark, "start", &start, &ignored) != DR_OK || pid <= 0 || start <= 0)
        return false;
    int64_t now = start_of(pid);
    if (now != START_UNKNOWN)
        return now != start;
    /* No readable stat is not yet no process: /proc may hide those of others. */
    return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}
