/* big.c - the data set BIG (see big.h): pages and members are made one mebibyte at a time. */
#include "tests/bench/big.h"

#include "tests/bench/out.h"
#include "tests/bench/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MIB = 1 << 20,
    HEAP_PAGE = 8192,
    HEAP_MIB = 768,
    NOISE_MIB = 256,
    RECORDS_PAGE = 4096,
    RECORDS_MIB = 480,
    ARCHIVE_MIB = 512,
    REGION_MIB = 64,
};

/* Little-endian, whatever the machine. */
static void store(char *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (char)(value >> (8 * i));
    }
}

/* -- heap.db: a header of 24 bytes, pointers that grow up, records that grow down ------------------- */

/* One record of a table with a number, a time, some words and a hash; returns its size. */
static size_t heap_record(struct rng *r, uint64_t id, char record[256])
{
    size_t size = 24;

    memset(record, 0, 256);
    store(record, 1000 + id / 3, 4); /* the transaction */
    store(record + 12, id >> 16, 4); /* where it stands */
    store(record + 18, 0x08020006 + (id & 1), 4);
    store(record + size, id, 8);
    store(record + size + 8, UINT64_C(700000000000000) + id * 977 + rng_below(r, 977), 8);
    size += 16;
    for (uint32_t words = 2 + rng_below(r, 4); words > 0; words--) {
        const char *word = text_word(r);
        size_t length = strlen(word);

        record[size++] = (char)(length * 2 + 3);
        memcpy(&record[size], word, length); /* NOLINT(bugprone-not-null-terminated-result) */
        size += length;
    }
    store(record + size, rng_next(r), 8);
    store(record + size + 8, rng_below(r, 100000), 8);
    return (size + 16 + 7) & ~(size_t)7;
}

static void heap_page(struct rng *r, uint64_t number, char *page)
{
    size_t low = 24, high = HEAP_PAGE;
    size_t full = (size_t)HEAP_PAGE / 100 * (70 + rng_below(r, 30));
    char record[256];

    memset(page, 0, HEAP_PAGE);
    for (uint64_t i = 0;; i++) {
        size_t size = heap_record(r, number * 100 + i, record);

        if (high < low + 4 + size || HEAP_PAGE - high + size > full) {
            break;
        }
        high -= size;
        memcpy(page + high, record, size);
        store(page + low, high | 1U << 15 | size << 17, 4);
        low += 4;
    }
    store(page, UINT64_C(0x16b000000) + number * 8300 + rng_below(r, 4096), 8);
    store(page + 12, low, 2);
    store(page + 14, high, 2);
    store(page + 16, HEAP_PAGE, 2);
    store(page + 18, 0x2004, 2);
}

static void heap_mib(struct rng *r, uint64_t mib, char *buffer)
{
    for (uint64_t i = 0; i < MIB / HEAP_PAGE; i++) {
        heap_page(r, mib * (MIB / HEAP_PAGE) + i, buffer + i * HEAP_PAGE);
    }
}

/* -- records.db: leaf pages of a tree, cells from the end ------------------------------------------ */

static void records_page(struct rng *r, uint64_t *id, char *page)
{
    size_t low = 8, high = RECORDS_PAGE;
    unsigned cells = 0;

    memset(page, 0, RECORDS_PAGE);
    for (;;) {
        char cell[256];
        unsigned lots[6];
        int text;
        size_t size;

        for (size_t i = 0; i < 6; i++) { /* one after another: the order of arguments is free */
            static const uint32_t limits[6] = { 997, 100003, 17, 9999991, 977, 4294967291U };

            lots[i] = rng_below(r, limits[i]);
        }
        text = snprintf(
            cell + 16, sizeof cell - 16,
            "host-%u.example.net%08xuser %u action %u on object /srv/data/%u took %u ms%016x",
            lots[0], 1700000000U + (uint32_t)(*id * 3), lots[1], lots[2], lots[3], lots[4],
            lots[5]);
        size = 16 + (size_t)text;
        if (high < low + 2 + size) {
            break;
        }
        memset(cell, 0, 16);
        store(cell, size, 2);
        store(cell + 2, *id, 4);
        store(cell + 6, 0x060d3b2a, 4); /* kinds of the columns, always the same */
        high -= size;
        memcpy(page + high, cell, size);
        store(page + low, high, 2);
        low += 2;
        cells++;
        ++*id;
    }
    page[0] = 0x0d;
    store(page + 3, cells, 2);
    store(page + 5, high, 2);
}

/* -- archive.tar: members behind headers of 512 bytes ---------------------------------------------- */

struct archive {
    struct rng r;
    uint64_t members;
    size_t left;   /* bytes of the member and its padding that are still to come */
    unsigned kind; /* of the member: 0 program, 1 text, 2 picture */
};

