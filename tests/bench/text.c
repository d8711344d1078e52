/* text.c - bytes that look like what people back up, from a seed (see text.h).
 *
 * A template is a line with slots: "%v = %i(%v, %c);". Filling a slot draws a name from a table, so the
 * speed is that of copying short strings. Every writer checks the room left before each copy: the last
 * line of a file is simply cut.
 */
#include "tests/bench/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The buffer that is being filled. */
struct sink {
    char *at, *end;
};

enum {
    AREA_NAMES = 160, /* functions and types of a directory */
    FILE_NAMES = 40,  /* variables and fields of a file */
    NAME_MAX_SIZE = 40,
    OPCODES = 96,
};

struct name {
    uint8_t size;
    char text[NAME_MAX_SIZE];
};

struct names {
    struct name area[AREA_NAMES];
    struct name file[FILE_NAMES];
};

static const char *const words[] = {
    "access",  "action",  "active",  "address",  "alloc",    "array",   "attach",  "attr",
    "backend", "barrier", "base",    "batch",    "bit",      "block",   "bound",   "buffer",
    "bus",     "byte",    "cache",   "callback", "cancel",   "channel", "check",   "child",
    "chunk",   "clear",   "clock",   "close",    "cluster",  "code",    "command", "commit",
    "compare", "config",  "connect", "context",  "control",  "copy",    "core",    "count",
    "current", "cursor",  "daemon",  "data",     "debug",    "default", "delay",   "delete",
    "depth",   "desc",    "detach",  "device",   "digest",   "direct",  "disable", "disk",
    "domain",  "driver",  "dump",    "edge",     "enable",   "encode",  "engine",  "entry",
    "error",   "event",   "expire",  "export",   "extent",   "fault",   "fetch",   "field",
    "file",    "filter",  "first",   "flag",     "flush",    "format",  "frame",   "free",
    "front",   "gate",    "get",     "group",    "guard",    "handle",  "hash",    "head",
    "header",  "heap",    "host",    "idle",     "image",    "index",   "info",    "init",
    "inode",   "input",   "insert",  "irq",      "item",     "join",    "key",     "label",
    "last",    "layer",   "leaf",    "length",   "level",    "limit",   "line",    "link",
    "list",    "load",    "local",   "lock",     "log",      "lookup",  "loop",    "map",
    "mask",    "match",   "master",  "media",    "memory",   "merge",   "message", "meta",
    "mode",    "module",  "monitor", "mount",    "move",     "name",    "next",    "node",
    "notify",  "null",    "number",  "object",   "offset",   "open",    "option",  "order",
    "output",  "owner",   "packet",  "page",     "param",    "parent",  "parse",   "path",
    "peer",    "pending", "phase",   "pin",      "pipe",     "place",   "point",   "policy",
    "poll",    "pool",    "port",    "power",    "prefix",   "print",   "probe",   "proc",
    "profile", "put",     "queue",   "quota",    "range",    "rate",    "read",    "ready",
    "record",  "ref",     "region",  "register", "release",  "remote",  "remove",  "report",
    "request", "reserve", "reset",   "resource", "resume",   "retry",   "ring",    "root",
    "route",   "rule",    "sample",  "scan",     "sched",    "scope",   "search",  "section",
    "sector",  "select",  "send",    "sensor",   "sequence", "server",  "service", "session",
    "set",     "shadow",  "share",   "signal",   "size",     "slot",    "socket",  "source",
    "space",   "spin",    "stack",   "start",    "state",    "status",  "stop",    "store",
    "stream",  "string",  "submit",  "suspend",  "swap",     "switch",  "sync",    "table",
    "tag",     "target",  "task",    "thread",   "time",     "token",   "trace",   "transfer",
    "trigger", "type",    "unit",    "unlock",   "update",   "user",    "value",   "vector",
    "verify",  "version", "view",    "volume",   "wait",     "wake",    "walk",    "watch",
    "window",  "word",    "work",    "write",
};
enum { WORDS = sizeof words / sizeof *words };

/* Slots: %i function or type of the directory, %v variable of the file, %c constant, %n number,
 * %x hexadecimal number, %w word, %p several words. */
