/* The backend interface, for those who write one: how a device prepares and runs operations.
 *
 * A backend instance is one device. It says in which layouts a kernel wants its operands, the planner puts reorders
 * between, and a prepared kernel is bound once to addresses and then only run: `run` neither allocates nor looks
 * anything up. An instance is used by one thread at a time. */
#ifndef MU_BACKEND_H
#define MU_BACKEND_H

#include "core/type.h"
#include "dist/collective.h"
#include "ir/op.h"

typedef struct mu_backend mu_backend;
typedef struct mu_kernel mu_kernel;
typedef struct mu_holder mu_holder;
typedef struct mu_repeat mu_repeat;

/* How the bytes of a logical tensor lie in memory. Made and interned by a backend, so that equal layouts of one instance are
 * equal pointers; borrowed until the instance is closed. NULL always means dense row-major. */
typedef enum {
    MU_LAYOUT_ROW_MAJOR,
    MU_LAYOUT_CHANNELS_LAST,    /* [N,C,spatial...] stored as N, spatial..., C */
    MU_LAYOUT_CHANNELS_BLOCKED, /* stored as N, C/block, spatial..., block; C is padded with zeros up to a multiple */
    MU_LAYOUT_OPAQUE            /* only its maker can read it */
} mu_layout_kind;

typedef struct mu_layout {
    mu_type type;
    mu_layout_kind kind;
    int block;     /* CHANNELS_BLOCKED: channels in a block */
    bool padded;   /* holds zeros that are not part of the tensor and must stay zero */
    size_t bytes;
    char name[48]; /* "nChw16c" */
} mu_layout;

/* Bytes that a tensor takes in a layout (NULL: row-major). */
size_t mu_layout_bytes(const mu_layout *layout, const mu_type *type);

/* How this rank takes part in operations that are collective (MU_OP_COLLECTIVE). A kernel that returns an error has taken part. */
typedef enum {
    MU_TOGETHER,
    MU_ALONE, /* not at all: as if it were the only rank */
    MU_ABSENT /* with nothing, after a failure: it sends no data, so that the others need not wait, and touches no operand */
} mu_presence;

/* What may differ from run to run without new bindings. */
typedef struct {
    uint64_t seed;         /* of the random stream of this run */
    int64_t step;          /* optimizer step: part of every random key */
    int64_t sample_offset; /* index in the global batch of this rank's first sample: random numbers do not depend on ranks */
    int64_t sample_stride; /* and from each to the next; 0 means 1 */
    mu_presence presence;
} mu_run;

/* A prepared operation. A backend's own kernel type has this as its first member. */
typedef struct {
    mu_err (*run)(mu_kernel *kernel, const mu_run *run);
    void (*release)(mu_kernel *kernel);
    /* Called by mu_kernel_bind when kernel->in, out and scratch are set. in[i], out[i]: NULL for absent operands; scratch: scratch_bytes, shared with other kernels.
     * out[o] == in[i] where `inplace` allowed it. NULL: run reads the addresses from the kernel. */
    mu_err (*bind)(mu_kernel *kernel);
} mu_kernel_ops;

struct mu_kernel {
    const mu_kernel_ops *ops;
    mu_call call;            /* deep copy, owned by the kernel (mu_kernel_init) */
    const mu_layout **in_layout, **out_layout; /* [n_in], [n_out]; set by prepare; NULL entries are row-major */
    size_t scratch_bytes;    /* wanted at bind */
    signed char inplace[MU_OP_MAX_OUT]; /* out o may be in inplace[o]-1; 0: not. Starts as the operation's own */
    void **in, **out;        /* addresses, set by mu_kernel_bind */
    void *scratch;
    const char *impl;        /* static text for profiles: "jit_wino:avx512_core", "ref" */
    bool any_layout;         /* output 0 comes in whatever layout is wished for, at no cost: who learns of a wish later may prepare it again */
    bool waits;              /* run works on the host, too, and waits for the device: it cannot be recorded */
    mu_backend *recorded_on; /* whose recordings may have it (backend/repeat.h): they end when it is bound anew, or released */
};

/* A device as `muster env` tells of it. */
typedef struct {
    char name[96];   /* "NVIDIA H100 80GB HBM3" */
    char bus[24];    /* PCI: "0000:3b:00.0" */
    char uuid[48];   /* "GPU-..." */
    char version[24]; /* "9.0" */
    size_t total;     /* bytes */
} mu_device;

/* Kernels that were noted to be run together. Made and read by a backend. */
typedef struct mu_recording mu_recording;

/* Orders of work of a device. What a lane is given is done one after the other; between lanes only marks order anything. */
typedef enum {
    MU_LANE_KERNELS, /* kernels, uploads and downloads */
    MU_LANE_IN,      /* inputs of runs to come */
    MU_LANE_OUT,     /* copies of what is not going to change */
    MU_LANE_RANKS,   /* collectives beside the kernels */
    MU_N_LANES
} mu_lane;
/* A place in a lane. Made and read by a backend. */
typedef struct mu_mark mu_mark;

/* Ranks with a device each, whose devices exchange memory. Made and read by a backend. */
typedef struct mu_device_comm mu_device_comm;

