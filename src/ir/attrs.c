#include "ir/op.h"

#include <inttypes.h>
#include <stdio.h>

static size_t element_size(mu_attr_kind kind)
{
    switch (kind) {
    case MU_ATTR_I64: return sizeof(int64_t);
    case MU_ATTR_F64: return sizeof(double);
    case MU_ATTR_BOOL: return sizeof(bool);
    case MU_ATTR_ENUM: return sizeof(int);
    case MU_ATTR_PTR: return sizeof(void *);
    case MU_ATTR_BYTES: return 1;
    }
    return 0;
}

static size_t format_one(const mu_attr *attr, const char *at, char *buf, size_t size)
{
    int n = 0;
    switch (attr->kind) {
    case MU_ATTR_I64: n = snprintf(buf, size, "%" PRId64, *(const int64_t *)at); break;
    case MU_ATTR_F64: n = snprintf(buf, size, "%.17g", *(const double *)at); break;
    case MU_ATTR_BOOL: n = snprintf(buf, size, "%s", *(const bool *)at ? "true" : "false"); break;
    case MU_ATTR_ENUM: n = snprintf(buf, size, "%s", attr->choice[*(const int *)at]); break;
    case MU_ATTR_PTR: n = snprintf(buf, size, "%p", *(void *const *)at); break;
    case MU_ATTR_BYTES: break;
    }
    return n > 0 ? (size_t)n : 0;
}

const char *mu_attrs_format(const mu_op *op, const void *attrs, char *buf, size_t size)
{
    size_t at = 0;
    buf[0] = '\0';
#define ROOM (at < size ? size - at : 0)
#define PUT(...) at += (size_t)snprintf(buf + (at < size ? at : size - 1), ROOM, __VA_ARGS__)
    for (const mu_attr *a = op->attrs; attrs && a && a->name; a++) {
        PUT("%s%s=", at ? " " : "", a->name);
        if (a->kind == MU_ATTR_BYTES) {
            PUT("<%d bytes>", a->count);
            continue;
        }
        for (int i = 0; i < a->count; i++) {
            PUT("%s", a->count == 1 ? "" : i ? "," : "[");
            at += format_one(a, (const char *)attrs + a->offset + (size_t)i * element_size(a->kind),
                             buf + (at < size ? at : size - 1), ROOM);
        }
        if (a->count > 1)
            PUT("]");
    }
#undef PUT
#undef ROOM
    return buf;
}

bool mu_attrs_equal(const mu_op *op, const void *a, const void *b)
{
    if (a == b || !op->attrs)
        return true;
    if (!a || !b)
        return false;
    for (const mu_attr *row = op->attrs; row->name; row++)
        if (memcmp((const char *)a + row->offset, (const char *)b + row->offset,
                   (size_t)row->count * element_size(row->kind)) != 0)
            return false;
    return true;
}

/* FNV-1a */
uint64_t mu_attrs_hash(const mu_op *op, const void *attrs)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const mu_attr *row = op->attrs; attrs && row && row->name; row++) {
        const unsigned char *at = (const unsigned char *)attrs + row->offset;
        for (size_t i = 0; i < (size_t)row->count * element_size(row->kind); i++)
            hash = (hash ^ at[i]) * 0x100000001b3u;
    }
    return hash;
}
