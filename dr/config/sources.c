/*
 * sources.c - the table of one source: a tree, what is left out of it, and the commands around a backup.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

static const char *const classes[] = { "data", "config", NULL };

/* A command: a list of words, or one line for the shell. */
static void read_command(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                         void *out)
{
    struct text_list *argv = out;
    if (value->kind == YAML_LIST) {
        if (reader_list(r, value, key->text, argv) && value->count == 0)
            reader_error(r, value, "empty", "'%s' is a command without a word", key->text);
        return;
    }
    char *line = NULL;
    if (!reader_text(r, value, key->text, &line))
        return;
    text_list_add(argv, "/bin/sh");
    text_list_add(argv, "-c");
    text_list_add(argv, line);
    free(line);
}

static void fini_command(void *out)
{
    text_list_fini(out);
}

static void finish_hooks(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_hooks *hooks = out;
    (void)r;
    (void)map;
    if (hooks->timeout_ms == 0)
        hooks->timeout_ms = CONFIG_HOOK_MS;
}

static const struct config_key hook_keys[] = {
    { "pre", KEY_OWN, AT(config_hooks, pre), .read = read_command, .fini = fini_command },
    { "post", KEY_OWN, AT(config_hooks, post), .read = read_command, .fini = fini_command },
    { "on_error", KEY_OWN, AT(config_hooks, on_error), .read = read_command, .fini = fini_command },
    { "timeout", KEY_DURATION, AT(config_hooks, timeout_ms) },
    { .name = NULL },
};
static const struct config_block hooks = { "'hooks'", hook_keys, sizeof(struct config_hooks),
                                           .at = KEY_NOWHERE, .finish = finish_hooks };

/* ---- the sentinel ------------------------------------------------------------------------------ */

struct told_sentinel {
    char *file, *by;
};

static const char *const writers[] = { "backupd", "application", NULL };

static const struct config_key sentinel_keys[] = {
    { "file", KEY_TEXT, .required = true, AT(told_sentinel, file) },
    { "by", KEY_CHOICE, AT(told_sentinel, by), .choices = writers },
    { .name = NULL },
};
static const struct config_block sentinel = {
    "'sentinel'",      sentinel_keys,          sizeof(struct told_sentinel),
    .at = KEY_NOWHERE, .name_to = KEY_NOWHERE,
};

/* A path alone: backupd writes it. */
static void read_sentinel(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                          void *out)
{
    struct config_source *source = out;
    struct told_sentinel told = { .file = NULL };
    if (value->kind != YAML_MAP) {
        if (reader_text(r, value, key->text, &told.file))
            source->sentinel = told.file;
        return;
    }
    block_read(r, &sentinel, value, &told);
    source->sentinel = told.file;
    source->sentinel_is_theirs = told.by != NULL && strcmp(told.by, "application") == 0;
    free(told.by);
}

static void fini_sentinel(void *out)
{
    free(((struct config_source *)out)->sentinel);
}

/* It is a path below the source: never outside of it. */
static void check_sentinel(struct reader *r, const struct yaml_node *map, const char *path)
{
    struct yaml_node *node = reader_value(map, "sentinel");
    if (node != NULL && node->kind == YAML_MAP)
        node = reader_value(node, "file");
    if (path == NULL || node == NULL)
        return;
    bool up = strcmp(path, "..") == 0 || text_starts(path, "../") || strstr(path, "/../") != NULL ||
              text_ends(path, "/..");
    bool no_file = strcmp(path, ".") == 0 || text_ends(path, "/") || text_ends(path, "/.");
    if (path[0] != '/' && !up && !no_file)
        return;
    reader_error(r, node, "sentinel",
                 no_file ? "'%s' is no name of a file" : "'%s' is not below the source's path",
                 path);
    diag_hint(r->d, "write it as seen from there: sentinel.json");
}

/* ---- a source ---------------------------------------------------------------------------------- */

static void finish_source(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_source *source = out;
    if (source->class == NULL)
        source->class = dr_strdup("data");
    if (source->timeout_ms == 0)
        source->timeout_ms = CONFIG_JOB_MS;
    check_sentinel(r, map, source->sentinel);
}

static const struct config_key source_keys[] = {
    { "name", KEY_NAME, .required = true, AT(config_source, name) },
    { "site", KEY_SITE, AT(config_source, site) },
    { "path", KEY_PATH, .required = true, AT(config_source, path) },
    { "class", KEY_CHOICE, AT(config_source, class), .choices = classes },
    { "exclude", KEY_LIST, AT(config_source, exclude) },
    { "hooks", KEY_BLOCK, AT(config_source, hooks), .block = &hooks },
    { "sentinel", KEY_OWN, .to = 0, .block = &sentinel, .read = read_sentinel,
      .fini = fini_sentinel },
    { "timeout", KEY_DURATION, AT(config_source, timeout_ms) },
    { .name = NULL },
};
const struct config_block config_source_block = {
    "a source",
    source_keys,
    sizeof(struct config_source),
    offsetof(struct config_source, at),
    .name_to = offsetof(struct config_source, name),
    .finish = finish_source,
};
