#include "ops/cases/trace.h"

TRACE(batch_norm, mu_batch_norm(g, in[0], in[1], in[2], in[3], in[4], ((const mu_batch_norm_attrs *)attrs)->eps,
                                ((const mu_batch_norm_attrs *)attrs)->momentum))
/* As the fusion pass makes it: ReLU and residual inside; differentiable all the same. */
TRACE(batch_norm_fused, mu_graph_apply1(g, &mu_op_batch_norm, attrs, in, in[5].id ? 6 : 5))
/* Read twice, with a residual through a ReLU: its gradient is a sum, which the fusion pass hands over in two parts. */
static mu_value t_batch_norm_twice(mu_graph *g, const mu_value *in, const void *attrs)
{
    mu_value y = t_batch_norm(g, in, attrs);
    if (in[5].id)
        y = mu_relu(g, mu_add(g, y, in[5]));
    return mu_concat(g, (mu_value[]){y, y}, 2, 1);
}
/* As it makes it then. */
TRACE(batch_norm_grad, mu_graph_apply1(g, &mu_op_batch_norm_grad, attrs, in, 7))
TRACE(sync_batch_norm_grad, mu_graph_apply1(g, &mu_op_sync_batch_norm_grad, attrs, in, 7))
/* One rank; several are in tests/mpi/sync_bn_test.c. */
TRACE(sync_batch_norm, mu_graph_apply1(g, &mu_op_sync_batch_norm, attrs, in, in[5].id ? 6 : 5))
TRACE(batch_norm_inference, mu_batch_norm_inference(g, in[0], in[1], in[2], in[3], in[4], *(const double *)attrs))
TRACE(layer_norm, mu_layer_norm(g, in[0], in[1], in[2], ((const mu_norm_attrs *)attrs)->normalized_ndim,
                                ((const mu_norm_attrs *)attrs)->eps))
TRACE(group_norm, mu_group_norm(g, in[0], in[1], in[2], ((const mu_norm_attrs *)attrs)->groups,
                                ((const mu_norm_attrs *)attrs)->eps))

#define BN(...) &(const mu_batch_norm_attrs){.eps = 1e-5, __VA_ARGS__}
#define LAYER(n, e) &(const mu_norm_attrs){.normalized_ndim = n, .eps = e}
#define GROUPS(n, e) &(const mu_norm_attrs){.groups = n, .eps = e}
static const double eps5 = 1e-5, eps3 = 1e-3;