static const char *const statements[] = {
    "\tif (%v < 0)\n\t\treturn %v;\n",
    "\t%v = %i(%v, %v);\n",
    "\tif (!%v) {\n\t\t%i(%v->%v, \"%p\\n\");\n\t\treturn -E%c;\n\t}\n",
    "\t%v->%v = %v->%v;\n",
    "\t%v->%v = %c;\n",
    "\tmutex_lock(&%v->%w_lock);\n\t%i(%v);\n\tmutex_unlock(&%v->%w_lock);\n",
    "\tfor (%v = 0; %v < %c; %v++)\n\t\t%i(%v, %v[%v]);\n",
    "\twhile (%v->%v != %v)\n\t\t%v = %v->%w;\n",
    "\tswitch (%v) {\n\tcase %c:\n\t\t%i(%v, %n);\n\t\tbreak;\n\tcase %c:\n\t\treturn %n;\n\tdefault:\n\t\tbreak;\n\t}\n",
    "\t/* %p %p */\n",
    "\tret = %i(%v, %c, %x);\n\tif (ret)\n\t\tgoto err_%w;\n",
    "\t%v |= %c << %n;\n",
    "\tmemset(&%v->%v, 0, sizeof(%v->%v));\n",
    "\t%v = container_of(%v, struct %i, %w);\n",
    "\treturn 0;\n}\n\nstatic int %i_%w(struct %i *%v, unsigned int %v)\n{\n\tstruct %i *%v = %v->%v;\n\tint ret;\n\n",
    "\treturn %i(%v);\n}\n\n/**\n * %i_%w - %p\n * @%v: %p\n * @%v: %p %w\n *\n * %p %p %p.\n * %p %p.\n */\nvoid %i_%w(struct %i *%v)\n{\n",
    "}\nEXPORT_SYMBOL_GPL(%i);\n\nstatic const struct %i %i_%w[] = {\n\t{ .%w = %x, .%w = %n, },\n\t{ .%w = %x, .%w = %n, },\n\t{ }\n};\n\nstatic void %i_%w(void)\n{\n",
};

static const char *const settings[] = {
    "\n[%w-%w-%n]\n",           "# %p %w\n",     "%w_%w = %n\n", "%w.%w: %x\n", "%w_%w = %w %w\n",
    "%w-%w = /var/lib/%w/%w\n", "%w_%w = yes\n", "%w %w on\n",
};

/* -- random numbers ------------------------------------------------------------------------------ */

void rng_seed(struct rng *r, uint64_t seed)
{
    r->state = seed * UINT64_C(0xd1342543de82ef95) + UINT64_C(0x2545f4914f6cdd1d);
    (void)rng_next(r); /* the first number of neighbouring seeds is thrown away */
}

uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t limit)
{
    return (uint32_t)((rng_next(r) >> 32) * limit >> 32);
}

uint32_t rng_skewed(struct rng *r, uint32_t limit)
{
    uint64_t bits = rng_next(r);
    uint64_t all = (bits >> 43) * (bits >> 22 & 0x1fffff) >> 21; /* three draws of 21 bits */

    all = all * (bits & 0x1fffff) >> 21;
    return (uint32_t)(all * limit >> 21);
}

const char *text_word(struct rng *r)
{
    return words[rng_below(r, WORDS)];
}

/* -- filling ------------------------------------------------------------------------------------- */

static void put(struct sink *s, const char *bytes, size_t size)
{
    size_t room = (size_t)(s->end - s->at);
    size_t some = size < room ? size : room;

    memcpy(s->at, bytes, some);
    s->at += some;
}

static void put_text(struct sink *s, const char *text)
{
    put(s, text, strlen(text));
}

static void put_number(struct sink *s, uint64_t value, unsigned base, size_t least)
{
    char digits[24];
    size_t at = sizeof digits;

    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0 || sizeof digits - at < least);
    put(s, digits + at, sizeof digits - at);
}

static void put_constant(struct sink *s, struct rng *r)
{
    char *from = s->at;

    put_text(s, words[rng_skewed(r, WORDS)]);
    put_text(s, "_");
    put_text(s, words[rng_skewed(r, WORDS)]);
    for (char *at = from; at < s->at; at++) {
        if (*at >= 'a' && *at <= 'z') {
            *at = (char)(*at - 'a' + 'A');
        }
    }
}

static void put_phrase(struct sink *s, struct rng *r)
{
    for (uint32_t left = 3 + rng_below(r, 4); left > 0; left--) {
        put_text(s, words[rng_skewed(r, WORDS)]);
        put_text(s, left > 1 ? " " : "");
    }
}

/* Fill the slot called KIND. NAMES may be NULL for templates that use neither %i nor %v. */
static void put_slot(struct sink *s, struct rng *r, const struct names *names, char kind)
{
    const struct name *name = NULL;

    if (names != NULL && kind == 'i') {
        name = &names->area[rng_skewed(r, AREA_NAMES)];
    } else if (names != NULL && kind == 'v') {
        name = &names->file[rng_skewed(r, FILE_NAMES)];
    }
    if (name != NULL) {
        put(s, name->text, name->size);
        return;
    }
    switch (kind) {
    case 'c':
        put_constant(s, r);
        break;
    case 'n':
        put_number(s, rng_skewed(r, 4096), 10, 1);
        break;
    case 'x':
        put_text(s, "0x");
        put_number(s, rng_next(r) >> 40, 16, 6);
        break;
    case 'p':
        put_phrase(s, r);
        break;
    default:
        put_text(s, words[rng_skewed(r, WORDS)]);
        break;
    }
}

static void put_template(struct sink *s, struct rng *r, const struct names *names, const char *line)
{
    while (*line != '\0') {
        size_t plain = strcspn(line, "%");

        put(s, line, plain);
        line += plain;
        if (*line == '%') {
            put_slot(s, r, names, line[1]);
            line += 2;
        }
    }
}

