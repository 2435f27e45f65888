/* cuDNN: convolutions in plain loops over packed copies in f32.
 *
 * x [n,h,w,c], y [n,p,q,k], filter [k,r,s,c/groups]; y(n,p,q,k) = sum over r,s,c of x(n, p*stride + r*dilation - pad, ..., c) * w(k,r,s,c). */
#include "convert.h"
#include "emulate_cudnn.h"

#include <stdlib.h>
#include <string.h>

typedef emulate_conv job;
typedef emulate_tensor tensor;

cudnnStatus_t emulate_conv_check(job *j)
{
    const int64_t *x = j->x.dim, *w = j->w.dim, *y = j->y.dim;
    if (j->x.type != j->w.type || j->x.type != j->y.type)
        return emulate_cudnn_error(CUDNN_STATUS_NOT_SUPPORTED, "x, w and y are of different types");
    if (x[0] != y[0] || x[1] % w[1] != 0 || w[0] != y[1] || w[0] % (x[1] / w[1]) != 0)
        return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "x, w and y do not fit in their samples or channels");
    for (int i = 0; i < 2; i++) {
        int64_t room = x[2 + i] + 2 * j->pad[i] - j->dilation[i] * (w[2 + i] - 1) - 1;
        if (room < 0 || y[2 + i] != room / j->stride[i] + 1)
            return emulate_cudnn_error(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "x, w and y do not fit in height or width");
    }
    j->groups = x[1] / w[1];
    return CUDNN_STATUS_SUCCESS;
}

/* ---- packed copies ---- */

static cudaDataType element(const tensor *t)
{
    return t->type == CUDNN_DATA_HALF ? CUDA_R_16F : t->type == CUDNN_DATA_BFLOAT16 ? CUDA_R_16BF : CUDA_R_32F;
}

static size_t count(const tensor *t)
{
    return (size_t)(t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3]);
}

static bool on_device(const tensor *t, const void *address)
{
    size_t last = 1;
    for (int i = 0; i < 4; i++)
        last += (size_t)((t->dim[i] - 1) * t->stride[i]);
    return emulate_on_device(address, last * convert_size(element(t)));
}

static size_t place(const tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return (size_t)(n * t->stride[0] + c * t->stride[1] + h * t->stride[2] + w * t->stride[3]);
}

/* Without its last bits. */
static float cut(float x, int bits)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    u &= ~0u << bits;
    memcpy(&x, &u, sizeof u);
    return x;
}

/* To [n,h,w,c]. */
static float *pack(const job *j, const tensor *t, const void *from)
{
    float *all = malloc((count(t) + 1) * sizeof *all), *to = all;
    for (int64_t n = 0; all != NULL && n < t->dim[0]; n++)
        for (int64_t h = 0; h < t->dim[2]; h++)
            for (int64_t w = 0; w < t->dim[3]; w++)
                for (int64_t c = 0; c < t->dim[1]; c++) {
                    float one = convert_load(element(t), from, place(t, n, c, h, w));
                    *to++ = j->tf32 ? cut(one, 13) : one;
                }
    return all;
}

static float activate(const job *j, float x)
{
    return j->relu && x < 0 ? 0 : x;
}

/* From [n,h,w,c], with all that follows the sum. */
static void unpack(const job *j, const tensor *t, const float *from, void *to)
{
    const void *z = j->pz != NULL ? j->pz : to;
    const tensor *zt = j->pz != NULL ? &j->z : t;
    for (int64_t n = 0; n < t->dim[0]; n++)
        for (int64_t h = 0; h < t->dim[2]; h++)
            for (int64_t w = 0; w < t->dim[3]; w++)
                for (int64_t c = 0; c < t->dim[1]; c++) {
                    float x = j->rough ? cut(*from++, 16) : *from++;
                    if (j->beta != 0)
                        x += j->beta * convert_load(element(zt), z, place(zt, n, c, h, w));
                    if (j->pbias != NULL)
                        x += convert_load(element(&j->bias), j->pbias, (size_t)c * (size_t)j->bias.stride[1]);
                    convert_store(element(t), to, place(t, n, c, h, w), activate(j, x));
                }
}

/* ---- sums ---- */

/* Where tap r of output p lies in the input along axis i; < 0: outside. */
static int64_t input_at(const job *j, int i, int64_t p, int64_t r)
{
    int64_t at = p * j->stride[i] + r * j->dilation[i] - j->pad[i];
    return at < j->x.dim[2 + i] ? at : -1;
}

