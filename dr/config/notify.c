/*
 * notify.c - the table of one channel: of what kind it is, where its letters go, by which secret.
 *
 * Which keys mean something hangs on the kind. What a kind needs and does not have is an error, for
 * nobody notices a channel that does not work until the night it is wanted; so is what it cannot use.
 */
#include <string.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

enum { URL_MAX_BYTES = 4096 };

/* ---- what each kind takes ------------------------------------------------------------------------ */

enum { URL = 1, URL_FILE = 2, SECRET = 4, FROM = 8, TO = 16, USER = 32, COMMAND = 64, CA = 128 };

static const struct {
    const char *name;
    unsigned bit;
} words[] = { { "url", URL }, { "url_file", URL_FILE }, { "secret", SECRET },   { "from", FROM },
              { "to", TO },   { "user", USER },         { "command", COMMAND }, { "ca", CA } };

static const struct {
    const char *kind;
    unsigned takes, needs; /* needs: all of these; url stands for url_file, too */
    const char *scheme[2]; /* of its url */
    const char *example;
} kinds[] = {
    { "slack",
      URL | URL_FILE | CA,
      URL,
      { "https://", "http://" },
      "{kind: slack, url_file: /etc/drctl/slack.url}" },
    { "pagerduty",
      URL | URL_FILE | SECRET | CA,
      SECRET,
      { "https://", "http://" },
      "{kind: pagerduty, secret: NAME}" },
    { "smtp",
      URL | URL_FILE | SECRET | FROM | TO | USER | CA,
      URL | FROM | TO,
      { "smtp://", "smtps://" },
      "{kind: smtp, url: \"smtp://HOST:25\", from: drctl@example.com, to: [ops@example.com]}" },
    { "webhook",
      URL | URL_FILE | SECRET | CA,
      URL,
      { "https://", "http://" },
      "{kind: webhook, url: \"https://HOST/PATH\", secret: NAME}" },
    { "command", COMMAND, COMMAND, { NULL, NULL }, "{command: [/usr/local/bin/page]}" },
};
static const char *const kind_words[] = {
    "slack", "pagerduty", "smtp", "webhook", "command", NULL
};

static size_t kind_index(const char *kind)
{
    size_t i = 0;
    while (i < DR_ARRAY_LEN(kinds) && strcmp(kinds[i].kind, kind) != 0)
        i++;
    return i;
}

/* The kind that needs not be written: a command, mail by its url, or the channel's own name. */
static const char *plain_kind(const struct config_channel *channel)
{
    if (channel->command.count > 0)
        return "command";
    if (channel->url != NULL &&
        (text_starts(channel->url, "smtp://") || text_starts(channel->url, "smtps://")))
        return "smtp";
    return kind_index(channel->name) < DR_ARRAY_LEN(kinds) ? channel->name : NULL;
}

/* ---- checks -------------------------------------------------------------------------------------- */

static bool check_words(struct reader *r, struct yaml_node *map, size_t kind)
{
    unsigned given = 0;
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++) {
        struct yaml_node *key = NULL;
        if (yaml_get(map, words[i].name, &key) == NULL)
            continue;
        given |= words[i].bit;
        if ((kinds[kind].takes & words[i].bit) != 0)
            continue;
        reader_error(r, key, "channel", "a channel of kind %s has no '%s'", kinds[kind].kind,
                     words[i].name);
        diag_hint(r->d, "%s", kinds[kind].example);
        return false;
    }
    if ((given & URL) != 0 && (given & URL_FILE) != 0) {
        reader_error(r, map, "channel", "a channel has a 'url' or a 'url_file', not both");
        return false;
    }
    if ((given & URL_FILE) != 0)
        given |= URL;
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        if ((kinds[kind].needs & words[i].bit & ~given) != 0) {
            reader_error(r, map, "channel", "a channel of kind %s needs '%s'", kinds[kind].kind,
                         words[i].name);
            diag_hint(r->d, "%s", kinds[kind].example);
            return false;
        }
    return true;
}

static void check_url(struct reader *r, const struct yaml_node *map, size_t kind)
{
    struct yaml_node *url = reader_value(map, "url");
    if (url == NULL || url->kind != YAML_SCALAR)
        return;
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds[kind].scheme); i++)
        if (text_starts(url->text, kinds[kind].scheme[i]) &&
            url->text[strlen(kinds[kind].scheme[i])] != '\0')
            return;
    reader_error(r, url, "url", "'%s' is not where a channel of kind %s goes", url->text,
                 kinds[kind].kind);
    diag_hint(r->d, "%s", kinds[kind].example);
}

