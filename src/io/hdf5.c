#include "io/hdf5.h"

#include "core/mem.h"

#include <limits.h>
#include <stdio.h>

/* Before the library's first use its clean-up at exit is taken out: after a damaged file it prints. All our files are closed by
 * then. */
mu_h5_printer mu_h5_silence(void)
{
    mu_h5_printer printer = {0};
    H5dont_atexit();
    H5Eget_auto2(H5E_DEFAULT, &printer.function, &printer.data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return printer;
}

void mu_h5_restore(mu_h5_printer printer)
{
    H5Eset_auto2(H5E_DEFAULT, printer.function, printer.data);
}

/* The first record is of the function that we called, the last of where it went wrong. */
typedef struct {
    char outer[192], inner[512];
    hid_t major, minor;
    mu_err code;
} stack_text;

static mu_err code_of(const H5E_error2_t *e)
{
    if (e->min_num == H5E_NOTHDF5 || e->min_num == H5E_TRUNCATED || e->min_num == H5E_VERSION)
        return MU_ERR_FORMAT;
    if (e->maj_num == H5E_RESOURCE && (e->min_num == H5E_NOSPACE || e->min_num == H5E_CANTALLOC))
        return MU_ERR_MEMORY;
    return MU_OK;
}

static herr_t collect(unsigned n, const H5E_error2_t *e, void *user)
{
    stack_text *text = user;
    const char *desc = e->desc ? e->desc : "";
    if (n == 0)
        snprintf(text->outer, sizeof text->outer, "%s: %s", e->func_name, desc);
    snprintf(text->inner, sizeof text->inner, "%s", n == 0 ? "" : desc);
    mu_err code = code_of(e);
    if (code)
        text->code = code;
    return 0;
}

mu_err mu_h5_fail(const char *call, const char *file, int line, const char *function)
{
    stack_text text = {.code = MU_ERR_IO};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, collect, &text);
    if (!text.outer[0])
        snprintf(text.outer, sizeof text.outer, "%s", call);
    return mu_error_set(text.code, file, line, function, "HDF5: %s%s%s", text.outer, text.inner[0] ? ": " : "", text.inner);
}

void mu_h5_close(hid_t id)
{
    if (id >= 0) {
        mu_h5_printer printer = mu_h5_silence();
        H5Idec_ref(id);
        mu_h5_restore(printer);
    }
}

/* Files are written in the form of HDF5 1.8, and read in any. */
static mu_err access_new(bool writable, hid_t *out)
{
    hid_t access;
    MU_TRY_H5(access = H5Pcreate(H5P_FILE_ACCESS));
    mu_err err;
    MU_TRY_GOTO(err, MU_H5(H5Pset_fapl_sec2(access)), fail);
    MU_TRY_GOTO(err, MU_H5(H5Pset_file_locking(access, false, true)), fail);
    MU_TRY_GOTO(err, MU_H5(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG)), fail);
    if (writable)
        MU_TRY_GOTO(err, MU_H5(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18)), fail);
    *out = access;
    return MU_OK;
fail:
    mu_h5_close(access);
    return err;
}

mu_err mu_h5_open(const char *path, bool writable, hid_t *out)
{
    hid_t access, file;
    MU_TRY(access_new(writable, &access));
    mu_err err = MU_H5(file = H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access));
    mu_h5_close(access);
    if (err) {
        mu_error_context("'%s' cannot be opened", path);
        return err;
    }
    *out = file;
    return MU_OK;
}

static mu_err timeless_new(hid_t class, hid_t *out)
{
    hid_t properties;
    MU_TRY_H5(properties = H5Pcreate(class));
    mu_err err = MU_H5(H5Pset_obj_track_times(properties, false));
    if (err) {
        mu_h5_close(properties);
        return err;
    }
    *out = properties;
    return MU_OK;
}

