#include "device.cuh"

#include "copy.h"

/* ---- plans ---- */

static void swap(int64_t *a, int i, int j)
{
    int64_t t = a[i];
    a[i] = a[j];
    a[j] = t;
}

static void drop(mu_cuda_copy *c, int i)
{
    size_t left = (size_t)(--c->ndim - i) * sizeof *c->dim;
    memmove(c->dim + i, c->dim + i + 1, left);
    memmove(c->from + i, c->from + i + 1, left);
    memmove(c->to + i, c->to + i + 1, left);
}

/* Insertion sort by falling `to`. */
static void sort(mu_cuda_copy *c)
{
    for (int i = 1; i < c->ndim; i++)
        for (int j = i; j > 0 && c->to[j - 1] < c->to[j]; j--) {
            swap(c->dim, j - 1, j);
            swap(c->from, j - 1, j);
            swap(c->to, j - 1, j);
        }
}

/* Units of twice the size, while lines are runs of them. */
static void widen(mu_cuda_copy *c)
{
    int last = c->ndim - 1;
    while (c->size < 16 && c->from[last] == 1 && c->to[last] == 1) {
        int64_t odd = c->dim[last] | c->from_start | c->to_start;
        for (int d = 0; d < last; d++)
            odd |= c->from[d] | c->to[d];
        if (odd % 2 != 0)
            return;
        c->size *= 2;
        c->dim[last] /= 2;
        c->from_start /= 2;
        c->to_start /= 2;
        for (int d = 0; d < last; d++) {
            c->from[d] /= 2;
            c->to[d] /= 2;
        }
    }
}

void mu_cuda_copy_plan(mu_cuda_copy *c)
{
    for (int d = c->ndim - 1; d >= 0; d--)
        if (c->dim[d] == 1)
            drop(c, d);
    sort(c);
    for (int d = c->ndim - 2; d >= 0; d--)
        if (c->from[d] == c->dim[d + 1] * c->from[d + 1] && c->to[d] == c->dim[d + 1] * c->to[d + 1]) {
            c->dim[d + 1] *= c->dim[d];
            drop(c, d);
        }
    if (c->ndim > 0)
        widen(c);
}

bool mu_cuda_copy_fits(const mu_call *call, const mu_layout *layout)
{
    (void)call, (void)layout;
    return true;
}

/* ---- kernels ---- */

typedef pack<uint32_t, 4> unit16;
enum { TILE = 32, TILE_MIN = 8 };

/* Index counts in 32 bits where all of it fits: divisions are what this kernel costs. */
template <class U, class Index>
__global__ void strided(mu_cuda_copy c, const U *__restrict__ from, U *__restrict__ to, int64_t n)
{
    FOR_EACH(i, n)
    {
        Index left = (Index)i;
        int64_t at = c.from_start, put = c.to_start;
        for (int d = c.ndim - 1; d > 0; d--) {
            Index size = (Index)c.dim[d], k = left % size;
            at += k * c.from[d];
            put += k * c.to[d];
            left /= size;
        }
        if (c.ndim > 0) {
            at += left * c.from[0];
            put += left * c.to[0];
        }
        to[put] = from[at];
    }
}

/* Dimension `across` has neighbours in `from`, the last one in `to`: through tiles in shared memory, so that both are walked along their
 * neighbours. (Ruetsch and Micikevicius, "Optimizing Matrix Transpose in CUDA", 2009.) */
template <class U>
__global__ void tiles(mu_cuda_copy c, int across, const U *__restrict__ from, U *__restrict__ to, int64_t n)
{
    __shared__ U tile[TILE][TILE + 1]; /* one more: columns lie in different banks */
    int last = c.ndim - 1, lane = (int)threadIdx.x % TILE, line = (int)threadIdx.x / TILE, step = (int)blockDim.x / TILE;
    int64_t columns = (c.dim[last] + TILE - 1) / TILE, rows = (c.dim[across] + TILE - 1) / TILE;
    for (int64_t t = blockIdx.x; t < n; t += gridDim.x) {
        int64_t a = t / columns % rows * TILE, b = t % columns * TILE, left = t / (columns * rows);
        int64_t at = c.from_start + a * c.from[across] + b * c.from[last], put = c.to_start + a * c.to[across] + b * c.to[last];
        for (int d = last - 1; d >= 0; d--) {
            if (d == across)
                continue;
            int64_t k = left % c.dim[d];
            at += k * c.from[d];
            put += k * c.to[d];
            left /= c.dim[d];
        }
        for (int i = line; i < TILE; i += step)
            if (b + i < c.dim[last] && a + lane < c.dim[across])
                tile[i][lane] = from[at + i * c.from[last] + lane];
        __syncthreads();
        for (int i = line; i < TILE; i += step)
            if (a + i < c.dim[across] && b + lane < c.dim[last])
                to[put + i * c.to[across] + lane] = tile[lane][i];
        __syncthreads();
    }
}

/* The dimension that lies in neighbours in `from`, where tiles are worth it; -1: none. */
static int tiled(const mu_cuda_copy *c)
{
    int last = c->ndim - 1;
    if (last < 1 || c->to[last] != 1 || c->from[last] == 1 || c->dim[last] < TILE_MIN)
        return -1;
    for (int d = 0; d < last; d++)
        if (c->from[d] == 1 && c->dim[d] >= TILE_MIN)
            return d;
    return -1;
}

template <class U> static mu_err run_units(const mu_cuda *self, const mu_cuda_copy *c, const void *from, void *to)
{
    int across = tiled(c), last = c->ndim - 1;
    int64_t n = 1;
    for (int d = 0; d < c->ndim; d++)
        n *= c->dim[d];
    if (n == 0)
        return MU_OK;
    if (across >= 0) {
        int64_t columns = (c->dim[last] + TILE - 1) / TILE, rows = (c->dim[across] + TILE - 1) / TILE;
        int64_t n_tiles = n / (c->dim[last] * c->dim[across]) * columns * rows, most = 16 * (int64_t)self->n_multiprocessors;
        return launch(self, tiles<U>, dim3((unsigned)(n_tiles < most ? n_tiles : most)), BLOCK, *c, across, (const U *)from, (U *)to, n_tiles);
    }
    if (n <= INT32_MAX)
        return launch(self, strided<U, uint32_t>, blocks_for(self, n), BLOCK, *c, (const U *)from, (U *)to, n);
    return launch(self, strided<U, uint64_t>, blocks_for(self, n), BLOCK, *c, (const U *)from, (U *)to, n);
}

mu_err mu_cuda_copy_run(const mu_cuda *self, const mu_cuda_copy *c, const void *from, void *to)
{
    switch (c->size) {
    case 1: return run_units<uint8_t>(self, c, from, to);
    case 2: return run_units<uint16_t>(self, c, from, to);
    case 4: return run_units<uint32_t>(self, c, from, to);
    case 8: return run_units<uint64_t>(self, c, from, to);
    case 16: return run_units<unit16>(self, c, from, to);
    default: return MU_FAIL(MU_ERR_INTERNAL, "no copy of units of %zu bytes", c->size);
    }
}