/* RFC 5321 knows more; what is refused here is what would end a line of the letter or forge one. */
static void check_address(struct reader *r, struct yaml_node *node)
{
    if (node == NULL || node->kind != YAML_SCALAR || node->reported)
        return;
    const char *at = strrchr(node->text, '@');
    bool good = at != NULL && at != node->text && at[1] != '\0';
    for (const char *p = node->text; *p != '\0'; p++)
        good = good && (unsigned char)*p > ' ' && *p != 0x7f && strchr("<>,;", *p) == NULL;
    if (good)
        return;
    reader_error(r, node, "mail", "'%s' is not a mail address", node->text);
    diag_hint(r->d, "write ops@example.com");
}

static void check_mail(struct reader *r, struct yaml_node *map,
                       const struct config_channel *channel)
{
    struct yaml_node *to = reader_value(map, "to");
    check_address(r, reader_value(map, "from"));
    for (size_t i = 0; to != NULL && to->kind == YAML_LIST && i < to->count; i++)
        check_address(r, to->items[i]);
    if (to != NULL && to->kind == YAML_LIST && to->count == 0)
        reader_error(r, to, "empty", "'to' names nobody");
    if ((channel->user == NULL) == (channel->secret == NULL) || map->reported)
        return;
    reader_error(r, map, "channel", "'user' and 'secret' go together: the name and the password");
}

static void finish_channel(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_channel *channel = out;
    struct yaml_node *written = yaml_get(map, "kind", NULL);
    if (channel->kind == NULL) {
        const char *kind = plain_kind(channel);
        if (written != NULL) /* a mistake was told there */
            return;
        if (kind == NULL) {
            reader_error(r, map, "channel", "of what kind is channel '%s'?", channel->name);
            diag_hint(r->d, "kind: slack, pagerduty, smtp, webhook or command");
            return;
        }
        channel->kind = dr_strdup(kind);
    }
    size_t kind = kind_index(channel->kind);
    DR_ASSERT(kind < DR_ARRAY_LEN(kinds));
    if (!check_words(r, map, kind) || strcmp(channel->kind, "command") == 0)
        return;
    check_url(r, map, kind);
    if (strcmp(channel->kind, "smtp") == 0)
        check_mail(r, map, channel);
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const struct config_key channel_keys[] = {
    { "kind", KEY_CHOICE, AT(config_channel, kind), .choices = kind_words },
    { "url", KEY_TEXT, AT(config_channel, url) },
    { "url_file", KEY_PATH, AT(config_channel, url_file) },
    { "secret", KEY_SECRET, AT(config_channel, secret) },
    { "from", KEY_TEXT, AT(config_channel, from) },
    { "to", KEY_LIST, AT(config_channel, to) },
    { "user", KEY_TEXT, AT(config_channel, user) },
    { "command", KEY_ARGV, AT(config_channel, command) },
    { "ca", KEY_PATH, AT(config_channel, ca) },
    { .name = NULL },
};
const struct config_block config_channel_block = {
    "a channel",
    channel_keys,
    sizeof(struct config_channel),
    .at = offsetof(struct config_channel, at),
    .name_to = KEY_NOWHERE,
    .finish = finish_channel,
};

void config_read_notify(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config *c = out;
    if (!reader_is(r, value, YAML_MAP, key->text) || value->count == 0)
        return;
    c->channels = dr_alloc(value->count, sizeof(*c->channels));
    for (size_t i = 0; i < value->count; i++) {
        if (!reader_is_name(r, value->keys[i], "a channel's name") ||
            !reader_is(r, value->items[i], YAML_MAP, value->keys[i]->text))
            continue;
        struct config_channel *channel = &c->channels[c->channel_count++];
        channel->name = dr_strdup(value->keys[i]->text);
        block_read(r, &config_channel_block, value->items[i], channel);
    }
}

void config_fini_notify(void *out)
{
    struct config *c = out;
    for (size_t i = 0; i < c->channel_count; i++) {
        block_fini(&config_channel_block, &c->channels[i]);
        free(c->channels[i].name);
    }
    free(c->channels);
}

/* ---- questions ----------------------------------------------------------------------------------- */

enum dr_rc config_channel_url(const struct config *c, const struct config_channel *channel,
                              char **ret, struct dr_err *err)
{
    (void)c;
    if (channel->url != NULL) {
        *ret = dr_strdup(channel->url);
        return DR_OK;
    }
    if (channel->url_file == NULL)
        return dr_fail(err, DR_E_NOTFOUND, "channel '%s' has no url", channel->name);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    if (fs_read_file(channel->url_file, URL_MAX_BYTES, &bytes, err) != DR_OK)
        return dr_context(err, "the url of channel '%s'", channel->name);
    size_t len = 0;
    while (len < bytes.len && (unsigned char)bytes.data[len] > ' ')
        len++;
    if (len > 0)
        *ret = dr_memdup(bytes.data, len);
    if (bytes.data != NULL)
        explicit_bzero(bytes.data, bytes.len);
    if (len == 0)
        return dr_fail(err, DR_E_CONFIG, "'%s' holds no url for channel '%s'", channel->url_file,
                       channel->name);
    return DR_OK;
}
