/* What the files of the CUDA backend share: the instance, its errors, its layouts, and what a kernel file gives to the table.
 *
 * Kernels are launched on one stream of one device, and return before they are done; only copies to the host and `synchronize` wait.
 * Read by C (errors, memory, cuBLASLt, cuDNN) and by C++ (*.cu). No exceptions, no C++ library at run time. */
#ifndef MU_CUDA_CUDA_H
#define MU_CUDA_CUDA_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "backend.h"
#include "backend/alike.h"
#include "core/mem.h"
#include "ops/ops.h"

typedef struct mu_cuda_layout {
    mu_layout base; /* CHANNELS_LAST only */
    struct mu_cuda_layout *next;
} mu_cuda_layout;

typedef struct mu_choices mu_cuda_tune; /* backend/choices.h */

/* Uploads go through these: what they copy from may be changed at once, and nothing waits for the device. */
enum { MU_CUDA_SLOTS = 8, MU_CUDA_SLOT_BYTES = 1 << 20 };
typedef struct {
    char *block; /* pinned */
    cudaEvent_t free[MU_CUDA_SLOTS]; /* the copy out of it is done */
    int next;
} mu_cuda_ring;

typedef struct {
    void *address;
    size_t bytes;
} mu_cuda_block;

typedef struct {
    mu_backend base;
    int device;
    cudaStream_t stream;           /* MU_LANE_KERNELS */
    cudaStream_t lane[MU_N_LANES]; /* the others, made when they are first used */
    cublasLtHandle_t lt;
    cudnnHandle_t dnn;
    mu_cuda_layout *layouts;
    mu_cuda_tune *tune;    /* measured choices, kept on disk by device; NULL: none are kept */
    bool deterministic, tf32; /* tf32: products of f32 may round their operands to 10 bits */
    int n_multiprocessors;
    mu_cuda_ring ring;
    mu_cuda_block *blocks; /* of alloc */
    size_t n_blocks, block_capacity, used, peak; /* used, peak: bytes of alloc */
    mu_device_comm *comms; /* that are open (comm.c) */
    mu_recording *recordings; /* that there are */
    uint64_t collecting;      /* a bit for each communicator that had a part since record_begin */
} mu_cuda;

static inline mu_cuda *mu_cuda_of(mu_backend *backend)
{
    return (mu_cuda *)backend;
}

/* ---- errors: the text of the driver, cuBLAS or cuDNN, the call, and what to do ----
 * cudaErrorMemoryAllocation is MU_ERR_MEMORY, everything else MU_ERR_BACKEND; a lost device says so. */
mu_err mu_cuda_fail(cudaError_t status, const char *call, const char *file, int line, const char *function);
mu_err mu_cublas_fail(cublasStatus_t status, const char *call, const char *file, int line, const char *function);
mu_err mu_cudnn_fail(cudnnStatus_t status, const char *call, const char *file, int line, const char *function);

