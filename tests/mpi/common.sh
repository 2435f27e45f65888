# Sourced by the scripts of one program that checks itself under mpirun; $program is set before.
. "${srcdir:-.}/tests/mpi/env.sh"
[ -x "$program" ] || { echo "$program is missing"; exit 99; }
need_mpi

# complain TEXT: the case has failed; what the last run said follows.
complain() {
    echo "$1"
    sed 's/^/  /' "$tmp/out"
    failed=1
}

# on_1_to_4_ranks: each time its summary must tell of no failure.
on_1_to_4_ranks() {
    for n in 1 2 3 4; do
        timeout -k 5 "$limit" mpirun -n "$n" --oversubscribe "$program" >"$tmp/out" 2>&1
        status=$?
        [ $status -eq 0 ] && grep "^mpi, $n ranks: .* 0 failures" "$tmp/out" || complain "$n ranks: status $status"
    done
}
