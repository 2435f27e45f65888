#include "device.cuh"

#include "conv.h"

/* ---- borders ---- */

/* Images of whole units of U; a place outside of the old image is zero. */
template <class U>
__global__ void border(const U *__restrict__ from, int64_t h, int64_t w, int64_t c, U *__restrict__ to, int64_t new_h, int64_t new_w, int64_t top,
                       int64_t left, int64_t n)
{
    FOR_EACH(i, n)
    {
        int64_t pixel = i / c, y = pixel / new_w % new_h - top, x = pixel % new_w - left, image = pixel / (new_w * new_h);
        bool inside = y >= 0 && y < h && x >= 0 && x < w;
        U unit = {};
        if (inside)
            unit = from[((image * h + y) * w + x) * c + i % c];
        to[i] = unit;
    }
}

template <class U>
static mu_err border_units(const mu_cuda *self, const void *from, int64_t n, int64_t h, int64_t w, int64_t bytes, void *to, int64_t new_h,
                           int64_t new_w, int64_t top, int64_t left)
{
    int64_t c = bytes / (int64_t)sizeof(U), units = n * new_h * new_w * c;
    return launch(self, border<U>, blocks_for(self, units), BLOCK, (const U *)from, h, w, c, (U *)to, new_h, new_w, top, left, units);
}

mu_err mu_cuda_conv_border(const mu_cuda *self, mu_dtype dtype, const void *from, int64_t n, int64_t h, int64_t w, int64_t c, void *to,
                           int64_t new_h, int64_t new_w, int64_t top, int64_t left)
{
    int64_t bytes = c * (int64_t)mu_dtype_size(dtype);
    if (bytes % 16 == 0)
        return border_units<pack<uint32_t, 4>>(self, from, n, h, w, bytes, to, new_h, new_w, top, left);
    if (bytes % 4 == 0)
        return border_units<uint32_t>(self, from, n, h, w, bytes, to, new_h, new_w, top, left);
    return border_units<uint16_t>(self, from, n, h, w, bytes, to, new_h, new_w, top, left);
}

/* ---- bias ---- */

template <class T> __global__ void preset(const T *__restrict__ bias, T *y, int64_t c, int64_t n)
{
    FOR_EACH(i, n)
        y[i] = bias[i % c];
}

mu_err mu_cuda_conv_preset(const mu_cuda *self, mu_dtype dtype, const void *bias, void *y, int64_t rows, int64_t c)
{
    return visit_float(dtype, [&](auto unit) {
        typedef decltype(unit) T;
        return launch(self, preset<T>, blocks_for(self, rows * c), BLOCK, (const T *)bias, (T *)y, c, rows * c);
    });
}

/* Columns of [rows,c]: a block sums a part of the rows of WARP columns, LINES rows at a time; then the parts are summed, in their order. */
enum { LINES = BLOCK / WARP, PARTS_MAX = 512 };

static int64_t parts_of(int64_t rows)
{
    int64_t parts = (rows + 16 * LINES - 1) / (16 * LINES);
    return parts < PARTS_MAX ? parts : (int64_t)PARTS_MAX;
}

/* The sum over the block's lines of the threads of one column, in every thread of line 0. */
__device__ static inline float sum_lines(float sum)
{
    __shared__ float part[LINES][WARP];
    int line = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    part[line][lane] = sum;
    __syncthreads();
    for (int half = LINES / 2; half > 0; half /= 2) {
        if (line < half)
            part[line][lane] += part[line + half][lane];
        __syncthreads();
    }
    return part[0][lane];
}

template <class T> __global__ void column_parts(const T *__restrict__ dy, int64_t rows, int64_t c, float *__restrict__ partial)
{
    int64_t column = (int64_t)blockIdx.x * WARP + threadIdx.x % WARP;
    float sum = 0;
    for (int64_t row = (int64_t)blockIdx.y * LINES + threadIdx.x / WARP; column < c && row < rows; row += (int64_t)gridDim.y * LINES)
        sum += load(dy[row * c + column]);
    sum = sum_lines(sum);
    if (threadIdx.x < WARP && column < c)
        partial[blockIdx.y * c + column] = sum;
}

