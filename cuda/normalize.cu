#include "flat.cuh"

/* Images, row-major, to normalised ones in either layout. A thread makes GROUP neighbours of a line: of one plane, or of three channels that lie
 * side by side. Other channels that lie side by side are made one by one. */

enum { GROUP = 8, SIDE_BY_SIDE = 3 };

/* A plane without padding is one line. */
typedef struct {
    int64_t n, channels, lines, in_lines, in_line, out_line;
    float value;
    bool reverse, each_mean, each_std, small; /* small: 32 bits count the threads' work */
    bool in_whole, out_whole;                 /* groups lie aligned */
} images;

typedef struct {
    mu_cuda_kernel base;
    images at;
} normalize;

struct statistics {
    const float *mean, *std;

    __device__ float operator()(const images &s, float x, int64_t c) const
    {
        float m = mean ? mean[s.each_mean ? c : 0] : 0, d = std ? std[s.each_std ? c : 0] : 1;
        return (x - m) / d;
    }
};

/* i / d; *left: the rest. */
static __device__ inline int64_t divide(int64_t i, int64_t d, bool small, int64_t *left)
{
    int64_t q = small ? (int64_t)((uint32_t)i / (uint32_t)d) : i / d;
    *left = i - q * d;
    return q;
}

/* C: channels that lie side by side; 1: planes. */
template <class X, class T, int C>
__global__ void normalize_groups(images s, const X *__restrict__ x, statistics norm, T *__restrict__ y, int64_t groups, int64_t n)
{
    FOR_EACH(i, n)
    {
        int64_t group, line, left = 0, unit = divide(divide(i, groups, s.small, &group), s.lines, s.small, &line);
        float out[GROUP * C];
        int64_t col = group * GROUP, image = C > 1 ? unit : divide(unit, s.channels, s.small, &left);
        UNROLL for (int k = 0; k < C; k++)
        {
            int64_t c = C > 1 ? k : left, from = image * s.channels + (s.reverse ? s.channels - 1 - c : c);
            real<X> in[GROUP];
            if (line < s.in_lines)
                read_pack<GROUP>(x + (from * s.in_lines + line) * s.in_line, col, s.in_line, s.in_whole, in);
            UNROLL for (int j = 0; j < GROUP; j++)
                out[j * C + k] = line < s.in_lines && col + j < s.in_line ? norm(s, (float)in[j], c) : s.value;
        }
        int64_t start = (unit * s.lines + line) * s.out_line * C;
        UNROLL for (int k = 0; k < C; k++)
            write_pack<GROUP>(y + start, col * C + k * GROUP, s.out_line * C, s.out_whole, out + k * GROUP);
    }
}

template <class X, class T>
__global__ void normalize_elements(images s, const X *__restrict__ x, statistics norm, T *__restrict__ y, int64_t n)
{
    FOR_EACH(i, n)
    {
        int64_t c, col, line, pixel = divide(i, s.channels, s.small, &c);
        int64_t image = divide(divide(pixel, s.out_line, s.small, &col), s.lines, s.small, &line);
        int64_t from = image * s.channels + (s.reverse ? s.channels - 1 - c : c);
        bool inside = line < s.in_lines && col < s.in_line;
        float r = inside ? norm(s, (float)x[(from * s.in_lines + line) * s.in_line + col], c) : s.value;
        y[i] = store<T>(r);
    }
}

template <class X, class T> static mu_err run_as(const normalize *s, const X *x, statistics norm, T *y)
{
    const mu_cuda *self = s->base.self;
    bool last = s->base.base.out_layout[0] && s->at.channels > 1;
    images at = s->at;
    int64_t groups = (at.out_line + GROUP - 1) / GROUP, n = at.n * at.lines * groups, elements = at.n * at.channels * at.lines * at.out_line;
    at.small = elements < INT64_C(0x80000000);
    at.in_whole = at.in_line % GROUP == 0 && lies_whole(x, GROUP * sizeof(X));
    at.out_whole = at.out_line % GROUP == 0 && lies_whole(y, GROUP * sizeof(T));
    if (last && at.channels == SIDE_BY_SIDE)
        return launch(self, normalize_groups<X, T, SIDE_BY_SIDE>, blocks_for(self, n), BLOCK, at, x, norm, y, groups, n);
    if (last)
        return launch(self, normalize_elements<X, T>, blocks_for(self, elements), BLOCK, at, x, norm, y, elements);
    n *= at.channels;
    return launch(self, normalize_groups<X, T, 1>, blocks_for(self, n), BLOCK, at, x, norm, y, groups, n);
}

static mu_err run_normalize(mu_kernel *kernel, const mu_run *run)
{
    const normalize *s = (const normalize *)kernel;
    statistics norm = {(const float *)mu_cuda_address(kernel, 1), (const float *)mu_cuda_address(kernel, 2)};
    const void *x = kernel->in[0];
    void *y = kernel->out[0];
    (void)run;
    return visit_float(kernel->call.out[0].dtype, [&](auto zero) {
        typedef decltype(zero) T;
        if (kernel->call.in[0].dtype == MU_U8)
            return run_as(s, (const uint8_t *)x, norm, (T *)y);
        return run_as(s, (const float *)x, norm, (T *)y);
    });
}

static mu_err setup(mu_cuda_kernel *kernel)
{
    const mu_call *call = &kernel->base.call;
    const mu_normalize_attrs *a = (const mu_normalize_attrs *)call->attrs;
    const mu_type *x = &call->in[0], *y = &call->out[0];
    const mu_layout *wish = kernel->base.out_layout[0];
    images *s = &((normalize *)kernel)->at;
    int64_t height = x->dim[x->ndim - 2], width = x->dim[x->ndim - 1];
    bool plain = a->padding[0] == 0 && a->padding[1] == 0;
    memset(kernel->base.in_layout, 0, (size_t)call->n_in * sizeof *kernel->base.in_layout);
    kernel->base.out_layout[0] = wish && wish->kind == MU_LAYOUT_CHANNELS_LAST ? wish : NULL;
    kernel->base.any_layout = true;
    s->n = y->dim[0];
    s->channels = y->dim[1];
    s->lines = plain ? 1 : y->dim[2];
    s->in_lines = plain ? 1 : height;
    s->in_line = plain ? height * width : width;
    s->out_line = plain ? height * width : y->dim[3];
    s->value = (float)a->value;
    s->reverse = a->reverse;
    s->each_mean = mu_cuda_in(call, 1) && call->in[1].dim[0] > 1;
    s->each_std = mu_cuda_in(call, 2) && call->in[2].dim[0] > 1;
    return MU_OK;
}

/* What the shape rule lets pass. */
extern "C" const mu_cuda_impl normalize_cuda = {MU_CUDA_OWN, sizeof(normalize), mu_cuda_any_dtype, NULL, setup, run_normalize, NULL};
