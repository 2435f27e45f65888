/* A graph as text (one node a line) and as Graphviz. */
#ifndef MU_GRAPH_PRINT_H
#define MU_GRAPH_PRINT_H

#include "ir/graph.h"

#include <stdio.h>

MU_CHECKED mu_err mu_graph_print(const mu_graph *graph, FILE *file);
MU_CHECKED mu_err mu_graph_print_dot(const mu_graph *graph, FILE *file);

#endif
