/*
 * s3_xml.h - the XML that S3 servers answer, read as a stream of leaves. Bounded, and without entities.
 *
 *     <ListBucketResult><Contents><Key>packs/a</Key><Size>5</Size></Contents></ListBucketResult>
 *
 * gives, in this order, each as the element ends:
 *
 *     "ListBucketResult/Contents/Key"  "packs/a"
 *     "ListBucketResult/Contents/Size" "5"
 *     "ListBucketResult/Contents"      ""           a row is complete
 *     "ListBucketResult"               ""
 *
 * A server may be hostile or broken: a document type (the only way to entities), more than
 * S3_XML_DEPTH_MAX levels, or more text in one element than S3_XML_TEXT_MAX end the reading as
 * DR_E_CORRUPT, like everything that is not well-formed. The size of the document is bounded by whoever
 * received it.
 */
#ifndef BACKUP_STORE_S3_XML_H
#define BACKUP_STORE_S3_XML_H

#include "dr/base/err.h"

enum { S3_XML_DEPTH_MAX = 8, S3_XML_PATH_MAX = 512, S3_XML_TEXT_MAX = 8192 };

/* Both borrowed for the call. What it returns but DR_OK ends the reading, with the err it filled. */
typedef enum dr_rc s3_xml_leaf(void *arg, const char *path, const char *text, struct dr_err *err);

enum dr_rc s3_xml_read(const char *data, size_t len, s3_xml_leaf *leaf, void *arg,
                       struct dr_err *err) DR_MUST_USE;

/* Append text as the content of an element. */
struct buf;
void s3_xml_add(struct buf *out, const char *text);

#endif
