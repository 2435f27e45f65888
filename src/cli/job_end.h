/* When the batch system ends this job. */
#ifndef MU_CLI_JOB_END_H
#define MU_CLI_JOB_END_H

/* Seconds since 1970, of SLURM_JOB_END_TIME or of squeue, which is waited for a few seconds; 0: not known, or no job. One rank asks. */
double cli_job_end(void);

#endif