/* Say something of the last few thousand bytes again, as people who write code do. */
static void put_again(struct sink *s, struct rng *r, const char *out)
{
    size_t written = (size_t)(s->at - out);
    size_t size = 100 + rng_below(r, 300);

    if (written > 2000) {
        size_t back = size + rng_below(r, (uint32_t)(written < 30000 ? written : 30000) - 500);

        put(s, s->at - back, size);
        put_text(s, "\n");
    }
}

/* A name of WORDS_IN_NAME words joined by underscores. */
static void make_name(struct name *name, struct rng *r, const char *first, unsigned words_in_name)
{
    struct sink s = { name->text, name->text + sizeof name->text };

    put_text(&s, first);
    for (unsigned i = 1; i < words_in_name; i++) {
        put_text(&s, "_");
        put_text(&s, text_word(r));
    }
    name->size = (uint8_t)(s.at - name->text);
}

static void make_names(struct names *names, struct rng *r, uint64_t area)
{
    struct rng of_area;
    const char *prefix;

    rng_seed(&of_area, area);
    prefix = text_word(&of_area);
    for (size_t i = 0; i < AREA_NAMES; i++) {
        make_name(&names->area[i], &of_area, prefix, 2 + rng_below(&of_area, 2));
    }
    for (size_t i = 0; i < FILE_NAMES; i++) {
        make_name(&names->file[i], r, text_word(r), 1 + (i > 12));
    }
}

/* -- kinds of bytes ------------------------------------------------------------------------------ */

void text_code(struct rng *r, uint64_t area, char *out, size_t size)
{
    struct sink s = { out, out + size };
    struct names names;

    make_names(&names, r, area);
    put_template(
        &s, r, &names,
        "// SPDX-License-Identifier: Apache-2.0\n/*\n * %w %w: %p\n *\n"
        " * Every statement of this file was drawn by lot; it means nothing and compiles nowhere.\n"
        " */\n#include <base/%w.h>\n#include <base/%w.h>\n#include <base/%w_%w.h>\n"
        "#include \"%w.h\"\n\nstatic int %i(struct %i *%v)\n{\n");
    while (s.at < s.end) {
        if (rng_below(r, 8) == 0) {
            put_again(&s, r, out);
        }
        put_template(&s, r, &names,
                     statements[rng_below(r, sizeof statements / sizeof *statements)]);
    }
}

void text_registers(struct rng *r, uint64_t area, char *out, size_t size)
{
    struct sink s = { out, out + size };
    struct names names;

    make_names(&names, r, area);
    while (s.at < s.end) {
        const struct name *block = &names.area[rng_skewed(r, AREA_NAMES)];
        uint64_t address = rng_next(r) >> 44;

        for (uint32_t left = 4 + rng_below(r, 12); left > 0; left--, address++) {
            put_text(&s, "#define reg_");
            put(&s, block->text, block->size);
            put_template(&s, r, &names, "__%v__SHIFT\t\t");
            put_number(&s, address, 16, 8);
            put_text(&s, "\n");
        }
    }
}

void text_prose(struct rng *r, char *out, size_t size)
{
    struct sink s = { out, out + size };

    while (s.at < s.end) {
        for (uint32_t left = 1 + rng_below(r, 8); left > 0; left--) {
            put_template(&s, r, NULL, "The %w of a %w is %p; a %w may %w\nthe %p when %w. ");
        }
        put_template(&s, r, NULL, "\n\n%p\n=====================\n\n");
    }
}

void text_settings(struct rng *r, char *out, size_t size)
{
    struct sink s = { out, out + size };

    while (s.at < s.end) {
        put_template(&s, r, NULL, settings[rng_below(r, sizeof settings / sizeof *settings)]);
    }
}

void text_machine(struct rng *r, char *out, size_t size)
{
    struct sink s = { out, out + size };
    struct rng fixed;
    char opcode[OPCODES][8];

    rng_seed(&fixed, 0x0dec0de);
    text_noise(&fixed, &opcode[0][0], sizeof opcode);
    while (s.at < s.end) {
        uint64_t bits = rng_next(r);
        char operand[4] = { (char)(bits >> 40), (char)((bits >> 48) & 3), 0, 0 };

        put(&s, opcode[rng_skewed(r, OPCODES)], 2 + (bits & 3));
        if ((bits & 0x30) == 0) {
            put(&s, operand, sizeof operand);
        } else if ((bits & 0x40) != 0) {
            put(&s, operand, 1);
        }
    }
}

void text_noise(struct rng *r, char *out, size_t size)
{
    size_t at = 0;

    for (; at + 8 <= size; at += 8) {
        uint64_t bits = rng_next(r);

        for (unsigned i = 0; i < 8;
             i++) { /* the same bytes on every machine; compiled to one store */
            out[at + i] = (char)(bits >> (8 * i));
        }
    }
    for (uint64_t bits = rng_next(r); at < size; at++, bits >>= 8) {
        out[at] = (char)bits;
    }
}
