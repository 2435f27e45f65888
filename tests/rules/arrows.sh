#!/bin/sh
# The rules of the house that a machine can hold: arrows between rooms point down only, foreign headers stay in their rooms,
# the library never prints, exits or aborts, and memory comes from core/mem.h.
set -u
cd "${srcdir:-.}/src" || exit 99
failed=0

# complain TITLE MATCHES
complain() {
    [ -n "$2" ] || return 0
    printf '%s:\n%s\n' "$1" "$2"
    failed=1
}

# Rooms from the bottom up; a room includes only itself and what stands before it. backend.h is the backend interface.
rooms="core dist config registry io ir ops backend graph parallel optim data nn eval vis runner infer sweep cli"
above=$rooms
for room in $rooms; do
    above=${above#"$room"}
    above=${above# }
    if [ ! -d "$room" ] || [ -z "$above" ]; then continue; fi
    pattern=$(printf '%s' "$above" | tr ' ' '|')
    complain "$room/ includes a room above it" \
        "$(grep -rnE "#include \"($pattern)/" "$room" --include='*.[ch]')"
done
# What is built on the interface alone serves all of them.
for room in ir ops graph parallel optim; do
    complain "$room/ knows a particular backend" \
        "$(grep -rnE '#include "backend/' "$room" --include='*.[ch]' | grep -vE '"backend/(feed|holders|lanes|readback|repeat)\.h"')"
done
complain "the computing rooms know configs" \
    "$(grep -rnE '#include "(config|registry)/' core ir ops backend graph --include='*.[ch]')"

complain "mpi/ includes more than core/ and dist/" \
    "$(grep -rnE '#include "[a-z]+/' ../mpi --include='*.[ch]' | grep -vE '"(core|dist)/')"

complain "cuda/ includes more than core/, dist/, ir/, ops/ and what backends share" \
    "$(grep -rnE '#include "' ../cuda --include='*.[ch]' --include='*.cu' --include='*.cuh' --include='*.def' |
        grep -vE '"((core|dist|ir|ops|backend)/[a-z0-9_]+\.h|[a-z0-9_]+\.(h|cuh|def))"')"

complain "src/ includes a header that belongs in mpi/ or cuda/" \
    "$(grep -rnE '#include *[<"](mpi|nccl|cuda[^>"]*|cudnn[^>"]*|cublas[^>"]*)\.h' . --include='*.[ch]')"
complain "the library prints or ends the process (only src/cli may)" \
    "$(grep -rnE '(^|[^_a-z])(printf|puts|perror|exit|abort|_exit) *\(' . ../mpi ../cuda --include='*.[ch]' --include='*.cu' --include='*.cuh' | grep -vE '^\./cli/|mu_text_printf|snprintf|fprintf')"
complain "memory that core/mem.h does not count" \
    "$(grep -rnE '(^|[^_a-z])(malloc|calloc|realloc|strdup|strndup|asprintf|aligned_alloc|free) *\(' . ../mpi ../cuda --include='*.[ch]' --include='*.cu' --include='*.cuh' | grep -vE '^\./core/mem\.c')"
complain "a name with double underscores (nvcc reads our headers as C++)" \
    "$(grep -rnE '(^|[^a-zA-Z0-9_"])[a-z][a-z0-9]*__[a-z]' . --include='*.h' | grep -v '__builtin\|__attribute__\|__asm')"

exit $failed
