/* The library's own Winograd kernels against plain sums in f64: odd sizes, paddings, remainders of panels, threads, bf16.
 * Prints the largest error of each, relative to the largest value. */
#include "config.h"

#include "backend/simd/winograd.h"
#include "core/type.h"
#include "test.h"

#include <math.h>

typedef struct {
    int n, c, k, h, w, pad, threads;
    bool half;
} shape;

static const shape shapes[] = {
    {2, 16, 16, 8, 8, 1, 1, false},  {2, 32, 48, 9, 7, 1, 1, false},   {1, 16, 80, 6, 6, 0, 1, false},
    {3, 64, 64, 8, 8, 2, 2, false},  {1, 16, 16, 1, 1, 1, 1, false},   {2, 128, 128, 4, 4, 1, 1, false},
    {2, 128, 192, 4, 4, 1, 2, false}, {9, 16, 32, 16, 16, 1, 2, false}, {2, 64, 64, 14, 14, 1, 1, true},
    {2, 144, 48, 5, 11, 0, 2, true}, {70, 64, 16, 4, 4, 1, 1, false},
};

/* Places of logical elements in the blocked layouts. */
static size_t image_at(int channels, int h, int w, int n, int c, int i, int j)
{
    return ((((size_t)n * (size_t)(channels / 16) + (size_t)(c / 16)) * (size_t)h + (size_t)i) * (size_t)w + (size_t)j) * 16 +
           (size_t)(c % 16);
}

static size_t weight_at(int channels, int k, int c, int i, int j)
{
    return ((((size_t)(k / 16) * (size_t)(channels / 16) + (size_t)(c / 16)) * 9 + (size_t)(i * 3 + j)) * 16 +
            (size_t)(c % 16)) * 16 + (size_t)(k % 16);
}

typedef struct {
    float *value; /* as stored, in f32 */
    void *stored; /* f32 or bf16 */
    double *sum;  /* expected */
    size_t count;
} tensor;

static tensor tensor_new(size_t count, bool half, uint64_t *seed)
{
    tensor t = {.count = count};
    ck_ok(mu_alloc(&t.value, count * sizeof(float)));
    ck_ok(mu_alloc(&t.stored, count * sizeof(float)));
    ck_ok(mu_calloc(&t.sum, count, sizeof(double)));
    for (size_t i = 0; i < count; i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        t.value[i] = (float)((double)(*seed >> 40) / (1 << 23) - 1.0);
    }
    mu_convert(t.stored, half ? MU_BF16 : MU_F32, t.value, MU_F32, (int64_t)count);
    mu_convert(t.value, MU_F32, t.stored, half ? MU_BF16 : MU_F32, (int64_t)count);
    return t;
}

static void tensor_release(tensor *t)
{
    mu_free(t->value);
    mu_free(t->stored);
    mu_free(t->sum);
}

static double error_of(const tensor *t, bool half, float *got)
{
    double worst = 0, largest = 1e-30;
    mu_convert(got, MU_F32, t->stored, half ? MU_BF16 : MU_F32, (int64_t)t->count);
    for (size_t i = 0; i < t->count; i++) {
        double e = fabs((double)got[i] - t->sum[i]);
        worst = e > worst || isnan(e) ? e : worst;
        largest = fabs(t->sum[i]) > largest ? fabs(t->sum[i]) : largest;
    }
    return worst / largest;
}

static void expect(const mu_winograd_shape *s, tensor *x, tensor *w, tensor *y)
{
    int C = (int)s->c, K = (int)s->k, H = (int)s->h, W = (int)s->w, OH = (int)s->oh, OW = (int)s->ow;
    for (int n = 0; n < s->n; n++)
        for (int k = 0; k < K; k++)
            for (int c = 0; c < C; c++)
                for (int oh = 0; oh < OH; oh++)
                    for (int ow = 0; ow < OW; ow++)
                        for (int tap = 0; tap < 9; tap++) {
                            int h = oh + tap / 3 - (int)s->pad_top, v = ow + tap % 3 - (int)s->pad_left;
                            if (h < 0 || v < 0 || h >= H || v >= W)
                                continue;
                            size_t a = image_at(K, OH, OW, n, k, oh, ow), b = image_at(C, H, W, n, c, h, v);
                            size_t d = weight_at(C, k, c, tap / 3, tap % 3);
                            y->sum[a] += (double)x->value[b] * w->value[d];
                            x->sum[b] += (double)y->value[a] * w->value[d];
                            w->sum[d] += (double)x->value[b] * y->value[a];
                        }
}

