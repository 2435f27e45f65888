#include "backend/onednn/onednn.h"
#include "core/mem.h"

static mu_err bind(mu_kernel *base)
{
    mu_onednn_kernel *kernel = (mu_onednn_kernel *)base;
    for (int i = 0; i < kernel->n_args; i++) {
        int o = kernel->operand[i];
        void *at = o == MU_ONEDNN_SCRATCH ? base->scratch : o >= 0 ? base->in[o] : base->out[-1 - o];
        MU_TRY_DNN(dnnl_memory_set_data_handle(kernel->args[i].memory, at));
    }
    return MU_OK;
}

static mu_err run(mu_kernel *base, const mu_run *run_)
{
    (void)run_;
    mu_onednn_kernel *kernel = (mu_onednn_kernel *)base;
    mu_onednn_use_threads(kernel->backend);
    for (int o = 0; o < base->call.n_out; o++)
        if (kernel->zero[o])
            memset(base->out[o], 0, kernel->zero[o]);
    if (!kernel->primitive)
        return MU_OK;
    if (kernel->sum_from >= 0 && base->in[kernel->sum_from] != base->out[0])
        memcpy(base->out[0], base->in[kernel->sum_from], kernel->sum_bytes);
    dnnl_status_t status = dnnl_primitive_execute(kernel->primitive, kernel->backend->stream, kernel->n_args, kernel->args);
    if (__builtin_expect(status != dnnl_success, 0)) {
        (void)mu_onednn_fail(status, base->impl, __FILE__, __LINE__, __func__);
        mu_error_context("%s \"%s\"", base->call.op ? base->call.op->name : "reorder",
                         base->call.name ? base->call.name : "");
        return mu_error_last()->code;
    }
    return MU_OK;
}

static void release(mu_kernel *base)
{
    mu_onednn_kernel *kernel = (mu_onednn_kernel *)base;
    for (int i = 0; i < kernel->n_args; i++)
        dnnl_memory_destroy(kernel->args[i].memory);
    if (kernel->primitive)
        dnnl_primitive_destroy(kernel->primitive);
    mu_free(kernel->args);
    mu_free(kernel->operand);
}

static const mu_kernel_ops ops = {.run = run, .release = release, .bind = bind};

mu_err mu_onednn_kernel_new(mu_onednn *self, const mu_call *call, mu_onednn_kernel **out)
{
    mu_kernel *base;
    MU_TRY(mu_kernel_new(sizeof(mu_onednn_kernel), &ops, call, &base));
    mu_onednn_kernel *kernel = (mu_onednn_kernel *)base;
    kernel->backend = self;
    kernel->sum_from = -1;
    base->impl = "none";
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&kernel->args, MU_ONEDNN_MAX_ARGS, sizeof *kernel->args), fail);
    MU_TRY_GOTO(err, mu_calloc(&kernel->operand, MU_ONEDNN_MAX_ARGS, 1), fail);
    *out = kernel;
    return MU_OK;
fail:
    mu_kernel_release(base);
    return err;
}

mu_err mu_onednn_kernel_set(mu_onednn_kernel *kernel, const_dnnl_primitive_desc_t pd)
{
    MU_TRY_DNN(dnnl_primitive_create(&kernel->primitive, pd));
    kernel->backend->n_created++;
    const_dnnl_primitive_desc_t own;
    MU_TRY_DNN(dnnl_primitive_get_primitive_desc(kernel->primitive, &own));
    const char *impl = NULL;
    MU_TRY_DNN(dnnl_primitive_desc_query(own, dnnl_query_impl_info_str, 0, &impl));
    kernel->base.impl = impl; /* static text of the library */
    mu_dnn_md scratch = dnnl_primitive_desc_query_md(own, dnnl_query_scratchpad_md, 0);
    kernel->base.scratch_bytes = scratch ? mu_dnn_bytes(scratch) : 0;
    if (kernel->base.scratch_bytes)
        MU_TRY(mu_onednn_kernel_arg(kernel, DNNL_ARG_SCRATCHPAD, scratch, MU_ONEDNN_SCRATCH));
    return MU_OK;
}

mu_err mu_onednn_kernel_arg(mu_onednn_kernel *kernel, int arg, mu_dnn_md md, int operand)
{
    if (kernel->n_args == MU_ONEDNN_MAX_ARGS)
        return MU_FAIL(MU_ERR_UNSUPPORTED, "more than %d operands", MU_ONEDNN_MAX_ARGS);
    dnnl_memory_t memory;
    MU_TRY_DNN(mu_dnn_memory(&memory, md, kernel->backend->engine));
    kernel->args[kernel->n_args] = (dnnl_exec_arg_t){.arg = arg, .memory = memory};
    kernel->operand[kernel->n_args++] = (signed char)operand;
    return MU_OK;
}

void mu_onednn_kernel_zero(mu_onednn_kernel *kernel)
{
    for (int o = 0; o < kernel->base.call.n_out; o++)
        kernel->zero[o] = mu_type_bytes(&kernel->base.call.out[o]);
}

bool mu_onednn_empty(const mu_call *call)
{
    for (int i = 0; i < call->n_in; i++)
        if (call->in[i].dtype != MU_NONE && mu_type_count(&call->in[i]) == 0)
            return true;
    for (int o = 0; o < call->n_out; o++)
        if (call->out[o].dtype != MU_NONE && mu_type_count(&call->out[o]) == 0)
            return true;
    return false;
}

const mu_type *mu_onednn_in(const mu_call *call, int i)
{
    return i < call->n_in && call->in[i].dtype != MU_NONE ? &call->in[i] : NULL;
}

const mu_type *mu_onednn_out(const mu_call *call, int o)
{
    return o < call->n_out && call->out[o].dtype != MU_NONE ? &call->out[o] : NULL;
}
