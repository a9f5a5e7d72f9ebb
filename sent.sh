#!/bin/bash

# Parameters
#SBATCH --cpus-per-task=1
#SBATCH --job-name=shared-seed0-abcd
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=/tmp/pytest-of-root/pytest-375/test_a_second_ctrl_c_cancels_a0/jobs/slurm/%j_0_log.out
#SBATCH --requeue
#SBATCH --signal=USR2@90
#SBATCH --time=240
#SBATCH --wckey=submitit

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /tmp/pytest-of-root/pytest-375/test_a_second_ctrl_c_cancels_a0/jobs/slurm/%j_%t_log.out --cpus-per-task=1 /work/main/.venv/bin/python -u -m submitit.core._submit /tmp/pytest-of-root/pytest-375/test_a_second_ctrl_c_cancels_a0/jobs/slurm