START_TEST(test_products)
{
    const shape *at = &shapes[_i];
    if (!mu_winograd_available())
        return; /* this processor has no AVX-512 */
    mu_winograd_shape s = {.n = at->n, .c = at->c, .k = at->k, .h = at->h, .w = at->w, .oh = at->h + 2 * at->pad - 2,
                           .ow = at->w + 2 * at->pad - 2, .pad_top = at->pad, .pad_left = at->pad, .half = at->half,
                           .half_weight = at->half, .n_threads = at->threads};
    uint64_t seed = 1 + (uint64_t)_i;
    tensor x = tensor_new((size_t)(s.n * s.c * s.h * s.w), s.half, &seed);
    tensor w = tensor_new((size_t)(s.k * s.c * 9), s.half, &seed);
    tensor y = tensor_new((size_t)(s.n * s.k * s.oh * s.ow), s.half, &seed);
    static const char *const names[] = {"forward", "grad_input", "grad_weight"};
    expect(&s, &x, &w, &y);
    for (int p = 0; p < 3; p++) {
        tensor *out = p == 0 ? &y : p == 1 ? &x : &w;
        size_t bytes = mu_winograd_scratch(&s, (mu_winograd_product)p);
        char *scratch;
        void *given;
        float *got;
        ck_ok(mu_alloc(&scratch, bytes + 64));
        ck_ok(mu_alloc(&given, out->count * 4));
        ck_ok(mu_alloc(&got, out->count * 4));
        memset(scratch, 0xff, bytes + 64);
        memcpy(given, out->stored, out->count * 4);
        memset(out->stored, 0xff, out->count * 4);
        if (p == 0)
            mu_winograd_forward(&s, x.stored, w.stored, NULL, y.stored, scratch);
        else if (p == 1)
            mu_winograd_grad_input(&s, y.stored, w.stored, x.stored, scratch);
        else
            mu_winograd_grad_weight(&s, x.stored, y.stored, w.stored, scratch);
        for (int i = 0; i < 64; i++)
            ck_assert_msg((unsigned char)scratch[bytes + (size_t)i] == 0xff, "%s writes past its scratch", names[p]);
        double e = error_of(out, s.half, got);
        printf("winograd %-11s x [%d,%d,%d,%d] %d maps %s: %.2e\n", names[p], at->n, at->c, at->h, at->w, at->k,
               s.half ? "bf16" : "f32", e);
        ck_assert_msg(e <= (s.half ? 4e-3 : 4e-6), "%s of shape %d: relative error %g", names[p], _i, e);
        memcpy(out->stored, given, out->count * 4);
        mu_free(scratch);
        mu_free(given);
        mu_free(got);
    }
    tensor_release(&x);
    tensor_release(&w);
    tensor_release(&y);
}
END_TEST

/* y = relu(conv + bias + residual), the residual in place. */
START_TEST(test_tail)
{
    if (!mu_winograd_available())
        return;
    mu_winograd_shape s = {.n = 1, .c = 16, .k = 32, .h = 5, .w = 6, .oh = 5, .ow = 6, .pad_top = 1, .pad_left = 1,
                           .n_threads = 1};
    uint64_t seed = 77;
    tensor x = tensor_new(16 * 30, false, &seed), w = tensor_new(32 * 16 * 9, false, &seed);
    tensor y = tensor_new(32 * 30, false, &seed), bias = tensor_new(32, false, &seed);
    char *scratch;
    ck_ok(mu_alloc(&scratch, mu_winograd_scratch(&s, MU_WINOGRAD_FORWARD)));
    expect(&s, &x, &w, &y);
    mu_winograd_tail tail = {.bias = bias.stored, .residual = y.stored, .relu = true};
    mu_winograd_forward(&s, x.stored, w.stored, &tail, y.stored, scratch);
    for (int k = 0; k < 32; k++)
        for (int i = 0; i < 30; i++) {
            size_t a = image_at(32, 5, 6, 0, k, i / 6, i % 6);
            double e = y.sum[a] + bias.value[k] + y.value[a];
            ck_assert_double_eq_tol(((float *)y.stored)[a], e > 0 ? e : 0, 1e-4);
        }
    mu_free(scratch);
    tensor_release(&x);
    tensor_release(&w);
    tensor_release(&y);
    tensor_release(&bias);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("winograd");
    TCase *tc = tcase_create("winograd");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_products, 0, sizeof shapes / sizeof *shapes);
    tcase_add_test(tc, test_tail);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}