const op_case norm_cases[] = {
    {"batch_norm", t_batch_norm, "f[4,3,5,6] p[3] p[3] p[3] p[3]:pos", BN(.momentum = 0.1)},
    {"batch_norm", t_batch_norm, "f[2,1,1,1] p[1] p[1] p[1] p[1]:pos", BN(.momentum = 0.1), CASE_NO_FD},
    {"batch_norm", t_batch_norm, "f[3,17,4,4] p[17] p[17] p[17] p[17]:pos", BN(.momentum = 0.3)},
    {"batch_norm", t_batch_norm, "f[7,5] p[5] p[5] p[5] p[5]:pos", BN(.momentum = 0.1)},
    {"batch_norm", t_batch_norm, "f[3,4,7] p[4] p[4] p[4] p[4]:pos", BN(.momentum = 1)},
    {"batch_norm", t_batch_norm, "f[2,3,2,3,4] p[3] p[3] p[3] p[3]:pos", BN(.momentum = 0)},
    {"batch_norm", t_batch_norm, "f[4,3,5,5]:far p[3] p[3] p[3] p[3]:pos", BN(.momentum = 0.1), CASE_F32_ONLY},
    {"batch_norm", t_batch_norm, "f[2,32,6,6] p[32] p[32] p[32] p[32]:pos", BN(.momentum = 0.1), CASE_NO_FD},
    {"batch_norm", t_batch_norm, "f[2,3,3,3]:tiny p[3] p[3] p[3] p[3]:pos", BN(.momentum = 0.1), CASE_NO_FD},
    {"batch_norm", t_batch_norm_fused, "f[3,6,4,5] p[6] p[6] p[6] p[6]:pos", BN(.momentum = 0.1, .relu = true),
     CASE_NO_FD},
    {"batch_norm", t_batch_norm_fused, "f[3,16,4,5] p[16] p[16] p[16] p[16]:pos f[3,16,4,5]",
     BN(.momentum = 0.1, .relu = true), CASE_NO_FD},
    {"batch_norm", t_batch_norm_fused, "f[2,5,4,3] p[5] p[5] p[5] p[5]:pos f[2,5,4,3]", BN(.momentum = 0.1)},

    /* sums in several pieces */
    {"batch_norm", t_batch_norm, "f[4,24,20,20] p[24] p[24] p[24] p[24]:pos", BN(.momentum = 0.1), CASE_NO_FD},
    {"batch_norm", t_batch_norm, "f[12,2,40,40]:far p[2] p[2] p[2] p[2]:pos", BN(.momentum = 0.1),
     CASE_NO_FD | CASE_F32_ONLY},
    {"batch_norm", t_batch_norm_fused, "f[9,3,43,43] p[3] p[3] p[3] p[3]:pos f[9,3,43,43]",
     BN(.momentum = 0.1, .relu = true), CASE_NO_FD},
    {"batch_norm", t_batch_norm_fused, "f[600,35] p[35] p[35] p[35] p[35]:pos f[600,35]",
     BN(.momentum = 0.1, .relu = true), CASE_NO_FD},

    {"batch_norm", t_batch_norm_twice, "f[4,3,5,6] p[3] p[3] p[3] p[3]:pos -", BN(.momentum = 0.1)},
    {"batch_norm", t_batch_norm_twice, "f[3,16,4,5] p[16] p[16] p[16] p[16]:pos f[3,16,4,5]", BN(.momentum = 0.1), CASE_NO_FD},

    /* the output gradient in two parts; whole numbers have sums that are not rounded */
    {"batch_norm_grad", t_batch_norm_grad, "f[3,16,4,5]:int f[3,16,4,5] p[16] p[16] p[16]:pos f[3,16,4,5] f[3,16,4,5]:int",
     BN(.relu = true, .residual = true), CASE_FORWARD},
    {"batch_norm_grad", t_batch_norm_grad, "f[9,3,43,43]:int f[9,3,43,43] p[3] p[3] p[3]:pos f[9,3,43,43] f[9,3,43,43]:int",
     BN(.relu = true), CASE_FORWARD},
    {"batch_norm_grad", t_batch_norm_grad, "f[4,24,20,20]:int f[4,24,20,20] p[24] p[24] p[24]:pos - f[4,24,20,20]:int", BN(.momentum = 0.1), CASE_FORWARD},
    {"batch_norm_grad", t_batch_norm_grad, "f[600,35]:int f[600,35] p[35] p[35] p[35]:pos - f[600,35]:int", BN(.residual = true), CASE_FORWARD},
    {"batch_norm_grad", t_batch_norm_grad, "f[3,5,4,7] f[3,5,4,7] p[5] p[5] p[5]:pos f[3,5,4,7] f[3,5,4,7]",
     BN(.relu = true, .residual = true), CASE_FORWARD | CASE_F32_ONLY},
    {"batch_norm_grad", t_batch_norm_grad, "f[2,17,3,3] f[2,17,3,3] p[17] p[17] p[17]:pos - f[2,17,3,3]", BN(.momentum = 0.1), CASE_FORWARD | CASE_F32_ONLY},
    {"batch_norm_grad", t_batch_norm_grad, "f[0,3,4,4] f[0,3,4,4] p[3] p[3] p[3]:pos f[0,3,4,4] f[0,3,4,4]",
     BN(.relu = true, .residual = true), CASE_FORWARD},
    {"sync_batch_norm_grad", t_sync_batch_norm_grad, "f[3,16,4,5]:int f[3,16,4,5] p[16] p[16] p[16]:pos f[3,16,4,5] f[3,16,4,5]:int",
     BN(.relu = true, .residual = true), CASE_FORWARD},
    {"sync_batch_norm_grad", t_sync_batch_norm_grad, "f[2,70,6,6] f[2,70,6,6] p[70] p[70] p[70]:pos - f[2,70,6,6]", BN(.momentum = 0.1),
     CASE_FORWARD | CASE_F32_ONLY},

    {"sync_batch_norm", t_sync_batch_norm, "f[4,3,5,6] p[3] p[3] p[3] p[3]:pos", BN(.momentum = 0.1)},
    {"sync_batch_norm", t_sync_batch_norm, "f[3,17,4,4] p[17] p[17] p[17] p[17]:pos", BN(.momentum = 0.3)},
    {"sync_batch_norm", t_sync_batch_norm, "f[7,5] p[5] p[5] p[5] p[5]:pos", BN(.momentum = 0.1)},
    {"sync_batch_norm", t_sync_batch_norm, "f[2,70,6,6] p[70] p[70] p[70] p[70]:pos", BN(.momentum = 0.1), CASE_NO_FD},
    {"sync_batch_norm", t_sync_batch_norm, "f[3,16,4,5] p[16] p[16] p[16] p[16]:pos f[3,16,4,5]",
     BN(.momentum = 0.1, .relu = true), CASE_NO_FD},

    {"batch_norm_inference", t_batch_norm_inference, "f[2,3,4,5] p[3] p[3] p[3] p[3]:pos", &eps5},
    {"batch_norm_inference", t_batch_norm_inference, "f[2,17,3,3] - - p[17] p[17]:pos", &eps3},
    {"batch_norm_inference", t_batch_norm_inference, "f[5,3] p[3] p[3] p[3] p[3]:pos", &eps5},
    {"batch_norm_inference", t_batch_norm_inference, "f[0,3,4,4] p[3] p[3] p[3] p[3]:pos", &eps5},
    {"batch_norm_inference", t_batch_norm_inference, "f[2,3,2,2]:special p[3] p[3] p[3] p[3]:pos", &eps5, CASE_NO_FD},

    {"layer_norm", t_layer_norm, "f[5,7] p[7] p[7]", LAYER(1, 1e-5)},
    {"layer_norm", t_layer_norm, "f[5,7] - -", LAYER(1, 1e-5)},
    {"layer_norm", t_layer_norm, "f[2,3,4,5] p[4,5] p[4,5]", LAYER(2, 1e-6)},
    {"layer_norm", t_layer_norm, "f[3,33] p[33] -", LAYER(1, 1e-5)},
    {"layer_norm", t_layer_norm, "f[6,8] - p[8]", LAYER(1, 1e-5)},
    {"layer_norm", t_layer_norm, "f[4,2,130] p[130] p[130]", LAYER(1, 1e-5), CASE_NO_FD},
    {"layer_norm", t_layer_norm, "f[0,7] p[7] p[7]", LAYER(1, 1e-5)},
    {"layer_norm", t_layer_norm, "f[4,16]:far p[16] p[16]", LAYER(1, 1e-5), CASE_F32_ONLY},

    {"layer_norm", t_layer_norm, "f[70,264] p[264] p[264]", LAYER(1, 1e-5), CASE_NO_FD},
    {"layer_norm", t_layer_norm, "f[3,2051] p[2051] p[2051]", LAYER(1, 1e-5), CASE_NO_FD},

    {"group_norm", t_group_norm, "f[2,6,4,3] p[6] p[6]", GROUPS(3, 1e-5)},
    {"group_norm", t_group_norm, "f[2,6,4,3] - -", GROUPS(2, 1e-5)},
    {"group_norm", t_group_norm, "f[3,5,7] p[5] p[5]", GROUPS(5, 1e-5)},
    {"group_norm", t_group_norm, "f[3,8,3,3] p[8] p[8]", GROUPS(1, 1e-5)},
    {"group_norm", t_group_norm, "f[2,4,1,3] p[4] -", GROUPS(4, 1e-3)},
    {"group_norm", t_group_norm, "f[0,6,4,3] p[6] p[6]", GROUPS(3, 1e-5)},
    {"group_norm", t_group_norm, "f[2,32,5,5] p[32] p[32]", GROUPS(8, 1e-5), CASE_NO_FD},
    {"group_norm", t_group_norm, "f[3,24,20,20] p[24] p[24]", GROUPS(6, 1e-5), CASE_NO_FD},
    {"group_norm", t_group_norm, "f[2,4,61,61]:far p[4] p[4]", GROUPS(2, 1e-5), CASE_NO_FD | CASE_F32_ONLY},
    {NULL}};
