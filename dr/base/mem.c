/*
 * mem.c - small memory that is always there.
 *
 * When it is not, the process says one line, without allocating, and ends. That is safe because any
 * process may die at any line anyway; it spares every caller a path that nobody would ever test.
 */
#include "dr/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Noreturn void dr_out_of_memory(void)
{
    static const char line[] =
        "drctl: out of memory; what was journalled stands, run the command again\n";
    ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)ignored; /* nothing is left to tell it to */
    _exit(1);
}

void *dr_alloc(size_t count, size_t size)
{
    DR_ASSERT(count > 0 && size > 0);
    void *p = calloc(count, size);
    if (p == NULL)
        dr_out_of_memory();
    return p;
}

void *dr_realloc(void *p, size_t count, size_t size)
{
    DR_ASSERT(count > 0 && size > 0);
    void *grown = reallocarray(p, count, size);
    if (grown == NULL)
        dr_out_of_memory();
    return grown;
}

char *dr_strdup(const char *text)
{
    DR_ASSERT(text != NULL);
    return dr_memdup(text, strlen(text));
}

char *dr_memdup(const void *data, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy == NULL)
        dr_out_of_memory();
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

char *dr_strf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0)
        dr_out_of_memory();
    return text;
}
