#include "config.h" /* _GNU_SOURCE */

#include "data/batch.h"
#include "data/h5_dataset.h"
#include "data/loader.h"

#include "toy_set.h"

#include <unistd.h>

enum { N = 12, H = 4, W = 3 };

/* HDF5 1.10 loses memory of its own. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static char path[64];
static mu_config *config;

static void setup(void)
{
    toy_register();
    snprintf(path, sizeof path, "/tmp/muster-set-%ld.h5", (long)getpid());
}

static void teardown(void)
{
    unlink(path);
    mu_registry_reset();
}

static const mu_cfg *parse(const char *yaml)
{
    static char text[512];
    snprintf(text, sizeof text, yaml, path);
    ck_ok(mu_config_parse(text, strlen(text), "yaml", &config));
    return mu_config_root(config);
}

static mu_dataset *build(const char *yaml)
{
    mu_dataset *dataset;
    ck_ok(mu_build("dataset", parse(yaml), NULL, "dataset", (void **)&dataset));
    return dataset;
}

static void drop(mu_dataset *dataset)
{
    mu_destroy(dataset);
    mu_config_release(config);
}

static void fails_to_build(const char *yaml, const char *part)
{
    mu_dataset *dataset;
    ck_fails(mu_build("dataset", parse(yaml), NULL, "dataset", (void **)&dataset), MU_ERR_CONFIG, part);
    mu_config_release(config);
}

/* images u8[H,W] and labels of a dtype: i, i + 1, ... and i % 3. */
static void write_pixels(mu_dtype label_dtype)
{
    mu_h5_writer *w;
    const mu_h5_field fields[] = {{.name = "images", .sample = MU_TYPE(MU_U8, H, W)},
                                  {.name = "labels", .sample = MU_SCALAR(label_dtype)},
                                  {.name = "place", .sample = MU_TYPE(MU_F32, 30)}};
    ck_ok(mu_h5_writer_new(path, fields, 3, N, "{\"classes\": [\"a\", \"b\", \"c\"]}", &w));
    for (int i = 0; i < N; i++) {
        uint8_t image[H * W];
        int64_t label = i % 3;
        float place[30];
        for (int k = 0; k < H * W; k++)
            image[k] = (uint8_t)(i + k);
        for (int k = 0; k < 30; k++)
            place[k] = (float)(i * 100 + k);
        ck_ok(mu_h5_writer_append(w, 0, image, sizeof image));
        ck_ok(mu_h5_writer_append(w, 1, &label, mu_dtype_size(label_dtype))); /* little-endian */
        ck_ok(mu_h5_writer_append(w, 2, place, sizeof place));
    }
    ck_ok(mu_h5_writer_finish(w));
    mu_h5_writer_release(w);
}

static void check_pixels(const mu_sample *sample, int64_t i)
{
    const mu_tensor *img = mu_tensors_find(&sample->fields, "img"), *label = mu_tensors_find(&sample->fields, "gt_label");
    const mu_tensor *place = mu_tensors_find(&sample->fields, "place");
    const mu_type image = MU_TYPE(MU_U8, 1, H, W), one = MU_SCALAR(MU_I64);
    ck_assert(mu_type_equal(&img->type, &image) && mu_type_equal(&label->type, &one));
    ck_assert_int_eq(*(int64_t *)label->data, i % 3);
    for (int k = 0; k < H * W; k++)
        ck_assert_int_eq(((uint8_t *)img->data)[k], i + k);
    ck_assert(((float *)place->data)[29] == (float)(i * 100 + 29));
}

