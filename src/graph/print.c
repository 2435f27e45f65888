#include "graph/print.h"

static mu_err check_file(FILE *file)
{
    if (ferror(file))
        return MU_FAIL(MU_ERR_IO, "the graph could not be written");
    return MU_OK;
}

/* ---- text: one node a line ---- */

static const char *const kinds[] = {[MU_VALUE_INPUT] = "input", [MU_VALUE_PARAM] = "param", [MU_VALUE_STATE] = "state",
                                    [MU_VALUE_CONST] = "const"};

static void print_value(const mu_graph *g, FILE *file, mu_value v)
{
    const mu_value_info *info = mu_graph_value(g, v);
    if (!v.id)
        fprintf(file, "-");
    else if (info->kind == MU_VALUE_NODE || !info->name)
        fprintf(file, "%%%d", v.id);
    else
        fprintf(file, "%s", info->name);
}

static void print_node(const mu_graph *g, FILE *file, const mu_node *node)
{
    char text[MU_TYPE_TEXT > 512 ? MU_TYPE_TEXT : 512];
    for (int o = 0, n = 0; o < node->n_out; o++)
        if (node->out[o].id)
            fprintf(file, "%s%%%d %s", n++ ? ", " : "", node->out[o].id, mu_type_format(mu_graph_type(g, node->out[o]), text));
    fprintf(file, " = %s(", node->op->name);
    for (int i = 0; i < node->n_in; i++) {
        fprintf(file, "%s", i ? ", " : "");
        print_value(g, file, node->in[i]);
    }
    fprintf(file, ")");
    if (node->op->attrs_size && node->op->attrs)
        fprintf(file, " {%s}", mu_attrs_format(node->op, node->attrs, text, sizeof text));
    fprintf(file, "  \"%s\"%s\n", node->name, node->backward ? " backward" : "");
}

mu_err mu_graph_print(const mu_graph *graph, FILE *file)
{
    char type[MU_TYPE_TEXT];
    MU_TRY(mu_graph_status(graph));
    for (int32_t v = 1; v <= mu_graph_n_values(graph); v++) {
        const mu_value_info *info = mu_graph_value(graph, (mu_value){v});
        if (info->kind != MU_VALUE_NODE) {
            fprintf(file, "%s ", kinds[info->kind]);
            print_value(graph, file, (mu_value){v});
            fprintf(file, " %s\n", mu_type_format(&info->type, type));
        }
    }
    for (int32_t i = 0; i < mu_graph_n_nodes(graph); i++)
        print_node(graph, file, mu_graph_node(graph, i));
    for (int i = 0; i < mu_graph_n_gradients(graph); i++) {
        fprintf(file, "gradient %s = ", mu_graph_value(graph, mu_graph_gradient_param(graph, i))->name);
        print_value(graph, file, mu_graph_gradient(graph, i));
        fprintf(file, "\n");
    }
    for (int i = 0; i < mu_graph_n_outputs(graph); i++) {
        fprintf(file, "output %s = ", mu_graph_output_name(graph, i));
        print_value(graph, file, mu_graph_output_value(graph, i));
        fprintf(file, "\n");
    }
    MU_TRY(check_file(file));
    return MU_OK;
}

/* ---- Graphviz ---- */

/* A quoted string: quotes and backslashes escaped, control characters as spaces. */
static void print_quoted(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', file);
        fputc((unsigned char)*text < ' ' ? ' ' : *text, file);
    }
}

static void dot_leaf(const mu_graph *g, FILE *file, mu_value v)
{
    static const char *const colours[] = {[MU_VALUE_INPUT] = "lightblue", [MU_VALUE_PARAM] = "khaki",
                                          [MU_VALUE_STATE] = "palegreen", [MU_VALUE_CONST] = "lightgrey"};
    const mu_value_info *info = mu_graph_value(g, v);
    char type[MU_TYPE_TEXT];
    fprintf(file, "  v%d [shape=ellipse, style=filled, fillcolor=%s, label=\"", v.id, colours[info->kind]);
    print_quoted(file, info->name ? info->name : "const");
    fprintf(file, "\\n%s\"];\n", mu_type_format(&info->type, type));
}

static void dot_edge(const mu_graph *g, FILE *file, mu_value from)
{
    const mu_value_info *info = mu_graph_value(g, from);
    if (info->kind == MU_VALUE_NODE)
        fprintf(file, "  n%d -> ", info->node->id);
    else
        fprintf(file, "  v%d -> ", from.id);
}

static void dot_node(const mu_graph *g, FILE *file, const mu_node *node)
{
    char type[MU_TYPE_TEXT];
    fprintf(file, "  n%d [label=\"%s\\n", node->id, node->op->name);
    print_quoted(file, node->name);
    fprintf(file, "\"%s];\n", node->backward ? ", style=dashed" : "");
    for (int i = 0; i < node->n_in; i++) {
        if (!node->in[i].id)
            continue;
        dot_edge(g, file, node->in[i]);
        fprintf(file, "n%d [label=\"%s\"];\n", node->id, mu_type_format(mu_graph_type(g, node->in[i]), type));
    }
}

mu_err mu_graph_print_dot(const mu_graph *graph, FILE *file)
{
    MU_TRY(mu_graph_status(graph));
    fprintf(file, "digraph graph_ {\n  node [shape=box];\n");
    for (int32_t v = 1; v <= mu_graph_n_values(graph); v++)
        if (mu_graph_value(graph, (mu_value){v})->kind != MU_VALUE_NODE)
            dot_leaf(graph, file, (mu_value){v});
    for (int32_t i = 0; i < mu_graph_n_nodes(graph); i++)
        dot_node(graph, file, mu_graph_node(graph, i));
    for (int i = 0; i < mu_graph_n_outputs(graph); i++) {
        fprintf(file, "  o%d [shape=ellipse, style=bold, label=\"", i);
        print_quoted(file, mu_graph_output_name(graph, i));
        fprintf(file, "\"];\n");
        dot_edge(graph, file, mu_graph_output_value(graph, i));
        fprintf(file, "o%d;\n", i);
    }
    fprintf(file, "}\n");
    MU_TRY(check_file(file));
    return MU_OK;
}
