/* Batch norm with the statistics of all ranks against batch norm of the whole batch: run by itself (one rank) and under mpirun by
 * sync_bn_test.sh. */
#include "graph/autodiff.h"
#include "graph/plan.h"
#include "ops/ops.h"

#include "../golden/sync_bn.inc"

#include "core/mem.h"
#include "mpi/ranks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_C = 80 };

/* What a layer is run on: rows [first, first + n) of a batch of `rows`. */
typedef struct {
    const char *device;
    mu_dtype dtype, autocast;
    int64_t c, h, w;
    bool fused; /* residual and ReLU behind */
    bool conv;  /* 1x1 convolutions around it, so that autocast has something to cast */
    int runs;   /* more than one: devices repeat recorded kernels */
    double momentum, eps;
    const double *x, *residual, *weight, *gamma, *beta, *mean, *var; /* of the whole batch */
} layer;

static const layer nowhere, *place = &nowhere; /* the layer that was run last, for messages */

#undef CHECK /* tells the layer, too */
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition) && failures++ < 5) {                                                                         \
            fprintf(stderr, "rank %d/%d: line %d: %s %s c=%d fused=%d conv=%d: %s:", world->rank, world->size, __LINE__, place->device, mu_dtype_name(place->autocast), (int)place->c, place->fused, place->conv, #condition);              \
            fprintf(stderr, " " __VA_ARGS__);                                                                          \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)


typedef struct {
    double *y, *dx, *dresidual;                                                /* [n, c, h, w] */
    double dgamma[MAX_C], dbeta[MAX_C], mean[MAX_C], var[MAX_C];
} result;

static void *mem(size_t n)
{
    void *p = NULL;
    if (mu_calloc(&p, n + 1, sizeof(double)) != MU_OK)
        mu_comm_abort(world, 1);
    return p;
}

static void result_release(result *r)
{
    mu_free(r->y);
    mu_free(r->dx);
    mu_free(r->dresidual);
}

/* A backend, and the ranks' devices brought together: each rank has one of its own. */
typedef struct {
    mu_backend *backend;
    mu_device_comm *ranks; /* NULL: hosts */
} place_of_run;

static mu_err open_place(const char *name, place_of_run *out)
{
    *out = (place_of_run){0};
    mu_backend_options options = {.n_threads = 1, .cache_dir = "", .device = world->rank};
    MU_TRY(mu_comm_agree(world, mu_backend_open(name, &options, &out->backend)));
    mu_backend *backend = out->backend;
    if (!backend->host_memory && world->size > 1)
        MU_TRY(backend->ops->comm_open(backend, world, &out->ranks));
    return MU_OK;
}

static void close_place(place_of_run *p)
{
    if (p->ranks)
        p->backend->ops->comm_close(p->backend, p->ranks);
    mu_backend_close(p->backend);
}

/* 1x1 convolution by `scale` times the identity. */
static mu_value pointwise(mu_graph *g, mu_value x, double scale)
{
    int64_t c = mu_graph_type(g, x)->dim[1];
    float *w = mem((size_t)(c * c));
    for (int64_t i = 0; i < c; i++)
        w[i * c + i] = (float)scale;
    mu_value weight = mu_graph_const(g, MU_TYPE(MU_F32, c, c, 1, 1), w);
    mu_free(w);
    mu_conv2d_attrs a = mu_conv2d_defaults();
    return mu_conv2d(g, x, weight, MU_NO_VALUE, &a);
}

static mu_err trace(const layer *l, int64_t n, mu_comm *comm, mu_graph **out)
{
    mu_graph *g;
    mu_type image = MU_TYPE(l->dtype, n, l->c, l->h, l->w), channel = MU_TYPE(l->dtype, l->c);
    MU_TRY(mu_graph_new(&g));
    mu_value x = mu_graph_input(g, "x", image), weight = mu_graph_input(g, "weight", image), dx[2];
    mu_value residual = l->fused ? mu_graph_input(g, "residual", image) : MU_NO_VALUE;
    mu_value gamma = mu_graph_param(g, "gamma", channel), beta = mu_graph_param(g, "beta", channel);
    mu_value mean = mu_graph_state(g, "mean", channel), var = mu_graph_state(g, "var", channel);
    mu_value v = l->conv ? pointwise(g, x, 1) : x;
    v = comm ? mu_sync_batch_norm(g, v, gamma, beta, mean, var, l->eps, l->momentum, comm)
             : mu_batch_norm(g, v, gamma, beta, mean, var, l->eps, l->momentum);
    if (l->fused)
        v = mu_relu(g, mu_add(g, v, l->conv ? pointwise(g, residual, 1) : residual));
    if (l->conv)
        v = pointwise(g, v, 1);
    mu_graph_output(g, "y", v);
    mu_graph_backward(g, mu_sum(g, mu_mul(g, v, weight), 0, false), (mu_value[]){x, residual}, l->fused ? 2 : 1, dx);
    mu_graph_output(g, "dx", dx[0]);
    if (l->fused)
        mu_graph_output(g, "dresidual", dx[1]);
    mu_err err = mu_graph_status(g);
    if (err)
        mu_graph_release(g);
    else
        *out = g;
    return err;
}

static void put(mu_plan *plan, const char *name, const double *from)
{
    mu_type type;
    void *to = mu_plan_input(plan, name, &type);
    if (to && from)
        mu_convert(to, type.dtype, from, MU_F64, mu_type_count(&type));
}

static double *get(mu_plan *plan, const char *name)
{
    mu_type type = mu_plan_output_type(plan, name);
    int64_t n = mu_type_count(&type);
    double *raw = mem((size_t)n), *wide = mem((size_t)n);
    OK(mu_plan_read(plan, name, raw, mu_type_bytes(&type)));
    mu_convert(wide, MU_F64, raw, type.dtype, n);
    mu_free(raw);
    return wide;
}

static void write_channel(const layer *l, mu_params *params, const char *name, const double *values)
{
    double raw[MAX_C];
    mu_convert(raw, l->dtype, values, MU_F64, l->c);
    OK(mu_params_write(params, name, raw));
}

static void read_channel(const layer *l, mu_params *params, const char *name, bool gradient, double *out)
{
    double raw[MAX_C] = {0};
    OK(gradient ? mu_params_read_gradient(params, name, raw) : mu_params_read(params, name, raw));
    mu_convert(out, MU_F64, raw, l->dtype, l->c);
}

/* comm NULL: the ordinary layer. */

static mu_err run(const layer *l, int64_t first, int64_t n, mu_comm *comm, result *out)
{
    place_of_run at_place;
    mu_params *params = NULL;
    mu_graph *g = NULL;
    mu_plan *plan = NULL;
    mu_plan_options options = {.autocast = l->autocast};
    int64_t at = first * l->c * l->h * l->w;
    memset(out, 0, sizeof *out);
    place = l;
    mu_err err;
    MU_TRY_GOTO(err, open_place(l->device, &at_place), done);
    MU_TRY_GOTO(err, mu_params_new(at_place.backend, &params), done);
    MU_TRY_GOTO(err, trace(l, n, comm, &g), done);
    MU_TRY_GOTO(err, mu_plan_new(g, at_place.backend, params, &options, &plan), done);
    write_channel(l, params, "gamma", l->gamma);
    write_channel(l, params, "beta", l->beta);
    write_channel(l, params, "mean", l->mean);
    write_channel(l, params, "var", l->var);
    put(plan, "x", l->x + at);
    put(plan, "weight", l->weight + at);
    put(plan, "residual", l->residual + at);
    for (int i = 0; i < (l->runs ? l->runs : 1); i++)
        MU_TRY_GOTO(err, mu_plan_run(plan, NULL), done);
    out->y = get(plan, "y");
    out->dx = get(plan, "dx");
    out->dresidual = l->fused ? get(plan, "dresidual") : NULL;
    read_channel(l, params, "gamma", true, out->dgamma);
    read_channel(l, params, "beta", true, out->dbeta);
    read_channel(l, params, "mean", false, out->mean);
    read_channel(l, params, "var", false, out->var);
done:
    mu_plan_release(plan);
    mu_graph_release(g);
    mu_params_release(params);
    close_place(&at_place);
    return err;
}

/* ---- how the rows are shared ---- */

typedef enum { EVEN, UNEVEN, LAST_HAS_NONE, N_SHARES } share;

/* The first row of rank r. */
static int64_t first_row(share how, int64_t rows, int r)
{
    int64_t w = world->size;
    if (how == EVEN || w == 1)
        return rows * r / w;
    if (how == UNEVEN) /* the first rank has two rows more than its part where there are enough */
        return r == 0 ? 0 : rows / w + 2 > rows - (w - 1) ? rows * r / w : rows / w + 2 + (rows - rows / w - 2) * (r - 1) / (w - 1);
    return r >= w - 1 ? r == w ? rows : rows : rows * r / (w - 1);
}

static void compare(const char *what, const double *got, const double *want, int64_t n, double tolerance, double floor)
{
    double scale = floor;
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        CHECK(fabs(got[i] - want[i]) <= tolerance * scale, "%s[%d] is %.17g, not %.17g (of at most %g)", what, (int)i, got[i], want[i], scale);
}

/* This rank's part of what `whole` has for all rows; sums over ranks of the gradients of gamma and beta. */
static void compare_part(const layer *l, const result *part, const result *whole, int64_t rows, int64_t first, int64_t n, double tolerance)
{
    int64_t row = l->c * l->h * l->w;
    double sums[2 * MAX_C], largest[3] = {0};
    for (int64_t i = 0; i < rows * row; i++) { /* of all rows: a part of zeros would allow nothing */
        largest[0] = fmax(largest[0], fabs(whole->y[i]));
        largest[1] = fmax(largest[1], fabs(whole->dx[i]));
    }
    compare("y", part->y, whole->y + first * row, n * row, tolerance, largest[0]);
    compare("dx", part->dx, whole->dx + first * row, n * row, tolerance, largest[1]);
    if (l->fused)
        compare("dresidual", part->dresidual, whole->dresidual + first * row, n * row, tolerance, 1);
    compare("running mean", part->mean, whole->mean, l->c, tolerance, 0);
    compare("running variance", part->var, whole->var, l->c, tolerance, 0);
    memcpy(sums, part->dgamma, (size_t)l->c * sizeof *sums);
    memcpy(sums + l->c, part->dbeta, (size_t)l->c * sizeof *sums);
    OK(mu_comm_all_reduce(world, sums, 2 * l->c, MU_F64, MU_COMM_SUM));
    compare("dgamma", sums, whole->dgamma, l->c, tolerance, 1);
    compare("dbeta", sums + l->c, whole->dbeta, l->c, tolerance, 1);
}

/* ---- against PyTorch ---- */

static void check_golden(const char *device, mu_dtype dtype, double tolerance)
{
    for (int fused = 0; fused < 2; fused++)
        for (share how = 0; how < N_SHARES; how++) {
            layer l = {.device = device, .dtype = dtype, .c = 3, .h = 2, .w = 5, .fused = fused, .momentum = 0.2, .eps = 1e-3,
                       .x = golden_x, .residual = golden_residual, .weight = golden_weight, .gamma = golden_gamma,
                       .beta = golden_beta, .mean = golden_mean, .var = golden_var};
            result want = {.y = (double *)(fused ? golden_y_fused : golden_y), .dx = (double *)(fused ? golden_dx_fused : golden_dx),
                           .dresidual = (double *)golden_dresidual_fused}, part;
            memcpy(want.dgamma, fused ? golden_dgamma_fused : golden_dgamma, sizeof golden_dgamma);
            memcpy(want.dbeta, fused ? golden_dbeta_fused : golden_dbeta, sizeof golden_dbeta);
            memcpy(want.mean, golden_new_mean, sizeof golden_new_mean);
            memcpy(want.var, golden_new_var, sizeof golden_new_var);
            int64_t first = first_row(how, 6, world->rank), n = first_row(how, 6, world->rank + 1) - first;
            OK(run(&l, first, n, world, &part));
            if (part.y)
                compare_part(&l, &part, &want, 6, first, n, tolerance);
            result_release(&part);
        }
}

/* ---- against batch norm of the whole batch on one rank ---- */

static double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)*state * 0x1p-63;
}