START_TEST(hdf5_samples)
{
    static const mu_dtype labels[] = {MU_I64, MU_I32, MU_U8};
    for (int k = 0; k < 6; k++) {
        mu_sample sample = {0};
        write_pixels(labels[k % 3]);
        mu_dataset *d = build(k < 3 ? "{type: HDF5Dataset, path: %s, cache: 0}" : "{type: HDF5Dataset, path: %s}");
        ck_assert_int_eq(mu_dataset_length(d), N);
        ck_assert_str_eq(mu_dataset_meta(d), "{\"classes\": [\"a\", \"b\", \"c\"]}");
        for (int64_t i = N - 1; i >= 0; i--) {
            ck_ok(mu_dataset_get(d, i, &sample, 0, 0));
            ck_assert_int_eq(sample.index, i);
            ck_assert_int_eq(sample.fields.n, 3);
            check_pixels(&sample, i);
        }
        ck_fails(mu_dataset_get(d, N, &sample, 0, 0), MU_ERR_USAGE, "12 samples, there is no sample 12");
        mu_sample_release(&sample);
        drop(d);
    }
}
END_TEST

/* A batch read at once is what collating its samples gives. */
START_TEST(rows_equal_samples)
{
    static const int64_t index[] = {3, 4, 5, 0, 11, 11, 2};
    enum { B = 7 };
    write_pixels(MU_I32);
    for (int cache = 0; cache < 2; cache++) {
        mu_dataset *d = build(cache ? "{type: HDF5Dataset, path: %s}" : "{type: HDF5Dataset, path: %s, cache: 0}");
        mu_batch_buffer *a, *b;
        mu_tensors rows;
        mu_sample sample[B] = {0};
        const mu_sample *list[B];
        void *collate;
        mu_config *cfg;
        ck_ok(mu_config_parse("{type: default_collate}", 23, "yaml", &cfg));
        ck_ok(mu_build("collate", mu_config_root(cfg), NULL, "", &collate));
        ck_ok(mu_batch_buffer_new(&a));
        ck_ok(mu_batch_buffer_new(&b));
        for (int i = 0; i < B; i++) {
            ck_ok(mu_dataset_get(d, index[i], &sample[i], 0, 0));
            list[i] = &sample[i];
        }
        ck_ok(mu_collate(collate, a, list, B));
        ck_assert(mu_dataset_types(d, &rows));
        ck_ok(mu_batch_buffer_begin(b, B));
        for (int i = 0; i < rows.n; i++)
            ck_ok(mu_batch_buffer_field(b, rows.item[i].name, &rows.item[i].type, &rows.item[i].data));
        ck_ok(mu_dataset_read_rows(d, index, B, &rows));
        const mu_tensors *x = &mu_batch_buffer_batch(a)->fields, *y = &mu_batch_buffer_batch(b)->fields;
        ck_assert_int_eq(x->n, 3);
        for (int i = 0; i < x->n; i++) {
            ck_assert_str_eq(x->item[i].name, y->item[i].name);
            ck_assert(mu_type_equal(&x->item[i].type, &y->item[i].type));
            ck_assert_mem_eq(x->item[i].data, y->item[i].data, mu_type_bytes(&x->item[i].type));
        }
        ck_assert_mem_eq(mu_batch_buffer_batch(a)->index, index, sizeof index);
        for (int i = 0; i < B; i++)
            mu_sample_release(&sample[i]);
        mu_batch_buffer_release(a);
        mu_batch_buffer_release(b);
        mu_destroy(collate);
        mu_config_release(cfg);
        drop(d);
    }
}
END_TEST

