#include "ops/program.h"
#include "test.h"

void program_build(program *p, const op_case *c, mu_backend *ref)
{
    const char *why = NULL;
    const mu_layout *row[MU_OP_VARIADIC] = {NULL};
    ck_assert_msg(suite_build(c, MU_F64, SUITE_BACKWARD, &p->s, &why), "%s(%s): %s", c->op, c->in, why);
    mu_graph *g = p->s.graph;
    p->value = calloc((size_t)mu_graph_n_values(g) + 1, sizeof *p->value);
    p->kernel = calloc((size_t)mu_graph_n_nodes(g) + 1, sizeof(*p->kernel));
    for (int32_t id = 1; id <= mu_graph_n_values(g); id++) {
        const mu_value_info *info = mu_graph_value(g, (mu_value){id});
        tensor_new(&p->value[id], info->type);
        if (info->kind == MU_VALUE_CONST)
            memcpy(p->value[id].data, info->constant, mu_type_bytes(&info->type));
    }
    for (int i = 0; i < p->s.n_in; i++)
        if (p->s.in[i].id)
            memcpy(p->value[p->s.in[i].id].data, p->s.data[i].data, mu_type_bytes(&p->s.data[i].type));
    if (p->s.r.id)
        memcpy(p->value[p->s.r.id].data, p->s.r_data.data, mu_type_bytes(&p->s.r_data.type));
    p->n_forward = mu_graph_n_nodes(g);
    for (int32_t k = 0; k < mu_graph_n_nodes(g); k++) {
        const mu_node *node = mu_graph_node(g, k);
        mu_type types[MU_OP_VARIADIC + MU_OP_MAX_OUT];
        void *in[MU_OP_VARIADIC], *out[MU_OP_MAX_OUT];
        mu_call call = mu_graph_call(g, node, types);
        for (int i = 0; i < node->n_in; i++)
            in[i] = p->value[node->in[i].id].data;
        for (int o = 0; o < node->n_out; o++) {
            out[o] = p->value[node->out[o].id].data;
            if (p->s.loss.id && node->out[o].id == p->s.loss.id)
                p->n_forward = k + 1;
        }
        if (node->op->flags & MU_OP_VIEW)
            continue;
        ck_ok(ref->ops->prepare(ref, &call, row, row, &p->kernel[k]));
        ck_assert_uint_eq(p->kernel[k]->scratch_bytes, 0);
        ck_ok(mu_kernel_bind(p->kernel[k], in, out, NULL));
    }
}

void program_release(program *p)
{
    for (int32_t k = 0; k < mu_graph_n_nodes(p->s.graph); k++)
        mu_kernel_release(p->kernel[k]);
    for (int32_t id = 0; id <= mu_graph_n_values(p->s.graph); id++)
        tensor_release(&p->value[id]);
    free(p->kernel);
    free(p->value);
    suite_graph_release(&p->s);
}

/* Updated outputs have memory of their own here: they start as the states that they update. */
static void copy_states(program *p, const mu_node *node)
{
    for (int o = 0; o < node->n_out; o++)
        if (node->op->updates[o] && node->out[o].id)
            memcpy(p->value[node->out[o].id].data, p->value[node->in[node->op->updates[o] - 1].id].data,
                   mu_type_bytes(&p->value[node->out[o].id].type));
}

double program_run(program *p, int32_t n_nodes)
{
    for (int32_t k = 0; k < n_nodes; k++) {
        const mu_node *node = mu_graph_node(p->s.graph, k);
        if (p->kernel[k]) {
            copy_states(p, node);
            ck_ok(mu_kernel_run(p->kernel[k], &suite_run_args));
        } else {
            tensor *out = &p->value[node->out[0].id];
            memcpy(out->data, p->value[node->in[0].id].data, mu_type_bytes(&out->type));
        }
    }
    return p->s.loss.id ? tensor_get(&p->value[p->s.loss.id], 0) : 0;
}
