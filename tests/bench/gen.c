/* gen.c - bench_gen makes the data sets of the benchmark, and changes them.
 *
 *     bench_gen make SET DIR DIVISOR           DIR must not be there
 *     bench_gen mutate SET DIR DIVISOR ROUND   changes, and prints the names of the files it changed
 *
 *     SRC     78,579 files, 1.3 GB: a tree of source code
 *     SMALL  200,000 files of 200 to 4,000 bytes, 420 MB: settings
 *     SMALL20K, SMALL2M   as SMALL, with 20,000 and 2,000,000 files: does memory grow with their number?
 *     BIG          4 files, 2.1 GB (see big.h)
 *     CONF     2,000 files, 11 MB: settings, one in twelve a symbolic link
 *
 * Numbers of files are divided by DIVISOR (and the sizes of BIG's). The same arguments give the same bytes
 * on every machine: all follows from the number of a file and constants. mutate changes every hundredth
 * regular file, another hundredth in each ROUND below 100; the files lie scattered over all directories.
 * Half of them get a line written over in the middle, the others a line at the end; BIG is different.
 *
 * A set is never held in memory: plan_*() tells path, kind and size of file number I, one after another,
 * and a visitor makes or changes it.
 */
#include "tests/bench/big.h"
#include "tests/bench/out.h"
#include "tests/bench/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SRC_FILES = 78579,
    SRC_FILES_PER_DIR = 16,
    SRC_DEPTH_MAX = 9,
    SMALL_FILES = 200000,
    SMALL20K_FILES = 20000,
    SMALL2M_FILES = 2000000,
    SMALL_PER_DIR = 100,
    SMALL_PER_TOP = 10000,
    CONF_FILES = 2000,
    CONF_PER_DIR = 8,
    CONF_PER_LINK = 12,
    LARGE_FILE = 256 << 10,
    FILE_SIZE_MAX = 12 << 20,
    PATH_SIZE = 1024,
    CHANGED_ONE_IN = 100,
};

enum kind { KIND_CODE, KIND_REGISTERS, KIND_PROSE, KIND_SETTINGS, KIND_NOISE, KIND_LINK, KIND_DIR };

/* One entry of a set; PATH is relative to the set, and what a link points to is in TARGET. */
struct file {
    uint64_t number; /* of the regular file; directories and links have none */
    uint64_t seed, area;
    size_t size;
    enum kind kind;
    char path[PATH_SIZE];
    char target[64];
};

/* Who is shown each entry, parents before what they hold. */
struct visitor {
    void (*visit)(struct visitor *v, const struct file *f);
    const char *root;
    unsigned round;
    char *buffer;
};

/* A step of a distribution: as many of 10,000 files as PART have at most SIZE bytes. */
struct step {
    uint32_t part, size;
};

/* -- sizes ------------------------------------------------------------------------------------------- */

/* Sizes as source trees have them: the middle file has 5 kB, one in a hundred more than 130 kB, a few
 * many megabytes. */
static const struct step src_sizes[] = {
    { 0, 40 },        { 400, 180 },      { 1000, 460 },      { 2500, 1600 },   { 5000, 4900 },
    { 7500, 13000 },  { 9000, 29500 },   { 9500, 47000 },    { 9900, 118000 }, { 9970, 270000 },
    { 9990, 700000 }, { 9997, 2000000 }, { 10000, 6000000 },
};

static const struct step conf_sizes[] = {
    { 0, 200 }, { 6000, 2200 }, { 9000, 11000 }, { 10000, 60000 }
};

/* Draw from a distribution: straight lines between its steps, in whole numbers. */
static size_t draw_size(struct rng *r, const struct step *steps)
{
    uint32_t fine = rng_below(r, 10000 * 256);
    size_t i = 1;
    uint64_t width, along;

    while (steps[i].part * 256 <= fine && steps[i].part < 10000) {
        i++;
    }
    width = (uint64_t)(steps[i].part - steps[i - 1].part) * 256;
    along = fine - steps[i - 1].part * 256;
    return steps[i - 1].size + (steps[i].size - steps[i - 1].size) * along / width;
}

/* -- SRC: a tree of directories that grew ------------------------------------------------------------- */

struct dir {
    uint32_t parent, depth, weight;
};

/* Parents are drawn so that old directories have more children; few levels are deep. */
static struct dir *src_dirs(uint32_t count)
{
    struct dir *dirs = calloc(count, sizeof *dirs);
    struct rng r;

    if (dirs == NULL) {
        out_of("memory");
    }
    rng_seed(&r, 0x5c);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t parent = i <= 20 ? 0 : 1 + (i % 2 ? rng_skewed(&r, i - 1) : rng_below(&r, i - 1));

