#include "ops/suite.h"

#include "core/philox.h"
#include "graph/autodiff.h"
#include "test.h"

#include <ctype.h>
#include <math.h>

uint64_t suite_seed = 1;
const mu_run suite_run_args = {.seed = 20261122, .step = 3, .sample_offset = 5};
const char *const run_how_names[] = {"plain", "in place", "blocked layouts"};

static const op_case *const families[] = {conv_cases,       matrix_cases, norm_cases,   pool_cases,
                                          activation_cases, binary_cases, reduce_cases, shape_cases,
                                          loss_cases,       update_cases, other_cases};

int suite_n_cases(void)
{
    int n = 0;
    while (suite_case(n))
        n++;
    return n;
}

const op_case *suite_case(int i)
{
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (const op_case *c = families[f]; c->op; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

/* ---- tensors ---- */

void tensor_new(tensor *out, mu_type type)
{
    out->type = type;
    ck_ok(mu_alloc(&out->data, mu_type_bytes(&type)));
}

void tensor_release(tensor *t)
{
    mu_free(t->data);
    *t = (tensor){0};
}

tensor tensor_as(const tensor *t, mu_dtype dtype)
{
    tensor copy = {.type = t->type};
    if (t->type.dtype == MU_NONE)
        return copy;
    if (mu_dtype_is_float(t->type.dtype))
        copy.type.dtype = dtype;
    tensor_new(&copy, copy.type);
    mu_convert(copy.data, copy.type.dtype, t->data, t->type.dtype, mu_type_count(&t->type));
    return copy;
}

double suite_sign(uint64_t *stream)
{
    const mu_philox bits = mu_philox_key(suite_seed, MU_RNG_TEST, 1, 0);
    uint64_t i = (*stream)++;
    return mu_philox_block(&bits, i / 128).v[i / 32 % 4] >> (i % 32) & 1 ? 1 : -1;
}

double tensor_get(const tensor *t, int64_t i)
{
    double x;
    mu_convert(&x, MU_F64, (char *)t->data + (size_t)i * mu_dtype_size(t->type.dtype), t->type.dtype, 1);
    return x;
}

void tensor_set(tensor *t, int64_t i, double x)
{
    mu_convert((char *)t->data + (size_t)i * mu_dtype_size(t->type.dtype), t->type.dtype, &x, MU_F64, 1);
}

/* ---- operands ---- */

typedef struct {
    mu_type type;
    char range[16];
} operand;

/* Reads one operand and moves on. */
static bool parse(const char **at, mu_dtype dtype, operand *out)
{
    char name[8];
    size_t n = 0;
    while (**at == ' ')
        (*at)++;
    if (**at == '\0')
        return false;
    *out = (operand){{.dtype = MU_NONE}, ""};
    if (**at == '-') {
        (*at)++;
        return true;
    }
    while (isalnum((unsigned char)**at))
        name[n++] = *(*at)++;
    name[n] = '\0';
    bool half = dtype == MU_BF16 || dtype == MU_F16;
    out->type.dtype = strcmp(name, "f") == 0   ? dtype
                      : strcmp(name, "p") == 0 ? (half ? MU_F32 : dtype)
                                               : mu_dtype_parse(name);
    ck_assert_msg(out->type.dtype != MU_NONE && **at == '[', "bad operand \"%s\"", *at);
    for ((*at)++; **at != ']'; *at += **at == ',')
        out->type.dim[out->type.ndim++] = strtoll(*at, (char **)at, 10);
    (*at)++;
    if (**at == ':') {
        size_t length = strcspn(*at + 1, " ");
        ck_assert_uint_lt(length, sizeof out->range);
        memcpy(out->range, *at + 1, length);
        *at += 1 + length;
    }
    return true;
}

static const double specials[] = {NAN, 0.0, INFINITY, 1.5, -0.0, -INFINITY, -0.75};

/* A permutation of 0..n-1, element i. */
static int64_t shuffled(const mu_philox *rng, int64_t n, int64_t i)
{
    static int64_t *perm, perm_n;
    if (i == 0) {
        perm_n = n;
        perm = realloc(perm, (size_t)(n ? n : 1) * sizeof *perm);
        for (int64_t k = 0; k < n; k++)
            perm[k] = k;
        for (int64_t k = n - 1; k > 0; k--) {
            int64_t j = (int64_t)mu_philox_below(rng, (uint64_t)k, (uint64_t)k + 1), swap = perm[k];
            perm[k] = perm[j];
            perm[j] = swap;
        }
    }
    ck_assert_int_lt(i, perm_n);
    return perm[i];
}

/* Element i of an update's numbers; false: as prob. */
static bool draw_update(const char *range, int64_t i, double *out)
{
    const char *const names[] = {"update", "clamp", "first", "skip"};
    const int64_t place[] = {-1, MU_UPDATE_MAX_VALUE, MU_UPDATE_FIRST, MU_UPDATE_SKIP};
    for (int k = 0; k < 4; k++)
        if (strcmp(range, names[k]) == 0) {
            *out = i != place[k] ? 0 : k == 1 ? 0.25 : 1;
            return i % MU_UPDATE_SCALARS >= MU_UPDATE_MAX_VALUE;
        }
    return false;
}

static bool is_update(const char *range)
{
    double x;
    return draw_update(range, MU_UPDATE_SKIP, &x);
}

static double draw(const char *range, const mu_philox *rng, const mu_type *type, int64_t i)
{
    double u = mu_philox_uniform_f64(rng, (uint64_t)i);
    int64_t n = mu_type_count(type);
    if (!mu_dtype_is_float(type->dtype)) {
        if (type->dtype == MU_BOOL)
            return u < 0.5;
        char *end;
        long long below = strtoll(range, &end, 10);
        return *end == '~' && i % 3 == 2 ? -100 : floor(u * (double)(below ? below : 8));
    }
    if (*range == '\0')
        return 4 * u - 2;
    if (strcmp(range, "pos") == 0)
        return 2 * u + 0.5;
    double fixed;
    if (draw_update(range, i, &fixed))
        return fixed;
    if (is_update(range) || strcmp(range, "prob") == 0 || strcmp(range, "simplex") == 0 || strcmp(range, "logp") == 0)
        return 0.9 * u + 0.05;
    if (strcmp(range, "gap") == 0)
        return 4 * ((double)shuffled(rng, n, i) + 0.5) / (double)n - 2;
    if (strcmp(range, "off") == 0) {
        double v = 16 * u - 8;
        return floor(v) + 0.15 + 0.7 * (v - floor(v));
    }
    if (strcmp(range, "int") == 0)
        return floor(6 * u) - 3;
    if (strcmp(range, "control") == 0)
        return i == MU_CONTROL_STOPPED ? 0 : 2 * u + 0.5;
    if (strcmp(range, "tiny") == 0)
        return (4 * u - 2) * 1e-30;
    if (strcmp(range, "huge") == 0)
        return (4 * u - 2) * 1e30;
    if (strcmp(range, "wide") == 0)
        return (i % 2 ? -1 : 1) * pow(10, 6 * u - 3);
    if (strcmp(range, "far") == 0)
        return 100 + 4 * u - 2;
    if (strcmp(range, "special") == 0)
        return i % 3 == 1 ? 4 * u - 2 : specials[(i / 3 + i % 3) % 7];
    ck_abort_msg("no range \"%s\"", range);
    return 0;
}

/* Rows along dimension 1 (or 0 of a vector) are scaled to add up to one. */
static void normalise(double *x, const mu_type *t, bool logarithm)
{
    int d = t->ndim > 1 ? 1 : 0;
    int64_t inner = 1, rows;
    for (int i = d + 1; i < t->ndim; i++)
        inner *= t->dim[i];
    rows = mu_type_count(t) ? mu_type_count(t) / t->dim[d] : 0;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, *row = x + r / inner * inner * t->dim[d] + r % inner;
        for (int64_t k = 0; k < t->dim[d]; k++)
            sum += row[k * inner];
        for (int64_t k = 0; k < t->dim[d]; k++)
            row[k * inner] = logarithm ? log(row[k * inner] / sum) : row[k * inner] / sum;
    }
}

static void fill(tensor *t, const char *range, uint64_t stream)
{
    int64_t n = mu_type_count(&t->type);
    double *x = malloc((size_t)(n ? n : 1) * sizeof *x);
    mu_philox rng = mu_philox_key(suite_seed, MU_RNG_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = draw(range, &rng, &t->type, i);
    if (strcmp(range, "simplex") == 0 || strcmp(range, "logp") == 0)
        normalise(x, &t->type, *range == 'l');
    mu_convert(t->data, t->type.dtype, x, MU_F64, n);
    free(x);
}

/* ---- a case as a graph ---- */

static uint64_t stream_of(const op_case *c, int operand_index)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *p = c->in; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    return hash + (uint64_t)operand_index;
}

/* Targets and weights of losses are constants to differentiation. */
static bool wants_gradient(const op_case *c, int i, mu_dtype dtype)
{
    const mu_op *op = mu_op_find(c->op);
    return mu_dtype_is_float(dtype) && !(op && suite_rule(op)->no_grad >> i & 1);
}

/* Declares the operands: all as inputs, or as a model would have them. */
static void declare(suite_graph *s, mu_dtype dtype, unsigned states, bool params)
{
    const char *at = s->c->in;
    operand o;
    for (s->n_in = 0; parse(&at, dtype, &o); s->n_in++) {
        char name[16];
        int i = s->n_in;
        ck_assert_int_lt(i, SUITE_MAX_IN);
        if (o.type.dtype == MU_NONE)
            continue;
        snprintf(name, sizeof name, "x%d", i);
        tensor_new(&s->data[i], o.type);
        fill(&s->data[i], o.range, stream_of(s->c, i));
        if (states >> i & 1)
            s->in[i] = mu_graph_state(s->graph, name, o.type);
        else if (params && i > 0 && wants_gradient(s->c, i, o.type.dtype))
            s->in[i] = mu_graph_param(s->graph, name, o.type);
        else
            s->in[i] = mu_graph_input(s->graph, name, o.type);
    }
}

static void differentiate(suite_graph *s)
{
    mu_graph *g = s->graph;
    mu_type t = *mu_graph_type(g, s->out);
    mu_value leaves[SUITE_MAX_IN], grads[SUITE_MAX_IN];
    int n = 0;
    if (!mu_dtype_is_float(t.dtype) || s->c->flags & CASE_FORWARD)
        return;
    tensor_new(&s->r_data, t);
    fill(&s->r_data, "", stream_of(s->c, SUITE_MAX_IN));
    s->r = mu_graph_input(g, "r", t);
    mu_graph_mark(g, "loss", false);
    s->loss = mu_sum(g, mu_mul(g, s->out, s->r), 0, false);
    mu_graph_mark(g, NULL, false);
    for (int i = 0; i < s->n_in; i++)
        if (s->in[i].id && wants_gradient(s->c, i, mu_graph_type(g, s->in[i])->dtype) &&
            mu_graph_value(g, s->in[i])->kind == MU_VALUE_INPUT)
            leaves[n++] = s->in[i];
    mu_graph_backward(g, s->loss, leaves, n, grads);
    for (int i = 0, k = 0; i < s->n_in; i++)
        if (k < n && s->in[i].id == leaves[k].id)
            s->din[i] = grads[k++];
        else if (s->in[i].id && mu_graph_value(g, s->in[i])->kind == MU_VALUE_PARAM)
            s->din[i] = mu_graph_gradient_of(g, s->in[i]);
}

/* Which operands an operation keeps as states. */
static unsigned states_of(const op_case *c)
{
    const mu_op *op = mu_op_find(c->op);
    unsigned mask = 0;
    for (int o = 0; op && !(c->flags & CASE_NO_PLAN) && o < MU_OP_MAX_OUT; o++)
        if (op->updates[o])
            mask |= 1u << (op->updates[o] - 1);
    return mask;
}

bool suite_build(const op_case *c, mu_dtype dtype, int what, suite_graph *out, const char **why)
{
    *out = (suite_graph){.c = c};
    ck_ok(mu_graph_new(&out->graph));
    declare(out, dtype, states_of(c), what & SUITE_PARAMS);
    out->out = c->trace(out->graph, out->in, c->attrs);
    if (mu_graph_status(out->graph) == MU_OK && what & SUITE_BACKWARD)
        differentiate(out);
    if (mu_graph_status(out->graph) == MU_OK)
        return true;
    static char text[4096];
    snprintf(text, sizeof text, "%s", test_error_text());
    *why = text;
    suite_graph_release(out);
    return false;
}

void suite_graph_release(suite_graph *s)
{
    for (int i = 0; i < s->n_in; i++)
        tensor_release(&s->data[i]);
    tensor_release(&s->r_data);
    mu_graph_release(s->graph);
}

const char *suite_case_format(const op_case *c, char *buf, size_t size)
{
    const mu_op *op = mu_op_find(c->op);
    char attrs[256] = "";
    suite_graph s;
    const char *why;
    if (op && suite_build(c, MU_F32, 0, &s, &why)) {
        for (int32_t i = 0; i < mu_graph_n_nodes(s.graph); i++)
            if (mu_graph_node(s.graph, i)->op == op)
                mu_attrs_format(op, mu_graph_node(s.graph, i)->attrs, attrs, sizeof attrs);
        suite_graph_release(&s);
    }
    snprintf(buf, size, "%s(%s%s%s)", c->op, c->in, *attrs ? " " : "", attrs);
    return buf;
}