mu_err mu_h5_create_aligned(const char *path, int64_t alignment, int64_t metadata_bytes, hid_t *out)
{
    hid_t access = H5I_INVALID_HID, creation = H5I_INVALID_HID, file;
    mu_err err;
    MU_TRY_GOTO(err, access_new(true, &access), done);
    MU_TRY_GOTO(err, MU_H5(H5Pset_alignment(access, (hsize_t)alignment, (hsize_t)alignment)), done);
    MU_TRY_GOTO(err, MU_H5(H5Pset_meta_block_size(access, (hsize_t)metadata_bytes)), done);
    MU_TRY_GOTO(err, timeless_new(H5P_FILE_CREATE, &creation), done);
    MU_TRY_GOTO(err, MU_H5(file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access)), done);
    *out = file;
done:
    mu_h5_close(creation);
    mu_h5_close(access);
    if (err)
        mu_error_context("'%s' cannot be made", path);
    return err;
}

static mu_err group_create(hid_t file, const char *path)
{
    hid_t properties, group;
    htri_t exists;
    MU_TRY_H5(exists = H5Lexists(file, path, H5P_DEFAULT));
    if (exists)
        return MU_OK;
    MU_TRY(timeless_new(H5P_GROUP_CREATE, &properties));
    mu_err err = MU_H5(group = H5Gcreate2(file, path, H5P_DEFAULT, properties, H5P_DEFAULT));
    mu_h5_close(properties);
    if (!err)
        mu_h5_close(group);
    return err;
}

mu_err mu_h5_groups_create(hid_t file, const char *path)
{
    char *prefix;
    MU_TRY(mu_strdup(&prefix, path));
    mu_err err = MU_OK;
    for (char *slash = strchr(prefix + 1, '/'); !err && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        err = group_create(file, prefix);
        *slash = '/';
    }
    mu_free(prefix);
    return err;
}

/* A terminating NUL byte is part of the type, as HDF5 has no strings of length 0. */
static mu_err text_type_new(size_t size, H5T_str_t pad, hid_t *out)
{
    hid_t type;
    MU_TRY_H5(type = H5Tcopy(H5T_C_S1));
    mu_err err;
    MU_TRY_GOTO(err, MU_H5(H5Tset_size(type, size)), fail);
    MU_TRY_GOTO(err, MU_H5(H5Tset_strpad(type, pad)), fail);
    MU_TRY_GOTO(err, MU_H5(H5Tset_cset(type, H5T_CSET_UTF8)), fail);
    *out = type;
    return MU_OK;
fail:
    mu_h5_close(type);
    return err;
}

static mu_err set_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
    hid_t attribute = H5I_INVALID_HID, space = H5I_INVALID_HID;
    htri_t exists;
    MU_TRY_H5(exists = H5Aexists(object, name));
    mu_err err;
    if (exists) {
        MU_TRY_GOTO(err, MU_H5(attribute = H5Aopen(object, name, H5P_DEFAULT)), done);
    } else {
        MU_TRY_GOTO(err, MU_H5(space = H5Screate(H5S_SCALAR)), done);
        MU_TRY_GOTO(err, MU_H5(attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT)), done);
    }
    MU_TRY_GOTO(err, MU_H5(H5Awrite(attribute, type, value)), done);
done:
    mu_h5_close(attribute);
    mu_h5_close(space);
    return err;
}

mu_err mu_h5_set_text(hid_t object, const char *name, const char *text)
{
    hid_t type;
    MU_TRY(text_type_new(strlen(text) + 1, H5T_STR_NULLTERM, &type));
    mu_err err = set_attribute(object, name, type, text);
    mu_h5_close(type);
    return err;
}

mu_err mu_h5_set_i64(hid_t object, const char *name, int64_t value)
{
    hid_t type;
    MU_TRY(mu_h5_type_new(MU_I64, &type));
    mu_err err = set_attribute(object, name, type, &value);
    mu_h5_close(type);
    return err;
}