/* The next header, and what follows it. */
static void archive_header(struct archive *a, char header[512])
{
    static const char *const homes[] = { "usr/bin", "usr/share/doc", "usr/share/pixmaps" };
    unsigned lot = rng_below(&a->r, 10);
    size_t size = 20000 + rng_skewed(&a->r, 3000000);
    unsigned sum = 8 * ' ';

    a->kind = lot < 6 ? 0 : lot < 9 ? 1 : 2;
    memset(header, 0, 512);
    (void)snprintf(header, 100, "%s/%s-%u", homes[a->kind], text_word(&a->r),
                   (unsigned)a->members++);
    (void)snprintf(header + 100, 8, "%07o", a->kind == 0 ? 0755U : 0644U);
    (void)snprintf(header + 108, 8, "%07o", 0U);
    (void)snprintf(header + 116, 8, "%07o", 0U);
    (void)snprintf(header + 124, 12, "%011zo", size);
    (void)snprintf(header + 136, 12, "%011o", 1600000000U);
    header[156] = '0';
    memcpy(header + 257, "ustar", 6);
    memcpy(header + 263, (const char[2]){ '0', '0' }, 2);
    for (size_t i = 0; i < 512; i++) {
        sum += i >= 148 && i < 156 ? 0 : (unsigned char)header[i];
    }
    (void)snprintf(header + 148, 8, "%06o", sum);
    header[155] = ' ';
    a->left = (size + 511) / 512 * 512;
}

static void archive_mib(struct archive *a, char *buffer)
{
    size_t at = 0;

    while (at < MIB) {
        size_t room = MIB - at;
        size_t some = a->left < room ? a->left : room;

        if (a->left == 0) {
            archive_header(a, buffer + at);
            at += 512;
            continue;
        }
        switch (a->kind) {
        case 0:
            text_machine(&a->r, buffer + at, some);
            break;
        case 1:
            text_prose(&a->r, buffer + at, some);
            break;
        default:
            text_noise(&a->r, buffer + at, some);
            break;
        }
        at += some;
        a->left -= some;
    }
}

/* -- the files -------------------------------------------------------------------------------------- */

static unsigned scaled(unsigned mib, unsigned divisor)
{
    return mib / divisor > 0 ? mib / divisor : 1;
}

static char *new_buffer(void)
{
    char *buffer = malloc(MIB);

    if (buffer == NULL) {
        out_of("memory");
    }
    return buffer;
}

void big_make(const char *dir, unsigned divisor)
{
    char *buffer = new_buffer();
    struct rng r;
    struct archive archive = { .left = 0 };
    uint64_t id = 1;
    int fd;

    fd = out_open(dir, "heap.db", true);
    for (unsigned i = 0; i < scaled(HEAP_MIB, divisor); i++) {
        rng_seed(&r, 0x10000 + i);
        heap_mib(&r, i, buffer);
        out_write(fd, buffer, MIB, (uint64_t)i * MIB);
    }
    out_close(fd);
    fd = out_open(dir, "noise.bin", true);
    rng_seed(&r, 0x20000);
    for (unsigned i = 0; i < scaled(NOISE_MIB, divisor); i++) {
        text_noise(&r, buffer, MIB);
        out_write(fd, buffer, MIB, (uint64_t)i * MIB);
    }
    out_close(fd);
    fd = out_open(dir, "records.db", true);
    rng_seed(&r, 0x30000);
    for (unsigned i = 0; i < scaled(RECORDS_MIB, divisor); i++) {
        for (size_t at = 0; at < MIB; at += RECORDS_PAGE) {
            records_page(&r, &id, buffer + at);
        }
        out_write(fd, buffer, MIB, (uint64_t)i * MIB);
    }
    out_close(fd);
    fd = out_open(dir, "archive.tar", true);
    rng_seed(&archive.r, 0x40000);
    for (unsigned i = 0; i < scaled(ARCHIVE_MIB, divisor); i++) {
        archive_mib(&archive, buffer);
        out_write(fd, buffer, MIB, (uint64_t)i * MIB);
    }
    out_close(fd);
    free(buffer);
}

void big_change(const char *dir, unsigned divisor, unsigned round)
{
    char *buffer = new_buffer();
    unsigned all = scaled(HEAP_MIB, divisor), region = scaled(REGION_MIB, divisor);
    unsigned from = (region * round + 29) % (all - region + 1);
    int fd = out_open(dir, "heap.db", false);

    for (unsigned i = from; i < from + region; i++) {
        struct rng r;

        rng_seed(&r, 0x1000000 + (uint64_t)round * 4096 + i);
        heap_mib(&r, i, buffer);
        out_write(fd, buffer, MIB, (uint64_t)i * MIB);
    }
    out_changed(fd);
    puts("heap.db");
    free(buffer);
}
