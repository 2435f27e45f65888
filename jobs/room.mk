# Job scripts for Slurm.
jobsdir = $(pkgdatadir)/jobs
dist_jobs_DATA = jobs/train.sbatch jobs/eval.sbatch jobs/sweep.sbatch
