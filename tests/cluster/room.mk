# Runs under Slurm, and runs that are killed.