typedef struct {
    double *block, channel[4][MAX_C];
} drawn;

/* x of mean `far` * (1 + its row), of deviation 1. */
static void draw(layer *l, int64_t rows, double far, drawn *d)
{
    int64_t n = rows * l->c * l->h * l->w, row = l->c * l->h * l->w;
    uint64_t state = 5;
    d->block = mem((size_t)(3 * n));
    for (int64_t i = 0; i < 3 * n; i++)
        d->block[i] = 1.7 * noise(&state);
    for (int64_t i = 0; i < n; i++)
        d->block[i] += far * (double)(1 + i / row);
    if (l->dtype == MU_F32) /* what f32 holds */
        for (int64_t i = 0; i < 3 * n; i++)
            d->block[i] = (float)d->block[i];
    for (int k = 0; k < 4; k++)
        for (int64_t c = 0; c < l->c; c++)
            d->channel[k][c] = (float)((k == 1 || k == 2 ? 0 : 1.2) + noise(&state));
    l->x = d->block;
    l->residual = d->block + n;
    l->weight = d->block + 2 * n;
    l->gamma = d->channel[0];
    l->beta = d->channel[1];
    l->mean = d->channel[2];
    l->var = d->channel[3];
}

/* `judge`: where the whole batch is run, by an ordinary layer. */
static void check_whole(layer l, int64_t rows, double far, const char *judge, mu_dtype judge_dtype, double tolerance)
{
    drawn d;
    result whole;
    l.eps = 1e-5;
    l.momentum = 0.1;
    draw(&l, rows, far, &d);
    layer oracle = l;
    oracle.device = judge;
    oracle.dtype = judge_dtype;
    OK(run(&oracle, 0, rows, NULL, &whole));
    for (share how = 0; how < N_SHARES; how++) {
        int64_t first = first_row(how, rows, world->rank), n = first_row(how, rows, world->rank + 1) - first;
        result part;
        OK(run(&l, first, n, world, &part));
        if (part.y && whole.y)
            compare_part(&l, &part, &whole, rows, first, n, tolerance);
        result_release(&part);
    }
    result_release(&whole);
    mu_free(d.block);
}

