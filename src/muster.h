/* Everything that a user of the library needs. Authors of backends include backend.h as well. */
#ifndef MUSTER_H
#define MUSTER_H

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
#include "registry/registry.h"

#endif