        while (dirs[parent].depth + 1 > SRC_DEPTH_MAX) {
            parent = dirs[parent].parent;
        }
        dirs[i].parent = parent;
        dirs[i].depth = i == 0 ? 0 : dirs[parent].depth + 1;
        dirs[i].weight =
            10 + 5120 / (1 + rng_below(&r, 512)); /* some have a thousand files, most few */
    }
    return dirs;
}

/* The name of a directory follows from its number, so a path is written from its end. */
static void src_dir_path(const struct dir *dirs, uint32_t i, char path[PATH_SIZE])
{
    char end[PATH_SIZE] = "";

    while (i != 0) {
        char longer[PATH_SIZE];
        struct rng r;

        rng_seed(&r, 0x5c0000 + i);
        (void)snprintf(longer, sizeof longer, "%s%u/%.800s", text_word(&r), i, end);
        memcpy(end, longer, sizeof end);
        i = dirs[i].parent;
    }
    memcpy(path, end, PATH_SIZE);
}

/* Kind, size and name of a file of source code, the NTH of its directory; PATH holds that already. Half
 * of the files begin with a word of their directory. */
static void src_file(struct file *f, uint64_t nth)
{
    static const char *const endings[] = { ".c", ".h", ".rst", "", ".bin" };
    struct rng r;
    size_t used = strlen(f->path);
    const char *first, *second;
    uint32_t lot;

    rng_seed(&r, f->area);
    first = text_word(&r);
    rng_seed(&r, 0x5c00000000 + f->number);
    lot = rng_below(&r, 1000);
    f->seed = rng_next(&r);
    f->size = draw_size(&r, src_sizes);
    f->kind = lot < 5 ? KIND_NOISE : lot < 70 ? KIND_PROSE : lot < 140 ? KIND_SETTINGS : KIND_CODE;
    if (f->size > LARGE_FILE) {
        f->kind = KIND_REGISTERS; /* the largest files of such trees are tables */
    }
    first =
        lot % 4 < 2 ? first : text_word(&r); /* one call a line: the order of arguments is free */
    second = text_word(&r);
    (void)snprintf(f->path + used, PATH_SIZE - used, "%s_%s%llu%s", first, second,
                   (unsigned long long)nth,
                   endings[f->kind == KIND_REGISTERS  ? 1
                           : f->kind == KIND_PROSE    ? 2
                           : f->kind == KIND_SETTINGS ? 3
                           : f->kind == KIND_NOISE    ? 4
                                                      : lot % 2]);
}

static void plan_src(unsigned divisor, struct visitor *v)
{
    uint32_t files = SRC_FILES / divisor, count = files / SRC_FILES_PER_DIR + 2;
    struct dir *dirs = src_dirs(count);
    uint64_t all = 0, sum = 0, number = 0;

    for (uint32_t i = 0; i < count; i++) {
        all += dirs[i].weight;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct file f = { .kind = KIND_DIR };
        char path[PATH_SIZE];

        src_dir_path(dirs, i, path);
        memcpy(f.path, path, sizeof path);
        v->visit(v, &f);
        sum += dirs[i].weight;
        for (uint64_t from = number; number < sum * files / all; number++) {
            f = (struct file){ .number = number, .area = 0x5c1000 + i };
            memcpy(f.path, path, sizeof path);
            src_file(&f, number - from);
            v->visit(v, &f);
        }
    }
    free(dirs);
}

/* -- SMALL and CONF ------------------------------------------------------------------------------------ */

static void plan_small(uint64_t count, struct visitor *v)
{
    for (uint64_t i = 0; i < count; i++) {
        unsigned top = (unsigned)(i / SMALL_PER_TOP), dir = (unsigned)(i / SMALL_PER_DIR % 100);
        struct file f = { .kind = KIND_DIR };
        struct rng r;

        if (i % SMALL_PER_TOP == 0) {
            (void)snprintf(f.path, sizeof f.path, "d%03u", top);
            v->visit(v, &f);
        }
        if (i % SMALL_PER_DIR == 0) {
            (void)snprintf(f.path, sizeof f.path, "d%03u/e%02u", top, dir);
            v->visit(v, &f);
        }
        rng_seed(&r, 0x5a00000000 + i);
        f.number = i;
        f.kind = KIND_SETTINGS;
        f.size = 200 + rng_below(&r, 3801);
        f.seed = rng_next(&r);
        (void)snprintf(f.path, sizeof f.path, "d%03u/e%02u/app-%06u.conf", top, dir, (unsigned)i);
        v->visit(v, &f);
    }
}