#define MU_TRY_CUDA(expr)                                                               \
    do {                                                                                \
        cudaError_t mu_status_ = (expr);                                                \
        if (mu_status_ != cudaSuccess)                                                  \
            return mu_cuda_fail(mu_status_, #expr, __FILE__, __LINE__, __func__);       \
    } while (0)
#define MU_TRY_CUBLAS(expr)                                                             \
    do {                                                                                \
        cublasStatus_t mu_status_ = (expr);                                             \
        if (mu_status_ != CUBLAS_STATUS_SUCCESS)                                        \
            return mu_cublas_fail(mu_status_, #expr, __FILE__, __LINE__, __func__);     \
    } while (0)
#define MU_TRY_CUDNN(expr)                                                              \
    do {                                                                                \
        cudnnStatus_t mu_status_ = (expr);                                              \
        if (mu_status_ != CUDNN_STATUS_SUCCESS)                                         \
            return mu_cudnn_fail(mu_status_, #expr, __FILE__, __LINE__, __func__);      \
    } while (0)

/* What this process may see, for messages: "CUDA_VISIBLE_DEVICES is \"3\"". Returns buf. */
const char *mu_cuda_visible(char *buf, size_t size);

/* Makes the instance's device that of this thread: before every call of the runtime that the stream does not tell the device. */
MU_CHECKED mu_err mu_cuda_enter(const mu_cuda *self);

/* ---- memory (memory.c), recordings (record.c), devices (devices.c): the functions of mu_backend_ops ---- */
mu_err mu_cuda_alloc(mu_backend *backend, size_t bytes, void **out);
void mu_cuda_dealloc(mu_backend *backend, void *block);
mu_err mu_cuda_alloc_host(mu_backend *backend, size_t bytes, void **out);
void mu_cuda_dealloc_host(mu_backend *backend, void *block);
mu_err mu_cuda_upload(mu_backend *backend, void *device, const void *host, size_t bytes);
mu_err mu_cuda_download(mu_backend *backend, void *host, const void *device, size_t bytes);
MU_CHECKED mu_err mu_cuda_ring_open(mu_cuda *self);
void mu_cuda_memory_close(mu_cuda *self);
void mu_cuda_memory(mu_backend *backend, size_t *used, size_t *peak);
mu_err mu_cuda_record_begin(mu_backend *backend);
mu_err mu_cuda_record_upload(mu_backend *backend, void *device, const void *host, size_t bytes, size_t stride, int turns, void *count);
mu_err mu_cuda_record_end(mu_backend *backend, mu_recording **out);
mu_err mu_cuda_replay(mu_backend *backend, mu_recording *recording);
void mu_cuda_recording_release(mu_backend *backend, mu_recording *recording);
/* Those that one of these communicators has a part in cannot be replayed any more. */
void mu_cuda_recordings_end(mu_cuda *self, uint64_t comms);
mu_err mu_cuda_devices(mu_device *out, int most, int *n);
mu_err mu_cuda_free_memory(int device, size_t *out);
bool mu_cuda_library(int i, const char **name, char version[32]);

/* ---- lanes (lane.c) ---- */
MU_CHECKED mu_err mu_cuda_lane(mu_cuda *self, mu_lane lane, cudaStream_t *out);
/* Waits for all that the lanes were given. */
cudaError_t mu_cuda_lanes_finish(mu_cuda *self);
void mu_cuda_lanes_close(mu_cuda *self);
mu_err mu_cuda_mark_new(mu_backend *backend, mu_mark **out);
void mu_cuda_mark_release(mu_backend *backend, mu_mark *mark);
mu_err mu_cuda_mark(mu_backend *backend, mu_mark *mark, mu_lane lane);
mu_err mu_cuda_follow(mu_backend *backend, mu_lane lane, const mu_mark *mark);
mu_err mu_cuda_wait(mu_backend *backend, const mu_mark *mark);
mu_err mu_cuda_passed(mu_backend *backend, const mu_mark *mark, bool *out);
mu_err mu_cuda_lane_copy(mu_backend *backend, mu_lane lane, void *to, const void *from, size_t bytes);

/* ---- ranks (comm.c) ---- */
mu_err mu_cuda_comm_open(mu_backend *backend, mu_comm *comm, mu_device_comm **out);
void mu_cuda_comm_close(mu_backend *backend, mu_device_comm *comm);
mu_err mu_cuda_collect(mu_backend *backend, mu_device_comm *comm, mu_lane lane, const mu_collective *what);
mu_err mu_cuda_comm_check(mu_backend *backend, mu_device_comm *comm);
void mu_cuda_comm_abort(mu_backend *backend, mu_device_comm *comm);
/* The open one whose ranks are those of `comm`, or NULL. */
mu_device_comm *mu_cuda_comm_of(const mu_cuda *self, const mu_comm *comm);

/* ---- layouts ---- */

/* The interned CHANNELS_LAST layout of a type of 3 to 5 dimensions; *out is NULL for ROW_MAJOR. Other kinds: MU_ERR_UNSUPPORTED. */
MU_CHECKED mu_err mu_cuda_layout_make(mu_cuda *self, const mu_type *type, mu_layout_kind kind, const mu_layout **out);
void mu_cuda_layouts_release(mu_cuda *self);

/* A tensor [N,C,spatial...] as it is stored. Row-major: [n][c][space]; channels last: [n][space][c]. */
typedef struct {
    bool last;               /* channels last */
    int64_t n, c, space;
    int64_t h, w;            /* the last two dimensions; space = h*w*(the others) */
    int64_t dn, dc, ds;      /* steps in elements from one sample, channel, place to the next */
} mu_cuda_view;
/* Fewer than two dimensions count as n = 1, or [1,C]. */
mu_cuda_view mu_cuda_view_of(const mu_type *type, const mu_layout *layout);
/* Steps in elements of every logical dimension in a layout (NULL: row-major). */
void mu_cuda_strides(const mu_type *type, const mu_layout *layout, int64_t stride[MU_MAX_NDIM]);

extern const mu_op mu_cuda_reorder_op; /* what reorders call themselves */

/* ---- kernels ---- */

typedef struct mu_cuda_kernel mu_cuda_kernel;

/* Which layouts a kernel takes; table.c asks for them. Outputs come in the layout that is chosen. */
typedef enum {
    MU_CUDA_ROWS = MU_ALIKE_ROWS, /* row-major only */
    MU_CUDA_FLAT = MU_ALIKE_FLAT, /* element-wise: operands of the shape of output 0 lie alike, as all outputs do; the others are row-major */
    MU_CUDA_CHANNELS = MU_ALIKE_CHANNELS, /* operands and outputs with operand 0's N, C and number of dimensions lie alike, the others are row-major */
    MU_CUDA_STORED = MU_ALIKE_STORED, /* all operands and outputs have operand 0's number of dimensions and lie alike, where `fits` says so */
    MU_CUDA_OWN /* setup writes in_layout and out_layout itself; it finds there how the operands lie now, and the wishes for outputs */
} mu_cuda_layouts;

/* One entry of the table: `const mu_cuda_impl <name>_cuda`, extern "C", in the file of that name. */
typedef struct {
    mu_cuda_layouts layouts;
    size_t size; /* of the kernel's own struct, whose first member is a mu_cuda_kernel; 0: that alone */
    bool (*supports)(const mu_call *call, const char **why); /* NULL: every float operand is f32, bf16 or f16, the same for all */
    bool (*fits)(const mu_call *call, const mu_layout *layout);
    mu_err (*setup)(mu_cuda_kernel *kernel); /* once, after the layouts are chosen: sets scratch_bytes and own fields; may be NULL */
    mu_err (*run)(mu_kernel *kernel, const mu_run *run); /* launches; waits for nothing, looks nothing up, allocates nothing */
    void (*release)(mu_kernel *kernel);                  /* may be NULL */
} mu_cuda_impl;

struct mu_cuda_kernel {
    mu_kernel base;
    mu_kernel_ops ops;
    const mu_cuda_impl *impl;
    mu_cuda *self;
    mu_cuda_view x; /* FLAT: output 0; else operand 0 */
};

#define CUDA_KERNEL(op, impl) extern const mu_cuda_impl impl##_cuda;
#include "cuda.def"
#undef CUDA_KERNEL

/* One dtype of f32, bf16 and f16 for all floating-point operands and outputs. */
bool mu_cuda_one_float(const mu_call *call, const char **why);
/* The same, where f32 operands (parameters and statistics of norms, scales) may stand beside a half type. */
bool mu_cuda_half_with_f32(const mu_call *call, const char **why);
/* Anything: for kernels that only move elements. */
bool mu_cuda_any_dtype(const mu_call *call, const char **why);

/* Operand i or output o, or NULL when absent. */
static inline const mu_type *mu_cuda_in(const mu_call *call, int i)
{
    return i < call->n_in && call->in[i].dtype != MU_NONE ? &call->in[i] : NULL;
}
static inline const mu_type *mu_cuda_out(const mu_call *call, int o)
{
    return o < call->n_out && call->out[o].dtype != MU_NONE ? &call->out[o] : NULL;
}
static inline void *mu_cuda_address(const mu_kernel *kernel, int i)
{
    return i < kernel->call.n_in ? kernel->in[i] : NULL;
}

bool mu_cuda_supports(mu_backend *backend, const mu_call *call, const char **why);
MU_CHECKED mu_err mu_cuda_prepare(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                                  const mu_layout *const *want_out, mu_kernel **out);
MU_CHECKED mu_err mu_cuda_reorder(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to,
                                  mu_kernel **out);

#ifdef __cplusplus
}
#endif

#endif
