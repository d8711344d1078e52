/*
 * remember.c - a small list an endpoint, in memory and in a file.
 *
 * The file is read once a process; the list is then what this process saw. Writers of several
 * processes are kept apart by a lock on the directory's "lock" file, which nobody waits for.
 * Files are written without holding the mutex: a slow disk must not hold up other endpoints.
 */
#include "dr/net/remember.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/net/addr.h"

static const char MAGIC[] = "drctl addresses 1\n";

enum { FILE_MAX = 1024, HOST_MAX = 253, ENDPOINTS_MAX = 1024 };

struct endpoint {
    char *name; /* "HOST,PORT": of the file too */
    struct text_list addresses;
    bool stored;       /* the file holds at least one of them */
    int64_t stored_ms; /* when it was written last by us; valid when wrote */
    bool wrote;
};

struct remember {
    char *dir;            /* or NULL */
    pthread_mutex_t lock; /* guards all below */
    struct endpoint *endpoints;
    size_t count;
};

static pthread_mutex_t *lock(struct remember *r)
{
    DR_ASSERT(pthread_mutex_lock(&r->lock) == 0);
    return &r->lock;
}

static void unlock(pthread_mutex_t **held)
{
    DR_ASSERT(pthread_mutex_unlock(*held) == 0);
}
#define HOLD(r) DR_CLEANUP(unlock) pthread_mutex_t *held = lock(r)

struct remember *remember_new(const char *dir)
{
    struct remember *r = dr_alloc(1, sizeof(*r));
    r->dir = dir != NULL ? dr_strdup(dir) : NULL;
    DR_ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    return r;
}

void remember_free(struct remember *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++) {
        free(r->endpoints[i].name);
        text_list_fini(&r->endpoints[i].addresses);
    }
    free(r->endpoints);
    free(r->dir);
    (void)pthread_mutex_destroy(&r->lock); /* nobody waits */
    free(r);
}

/* "HOST,PORT" in lower case; NULL for an address, or what cannot be a file's name. */
static char *name_of(const char *host, const char *port)
{
    struct net_addr numeric;
    size_t len = strlen(host);
    if (len == 0 || len > HOST_MAX || host[0] == '.' || net_addr_parse(host, 0, &numeric) ||
        port[strspn(port, "0123456789")] != '\0' || strlen(port) > 5)
        return NULL;
    char *name = dr_strf("%s,%s", host, port);
    for (size_t i = 0; i < len; i++) {
        name[i] = (char)tolower((unsigned char)name[i]);
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-._", name[i]) == NULL) {
            free(name);
            return NULL;
        }
    }
    return name;
}

/* All of it, or nothing: half a file is a damaged one. */
static bool parse(const char *text, struct text_list *ret)
{
    if (!text_starts(text, MAGIC))
        return false;
    for (const char *at = text + strlen(MAGIC); *at != '\0';) {
        struct net_addr addr;
        size_t len = strcspn(at, "\n");
        DR_FREE char *line = dr_memdup(at, len);
        if (at[len] != '\n' || ret->count == REMEMBER_MAX || strchr(line, '/') != NULL ||
            !net_addr_parse(line, 0, &addr) || net_addr_port((struct sockaddr *)&addr.sa) != 0)
            return false;
        text_list_add(ret, line);
        at += len + 1;
    }
    return ret->count > 0;
}

static void read_file(const char *dir, const char *name, struct text_list *ret)
{
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list list = { 0 };
    struct dr_err ignored = { 0 }; /* what cannot be read is not known */
    if (fs_read_file(path, FILE_MAX, &bytes, &ignored) != DR_OK || bytes.len == 0 ||
        strlen(bytes.data) != bytes.len || !parse(bytes.data, &list))
        return;
    *ret = list;
    list = (struct text_list){ 0 };
}

/* Under the lock. NULL: there are too many. */
static struct endpoint *find(struct remember *r, const char *name)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->endpoints[i].name, name) == 0)
            return &r->endpoints[i];
    return NULL;
}

/* Known, from now on: its file was looked for. */
static void know(struct remember *r, const char *name)
{
    {
        HOLD(r);
        if (find(r, name) != NULL)
            return;
    }
    struct text_list list = { 0 };
    if (r->dir != NULL)
        read_file(r->dir, name, &list);
    HOLD(r);
    if (find(r, name) != NULL || r->count == ENDPOINTS_MAX) {
        text_list_fini(&list);
        return;
    }
    r->endpoints = dr_realloc(r->endpoints, r->count + 1, sizeof(*r->endpoints));
    r->endpoints[r->count++] =
        (struct endpoint){ .name = dr_strdup(name), .addresses = list, .stored = list.count > 0 };
}

/* The address becomes the first of the list. True: the list should be written, and text is it. */
static bool put_first(struct remember *r, const char *name, const char *address, struct buf *text)
{
    HOLD(r);
    struct endpoint *e = find(r, name);
    if (e == NULL)
        return false;
    bool known = text_list_has(&e->addresses, address);
    struct text_list list = { 0 };
    text_list_add(&list, address);
    for (size_t i = 0; i < e->addresses.count && list.count < REMEMBER_MAX; i++)
        if (strcmp(e->addresses.items[i], address) != 0)
            text_list_add(&list, e->addresses.items[i]);
    text_list_fini(&e->addresses);
    e->addresses = list;
    int64_t now_ms = clock_boot_ms();
    if (r->dir == NULL || (known && e->stored) ||
        (e->stored && e->wrote && now_ms < e->stored_ms + REMEMBER_WRITE_MS))
        return false;
    buf_adds(text, MAGIC);
    for (size_t i = 0; i < list.count; i++)
        buf_addf(text, "%s\n", list.items[i]);
    return true;
}

/* DR_E_BUSY: another process writes just now. */
static enum dr_rc write_file(const char *dir, const char *name, const struct buf *text,
                             struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/lock", dir);
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return dr_fail(err, DR_E_BUSY, "'%s' is held by another process", path);
    return fs_replace(dir, name, text->data, text->len, err);
}

enum dr_rc remember_note(struct remember *r, const char *host, const char *port,
                         const char *address, struct dr_err *err)
{
    struct net_addr addr;
    DR_FREE char *name = name_of(host, port);
    if (name == NULL || strchr(address, '/') != NULL || !net_addr_parse(address, 0, &addr))
        return DR_OK;
    know(r, name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    if (!put_first(r, name, address, &text))
        return DR_OK;
    enum dr_rc rc = write_file(r->dir, name, &text, err);
    if (rc == DR_E_BUSY)
        return DR_OK;
    if (rc == DR_OK) {
        HOLD(r);
        struct endpoint *e = find(r, name);
        DR_ASSERT(e != NULL); /* none ever goes */
        e->stored = e->wrote = true;
        e->stored_ms = clock_boot_ms();
    }
    return rc;
}

void remember_recall(struct remember *r, const char *host, const char *port, struct text_list *ret)
{
    DR_FREE char *name = name_of(host, port);
    if (name == NULL)
        return;
    know(r, name);
    HOLD(r);
    const struct endpoint *e = find(r, name);
    for (size_t i = 0; e != NULL && i < e->addresses.count; i++)
        text_list_add(ret, e->addresses.items[i]);
}