static void plan_conf(unsigned divisor, struct visitor *v)
{
    uint64_t number = 0;
    char dir[64] = "";

    for (unsigned i = 0; i < CONF_FILES / divisor; i++) {
        struct file f = { .kind = KIND_DIR };
        struct rng r;

        rng_seed(&r, 0xc000000000 + i);
        if (i % CONF_PER_DIR == 0) {
            (void)snprintf(dir, sizeof dir, "%s%u.d", text_word(&r), i / CONF_PER_DIR);
            memcpy(f.path, dir, sizeof dir);
            v->visit(v, &f);
        }
        if (i % CONF_PER_LINK == CONF_PER_LINK - 1) {
            f.kind = KIND_LINK;
            (void)snprintf(f.target, sizeof f.target, "%u.conf", i - 1);
        } else {
            f.kind = KIND_SETTINGS;
            f.number = number++;
            f.size = draw_size(&r, conf_sizes);
            f.seed = rng_next(&r);
        }
        (void)snprintf(f.path, sizeof f.path, "%s/%u.conf", dir, i);
        v->visit(v, &f);
    }
}

/* -- visitors ------------------------------------------------------------------------------------------- */

static void fill(const struct file *f, char *buffer)
{
    struct rng r;

    rng_seed(&r, f->seed);
    switch (f->kind) {
    case KIND_REGISTERS:
        text_registers(&r, f->area, buffer, f->size);
        break;
    case KIND_PROSE:
        text_prose(&r, buffer, f->size);
        break;
    case KIND_SETTINGS:
        text_settings(&r, buffer, f->size);
        break;
    case KIND_NOISE:
        text_noise(&r, buffer, f->size);
        break;
    default:
        text_code(&r, f->area, buffer, f->size);
        break;
    }
}

static void make_entry(struct visitor *v, const struct file *f)
{
    char path[2 * PATH_SIZE];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", v->root, f->path);
    if (f->kind == KIND_DIR) {
        if (mkdir(path, 0755) != 0 && f->path[0] != '\0') {
            out_of(path);
        }
    } else if (f->kind == KIND_LINK) {
        if (symlink(f->target, path) != 0) {
            out_of(path);
        }
    } else {
        fill(f, v->buffer);
        fd = out_open(v->root, f->path, true);
        out_write(fd, v->buffer, f->size, 0);
        out_close(fd);
    }
}

static void change_entry(struct visitor *v, const struct file *f)
{
    char line[80];
    size_t size;
    uint64_t first, nth = f->number / CHANGED_ONE_IN;
    struct rng r;
    struct stat st;
    int fd;

    if (f->kind == KIND_DIR || f->kind == KIND_LINK ||
        f->number % CHANGED_ONE_IN != v->round % 100) {
        return;
    }
    rng_seed(&r, f->seed + v->round + 1);
    first = rng_next(&r);
    size = (size_t)snprintf(line, sizeof line, "# changed %016llx %016llx\n",
                            (unsigned long long)first, (unsigned long long)rng_next(&r));
    fd = out_open(v->root, f->path, false);
    if (fstat(fd, &st) != 0) {
        out_of(f->path);
    }
    out_write(fd, line, size,
              (uint64_t)(st.st_size > 400 && nth % 2 ? st.st_size / 2 : st.st_size));
    out_changed(fd);
    puts(f->path);
}

static int usage(void)
{
    (void)fputs("usage: bench_gen make SET DIR DIVISOR\n"
                "       bench_gen mutate SET DIR DIVISOR ROUND\n"
                "SET is SRC, SMALL, SMALL20K, SMALL2M, BIG or CONF\n",
                stderr);
    return 2;
}

static unsigned number_of(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    bool make = argc == 5 && strcmp(argv[1], "make") == 0;
    bool known = true;
    bool mutate = argc == 6 && strcmp(argv[1], "mutate") == 0;
    unsigned divisor = make || mutate ? number_of(argv[4]) : 0;
    struct visitor v = { .visit = make ? make_entry : change_entry };

    if (divisor == 0) {
        return usage();
    }
    v.root = argv[3];
    v.round = mutate ? number_of(argv[5]) : 0;
    v.buffer = malloc(FILE_SIZE_MAX);
    (void)umask(022);
    if (v.buffer == NULL || (make && mkdir(v.root, 0755) != 0)) {
        out_of(v.root);
    }
    if (strcmp(argv[2], "SRC") == 0) {
        plan_src(divisor, &v);
    } else if (strcmp(argv[2], "SMALL") == 0) {
        plan_small(SMALL_FILES / divisor, &v);
    } else if (strcmp(argv[2], "SMALL20K") == 0) {
        plan_small(SMALL20K_FILES / divisor, &v);
    } else if (strcmp(argv[2], "SMALL2M") == 0) {
        plan_small(SMALL2M_FILES / divisor, &v);
    } else if (strcmp(argv[2], "CONF") == 0) {
        plan_conf(divisor, &v);
    } else if (strcmp(argv[2], "BIG") == 0 && make) {
        big_make(v.root, divisor);
    } else if (strcmp(argv[2], "BIG") == 0) {
        big_change(v.root, divisor, v.round);
    } else {
        known = false;
    }
    free(v.buffer);
    return !known ? usage() : fflush(stdout) == 0 ? 0 : 1;
}