/* What the loader gives of whole rows is what it gives sample by sample (pseudo_collate); then nothing is allocated. */
START_TEST(loader_reads_rows)
{
    static const char *const yaml[] = {
        "{dataset: {type: HDF5Dataset, path: %s, cache: 0}, batch_size: 5, num_workers: 2}",
        "{dataset: {type: HDF5Dataset, path: %s}, batch_size: 5}",
        "{dataset: {type: HDF5Dataset, path: %s}, batch_size: 5, num_workers: 1, collate_fn: {type: pseudo_collate}}"};
    static uint8_t images[3][2 * N * H * W];
    int64_t labels[3][2 * N];
    write_pixels(MU_I64);
    for (int k = 0; k < 3; k++) {
        mu_loader *loader;
        const mu_batch *batch;
        int64_t at = 0, before = 0;
        ck_ok(mu_loader_new(parse(yaml[k]), "x", &(mu_loader_options){.world_size = 1, .seed = 3, .training = true}, &loader));
        for (int epoch = 0; epoch < 2; epoch++) {
            ck_ok(mu_loader_start(loader, epoch));
            for (;;) {
                ck_ok(mu_loader_next(loader, &batch));
                if (!batch)
                    break;
                memcpy(images[k] + at * H * W, mu_tensors_find(&batch->fields, "img")->data, (size_t)(batch->size * H * W));
                memcpy(labels[k] + at, mu_tensors_find(&batch->fields, "gt_label")->data, (size_t)batch->size * sizeof(int64_t));
                at += batch->size;
            }
            if (epoch == 0)
                before = mu_mem_get_counts().total_blocks;
        }
        ck_assert_int_eq(at, 2 * N);
        if (k == 1) /* one slot, which has been in use */
            ck_assert_int_eq(mu_mem_get_counts().total_blocks, before);
        ck_assert_mem_eq(images[k], images[0], sizeof images[0]);
        ck_assert_mem_eq(labels[k], labels[0], sizeof labels[0]);
        mu_loader_release(loader);
        mu_config_release(config);
    }
}
END_TEST

START_TEST(hdf5_fields)
{
    mu_sample sample = {0};
    write_pixels(MU_I64);
    mu_dataset *d = build("{type: HDF5Dataset, path: %s, indices: 5, fields: {place: where, labels: null}}");
    ck_assert_int_eq(mu_dataset_length(d), 5);
    ck_ok(mu_dataset_get(d, 4, &sample, 0, 0));
    ck_assert_int_eq(sample.fields.n, 2);
    ck_assert_ptr_nonnull(mu_tensors_find(&sample.fields, "where"));
    ck_assert_ptr_nonnull(mu_tensors_find(&sample.fields, "img"));
    ck_fails(mu_dataset_get(d, 5, &sample, 0, 0), MU_ERR_USAGE, "no sample 5");
    mu_sample_release(&sample);
    drop(d);
    fails_to_build("{type: HDF5Dataset, path: %s, fields: {image: img}}", "no field 'image'");
    fails_to_build("{type: HDF5Dataset, path: %s, fields: {images: 3}}", "fields.images must be the name");
    fails_to_build("{type: HDF5Dataset, path: %s, fields: [img]}", "must be a dictionary");
    fails_to_build("{type: HDF5Dataset, path: %s, fields: {place: img}}", "two fields are called 'img'");
    fails_to_build("{type: HDF5Dataset, path: %s, fields: {place: null, images: null, labels: null}}", "leaves nothing");
}
END_TEST

/* Damage in what is kept in memory is found at once. */
START_TEST(hdf5_damage)
{
    static const uint8_t first[] = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 6, 7, 8};
    static char bytes[1 << 16];
    mu_dataset *d;
    write_pixels(MU_I64);
    FILE *file = fopen(path, "r+b");
    size_t n = fread(bytes, 1, sizeof bytes, file);
    char *at = memmem(bytes, n, first, sizeof first);
    ck_assert_ptr_nonnull(at);
    fseek(file, at - bytes, SEEK_SET);
    fputc(200, file);
    fclose(file);
    ck_fails(mu_build("dataset", parse("{type: HDF5Dataset, path: %s}"), NULL, "dataset", (void **)&d), MU_ERR_FORMAT,
             "/data/images: its checksum is");
    mu_config_release(config);
}
END_TEST

/* A PNG of 3x2 pixels in grey, 1 + 40 * (row * 3 + column). */
static const uint8_t png[] = {137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 3, 0, 0, 0, 2, 8, 0, 0, 0, 0, 184, 31,
                              57, 198, 0, 0, 0, 16, 73, 68, 65, 84, 120, 156, 99, 100, 212, 208, 96, 169, 208, 208, 0, 0, 3, 191, 1, 31, 251,
                              221, 83, 223, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130};

