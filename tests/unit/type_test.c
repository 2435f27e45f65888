#include "core/type.h"

#include "test.h"

#include <math.h>

/* The value of a half or brain float by its definition. */
static double value_of(uint16_t h, int exponent_bits, int fraction_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, exponent = (h >> fraction_bits) & ((1 << exponent_bits) - 1);
    double fraction = (h & ((1 << fraction_bits) - 1)) * ldexp(1, -fraction_bits), sign = h & 0x8000 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1)
        return fraction != 0 ? NAN : sign * INFINITY;
    return exponent ? sign * ldexp(1 + fraction, exponent - bias) : sign * ldexp(fraction, 1 - bias);
}

START_TEST(sixteen_bits_to_float)
{
    for (uint32_t h = 0; h < 65536; h++) {
        double f16 = value_of((uint16_t)h, 5, 10), bf16 = value_of((uint16_t)h, 8, 7);
        float a = mu_f16_to_f32((uint16_t)h), b = mu_bf16_to_f32((uint16_t)h);
        if (isnan(f16) ? !isnan(a) : (double)a != f16 || !signbit(a) != !signbit(f16))
            ck_abort_msg("f16 %04x: %a instead of %a", h, a, f16);
        if (isnan(bf16) ? !isnan(b) : (double)b != bf16 || !signbit(b) != !signbit(bf16))
            ck_abort_msg("bf16 %04x: %a instead of %a", h, b, bf16);
        if (!isnan(f16))
            ck_assert_uint_eq(mu_f32_to_f16(a), h);
        if (!isnan(bf16))
            ck_assert_uint_eq(mu_f32_to_bf16(b), h);
    }
    ck_assert(isnan(mu_f16_to_f32(mu_f32_to_f16(NAN))));
    ck_assert(isnan(mu_bf16_to_f32(mu_f32_to_bf16(-NAN))));
    /* A NaN whose fraction lies in the lower half only stays one. */
    uint32_t u = 0x7f800001;
    float f;
    memcpy(&f, &u, sizeof f);
    ck_assert(isnan(mu_bf16_to_f32(mu_f32_to_bf16(f))));
    ck_assert(isnan(mu_f16_to_f32(mu_f32_to_f16(f))));
}
END_TEST

/* Between two neighbours of the same sign: the middle goes to the even one, what lies next to it to the nearer one. */
static void check_rounding(uint16_t low, double below, double above, uint16_t (*convert)(float))
{
    float middle = (float)((below + above) / 2);
    ck_assert((double)middle == (below + above) / 2);
    uint16_t even = low & 1 ? (uint16_t)(low + 1) : low;
    uint16_t sign[2] = {0, 0x8000};
    for (int s = 0; s < 2; s++) {
        float m = s ? -middle : middle;
        ck_assert_uint_eq(convert(m), even | sign[s]);
        ck_assert_uint_eq(convert(nextafterf(m, 0)), low | sign[s]);
        ck_assert_uint_eq(convert(nextafterf(m, s ? -INFINITY : INFINITY)), (low + 1) | sign[s]);
    }
}

START_TEST(rounding)
{
    for (uint32_t h = 0; h < 0x7c00; h++) /* the last one rounds to infinity, whose place is 2^16 */
        check_rounding((uint16_t)h, value_of((uint16_t)h, 5, 10),
                       h == 0x7bff ? 0x1p16 : value_of((uint16_t)(h + 1), 5, 10), mu_f32_to_f16);
    for (uint32_t h = 0; h < 0x7f7f; h++)
        check_rounding((uint16_t)h, value_of((uint16_t)h, 8, 7), value_of((uint16_t)(h + 1), 8, 7), mu_f32_to_bf16);
    ck_assert_uint_eq(mu_f32_to_bf16(INFINITY), 0x7f80);
    ck_assert_uint_eq(mu_f32_to_f16(1e30f), 0x7c00);
    ck_assert_uint_eq(mu_f32_to_bf16(3.4e38f), 0x7f80);
}
END_TEST

START_TEST(sizes)
{
    mu_type t;
    ck_ok(mu_type_init(&t, MU_F32, 3, (int64_t[]){2, 3, 4}));
    ck_assert_int_eq(mu_type_count(&t), 24);
    ck_assert_uint_eq(mu_type_bytes(&t), 96);
    int64_t stride[MU_MAX_NDIM];
    mu_type_strides(&t, stride);
    ck_assert(stride[0] == 12 && stride[1] == 4 && stride[2] == 1);
    ck_ok(mu_type_init(&t, MU_F64, 0, NULL));
    ck_assert_int_eq(mu_type_count(&t), 1);
    ck_ok(mu_type_init(&t, MU_U8, 1, (int64_t[]){INT64_MAX}));
    ck_assert_int_eq(mu_type_count(&t), INT64_MAX);
    mu_type kept = t;
    ck_fails(mu_type_init(&t, MU_F16, 1, (int64_t[]){INT64_MAX / 2 + 1}), MU_ERR_OVERFLOW, "64 bits");
    ck_fails(mu_type_init(&t, MU_F32, 3, (int64_t[]){1LL << 31, 1LL << 31, 1}), MU_ERR_OVERFLOW, "64 bits");
    ck_fails(mu_type_init(&t, MU_F32, 3, (int64_t[]){0, 1LL << 40, 1LL << 40}), MU_ERR_OVERFLOW, "64 bits");
    ck_fails(mu_type_init(&t, MU_F32, 1, (int64_t[]){-1}), MU_ERR_SHAPE, "dimension 0");
    ck_fails(mu_type_init(&t, MU_F32, MU_MAX_NDIM + 1, stride), MU_ERR_SHAPE, "0 to 8");
    ck_assert(mu_type_equal(&t, &kept));
    char text[MU_TYPE_TEXT];
    int64_t wide[MU_MAX_NDIM] = {INT64_MAX, 1, 1, 1, 1, 1, 1, 1};
    ck_ok(mu_type_init(&t, MU_BOOL, MU_MAX_NDIM, wide));
    ck_assert_str_eq(mu_type_format(&t, text), "bool[9223372036854775807,1,1,1,1,1,1,1]");
    ck_assert_str_eq(mu_type_format(&(mu_type){0}, text), "-");
}
END_TEST

