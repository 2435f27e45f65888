/* Images a second through DecodeImage, RandomResizedCrop and RandomFlip, with one thread and with two.
 *
 *   decode_bench [--images N] [--repeats N] [--height H] [--width W]
 *
 * Measures one thread and two in turn, so that a busy machine slows both, and prints the medians as JSON; "part" is the
 * time of the steps of one image. The picture is made up: smooth shapes with some noise, as large a file as a
 * photograph's. */
#include "config/config.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/pool.h"
#include "data/transform.h"

#include "data/encode.h"

#include <getopt.h>
#include <math.h>

enum { MAX_REPEATS = 99 };

typedef struct {
    int64_t images, repeats, height, width;
} options;

typedef struct {
    const mu_pipeline *pipeline;
    test_bytes jpeg;
    int64_t first, images;
    mu_sample *sample;
} job;

static mu_err run_job(void *user)
{
    job *j = user;
    void *data;
    for (int64_t i = j->first; i < j->first + j->images; i++) {
        mu_sample_begin(j->sample, i, 0, 0);
        MU_TRY(mu_sample_put(j->sample, "img", MU_TYPE(MU_U8, (int64_t)j->jpeg.size), &data));
        memcpy(data, j->jpeg.data, j->jpeg.size);
        MU_TRY(mu_pipeline_apply(j->pipeline, j->sample));
    }
    return MU_OK;
}

/* Images a second. */
static mu_err measure(const job *all, mu_sample samples[2], int threads, double *rate)
{
    mu_pool *pool;
    job jobs[2];
    mu_err err = MU_OK;
    MU_TRY(mu_pool_new(threads, threads, &pool));
    double start = mu_clock();
    for (int i = 0; i < threads && !err; i++) {
        jobs[i] = *all;
        jobs[i].first = i * all->images / threads;
        jobs[i].images = (i + 1) * all->images / threads - jobs[i].first;
        jobs[i].sample = &samples[i];
        err = mu_pool_submit(pool, run_job, &jobs[i]);
    }
    if (!err)
        err = mu_pool_wait(pool);
    *rate = (double)all->images / (mu_clock() - start);
    mu_pool_release(pool);
    return err;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, compare);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static mu_err build(const char *yaml, mu_config **config, mu_pipeline **out)
{
    MU_TRY(mu_config_parse(yaml, strlen(yaml), "yaml", config));
    MU_TRY(mu_pipeline_new(mu_cfg_get(mu_config_root(*config), "pipeline"), "pipeline", out));
    return MU_OK;
}

static mu_err make_picture(const options *o, test_bytes *out)
{
    uint8_t *pixels;
    MU_TRY(mu_alloc(&pixels, (size_t)(3 * o->height * o->width)));
    for (int64_t i = 0; i < o->height * o->width; i++) {
        double y = (double)(i / o->width), x = (double)(i % o->width);
        for (int c = 0; c < 3; c++) {
            double noise = (double)((uint32_t)(3 * i + c) * 2654435761u >> 24) / 255 - 0.5;
            double v = 128 + 50 * sin(x / 31 + c) * cos(y / 23) + 30 * sin((x + 2 * y) / 7) + 40 * noise;
            pixels[3 * i + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    }
    *out = test_jpeg(pixels, (int)o->height, (int)o->width, 3, (test_jpeg_options){.quality = 85});
    mu_free(pixels);
    return MU_OK;
}

static mu_err bench_all(const options *o)
{
    static const char *const steps[] = {
        "pipeline: [{type: DecodeImage}]",
        "pipeline: [{type: DecodeImage}, {type: RandomResizedCrop, scale: 224}]",
        "pipeline: [{type: DecodeImage}, {type: RandomResizedCrop, scale: 224}, {type: RandomFlip, prob: 0.5}]",
    };
    mu_sample samples[2] = {{0}};
    job all = {.images = o->images};
    double seconds[3], before = 0;
    MU_TRY(make_picture(o, &all.jpeg));
    printf("{\"height\": %lld, \"width\": %lld, \"bytes\": %zu, \"part\": {", (long long)o->height, (long long)o->width,
           all.jpeg.size);
    for (int s = 0; s < 3; s++) {
        double rate[2][MAX_REPEATS], gain[MAX_REPEATS];
        mu_config *config;
        mu_pipeline *pipeline;
        MU_TRY(build(steps[s], &config, &pipeline));
        all.pipeline = pipeline;
        for (int64_t i = 0; i < o->repeats; i++) {
            MU_TRY(measure(&all, samples, 1, &rate[0][i]));
            if (s == 2)
                MU_TRY(measure(&all, samples, 2, &rate[1][i]));
            gain[i] = s == 2 ? rate[1][i] / rate[0][i] : 0;
        }
        seconds[s] = 1 / median(rate[0], o->repeats);
        printf("%s\"%s\": %.6f", s ? ", " : "", (const char *[]){"decode", "crop", "flip"}[s], seconds[s] - before);
        before = seconds[s];
        if (s == 2)
            printf("}, \"images_per_second\": {\"1\": %.1f, \"2\": %.1f}, \"gain\": %.3f}\n", 1 / seconds[2],
                   median(rate[1], o->repeats), median(gain, o->repeats));
        mu_pipeline_release(pipeline);
        mu_config_release(config);
    }
    free(all.jpeg.data);
    mu_sample_release(&samples[0]);
    mu_sample_release(&samples[1]);
    mu_registry_reset();
    return MU_OK;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {{"images", 1, NULL, 'i'},
                                          {"repeats", 1, NULL, 'r'},
                                          {"height", 1, NULL, 'h'},
                                          {"width", 1, NULL, 'w'},
                                          {NULL, 0, NULL, 0}};
    options o = {.images = 100, .repeats = 9, .height = 375, .width = 500};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        long long value = optarg ? atoll(optarg) : 0;
        if (c == '?' || value < 1 || value > 100000 || (c == 'r' && value > MAX_REPEATS)) {
            fprintf(stderr, "decode_bench [--images N] [--repeats N] [--height H] [--width W]\n");
            return 2;
        }
        *(c == 'i' ? &o.images : c == 'r' ? &o.repeats : c == 'h' ? &o.height : &o.width) = value;
    }
    if (bench_all(&o) != MU_OK) {
        char text[4096];
        mu_error_format(mu_error_last(), 1, text, sizeof text);
        fprintf(stderr, "decode_bench: %s\n", text);
        return 1;
    }
    return 0;
}
