/* Everything that a user of the library needs. */
#ifndef MUSTER_H
#define MUSTER_H

#include "backend.h"
#include "config/config.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/mt19937.h"
#include "core/philox.h"
#include "core/pool.h"
#include "core/text.h"
#include "core/type.h"
#include "data/sampler.h"
#include "dist/collect.h"
#include "dist/comm.h"
#include "dist/launch.h"
#include "graph/autodiff.h"
#include "graph/params.h"
#include "graph/pass.h"
#include "graph/plan.h"
#include "graph/plan_cache.h"
#include "graph/print.h"
#include "ir/graph.h"
#include "ops/ops.h"
#include "optim/optim.h"
#include "registry/registry.h"
#include "runner/check.h"

#endif
