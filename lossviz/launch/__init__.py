"""A plan spread over machines: batch jobs on Slurm, and several processes on one machine; nothing here needs torch."""