static void write_encoded(void)
{
    mu_h5_writer *w;
    const mu_h5_field fields[] = {{.name = "images", .sample = MU_SCALAR(MU_U8), .variable = true, .bytes = 2 * sizeof png + 30}};
    ck_ok(mu_h5_writer_new(path, fields, 1, 3, "{}", &w));
    ck_ok(mu_h5_writer_append(w, 0, png, sizeof png));
    ck_ok(mu_h5_writer_append(w, 0, png, 30)); /* cut */
    ck_ok(mu_h5_writer_append(w, 0, png, sizeof png));
    ck_ok(mu_h5_writer_finish(w));
    mu_h5_writer_release(w);
}

#ifdef HAVE_PNG
START_TEST(hdf5_decodes_images)
{
    static const struct {
        const char *yaml;
        int64_t channels;
    } cases[] = {{"{type: HDF5Dataset, path: %s}", 3},
                 {"{type: HDF5Dataset, path: %s, color_type: unchanged}", 1},
                 {"{type: HDF5Dataset, path: %s, color_type: grayscale, on_corrupt: skip}", 1},
                 {"{type: HDF5Dataset, path: %s, pipeline: [{type: DecodeImage, color_type: grayscale}]}", 1}};
    write_encoded();
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        mu_sample sample = {0};
        mu_dataset *d = build(cases[c].yaml);
        mu_tensors types;
        ck_assert(!mu_dataset_types(d, &types));
        ck_ok(mu_dataset_get(d, 2, &sample, 0, 0));
        const mu_tensor *img = mu_tensors_find(&sample.fields, "img");
        const mu_type wanted = MU_TYPE(MU_U8, cases[c].channels, 2, 3);
        ck_assert(mu_type_equal(&img->type, &wanted));
        for (int k = 0; k < 6 * cases[c].channels; k++)
            ck_assert_int_eq(((uint8_t *)img->data)[k], 1 + 40 * (k % 6));
        if (d->on_corrupt == MU_CORRUPT_SKIP) {
            ck_ok(mu_dataset_get(d, 1, &sample, 0, 0));
            ck_assert_int_eq(sample.index, 2);
            ck_assert_int_eq(d->n_corrupt, 1);
        } else {
            ck_fails(mu_dataset_get(d, 1, &sample, 0, 0), MU_ERR_FORMAT, "muster-set-");
            ck_assert_ptr_nonnull(strstr(test_error_text(), "sample 1: "));
            ck_assert_ptr_nonnull(strstr(test_error_text(), "on_corrupt: skip"));
        }
        mu_sample_release(&sample);
        drop(d);
    }
}
END_TEST
#endif

