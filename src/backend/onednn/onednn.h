/* What the files of this room share: the backend instance, its layouts, and a kernel that runs one oneDNN primitive. */
#ifndef MU_BACKEND_ONEDNN_ONEDNN_H
#define MU_BACKEND_ONEDNN_ONEDNN_H

#include "backend.h"
#include "backend/onednn/compat.h"
#include "ops/ops.h"

typedef struct mu_onednn_layout {
    mu_layout base;
    mu_dnn_desc desc; /* its dimensions may be those of the type with a group dimension split off */
    struct mu_onednn_layout *next;
} mu_onednn_layout;

typedef struct mu_choices mu_onednn_tune; /* backend/choices.h */

typedef struct {
    mu_backend base;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr; /* scratchpad by the user */
    mu_onednn_layout *layouts;
    mu_onednn_tune *tune;
    bool direct_convolution, deterministic;
    int64_t n_created; /* primitives ever created */
} mu_onednn;

/* The record for a oneDNN status: its own name for it, the call, and the node. dnnl_unimplemented is MU_ERR_UNSUPPORTED. */
mu_err mu_onednn_fail(dnnl_status_t status, const char *call, const char *file, int line, const char *function);

#define MU_TRY_DNN(expr)                                                                 \
    do {                                                                                 \
        dnnl_status_t mu_dnn_status_ = (expr);                                           \
        if (mu_dnn_status_ != dnnl_success)                                              \
            return mu_onednn_fail(mu_dnn_status_, #expr, __FILE__, __LINE__, __func__);  \
    } while (0)

#define MU_TRY_DNN_GOTO(err, expr, label)                                                    \
    do {                                                                                     \
        dnnl_status_t mu_dnn_status_ = (expr);                                               \
        if (mu_dnn_status_ != dnnl_success) {                                                \
            (err) = mu_onednn_fail(mu_dnn_status_, #expr, __FILE__, __LINE__, __func__);     \
            goto label;                                                                      \
        }                                                                                    \
    } while (0)

/* dnnl_data_type_undef when oneDNN lacks it. */
dnnl_data_type_t mu_onednn_dtype(mu_dtype dtype);
/* f32, or bf16 where the processor can; otherwise *why says what is missing. */
bool mu_onednn_float_ok(mu_dtype dtype, const char **why);
/* Sets the threads of this thread's parallel regions to the instance's. Cheap. */
void mu_onednn_use_threads(const mu_onednn *self);

/* ---- layouts ---- */

/* The interned layout of md for a tensor of this type; NULL in *out for dense row-major. */
MU_CHECKED mu_err mu_onednn_layout_of(mu_onednn *self, const mu_type *type, mu_dnn_md md, const mu_layout **out);
/* The layout of this kind for a type of 3 to 5 dimensions (block: 4, 8 or 16). */
MU_CHECKED mu_err mu_onednn_layout_make(mu_onednn *self, const mu_type *type, mu_layout_kind kind, int block,
                                        const mu_layout **out);
/* Row-major descriptor of explicit dimensions. */
MU_CHECKED mu_err mu_onednn_dense(int ndims, const int64_t *dims, dnnl_data_type_t type, mu_dnn_desc *out);
/* A descriptor for an operand that lies in `layout` (NULL: row-major with these dimensions). Owned by the caller. */
MU_CHECKED mu_err mu_onednn_desc(const mu_layout *layout, int ndims, const int64_t *dims, dnnl_data_type_t type,
                                 mu_dnn_desc *out);
/* A channels-last or channels-blocked image layout that oneDNN made; false for weights and row-major. */
bool mu_onednn_layout_is_image(const mu_layout *layout);
void mu_onednn_layouts_release(mu_onednn *self);

/* ---- a kernel that is one primitive ---- */

enum { MU_ONEDNN_MAX_ARGS = 72 };

typedef struct {
    mu_kernel base;
    mu_onednn *backend;
    dnnl_primitive_t primitive; /* NULL: nothing to compute (an empty batch); `zero` outputs are zeroed */
    int n_args;
    dnnl_exec_arg_t *args;      /* [n_args] memories are owned */
    signed char *operand;       /* [n_args] i: in[i]; -1-o: out[o]; MU_ONEDNN_SCRATCH */
    size_t zero[MU_OP_MAX_OUT]; /* bytes of output o to set to zero at each run */
    int sum_from;               /* operand that out[0] must start as (a sum post-operation); -1: none */
    size_t sum_bytes;
} mu_onednn_kernel;

enum { MU_ONEDNN_SCRATCH = 127 };
#define MU_ONEDNN_OUT(o) (-1 - (o))

MU_CHECKED mu_err mu_onednn_kernel_new(mu_onednn *self, const mu_call *call, mu_onednn_kernel **out);
/* Creates the primitive and its scratchpad. pd stays the caller's. Call before mu_onednn_kernel_arg. */
MU_CHECKED mu_err mu_onednn_kernel_set(mu_onednn_kernel *kernel, const_dnnl_primitive_desc_t pd);
/* Adds an argument (DNNL_ARG_...) of this descriptor that takes its address from an operand. */
MU_CHECKED mu_err mu_onednn_kernel_arg(mu_onednn_kernel *kernel, int arg, mu_dnn_md md, int operand);
/* For outputs that have elements though the batch is empty. */
void mu_onednn_kernel_zero(mu_onednn_kernel *kernel);

/* True when any present operand or output has no elements. */
bool mu_onednn_empty(const mu_call *call);
/* Operand i, or NULL when absent. */
const mu_type *mu_onednn_in(const mu_call *call, int i);
const mu_type *mu_onednn_out(const mu_call *call, int o);

/* ---- attributes ---- */

/* A primitive attribute with scratchpad mode user, the residual sum and the activation. Owned by the caller. */
MU_CHECKED mu_err mu_onednn_attr(bool sum, int activation, double alpha, dnnl_primitive_attr_t *out);

/* "oneDNN 2.6.3, AVX-512 with bf16"; for `muster env`. Returns buf. */
const char *mu_onednn_describe(char *buf, size_t size);
/* Primitives that this instance ever created: a steady state leaves it unchanged. */
int64_t mu_onednn_created(const mu_backend *backend);

/* ---- kernels, one file each ---- */

typedef bool mu_onednn_supports_fn(const mu_call *call, const char **why);
typedef mu_err mu_onednn_prepare_fn(mu_onednn *self, const mu_call *call, const mu_layout *const *in_layout,
                                    const mu_layout *const *want_out, mu_kernel **out);

#define MU_ONEDNN_KERNEL(name)                       \
    mu_onednn_supports_fn name##_supports_onednn;    \
    mu_onednn_prepare_fn name##_prepare_onednn;
#include "backend/onednn/onednn.def"
#undef MU_ONEDNN_KERNEL

MU_CHECKED mu_err mu_onednn_reorder(mu_onednn *self, const mu_type *type, const mu_layout *from, const mu_layout *to,
                                    mu_kernel **out);

#endif