/* What mu_comm_start_all_reduce and its kin (dist/comm.h) are told, with addresses of device memory. SUM, MEAN and MAX. */
typedef struct {
    mu_request_kind kind;
    const void *send; /* of REDUCE_SCATTER and ALL_GATHER */
    void *data;       /* what becomes the result */
    int64_t count;    /* elements of data; of REDUCE_SCATTER and ALL_GATHER: of a rank's slice */
    mu_dtype dtype;
    mu_comm_op op;
    int root; /* of BROADCAST */
} mu_collective;

typedef struct {
    int device;                  /* of those of the backend; CPUs: 0 */
    bool tf32;                   /* products of f32 may round their operands to 10 bits, where that is faster */
    int n_threads;               /* 0: all cores of this process's binding */
    bool direct_convolution;     /* conv_algorithm: direct */
    bool deterministic;          /* same bits from run to run: no measured choice of algorithm */
    const char *cache_dir;       /* measured choices; NULL: $MUSTER_CACHE_DIR, $XDG_CACHE_HOME/muster, ~/.cache/muster; "": none */
} mu_backend_options;

typedef struct {
    const char *name; /* "ref" */
    const char *doc;
    size_t size;      /* of the instance struct, whose first member is a mu_backend */

    mu_err (*open)(mu_backend *backend, const mu_backend_options *options);
    void (*close)(mu_backend *backend);

    /* Can this call be prepared? On false *why is a short text that ends a sentence ("bf16 needs avx512_bf16"), static. */
    bool (*supports)(mu_backend *backend, const mu_call *call, const char **why);

    /* Prepares a kernel. in_layout[i] is how operand i lies now; the kernel may ask for another in kernel->in_layout[i].
     * want_out[o] is a wish (a parameter's gradient in the parameter's layout) or NULL for no wish; may be ignored. */
    mu_err (*prepare)(mu_backend *backend, const mu_call *call, const mu_layout *const *in_layout,
                      const mu_layout *const *want_out, mu_kernel **out);

    /* A kernel from one layout to another of the same type (in[0] to out[0]). */
    mu_err (*reorder)(mu_backend *backend, const mu_type *type, const mu_layout *from, const mu_layout *to,
                      mu_kernel **out);

    /* The layout CHANNELS_LAST, or CHANNELS_BLOCKED with this block, of a tensor: how a kernel that keeps the layout of its
     * operand names that of an output of another shape. NULL entry: the backend has row-major only. */
    mu_err (*layout)(mu_backend *backend, const mu_type *type, mu_layout_kind kind, int block, const mu_layout **out);

    /* Memory of the device, MU_ALIGN-aligned, and copies between it and host memory, in order with the kernels: an upload comes after those that
     * run before it, and `host` may be changed as soon as it returns; when a download returns, the bytes are there. */
    mu_err (*alloc)(mu_backend *backend, size_t bytes, void **out);
    void (*dealloc)(mu_backend *backend, void *block);
    mu_err (*upload)(mu_backend *backend, void *device, const void *host, size_t bytes);
    mu_err (*download)(mu_backend *backend, void *host, const void *device, size_t bytes);
    /* Waits for all work; reports what failed late. */
    mu_err (*synchronize)(mu_backend *backend);

    /* ---- what a device may have besides; NULL where it has not ---- */

    /* Its devices, as this process sees them: *n of them, the first `most` in out. MU_ERR_UNSUPPORTED tells why there is none ("the driver is
     * too old: ..."). Needs no instance, and opens no device: ranks ask about all devices of their node. */
    mu_err (*devices)(mu_device *out, int most, int *n);
    /* Library i of those that it uses: "cuDNN", "9.14.0"; false past the end. */
    bool (*library)(int i, const char **name, char version[32]);
    /* Bytes of a device that nobody has. Opens it for this process. */
    mu_err (*free_memory)(int device, size_t *out);

    /* Host memory that copies reach at full speed (pinned). */
    mu_err (*alloc_host)(mu_backend *backend, size_t bytes, void **out);
    void (*dealloc_host)(mu_backend *backend, void *block);

    /* From record_begin on kernels are not run but noted, up to record_end; replay then runs all of them at once, on the same addresses. A failure of
     * either, or of a kernel between them (after which record_end is called all the same), ends the recording with *out NULL. An upload is recorded by
     * record_upload: replay n (from 0) reads `bytes` at host + n % turns * stride, which is memory of alloc_host. n is counted in `count`, 8 bytes of the
     * device's own for each of them, which are 0 at first. */
    mu_err (*record_begin)(mu_backend *backend);
    mu_err (*record_upload)(mu_backend *backend, void *device, const void *host, size_t bytes, size_t stride, int turns, void *count);
    mu_err (*record_end)(mu_backend *backend, mu_recording **out);
    mu_err (*replay)(mu_backend *backend, mu_recording *recording);
    void (*recording_release)(mu_backend *backend, mu_recording *recording); /* NULL is allowed */

    /* A mark stands where a lane was when `mark` was called last; a new one stands at the beginning of all. What a lane is given after `follow` comes
     * behind the mark. `wait` keeps the host until it is passed; these last two may be called by any thread, and report what failed late. Marks and what
     * is between them can be recorded, where another lane begins behind a mark of that of the kernels and this one follows it in the end. */
    mu_err (*mark_new)(mu_backend *backend, mu_mark **out);
    void (*mark_release)(mu_backend *backend, mu_mark *mark); /* NULL is allowed */
    mu_err (*mark)(mu_backend *backend, mu_mark *mark, mu_lane lane);
    mu_err (*follow)(mu_backend *backend, mu_lane lane, const mu_mark *mark);
    mu_err (*wait)(mu_backend *backend, const mu_mark *mark);
    mu_err (*passed)(mu_backend *backend, const mu_mark *mark, bool *out);
    /* From device or alloc_host memory to the same, in a lane: returns before it is done. */
    mu_err (*copy)(mu_backend *backend, mu_lane lane, void *to, const void *from, size_t bytes);

    /* Bytes that alloc has given out, now and at most; the device's own figures are those of `devices`. Any may be NULL. */
    void (*memory)(mu_backend *backend, size_t *used, size_t *peak);

    /* Collective over comm, which is borrowed until the closing; one for each lane that is to be used, as for threads and mu_comm. A rank on which it fails
     * has told the others. */
    mu_err (*comm_open)(mu_backend *backend, mu_comm *comm, mu_device_comm **out);
    void (*comm_close)(mu_backend *backend, mu_device_comm *comm); /* NULL is allowed. Not collective */
    /* Collective start, in the lane's order; the same order on all ranks. Can be recorded. */
    mu_err (*collect)(mu_backend *backend, mu_device_comm *comm, mu_lane lane, const mu_collective *what);
    /* What failed on its way, of this rank or its link to another. */
    mu_err (*comm_check)(mu_backend *backend, mu_device_comm *comm);
    /* By any thread: nothing on this device waits for the other ranks any more. The communicator is then of no more use. */
    void (*comm_abort)(mu_backend *backend, mu_device_comm *comm);
} mu_backend_ops;

