# Runs under Slurm, and runs that are killed.
EXTRA_DIST += tests/cluster/slurm.sh
dist_check_SCRIPTS += tests/cluster/slurm_test.sh tests/cluster/kill_test.sh
SLOW_TESTS += tests/cluster/slurm_test.sh tests/cluster/kill_test.sh