/* A scalar attribute, open, with its type. */
static mu_err open_attribute(hid_t object, const char *name, hid_t *attribute, hid_t *type)
{
    htri_t exists;
    hid_t space = H5I_INVALID_HID, a = H5I_INVALID_HID, t = H5I_INVALID_HID;
    hssize_t count;
    mu_err err;
    MU_TRY_H5(exists = H5Aexists(object, name));
    if (!exists)
        return MU_FAIL(MU_ERR_NOT_FOUND, "there is no attribute '%s'", name);
    MU_TRY_GOTO(err, MU_H5(a = H5Aopen(object, name, H5P_DEFAULT)), fail);
    MU_TRY_GOTO(err, MU_H5(space = H5Aget_space(a)), fail);
    MU_TRY_GOTO(err, MU_H5(count = H5Sget_simple_extent_npoints(space)), fail);
    MU_TRY_GOTO(err, MU_H5(t = H5Aget_type(a)), fail);
    if (count != 1) {
        err = MU_FAIL(MU_ERR_FORMAT, "the attribute '%s' holds %lld values instead of one", name, (long long)count);
        goto fail;
    }
    mu_h5_close(space);
    *attribute = a;
    *type = t;
    return MU_OK;
fail:
    mu_h5_close(t);
    mu_h5_close(space);
    mu_h5_close(a);
    return err;
}

static mu_err read_fixed(hid_t attribute, hid_t type, char **out)
{
    char *text;
    size_t size = H5Tget_size(type);
    MU_TRY(mu_calloc(&text, size + 1, 1));
    mu_err err = MU_H5(H5Aread(attribute, type, text));
    if (err) {
        mu_free(text);
        return err;
    }
    *out = text;
    return MU_OK;
}

/* As h5py writes it. */
static mu_err read_variable(hid_t attribute, hid_t type, char **out)
{
    char *text = NULL;
    MU_TRY_H5(H5Aread(attribute, type, &text));
    mu_err err = mu_strdup(out, text ? text : "");
    H5free_memory(text);
    return err;
}

mu_err mu_h5_get_text(hid_t object, const char *name, char **out)
{
    hid_t attribute, type;
    MU_TRY(open_attribute(object, name, &attribute, &type));
    mu_err err;
    if (H5Tget_class(type) != H5T_STRING)
        err = MU_FAIL(MU_ERR_FORMAT, "the attribute '%s' is not text", name);
    else
        err = H5Tis_variable_str(type) > 0 ? read_variable(attribute, type, out) : read_fixed(attribute, type, out);
    mu_h5_close(type);
    mu_h5_close(attribute);
    return err;
}

mu_err mu_h5_get_i64(hid_t object, const char *name, int64_t *out)
{
    hid_t attribute, type;
    MU_TRY(open_attribute(object, name, &attribute, &type));
    int64_t value = 0;
    mu_err err = H5Tget_class(type) == H5T_INTEGER ? MU_H5(H5Aread(attribute, H5T_NATIVE_INT64, &value))
                                                   : MU_FAIL(MU_ERR_FORMAT, "the attribute '%s' is not an integer", name);
    mu_h5_close(type);
    mu_h5_close(attribute);
    if (!err)
        *out = value;
    return err;
}

static mu_err bool_new(hid_t *out)
{
    hid_t type;
    MU_TRY_H5(type = H5Tenum_create(H5T_STD_I8LE));
    mu_err err;
    MU_TRY_GOTO(err, MU_H5(H5Tenum_insert(type, "FALSE", &(int8_t){0})), fail);
    MU_TRY_GOTO(err, MU_H5(H5Tenum_insert(type, "TRUE", &(int8_t){1})), fail);
    *out = type;
    return MU_OK;
fail:
    mu_h5_close(type);
    return err;
}

/* Two bytes: a sign, `exponent` bits, the rest is fraction. */
static mu_err half_new(unsigned exponent, size_t bias, hid_t *out)
{
    hid_t type;
    unsigned fraction = 15 - exponent;
    MU_TRY_H5(type = H5Tcopy(H5T_IEEE_F32LE));
    mu_err err;
    MU_TRY_GOTO(err, MU_H5(H5Tset_fields(type, 15, fraction, exponent, 0, fraction)), fail);
    MU_TRY_GOTO(err, MU_H5(H5Tset_size(type, 2)), fail);
    MU_TRY_GOTO(err, MU_H5(H5Tset_ebias(type, bias)), fail);
    *out = type;
    return MU_OK;
fail:
    mu_h5_close(type);
    return err;
}