static void check_shapes(const char *device)
{
    static const int64_t shapes[][4] = {{12, 5, 7, 3}, {13, 16, 4, 4}, {8, 33, 5, 6}, {9, 80, 1, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int fused = 0; fused < 2; fused++) {
            layer l = {.device = device, .dtype = MU_F32, .c = shapes[i][1], .h = shapes[i][2], .w = shapes[i][3], .fused = fused};
            check_whole(l, shapes[i][0], 0, "cpu:ref", MU_F64, 3e-6);
            l.runs = 3;
            check_whole(l, shapes[i][0], 0, "cpu:ref", MU_F64, 3e-6);
            l.runs = 1;
            l.conv = true; /* the layouts of convolutions */
            check_whole(l, shapes[i][0], 0, device, MU_F32, 3e-6);
        }
}

/* Means of many deviations: they cost digits in proportion. The mean of the squares would lose them twice, and have none left. */
static void check_far(const char *device, mu_dtype dtype, double far, double epsilon)
{
    layer l = {.device = device, .dtype = dtype, .c = 5, .h = 4, .w = 3, .momentum = 1};
    drawn d;
    result part, whole;
    draw(&l, 12, 0, &d);
    for (int64_t k = 0; k < 12 * l.c * l.h * l.w; k++)
        d.block[k] = dtype == MU_F32 ? (float)(far + d.block[k]) : far + d.block[k];
    layer oracle = l;
    oracle.device = "cpu:ref";
    oracle.dtype = MU_F64;
    OK(run(&oracle, 0, 12, NULL, &whole));
    int64_t first = first_row(EVEN, 12, world->rank), n = first_row(EVEN, 12, world->rank + 1) - first;
    OK(run(&l, first, n, world, &part));
    compare("running variance", part.var, whole.var, l.c, epsilon * far, 0);
    compare("running mean", part.mean, whole.mean, l.c, 12 * epsilon, 0); /* 144 roundings */
    result_release(&part);
    result_release(&whole);
    mu_free(d.block);
}

/* ---- failures ---- */

typedef struct {
    bool fails;
} probe;

static mu_err probe_run(void *user, const mu_call *call, const void *const *in, void *const *out)
{
    if (((const probe *)user)->fails)
        return MU_FAIL(MU_ERR_IO, "the probe of rank %d fails", world->rank);
    memcpy(out[0], in[0], mu_type_bytes(&call->in[0]));
    return MU_OK;
}

static mu_err probe_infer(void *user, const mu_call *call, mu_type *out)
{
    (void)user;
    out[0] = call->in[0];
    return MU_OK;
}

/* Two norms with a probe between them; x of rank 0 can be spoilt. */
static void probed(mu_backend *backend, probe *p, mu_params **params, mu_plan **plan)
{
    mu_graph *g;
    mu_type channel = MU_TYPE(MU_F32, 4);
    mu_value v, probed_value;
    OK(mu_graph_new(&g));
    v = mu_graph_input(g, "x", MU_TYPE(MU_F32, 3, 4, 2, 2));
    for (int i = 0; i < 2; i++) {
        static const char *const names[2][4] = {{"a", "b", "c", "d"}, {"e", "f", "g", "h"}};
        v = mu_sync_batch_norm(g, v, mu_graph_param(g, names[i][0], channel), mu_graph_param(g, names[i][1], channel),
                               mu_graph_state(g, names[i][2], channel), mu_graph_state(g, names[i][3], channel), 1e-5, 0.1, world);
        if (i == 0) {
            mu_host(g, &(mu_host_attrs){.run = probe_run, .infer = probe_infer, .user = p, .n_out = 1}, &v, 1, &probed_value);
            mu_graph_output(g, "probe", probed_value);
        }
    }
    mu_graph_output(g, "y", v);
    mu_value loss = mu_sum(g, mu_mul(g, v, v), 0, false);
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    OK(mu_graph_status(g));
    OK(mu_params_new(backend, params));
    OK(mu_plan_new(g, backend, *params, NULL, plan));
    mu_graph_release(g);
    float *x = mu_plan_input(*plan, "x", NULL), ones[4] = {1, 1, 1, 1};
    for (int i = 0; i < 48; i++)
        x[i] = (float)sin(i + 100 * world->rank);
    OK(mu_params_write(*params, "a", ones));
    OK(mu_params_write(*params, "e", ones));
}

/* The other ranks go through, and the next run is in step again. */
static void check_failing_rank(const char *device, int failing)
{
    place_of_run at_place;
    mu_params *params;
    mu_plan *plan;
    probe p = {.fails = world->rank == failing};
    OK(open_place(device, &at_place));
    probed(at_place.backend, &p, &params, &plan);
    mu_err err = mu_plan_run(plan, NULL);
    CHECK(err == (p.fails ? MU_ERR_IO : MU_OK), "%s", mu_err_name(err));
    if (p.fails)
        CHECK(strstr(mu_error_last()->message, "the probe of rank"), "%s", mu_error_last()->message);
    if (!p.fails && world->size > 1) {
        double *loss = get(plan, "loss");
        CHECK(isfinite(*loss), "the loss is %g", *loss);
        mu_free(loss);
    }
    p.fails = false;
    OK(mu_plan_run(plan, NULL));
    int64_t in_step = world->rank;
    OK(mu_comm_all_reduce(world, &in_step, 1, MU_I64, MU_COMM_SUM));
    CHECK(in_step == world->size * (world->size - 1) / 2, "%d", (int)in_step);
    mu_plan_release(plan);
    mu_params_release(params);
    close_place(&at_place);
}

/* One rank looks for the origin of a NaN, by itself. */
static void check_explaining(const char *device)
{
    place_of_run at_place;
    mu_params *params;
    mu_plan *plan;
    probe p = {false};
    OK(open_place(device, &at_place));
    probed(at_place.backend, &p, &params, &plan);
    if (world->rank == world->size - 1) {
        OK(mu_plan_run_checked(plan, NULL));
        float *x = mu_plan_input(plan, "x", NULL);
        for (int i = 0; i < 48; i++)
            x[i] = i == 7 ? NAN : (float)i;
        mu_err err = mu_plan_run_checked(plan, NULL);
        CHECK(err == MU_ERR_NUMERIC && strstr(mu_error_last()->message, "sync_batch_norm"), "%s", mu_error_last()->message);
    }
    OK(mu_comm_barrier(world));
    mu_plan_release(plan);
    mu_params_release(params);
    close_place(&at_place);
}

/* One value per channel on all ranks together. Devices cannot refuse it when they find it out: they make it NaN. */
static void check_lacking_values(const char *device)
{
    layer l = {.device = device, .dtype = MU_F32, .c = 3, .h = 1, .w = 1, .momentum = 0.1, .eps = 1e-5, .x = golden_x,
               .residual = golden_residual, .weight = golden_weight, .gamma = golden_gamma, .beta = golden_beta,
               .mean = golden_mean, .var = golden_var};
    result r;
    mu_err err = run(&l, 0, world->rank == 0, world, &r);
    if (strcmp(device, "cuda") == 0 && world->size > 1) {
        CHECK(err == MU_OK && (world->rank > 0 || (isnan(r.y[0]) && isnan(r.dx[0]))), "%s", mu_err_name(err));
        CHECK(err == MU_OK && r.mean[0] == (float)golden_mean[0] && r.var[2] == (float)golden_var[2], "other running statistics");
    } else {
        CHECK(err == MU_ERR_SHAPE && strstr(mu_error_last()->message, "more than one value"), "%s: %s", mu_err_name(err), mu_error_last()->message);
    }
    result_release(&r);
    if (world->size == 1)
        return;
    OK(run(&l, world->rank, 1, world, &r)); /* one value each is enough */
    result_release(&r);
}

/* Was it built, and is there such a device for each rank? */
static bool is_there(const char *device)
{
    place_of_run at_place;
    mu_err err = open_place(device, &at_place);
    close_place(&at_place);
    mu_error_clear();
    return err == MU_OK;
}

/* In half precision: a neighbour among bf16, against the layer that it replaces. */
static void check_half(const char *device)
{
    layer half = {.device = device, .dtype = MU_F32, .autocast = MU_BF16, .c = 16, .h = 4, .w = 4, .conv = true};
    for (int fused = 0; fused < 2; fused++) {
        half.fused = fused;
        check_whole(half, 12, 0, device, MU_F32, 0x1p-7);
    }
}

int main(void)
{
    static const char *const devices[] = {"cpu:ref", "cpu:simd", "cpu", "cuda"};
    ranks_begin();
    check_golden("cpu:ref", MU_F64, 1e-13);
    check_far("cpu:ref", MU_F64, 1e8, 0x1p-52);
    check_whole((layer){.device = "cpu:ref", .dtype = MU_F64, .c = 5, .h = 3, .w = 3}, 12, 10, "cpu:ref", MU_F64, 1e-13);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (!is_there(devices[i]))
            continue;
        check_golden(devices[i], MU_F32, 2e-6);
        check_far(devices[i], MU_F32, 4096, 0x1p-23);
        check_shapes(devices[i]);
        for (int failing = 0; failing < world->size; failing++)
            check_failing_rank(devices[i], failing);
        check_explaining(devices[i]);
        check_lacking_values(devices[i]);
    }
    check_half("cpu");
    if (is_there("cuda"))
        check_half("cuda");
    return ranks_end();
}
