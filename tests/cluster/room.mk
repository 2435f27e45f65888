# Runs under Slurm, and runs that are killed.
EXTRA_DIST += tests/cluster/slurm.sh