START_TEST(concat_and_repeat)
{
    mu_sample sample = {0};
    double first;
    mu_dataset *d = build("{type: ConcatDataset, datasets: [{type: ToySet, n: 4}, {type: ToySet, n: 0}, {type: RepeatDataset, "
                          "times: 3, dataset: {type: ToySet, n: 2}}]}");
    ck_assert_int_eq(mu_dataset_length(d), 10);
    ck_assert_str_eq(mu_dataset_meta(d), "{}");
    for (int64_t i = 0; i < 10; i++) {
        ck_ok(mu_dataset_get(d, i, &sample, 1, 0));
        ck_assert_int_eq(sample.index, i);
        ck_assert_int_eq(*(uint8_t *)mu_tensors_find(&sample.fields, "img")->data, toy_pixel(i < 4 ? i : i % 2, 0));
        double draw = *(double *)mu_tensors_find(&sample.fields, "draw")->data;
        if (i == 4)
            first = draw;
        if (i == 6)
            ck_assert(draw != first); /* the same sample, drawn anew */
    }
    drop(d);
    d = build("{type: ConcatDataset, datasets: [{type: ToySet, n: 2}, {type: ToySet, n: 3, bad: [1], on_corrupt: skip}]}");
    ck_ok(mu_dataset_get(d, 3, &sample, 1, 0));
    ck_assert_int_eq(*(uint8_t *)mu_tensors_find(&sample.fields, "img")->data, toy_pixel(2, 0));
    drop(d);
    d = build("{type: RepeatDataset, times: 2, dataset: {type: ToySet, n: 3, bad: [1]}}");
    ck_fails(mu_dataset_get(d, 4, &sample, 1, 0), MU_ERR_FORMAT, "RepeatDataset, sample 4: ToySet, sample 1: not an image");
    drop(d);
    mu_sample_release(&sample);
    write_pixels(MU_I64);
    char other[80];
    snprintf(other, sizeof other, "%s.2", path);
    ck_assert_int_eq(rename(path, other), 0);
    write_encoded(); /* without classes: fits */
    char yaml[256];
    snprintf(yaml, sizeof yaml, "{type: ConcatDataset, datasets: [{type: HDF5Dataset, path: %s}, {type: HDF5Dataset, path: %%s}]}", other);
    drop(build(yaml));
    mu_h5_writer *w;
    const mu_h5_field field = {.name = "x", .sample = MU_SCALAR(MU_U8)};
    ck_ok(mu_h5_writer_new(path, &field, 1, 1, "{\"classes\": [\"a\", \"b\"]}", &w));
    ck_ok(mu_h5_writer_append(w, 0, "x", 1));
    ck_ok(mu_h5_writer_finish(w));
    mu_h5_writer_release(w);
    fails_to_build(yaml, "different classes");
    unlink(other);
}
END_TEST

static mu_err collate_toys(const mu_cfg *cfg, const mu_dataset *dataset, mu_batch_buffer **out)
{
    mu_sample sample[4] = {0};
    const mu_sample *list[4];
    void *collate;
    mu_batch_buffer *buffer = NULL;
    MU_TRY(mu_build("collate", cfg, NULL, "", &collate));
    mu_err err = mu_batch_buffer_new(&buffer);
    for (int i = 0; !err && i < 4; i++) {
        err = mu_dataset_get((mu_dataset *)(uintptr_t)dataset, 3 + 5 * i, &sample[i], 0, 0);
        list[i] = &sample[i];
    }
    for (int again = 0; !err && again < 2; again++) /* into the same memory */
        err = mu_collate(collate, buffer, list, 4);
    for (int i = 0; i < 4; i++)
        mu_sample_release(&sample[i]);
    mu_destroy(collate);
    if (err)
        mu_batch_buffer_release(buffer);
    else
        *out = buffer;
    return err;
}

START_TEST(collating_sizes)
{
    mu_config *cfg;
    mu_batch_buffer *buffer;
    mu_dataset *d = build("{type: ToySet, n: 20, vary: true}");
    ck_ok(mu_config_parse("{type: pseudo_collate}", 22, "yaml", &cfg));
    ck_ok(collate_toys(mu_config_root(cfg), d, &buffer));
    const mu_batch *batch = mu_batch_buffer_batch(buffer);
    const mu_tensor *img = mu_tensors_find(&batch->fields, "img"), *shape = mu_tensors_find(&batch->fields, "img_shape");
    /* samples 3, 8, 13, 18: 4x1, 1x3, 2x2, 3x1 */
    const mu_type wanted = MU_TYPE(MU_U8, 4, 2, 4, 3);
    ck_assert(mu_type_equal(&img->type, &wanted));
    for (int64_t i = 0; i < 4; i++) {
        int64_t index = 3 + 5 * i, h = 1 + index % 4, w = 1 + index % 3;
        ck_assert_int_eq(batch->index[i], index);
        ck_assert_int_eq(((int64_t *)shape->data)[2 * i], h);
        ck_assert_int_eq(((int64_t *)shape->data)[2 * i + 1], w);
        ck_assert_int_eq(((int64_t *)mu_tensors_find(&batch->fields, "gt_label")->data)[i], index % 10);
        for (int64_t c = 0; c < 2; c++)
            for (int64_t y = 0; y < 4; y++)
                for (int64_t x = 0; x < 3; x++)
                    ck_assert_int_eq(((uint8_t *)img->data)[((i * 2 + c) * 4 + y) * 3 + x],
                                     y < h && x < w ? toy_pixel(index, (c * h + y) * w + x) : 0);
    }
    mu_batch_buffer_release(buffer);
    ck_survives_oom(collate_toys(mu_config_root(cfg), d, &buffer), mu_batch_buffer_release(buffer));
    mu_config_release(cfg);
    ck_ok(mu_config_parse("{type: default_collate}", 23, "yaml", &cfg));
    ck_fails(collate_toys(mu_config_root(cfg), d, &buffer), MU_ERR_SHAPE,
             "samples 3 and 8 do not fit into one batch: 'img' is u8[2,4,1] in the first, u8[2,1,3] in the second");
    mu_config_release(cfg);
    drop(d);
}
END_TEST