mu_err mu_h5_type_new(mu_dtype dtype, hid_t *out)
{
    hid_t of = H5I_INVALID_HID, type;
    switch (dtype) {
    case MU_F32: of = H5T_IEEE_F32LE; break;
    case MU_F64: of = H5T_IEEE_F64LE; break;
    case MU_I64: of = H5T_STD_I64LE; break;
    case MU_I32: of = H5T_STD_I32LE; break;
    case MU_U8: of = H5T_STD_U8LE; break;
    case MU_F16: return half_new(5, 15, out);
    case MU_BF16: return half_new(8, 127, out);
    case MU_BOOL: return bool_new(out);
    default: return MU_FAIL(MU_ERR_USAGE, "no dtype to write");
    }
    MU_TRY_H5(type = H5Tcopy(of));
    *out = type;
    return MU_OK;
}

/* MU_NONE for what we lack. */
static mu_dtype dtype_of(hid_t type)
{
    for (mu_dtype dtype = MU_NONE + 1; dtype < MU_DTYPE_COUNT; dtype++) {
        hid_t ours;
        if (mu_h5_type_new(dtype, &ours) != MU_OK)
            continue;
        bool equal = H5Tequal(type, ours) > 0;
        mu_h5_close(ours);
        if (equal)
            return dtype;
    }
    return MU_NONE;
}

static mu_err create_dataset(hid_t parent, const char *name, hid_t type, hid_t space, hid_t *out)
{
    hid_t properties, dataset;
    MU_TRY_H5(properties = H5Pcreate(H5P_DATASET_CREATE));
    mu_err err;
    MU_TRY_GOTO(err, MU_H5(H5Pset_layout(properties, H5D_CONTIGUOUS)), done);
    MU_TRY_GOTO(err, MU_H5(H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY)), done);
    MU_TRY_GOTO(err, MU_H5(H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER)), done);
    MU_TRY_GOTO(err, MU_H5(H5Pset_obj_track_times(properties, false)), done);
    MU_TRY_GOTO(err, MU_H5(dataset = H5Dcreate2(parent, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT)), done);
    *out = dataset;
done:
    mu_h5_close(properties);
    return err;
}

mu_err mu_h5_dataset_create(hid_t parent, const char *name, const mu_type *type, hid_t *out)
{
    hsize_t dim[MU_MAX_NDIM];
    for (int i = 0; i < type->ndim; i++)
        dim[i] = (hsize_t)type->dim[i];
    hid_t element = H5I_INVALID_HID, space = H5I_INVALID_HID;
    mu_err err;
    MU_TRY_GOTO(err, mu_h5_type_new(type->dtype, &element), done);
    MU_TRY_GOTO(err, MU_H5(space = type->ndim ? H5Screate_simple(type->ndim, dim, NULL) : H5Screate(H5S_SCALAR)), done);
    MU_TRY_GOTO(err, create_dataset(parent, name, element, space, out), done);
done:
    mu_h5_close(space);
    mu_h5_close(element);
    return err;
}

mu_err mu_h5_text_create(hid_t parent, const char *name, size_t length, hid_t *out)
{
    hid_t type = H5I_INVALID_HID, space = H5I_INVALID_HID;
    mu_err err;
    MU_TRY_GOTO(err, text_type_new(length, H5T_STR_NULLPAD, &type), done);
    MU_TRY_GOTO(err, MU_H5(space = H5Screate(H5S_SCALAR)), done);
    MU_TRY_GOTO(err, create_dataset(parent, name, type, space, out), done);
done:
    mu_h5_close(space);
    mu_h5_close(type);
    return err;
}

