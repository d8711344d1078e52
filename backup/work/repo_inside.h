/*
 * repo_inside.h - what the files of the repo share.
 *
 *     repo.c        open and close, whom to trust, one object
 *     repo_init.c   a repository in every bucket
 *     repo_list.c   all that lies in the buckets
 *     repo_find.c   the one that is meant, with few requests
 */
#ifndef BACKUP_WORK_REPO_INSIDE_H
#define BACKUP_WORK_REPO_INSIDE_H

#include <pthread.h>

#include "backup/work/repo.h"

struct leaving { /* what must end before the stores are closed */
    void (*fn)(void *arg);
    void *arg;
    struct leaving *next;
};

struct repo {
    const struct config *config;
    bool guard, planted;
    struct repo_bucket *buckets; /* owned; one for each of the configuration */
    size_t open;                 /* of them, at first */
    struct repository repository;
    char own_key[KEYS_TEXT_MAX]; /* public; empty: none yet */
    struct text_list inherited;  /* public keys that count as our own */
    struct hedge *hedge;         /* owned */
    pthread_mutex_t lock;        /* guards what is below */
    struct leaving *leaving;
    struct { /* the object that was found last, so that whoever reads it does not ask again */
        char id[SNAPSHOT_ID_MAX]; /* empty: none */
        struct buf object;
        struct text_list told; /* of copies that are not good: one line each */
    } kept;
};

/* The repository object of a bucket; DR_E_NOTFOUND. */
enum dr_rc repo_read_object(struct store *s, struct repository *ret, struct dr_err *err)
    DR_MUST_USE;

/* The next repo_load() of that id takes this object, and tells these lines. Both are taken over. */
void repo_keep(struct repo *r, const char *id, struct buf *object, struct text_list *told);

/* A frame of a list, from the first open bucket that has it right; for list_expand(), arg is the repo. */
struct list_frame;
enum dr_rc repo_list_frame(void *arg, const struct list_frame *frame, struct buf *out,
                           struct dr_err *err) DR_MUST_USE;

#endif