START_TEST(collating_other_fields)
{
    mu_config *cfg;
    mu_batch_buffer *buffer;
    mu_sample a = {0}, b = {0};
    void *collate, *data;
    static const char *const names[] = {"{type: default_collate}", "{type: pseudo_collate}"};
    for (int k = 0; k < 2; k++) {
        ck_ok(mu_config_parse(names[k], strlen(names[k]), "yaml", &cfg));
        ck_ok(mu_build("collate", mu_config_root(cfg), NULL, "", &collate));
        ck_ok(mu_batch_buffer_new(&buffer));
        mu_sample_begin(&a, 1, 0, 0);
        mu_sample_begin(&b, 2, 0, 0);
        ck_ok(mu_sample_put(&a, "x", MU_SCALAR(MU_U8), &data));
        ck_ok(mu_sample_put(&b, "y", MU_SCALAR(MU_U8), &data));
        ck_fails(mu_collate(collate, buffer, (const mu_sample *const[]){&a, &b}, 2), MU_ERR_SHAPE, "'x' is u8[] in the first, missing");
        ck_ok(mu_sample_put(&b, "x", MU_SCALAR(MU_U8), &data));
        ck_fails(mu_collate(collate, buffer, (const mu_sample *const[]){&a, &b}, 2), MU_ERR_SHAPE, "'y' is missing in the first");
        ck_fails(mu_collate(collate, buffer, NULL, 0), MU_ERR_USAGE, "at least one sample");
        mu_batch_buffer_release(buffer);
        mu_destroy(collate);
        mu_config_release(cfg);
    }
    mu_sample_release(&a);
    mu_sample_release(&b);
}
END_TEST

static mu_err build_and_drop(const mu_cfg *cfg)
{
    void *dataset;
    MU_TRY(mu_build("dataset", cfg, NULL, "dataset", &dataset));
    mu_destroy(dataset);
    return MU_OK;
}

START_TEST(no_memory)
{
    const mu_cfg *cfg = parse("{type: ConcatDataset, datasets: [{type: ToySet, n: 4, on_corrupt: skip}, {type: RepeatDataset, "
                              "times: 3, dataset: {type: ToySet, n: 2}}]}");
    ck_survives_oom(build_and_drop(cfg), (void)0);
    mu_config_release(config);
    write_pixels(MU_I32);
    cfg = parse("{type: HDF5Dataset, path: %s, fields: {place: null}}");
    ck_survives_oom(build_and_drop(cfg), (void)0);
    mu_config_release(config);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset");
    TCase *tcase = tcase_create("dataset");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, hdf5_samples);
    tcase_add_test(tcase, rows_equal_samples);
    tcase_add_test(tcase, loader_reads_rows);
    tcase_add_test(tcase, hdf5_fields);
    tcase_add_test(tcase, hdf5_damage);
#ifdef HAVE_PNG
    tcase_add_test(tcase, hdf5_decodes_images);
#endif
    tcase_add_test(tcase, concat_and_repeat);
    tcase_add_test(tcase, collating_sizes);
    tcase_add_test(tcase, collating_other_fields);
    tcase_add_test(tcase, no_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