template <class T> __global__ void column_sums(const float *__restrict__ partial, int64_t parts, int64_t c, T *__restrict__ db)
{
    int64_t column = (int64_t)blockIdx.x * WARP + threadIdx.x % WARP;
    float sum = 0;
    for (int64_t part = threadIdx.x / WARP; column < c && part < parts; part += LINES)
        sum += partial[part * c + column];
    sum = sum_lines(sum);
    if (threadIdx.x < WARP && column < c)
        db[column] = store<T>(sum);
}

size_t mu_cuda_conv_bias_grad_bytes(int64_t rows, int64_t c)
{
    return (size_t)(parts_of(rows) * c) * sizeof(float);
}

mu_err mu_cuda_conv_bias_grad(const mu_cuda *self, mu_dtype dtype, const void *dy, int64_t rows, int64_t c, void *partial, void *db)
{
    unsigned columns = (unsigned)((c + WARP - 1) / WARP), parts = (unsigned)parts_of(rows);
    return visit_float(dtype, [&](auto unit) -> mu_err {
        typedef decltype(unit) T;
        MU_TRY(launch(self, column_parts<T>, dim3(columns, parts), BLOCK, (const T *)dy, rows, c, (float *)partial));
        return launch(self, column_sums<T>, dim3(columns), BLOCK, (const float *)partial, (int64_t)parts, c, (T *)db);
    });
}

/* ---- the products ----
 * One thread an output, neighbours along the channels. */

template <class T>
__global__ void forward(mu_cuda_conv_shape s, const T *__restrict__ x, const T *__restrict__ w, const T *__restrict__ bias, const T *residual,
                        bool relu, T *y, int64_t n)
{
    int64_t group = s.c / s.groups, outputs = s.k / s.groups;
    FOR_EACH(i, n)
    {
        int64_t k = i % s.k, pixel = i / s.k, first = k / outputs * group;
        int64_t ow = pixel % s.ow, oh = pixel / s.ow % s.oh, image = pixel / (s.ow * s.oh);
        float sum = 0;
        for (int64_t p = 0; p < s.kh; p++) {
            int64_t h = oh * s.stride[0] - s.padding[0] + p * s.dilation[0];
            for (int64_t q = 0; h >= 0 && h < s.h && q < s.kw; q++) {
                int64_t v = ow * s.stride[1] - s.padding[1] + q * s.dilation[1];
                if (v < 0 || v >= s.w)
                    continue;
                const T *from = x + ((image * s.h + h) * s.w + v) * s.c + first, *weight = w + ((k * s.kh + p) * s.kw + q) * group;
                for (int64_t j = 0; j < group; j++)
                    sum += load(from[j]) * load(weight[j]);
            }
        }
        if (bias)
            sum += load(bias[k]);
        if (residual)
            sum += load(residual[i]);
        y[i] = store<T>(relu && sum < 0 ? 0 : sum);
    }
}

/* The output for which a tap meets element `at` of the padded image; -1 when there is none. */
__device__ static inline int64_t met(int64_t at, int64_t stride, int64_t n)
{
    return at < 0 || at % stride != 0 || at / stride >= n ? -1 : at / stride;
}

