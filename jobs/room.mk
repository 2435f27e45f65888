# Job scripts for Slurm.