mu_err mu_h5_link_create(hid_t file, const char *path, const char *target_file)
{
    MU_TRY(mu_h5_groups_create(file, path));
    MU_TRY_H5(H5Lcreate_external(target_file, path, file, path, H5P_DEFAULT, H5P_DEFAULT));
    return MU_OK;
}

static mu_err shape_of(hid_t space, mu_dtype dtype, mu_type *out)
{
    hsize_t dim[H5S_MAX_RANK];
    int64_t narrow[MU_MAX_NDIM];
    int ndim;
    MU_TRY_H5(ndim = H5Sget_simple_extent_dims(space, dim, NULL));
    if (ndim > MU_MAX_NDIM || H5Sget_simple_extent_type(space) == H5S_NULL)
        return MU_FAIL(MU_ERR_FORMAT, "it has %d dimensions; at most %d are possible", ndim, MU_MAX_NDIM);
    for (int i = 0; i < ndim; i++) {
        if (dim[i] > INT64_MAX)
            return MU_FAIL(MU_ERR_FORMAT, "dimension %d is too large", i);
        narrow[i] = (int64_t)dim[i];
    }
    return mu_type_init(out, dtype, ndim, narrow);
}

mu_err mu_h5_dataset_type(hid_t dataset, mu_type *out)
{
    hid_t type, space;
    MU_TRY_H5(type = H5Dget_type(dataset));
    mu_dtype dtype = dtype_of(type);
    mu_h5_close(type);
    if (dtype == MU_NONE) {
        MU_FAIL(MU_ERR_FORMAT, "its elements are of a type that Muster lacks");
        return mu_error_hint("f32, f16, bf16, f64, i64, i32, u8, all little-endian, and bool are possible");
    }
    MU_TRY_H5(space = H5Dget_space(dataset));
    mu_err err = shape_of(space, dtype, out);
    mu_h5_close(space);
    return err;
}

mu_err mu_h5_dataset_offset(hid_t dataset, int64_t bytes, int64_t *out)
{
    hid_t properties;
    MU_TRY_H5(properties = H5Dget_create_plist(dataset));
    bool contiguous = H5Pget_layout(properties) == H5D_CONTIGUOUS && H5Pget_external_count(properties) == 0;
    mu_h5_close(properties);
    mu_h5_printer printer = mu_h5_silence();
    haddr_t offset = H5Dget_offset(dataset);
    hsize_t stored = H5Dget_storage_size(dataset);
    mu_h5_restore(printer);
    if (bytes == 0 && contiguous) {
        *out = 0;
        return MU_OK;
    }
    if (!contiguous || offset > INT64_MAX) {
        MU_FAIL(MU_ERR_FORMAT, "its bytes do not lie in one piece in the file");
        return mu_error_hint("rewrite the file without chunks and compression: h5repack -l CONTI -f NONE IN OUT");
    }
    if (stored != (hsize_t)bytes)
        return MU_FAIL(MU_ERR_FORMAT, "it has %llu bytes in the file instead of %lld", (unsigned long long)stored,
                       (long long)bytes);
    *out = (int64_t)offset;
    return MU_OK;
}

mu_err mu_h5_of_file(const char *path, mu_err err)
{
    if (err)
        mu_error_context("'%s'", path);
    return err;
}

mu_err mu_h5_text_length(hid_t dataset, size_t *out)
{
    hid_t type, space = H5I_INVALID_HID;
    hssize_t count;
    mu_err err;
    MU_TRY_H5(type = H5Dget_type(dataset));
    MU_TRY_GOTO(err, MU_H5(space = H5Dget_space(dataset)), done);
    MU_TRY_GOTO(err, MU_H5(count = H5Sget_simple_extent_npoints(space)), done);
    if (count != 1 || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) {
        MU_FAIL(MU_ERR_FORMAT, "it is not one text of fixed length");
        err = mu_error_hint("h5py writes such a text from numpy.bytes_(text.encode())");
    } else {
        *out = H5Tget_size(type);
    }
done:
    mu_h5_close(space);
    mu_h5_close(type);
    return err;
}