template <class T>
__global__ void grad_input(mu_cuda_conv_shape s, const T *__restrict__ dy, const T *__restrict__ w, const T *__restrict__ bias,
                           T *__restrict__ dx, int64_t n)
{
    int64_t group = s.c / s.groups, outputs = s.k / s.groups;
    FOR_EACH(i, n)
    {
        int64_t c = i % s.c, pixel = i / s.c, first = c / group * outputs;
        int64_t v = pixel % s.w, h = pixel / s.w % s.h, image = pixel / (s.w * s.h);
        float sum = 0;
        for (int64_t p = 0; p < s.kh; p++) {
            int64_t oh = met(h + s.padding[0] - p * s.dilation[0], s.stride[0], s.oh);
            for (int64_t q = 0; oh >= 0 && q < s.kw; q++) {
                int64_t ow = met(v + s.padding[1] - q * s.dilation[1], s.stride[1], s.ow);
                if (ow < 0)
                    continue;
                const T *from = dy + ((image * s.oh + oh) * s.ow + ow) * s.k;
                for (int64_t k = first; k < first + outputs; k++)
                    sum += load(from[k]) * load(w[((k * s.kh + p) * s.kw + q) * group + c % group]);
            }
        }
        dx[i] = store<T>(bias ? sum + load(bias[c]) : sum);
    }
}

/* A block sums WARP outputs k of one tap and channel of their groups, over all images. */
template <class T>
__global__ void grad_weight(mu_cuda_conv_shape s, const T *__restrict__ x, const T *__restrict__ dy, T *__restrict__ dw)
{
    int64_t group = s.c / s.groups, outputs = s.k / s.groups, rows = s.n * s.oh * s.ow;
    int64_t k = (int64_t)blockIdx.y * WARP + threadIdx.x % WARP, tap = blockIdx.x / group, j = blockIdx.x % group;
    int64_t p = tap / s.kw, q = tap % s.kw, channel = k / outputs * group + j;
    float sum = 0;
    for (int64_t row = threadIdx.x / WARP; k < s.k && row < rows; row += LINES) {
        int64_t image = row / (s.oh * s.ow), h = row / s.ow % s.oh * s.stride[0] - s.padding[0] + p * s.dilation[0];
        int64_t v = row % s.ow * s.stride[1] - s.padding[1] + q * s.dilation[1];
        if (h >= 0 && h < s.h && v >= 0 && v < s.w)
            sum += load(x[((image * s.h + h) * s.w + v) * s.c + channel]) * load(dy[row * s.k + k]);
    }
    sum = sum_lines(sum);
    if (threadIdx.x < WARP && k < s.k)
        dw[(k * s.kh * s.kw + tap) * group + j] = store<T>(sum);
}

mu_err mu_cuda_conv_own_forward(const mu_cuda *self, mu_dtype dtype, const mu_cuda_conv_shape *shape, const void *x, const void *w,
                                const void *bias, const void *residual, bool relu, void *y)
{
    int64_t n = shape->n * shape->oh * shape->ow * shape->k;
    return visit_float(dtype, [&](auto unit) {
        typedef decltype(unit) T;
        return launch(self, forward<T>, blocks_for(self, n), BLOCK, *shape, (const T *)x, (const T *)w, (const T *)bias, (const T *)residual,
                      relu, (T *)y, n);
    });
}

mu_err mu_cuda_conv_own_grad_input(const mu_cuda *self, mu_dtype dtype, const mu_cuda_conv_shape *shape, const void *dy, const void *w,
                                   const void *bias, void *dx)
{
    int64_t n = shape->n * shape->h * shape->w * shape->c;
    return visit_float(dtype, [&](auto unit) {
        typedef decltype(unit) T;
        return launch(self, grad_input<T>, blocks_for(self, n), BLOCK, *shape, (const T *)dy, (const T *)w, (const T *)bias, (T *)dx, n);
    });
}

mu_err mu_cuda_conv_own_grad_weight(const mu_cuda *self, mu_dtype dtype, const mu_cuda_conv_shape *shape, const void *x, const void *dy,
                                    void *dw)
{
    dim3 grid((unsigned)(shape->kh * shape->kw * (shape->c / shape->groups)), (unsigned)((shape->k + WARP - 1) / WARP));
    return visit_float(dtype, [&](auto unit) {
        typedef decltype(unit) T;
        return launch(self, grad_weight<T>, grid, BLOCK, *shape, (const T *)x, (const T *)dy, (T *)dw);
    });
}