/* The sums of one pair of places, of x and of y, and one tap, for all groups. */
static void one_tap(const job *j, float *x, float *w, float *y, int64_t tap)
{
    int64_t groups = j->groups, c_n = j->w.dim[1], k_n = j->w.dim[0] / groups, taps = j->w.dim[2] * j->w.dim[3];
    for (int64_t g = 0; g < groups; g++)
        for (int64_t k = g * k_n; k < (g + 1) * k_n; k++) {
            float *row = w + (k * taps + tap) * c_n, *in = x + g * c_n, sum = 0;
            switch (j->way) {
            case EMULATE_FORWARD:
                for (int64_t c = 0; c < c_n; c++)
                    sum += in[c] * row[c];
                y[k] += sum;
                break;
            case EMULATE_TO_DATA:
                for (int64_t c = 0; c < c_n; c++)
                    in[c] += y[k] * row[c];
                break;
            case EMULATE_TO_FILTER:
                for (int64_t c = 0; c < c_n; c++)
                    row[c] += y[k] * in[c];
                break;
            }
        }
}

static void all_taps(const job *j, int64_t n, float *x, float *w, float *y)
{
    const int64_t *xd = j->x.dim, *wd = j->w.dim, *yd = j->y.dim;
    for (int64_t p = 0; p < yd[2]; p++)
        for (int64_t q = 0; q < yd[3]; q++)
            for (int64_t r = 0; r < wd[2]; r++)
                for (int64_t s = 0; s < wd[3]; s++) {
                    int64_t h = input_at(j, 0, p, r), v = input_at(j, 1, q, s);
                    if (h >= 0 && v >= 0)
                        one_tap(j, x + ((n * xd[2] + h) * xd[3] + v) * xd[1], w, y + ((n * yd[2] + p) * yd[3] + q) * yd[1], r * wd[3] + s);
                }
}

/* A filter's gradient is summed in each sample first: terms of all samples in one sum would lose too much. */
static bool filter_sums(const job *j, float *x, float *w, float *y)
{
    size_t n_w = count(&j->w);
    float *part = malloc(n_w * sizeof *part);
    for (int64_t n = 0; part != NULL && n < j->x.dim[0]; n++) {
        memset(part, 0, n_w * sizeof *part);
        all_taps(j, n, x, part, y);
        for (size_t i = 0; i < n_w; i++)
            w[i] += part[i];
    }
    free(part);
    return part != NULL;
}

cudaError_t emulate_conv_run(const void *closure)
{
    const job *j = closure;
    if (!on_device(&j->x, j->px) || !on_device(&j->w, j->pw) || !on_device(&j->y, j->py) ||
        (j->pz != NULL && j->beta != 0 && !on_device(&j->z, j->pz)) || (j->pbias != NULL && !on_device(&j->bias, j->pbias)))
        return emulate_fault(cudaErrorIllegalAddress, "a tensor of a cuDNN convolution is not in the device's memory");
    if (j->workspace_bytes > 0 && !emulate_on_device(j->workspace, j->workspace_bytes))
        return emulate_fault(cudaErrorIllegalAddress, "the workspace of a cuDNN convolution is not in the device's memory");
    if (j->workspace_bytes > 0)
        memset(j->workspace, 0xff, j->workspace_bytes);
    float *x = pack(j, &j->x, j->px), *w = pack(j, &j->w, j->pw), *y = pack(j, &j->y, j->py);
    bool good = x != NULL && w != NULL && y != NULL;
    if (good) {
        const tensor *to = j->way == EMULATE_FORWARD ? &j->y : j->way == EMULATE_TO_DATA ? &j->x : &j->w;
        float *sums = j->way == EMULATE_FORWARD ? y : j->way == EMULATE_TO_DATA ? x : w;
        memset(sums, 0, count(to) * sizeof *sums);
        if (j->way == EMULATE_TO_FILTER)
            good = filter_sums(j, x, w, y);
        else
            for (int64_t n = 0; n < j->x.dim[0]; n++)
                all_taps(j, n, x, w, y);
        unpack(j, to, sums, j->way == EMULATE_FORWARD ? j->py : j->way == EMULATE_TO_DATA ? j->px : j->pw);
    }
    free(x);
    free(w);
    free(y);
    return good ? cudaSuccess : emulate_fault(cudaErrorMemoryAllocation, "a cuDNN convolution");
}
