/* Everything that a user of the library needs. Authors of backends include backend.h as well. */
#ifndef MUSTER_H
#define MUSTER_H

#include "core/error.h"
#include "core/mem.h"
#include "core/type.h"

#endif
