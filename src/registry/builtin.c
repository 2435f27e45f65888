#include "registry/state.h"

#define MU_BUILTIN(symbol) extern const mu_component symbol;
#include "registry/builtin.def"
#undef MU_BUILTIN

const mu_component *const mu_builtin_components[] = {
#define MU_BUILTIN(symbol) &symbol,
#include "registry/builtin.def"
#undef MU_BUILTIN
    NULL,
};
