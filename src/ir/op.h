/* What an operation is: its attributes, shape rule, gradient rule, cost and documentation.
 *
 * One `const mu_op mu_op_<name>` per operation stands in ops/<name>.c. A backend adds a kernel under the same name. */
#ifndef MU_IR_OP_H
#define MU_IR_OP_H

#include "core/type.h"

typedef struct mu_op mu_op;
typedef struct mu_grad mu_grad; /* ir/graph.h */

/* One field of an attribute struct; the table drives printing, comparison and hashing. */
typedef enum {
    MU_ATTR_I64,   /* int64_t */
    MU_ATTR_F64,   /* double */
    MU_ATTR_BOOL,  /* bool */
    MU_ATTR_ENUM,  /* int, an index into choice */
    MU_ATTR_PTR,   /* a pointer, compared by address */
    MU_ATTR_BYTES, /* `count` bytes compared as they are: the caller zeroes padding */
} mu_attr_kind;

typedef struct {
    const char *name; /* NULL ends the table */
    mu_attr_kind kind;
    size_t offset;
    int count;                 /* array length, 1 for a scalar */
    const char *const *choice; /* MU_ATTR_ENUM: names by value, NULL-terminated */
} mu_attr;

#define MU_ATTR_ROW(kind_, struct_, field_, count_, choice_) \
    {.name = #field_, .kind = (kind_), .offset = offsetof(struct_, field_), .count = (count_), .choice = (choice_)}
#define MU_ATTR_INT(s, f) MU_ATTR_ROW(MU_ATTR_I64, s, f, 1, NULL)
#define MU_ATTR_INTS(s, f, n) MU_ATTR_ROW(MU_ATTR_I64, s, f, n, NULL)
#define MU_ATTR_REAL(s, f) MU_ATTR_ROW(MU_ATTR_F64, s, f, 1, NULL)
#define MU_ATTR_FLAG(s, f) MU_ATTR_ROW(MU_ATTR_BOOL, s, f, 1, NULL)
#define MU_ATTR_CHOICE(s, f, names) MU_ATTR_ROW(MU_ATTR_ENUM, s, f, 1, names)
#define MU_ATTR_POINTER(s, f) MU_ATTR_ROW(MU_ATTR_PTR, s, f, 1, NULL)
#define MU_ATTR_END {.name = NULL}

/* One use of an operation without the graph around it: what shape rules, costs and backends look at. All borrowed.
 * An absent optional input or output has dtype MU_NONE. */
typedef struct {
    const mu_op *op;
    const void *attrs; /* the operation's own struct, or NULL */
    int n_in, n_out;
    const mu_type *in, *out;
    const char *name; /* of the node, for messages; may be NULL */
} mu_call;

enum {
    MU_OP_ELEMENTWISE = 1 << 0, /* out[i] depends on in[*][i] (after broadcasting) only */
    MU_OP_VIEW = 1 << 1,        /* output 0 has the row-major bytes of input 0: no kernel runs */
    MU_OP_EFFECT = 1 << 2,      /* must run though nothing reads its outputs */
    MU_OP_RANDOM = 1 << 3,      /* draws numbers: two equal calls are not one */
    MU_OP_HOST = 1 << 4,        /* calls back into host code */
    MU_OP_ZERO_KEEPS = 1 << 5,  /* f(0, ..., 0) = 0: padding zeros stay zeros */
    MU_OP_COLLECTIVE = 1 << 6,  /* all ranks run it, in the same order: mu_presence in backend.h */
};

enum { MU_OP_MAX_OUT = 6, MU_OP_VARIADIC = 64 };

struct mu_op {
    const char *name; /* "conv2d" */
    const char *doc;  /* a sentence; formula; shapes; source */
    int n_in_min, n_in_max;
    int n_out;
    unsigned flags;
    size_t attrs_size;
    const mu_attr *attrs; /* NULL when there are none */

    /* inplace[i] = j+1: output i may take the memory of input j when that input dies here; 0: never. */
    signed char inplace[MU_OP_MAX_OUT];
    /* updates[i] = j+1: output i is the new value of the state that is input j and lives in the same memory. */
    signed char updates[MU_OP_MAX_OUT];

    /* Checks the inputs and sets out[0..n_out-1]; optional outputs that this call lacks stay MU_NONE. Not called when an
     * input is the product of an earlier error. */
    mu_err (*infer)(const mu_call *call, mu_type *out);

    /* Appends the nodes that compute the gradients and stores them in grad->din. NULL: not differentiable. */
    void (*gradient)(mu_grad *grad);

    /* Floating-point operations (a multiply-add counts 2). NULL: one per output element. */
    int64_t (*flops)(const mu_call *call);
    /* Bytes that must move at least. NULL: all inputs and outputs once. */
    int64_t (*bytes)(const mu_call *call);
};

int64_t mu_call_flops(const mu_call *call);
int64_t mu_call_bytes(const mu_call *call);

/* "stride=[1,1] padding=[0,0] groups=1". Cut to fit; always terminated. Returns buf. */
const char *mu_attrs_format(const mu_op *op, const void *attrs, char *buf, size_t size);
bool mu_attrs_equal(const mu_op *op, const void *a, const void *b);
uint64_t mu_attrs_hash(const mu_op *op, const void *attrs);

/* Every built-in operation (ops/ops.def), NULL-terminated, sorted by name; and one by name, or NULL. */
const mu_op *const *mu_op_builtins(void);
const mu_op *mu_op_find(const char *name);

#endif