START_TEST(dtypes)
{
    for (int d = 1; d < MU_DTYPE_COUNT; d++)
        ck_assert_int_eq(mu_dtype_parse(mu_dtype_name((mu_dtype)d)), d);
    ck_assert_int_eq(mu_dtype_parse("f8"), MU_NONE);
    ck_assert_int_eq(mu_dtype_parse("-"), MU_NONE);
    ck_assert(mu_dtype_is_float(MU_BF16) && !mu_dtype_is_float(MU_U8));
}
END_TEST

START_TEST(broadcast)
{
    mu_type a = MU_TYPE(MU_F32, 4, 1, 3), b = MU_TYPE(MU_I64, 5, 1), out;
    ck_ok(mu_type_broadcast(&a, &b, &out));
    ck_assert(mu_type_equal(&out, &MU_TYPE(MU_F32, 4, 5, 3)));
    mu_type scalar = MU_SCALAR(MU_F32), empty = MU_TYPE(MU_F32, 0, 3);
    ck_ok(mu_type_broadcast(&scalar, &empty, &out));
    ck_assert(mu_type_equal(&out, &empty));
    mu_type four = MU_TYPE(MU_F32, 4);
    ck_fails(mu_type_broadcast(&a, &four, &out), MU_ERR_SHAPE, "3 against 4 in dimension 2");
    mu_type tall = MU_TYPE(MU_F32, 1LL << 40, 1), broad = MU_TYPE(MU_F32, 1LL << 40);
    ck_fails(mu_type_broadcast(&tall, &broad, &out), MU_ERR_OVERFLOW, "64 bits");
    int dim;
    ck_ok(mu_type_wrap_dim(&a, -1, &dim));
    ck_assert_int_eq(dim, 2);
    ck_fails(mu_type_wrap_dim(&a, 3, &dim), MU_ERR_SHAPE, "dimension 3");
    ck_fails(mu_type_wrap_dim(&scalar, 0, &dim), MU_ERR_SHAPE, "0 dimensions");
}
END_TEST

START_TEST(convert)
{
    double x[5] = {0, -2.75, 1e-9, 255.9, -0.0};
    int32_t i[5];
    mu_convert(i, MU_I32, x, MU_F64, 5);
    ck_assert(i[0] == 0 && i[1] == -2 && i[2] == 0 && i[3] == 255 && i[4] == 0);
    uint8_t b[5];
    mu_convert(b, MU_BOOL, x, MU_F64, 5);
    ck_assert(b[0] == 0 && b[1] == 1 && b[2] == 1 && b[3] == 1 && b[4] == 0);
    uint16_t h[5];
    mu_convert(h, MU_F16, x, MU_F64, 5);
    ck_assert(h[0] == 0 && h[1] == 0xc180 && h[2] == 0 && h[3] == 0x5bff && h[4] == 0x8000);
    float f[5];
    mu_convert(f, MU_F32, h, MU_F16, 5);
    ck_assert(f[1] == -2.75f && f[3] == 255.875f);
    int64_t big[2] = {(1LL << 53) + 1, -7}, same[2];
    mu_convert(same, MU_I64, big, MU_I64, 2);
    ck_assert_mem_eq(same, big, sizeof big);
    mu_convert(i, MU_I32, big, MU_I64, 2);
    ck_assert(i[0] == 1 && i[1] == -7);
    mu_convert(b, MU_U8, b, MU_BOOL, 5);
    ck_assert_int_eq(b[1], 1);
}
END_TEST

START_TEST(all_finite)
{
    static const mu_dtype floats[] = {MU_F64, MU_F32, MU_BF16, MU_F16};
    static const double bad[] = {(double)NAN, -(double)INFINITY, (double)INFINITY};
    double x[19], narrow[19];
    for (int d = 0; d < 4; d++)
        for (int at = -1; at < 19; at++)
            for (int k = 0; k < 3; k++) {
                for (int i = 0; i < 19; i++)
                    x[i] = i == at ? bad[k] : i * 100.5 - 900;
                mu_convert(narrow, floats[d], x, MU_F64, 19);
                ck_assert_int_eq(mu_all_finite(floats[d], narrow, 19), at < 0);
                ck_assert(mu_all_finite(floats[d], narrow, at < 0 ? 0 : at));
            }
    const int64_t all_bits = -1;
    ck_assert(mu_all_finite(MU_I64, &all_bits, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("type");
    TCase *tests = tcase_create("type");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, sixteen_bits_to_float);
    tcase_add_test(tests, rounding);
    tcase_add_test(tests, sizes);
    tcase_add_test(tests, dtypes);
    tcase_add_test(tests, broadcast);
    tcase_add_test(tests, convert);
    tcase_add_test(tests, all_finite);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
