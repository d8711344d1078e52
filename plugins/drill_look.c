/*
 * drill_look.c - drill.look: what production is now, as texts that can be compared field by field.
 *
 *     path      where a path of a source (or of a promotion) leads: link, real path, inode
 *     mounts    what is mounted at or below it (/proc/self/mountinfo)
 *     unit      what the service manager says of a unit: its answer and exit code
 *
 * It runs before a drill and after it; two equal texts mean that the thing is the one it was. An inode
 * tells a directory that was exchanged for another one of the same name. Nothing in here follows the
 * content of a tree: services write all the time, and that is no change by the drill.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "plugins/command.h"
#include "plugins/providers.h"

enum { MOUNTS_MAX = 4 << 20 };

static const char mountinfo[] = "/proc/self/mountinfo";

struct look {
    struct stage p;
    const struct config_site *at;
    json_t *fields;
};

static void look_fini(struct look *l)
{
    json_decref(l->fields);
    stage_fini(&l->p);
}

/* value NULL: it could not be read, and note says why. */
static void put_field(struct look *l, const char *what, const char *of, const char *value,
                      const char *note)
{
    json_t *o = json_object();
    DR_FREE char *name = dr_strf("%s %s", what, of);
    json_put(o, "name", json_printable(name));
    json_put(o, "value", value != NULL ? json_printable(value) : json_null());
    if (value == NULL)
        json_put(o, "note", json_printable(note));
    json_array_append_new(l->fields, o);
}

/* -- paths ------------------------------------------------------------------------------------- */

/* "-> gen-7, " of a link, else nothing. */
static void add_link(const char *path, struct buf *out)
{
    char to[PATH_MAX];
    ssize_t n = readlink(path, to, sizeof(to) - 1);
    if (n <= 0)
        return;
    to[n] = '\0';
    buf_addf(out, "-> %s, ", to);
}

static void look_at_path(struct look *l, const char *path)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    struct stat st;
    add_link(path, &out);
    if (stat(path, &st) == 0) {
        buf_addf(&out, "%s, inode %u:%u:%llu", S_ISDIR(st.st_mode) ? "directory" : "no directory",
                 (unsigned)(st.st_dev >> 8), (unsigned)(st.st_dev & 0xff),
                 (unsigned long long)st.st_ino);
    } else if (errno == ENOENT) {
        buf_adds(&out, "not there");
    } else {
        put_field(l, "path", path, NULL, strerrordesc_np(errno));
        return;
    }
    put_field(l, "path", path, out.data, NULL);
}

/* -- mounts ------------------------------------------------------------------------------------ */

/* "\040" and its like, in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        bool octal = from[0] == '\\' && strspn(from + 1, "01234567") >= 3;
        unsigned byte = octal ? (unsigned)(from[1] - '0') * 64 + (unsigned)(from[2] - '0') * 8 +
                                    (unsigned)(from[3] - '0')
                              : (unsigned char)*from;
        *to++ = (char)(unsigned char)byte;
        from += octal ? 3 : 0;
    }
    *to = '\0';
}

static bool is_at_or_below(const char *path, const char *top)
{
    size_t len = strlen(top);
    if (strcmp(top, "/") == 0)
        return true;
    return strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* id parent device root MOUNTPOINT options [tags] - TYPE SOURCE options */
static void add_mount(char *line, const char *top, struct text_list *ret)
{
    enum { MOUNTPOINT = 4 };
    char *rest = line, *word = NULL, *point = NULL;
    for (int i = 0; i <= MOUNTPOINT && (word = strsep(&rest, " ")) != NULL; i++)
        point = word;
    char *behind = rest != NULL ? strstr(rest, " - ") : NULL;
    if (point == NULL || behind == NULL)
        return;
    rest = behind + 3;
    const char *type = strsep(&rest, " ");
    char *source = strsep(&rest, " ");
    unescape(point);
    if (!is_at_or_below(point, top))
        return;
    DR_FREE char *told = dr_strf("%s (%s from %s)", point, type, source != NULL ? source : "?");
    text_list_add(ret, told);
}

static void look_at_mounts(struct look *l, const char *path)
{
    char real[PATH_MAX];
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list mounts = { 0 };
    struct dr_err err = { 0 };
    const char *top = realpath(path, real) != NULL ? real : path;
    if (fs_read_file(mountinfo, MOUNTS_MAX, &all, &err) != DR_OK) {
        put_field(l, "mounts at", path, NULL, err.msg);
        return;
    }
    char *rest = all.data;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
        add_mount(line, top, &mounts);
    text_list_sort(&mounts);
    DR_FREE char *told = text_list_join(&mounts, ", ");
    put_field(l, "mounts at", path, mounts.count > 0 ? told : "none", NULL);
}

/* -- units ------------------------------------------------------------------------------------- */

/* One word with "${unit}" and "${region}" filled in, as a promotion does. */
static void add_word(const struct look *l, const char *word, const char *unit,
                     struct text_list *argv)
{
    const char *const rows[][2] = { { "${unit}", unit },
                                    { "${region}", l->at != NULL ? l->at->region : "" } };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    buf_adds(&out, "");
    while (*word != '\0') {
        size_t taken = 0;
        for (size_t i = 0; i < DR_ARRAY_LEN(rows) && taken == 0; i++) {
            if (text_starts(word, rows[i][0])) {
                buf_adds(&out, rows[i][1]);
                taken = strlen(rows[i][0]);
            }
        }
        if (taken == 0)
            buf_addc(&out, *word);
        word += taken > 0 ? taken : 1;
    }
    text_list_add(argv, out.data);
}

static void look_at_unit(struct look *l, const char *unit)
{
    DR_CLEANUP(text_list_fini) struct text_list argv = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list env = { 0 };
    DR_CLEANUP(command_result_fini) struct command_result r = { 0 };
    const struct text_list *words = &l->p.config->providers.service_status;
    struct dr_err err = { 0 };
    char why[DR_ERR_MSG_MAX];
    for (size_t i = 0; i < words->count; i++)
        add_word(l, words->items[i], unit, &argv);
    if (command_run(&l->p, l->at, &argv, &env, &r, &err) != DR_OK) {
        put_field(l, "unit", unit, NULL, err.msg);
        return;
    }
    if (r.code < 0) {
        put_field(l, "unit", unit, NULL, command_tell(&r, "the status command", why));
        return;
    }
    DR_FREE char *value = dr_strf("status %d", r.code);
    put_field(l, "unit", unit, value, NULL);
}

/* -- the step ---------------------------------------------------------------------------------- */

static void each(struct look *l, const char *list, void (*fn)(struct look *, const char *))
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    stage_list(&l->p, list, &names);
    for (size_t i = 0; i < names.count; i++)
        fn(l, names.items[i]);
}

static enum step_verdict look(struct step_call *call)
{
    DR_CLEANUP(look_fini) struct look l = { .fields = json_array() };
    struct dr_err err = { 0 };
    if (stage_need_config(&l.p, call, &err) != DR_OK ||
        stage_at(&l.p, step_text(call, "at", NULL), &l.at, &err) != DR_OK)
        return stage_cannot_tell(&l.p, &err);
    each(&l, "paths", look_at_path);
    each(&l, "paths", look_at_mounts);
    each(&l, "units", look_at_unit);
    size_t count = json_array_size(l.fields);
    step_output(call, "fields", json_incref(l.fields));
    return stage_says(&l.p, STEP_PASS, "%zu fields", count);
}

const struct provider provider_drill_look = { .type = "drill.look", .check = look };
