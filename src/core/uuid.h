/* Random identifiers of RFC 4122, version 4. */
#ifndef MU_CORE_UUID_H
#define MU_CORE_UUID_H

#include "core/error.h"

enum { MU_UUID_TEXT = 37 }; /* with the terminating NUL */

MU_CHECKED mu_err mu_uuid_make(char text[MU_UUID_TEXT]);

#endif