struct mu_backend {
    const mu_backend_ops *ops;
    int n_threads;
    bool host_memory; /* upload and download are memcpy: callers may use pointers directly */
    mu_run *run;      /* memory of the device: what kernels read of a run, so that replayed ones see it, too (mu_backend_set_run); NULL: they are told */
    mu_holder *holders; /* who has memory of it (backend/holders.h) */
    mu_repeat *repeat;  /* the span that is open (backend/repeat.h) */
    int64_t n_unbound;  /* kernels and communicators of recordings that were bound anew, released or closed */
};

/* "cpu" (the best for the processor), "cpu:ref", "cpu:onednn", "check:cpu:onednn", "cuda" (options->device), "cuda:1", or "auto": what the
 * environment's MUSTER_DEVICE says, else the first of mu_backend_at that can be opened: a CUDA device where there is one.
 * MU_ERR_NOT_FOUND with the nearest name; MU_ERR_UNSUPPORTED for one that was not built or has no device. options may be NULL. */
MU_CHECKED mu_err mu_backend_open(const char *device, const mu_backend_options *options, mu_backend **out);

/* What mu_backend_open would open, and its errors, without opening it. */
typedef struct {
    const mu_backend_ops *ops; /* of a checked one: what is checked */
    int device;                /* of ops->devices */
    bool numbered;             /* the text says which: "cuda:1" */
} mu_backend_choice;
MU_CHECKED mu_err mu_backend_find(const char *device, const mu_backend_options *options, mu_backend_choice *out);
void mu_backend_close(mu_backend *backend);

/* Opens an instance of a backend that is not in the list: a plug-in's, or one of a test. */
MU_CHECKED mu_err mu_backend_open_ops(const mu_backend_ops *ops, const mu_backend_options *options, mu_backend **out);

/* Before the kernels of a run. */
MU_CHECKED mu_err mu_backend_set_run(mu_backend *backend, const mu_run *run);

/* The built-in backends in order of preference, for `muster list backend`; false past the end. */
typedef struct {
    const char *name;
    const char *device;        /* what mu_backend_open takes: "cpu:ref" */
    const mu_backend_ops *ops; /* NULL when it was not built */
    const char *why_off;       /* NULL when it can be opened: not built, or "no CUDA device: ..."; until this thread's next call */
} mu_backend_info;
bool mu_backend_at(int i, mu_backend_info *out);

/* Allocates a kernel of `size` bytes (first member mu_kernel) with a deep copy of the call and row-major layouts. */
MU_CHECKED mu_err mu_kernel_new(size_t size, const mu_kernel_ops *ops, const mu_call *call, mu_kernel **out);
/* Frees what mu_kernel_new made, after the ops' release. NULL is allowed. */
void mu_kernel_release(mu_kernel *kernel);
/* Stores the addresses (copied) and calls ops->bind. */
MU_CHECKED mu_err mu_kernel_bind(mu_kernel *kernel, void *const *in, void *const *out, void *scratch);

static inline mu_err mu_kernel_run(mu_kernel *kernel, const mu_run *run)
{
    return kernel->ops->run(kernel, run);
}

#endif
