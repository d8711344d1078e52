/*
 * XML by expat. The path of the open elements and the text of the innermost are all that is kept.
 * Entities cannot be declared without a document type, so that one is refused and the whole family of
 * expansion attacks with it; the five that XML itself knows (&amp; ...) are expat's.
 */
#include "backup/store/s3_xml.h"

#include <expat.h>
#include <string.h>

#include "dr/base/buf.h"
#include "dr/base/mem.h"

struct reading {
    XML_Parser parser;
    s3_xml_leaf *leaf;
    void *arg;
    struct dr_err *err;
    enum dr_rc rc;
    char path[S3_XML_PATH_MAX];
    size_t depth;
    struct buf text;
};

static void stop(struct reading *r, const char *why)
{
    if (r->rc == DR_OK)
        r->rc = dr_fail(r->err, DR_E_CORRUPT, "the answer is no XML that we read: %s", why);
    (void)XML_StopParser(r->parser, XML_FALSE); /* already stopped: as well */
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
                       const XML_Char *pubid, int has_internal)
{
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)has_internal;
    stop(arg, "it has a document type");
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct reading *r = arg;
    size_t used = strlen(r->path), len = strlen(name);
    if (r->rc != DR_OK)
        return;
    if (++r->depth > S3_XML_DEPTH_MAX || used + len + 2 > sizeof(r->path)) {
        stop(r, "it is too deep");
        return;
    }
    if (used > 0)
        r->path[used++] = '/';
    memcpy(r->path + used, name, len + 1);
    buf_clear(&r->text);
}

static void on_end(void *arg, const XML_Char *name)
{
    struct reading *r = arg;
    if (r->rc != DR_OK)
        return;
    buf_addc(&r->text, '\0');
    r->rc = r->leaf(r->arg, r->path, r->text.data, r->err);
    if (r->rc != DR_OK) {
        (void)XML_StopParser(r->parser, XML_FALSE); /* it is not stopped yet */
        return;
    }
    size_t len = strlen(name), used = strlen(r->path);
    DR_ASSERT(used >= len);
    r->path[used > len ? used - len - 1 : 0] = '\0';
    r->depth--;
    buf_clear(&r->text);
}

static void on_text(void *arg, const XML_Char *text, int len)
{
    struct reading *r = arg;
    if (r->rc != DR_OK)
        return;
    if (r->text.len + (size_t)len > S3_XML_TEXT_MAX)
        stop(r, "one element is too long");
    else
        buf_add(&r->text, text, (size_t)len);
}

enum dr_rc s3_xml_read(const char *data, size_t len, s3_xml_leaf *leaf, void *arg,
                       struct dr_err *err)
{
    DR_ASSERT(leaf != NULL && len <= INT32_MAX);
    struct reading r = { .leaf = leaf, .arg = arg, .err = err };
    r.parser = XML_ParserCreate(NULL);
    if (r.parser == NULL)
        return dr_fail(err, DR_E_NOMEM, "no memory to read XML");
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    enum XML_Status status = XML_Parse(r.parser, data != NULL ? data : "", (int)len, 1);
    if (status != XML_STATUS_OK && r.rc == DR_OK)
        stop(&r, XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    buf_fini(&r.text);
    return r.rc;
}

void s3_xml_add(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '&')
            buf_adds(out, "&amp;");
        else if (*text == '<')
            buf_adds(out, "&lt;");
        else if (*text == '>')
            buf_adds(out, "&gt;");
        else
            buf_addc(out, *text);
    }
}
