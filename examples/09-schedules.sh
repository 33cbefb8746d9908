# Learning-rate schedules, marked along the path
#
# Seen: seven runs from one half-trained network, numbered where the rate falls or is about to rise again: at a low rate a
# path comes to rest, after a restart it goes on, and the two that begin with a low rate enter another valley; the last, at
# a constant rate, is cut where its test loss was least.
#
# What it does not show: which schedule is best, for that takes many seeds and each at its own best rate; and the plane holds
# part of the motion only, so that paths which cross here need not have met.
set -eu
mkdir -p runs figures
lossviz trace digits --model-args depth=2,width=8 --lr 0.03 --momentum 0.9 --batch-size 64 --steps 300 --every 300 \
    --out runs/rate-start
lossviz trace digits --model-args depth=2,width=8 --checkpoint runs/rate-start --lr 0.06 --momentum 0.9 \
    --batch-size 64 --steps 600 --every 10 --scheduler StepLR \
    --scheduler-args step_size=160,gamma=0.2 --out runs/rate-step
lossviz trace digits --model-args depth=2,width=8 --checkpoint runs/rate-start --lr 0.06 --momentum 0.9 \
    --batch-size 64 --steps 600 --every 10 --scheduler ExponentialLR \
    --scheduler-args gamma=0.993 --out runs/rate-exponential
lossviz trace digits --model-args depth=2,width=8 --checkpoint runs/rate-start --lr 0.06 --momentum 0.9 \
    --batch-size 64 --steps 600 --every 10 --scheduler CosineAnnealingLR \
    --scheduler-args T_max=600 --out runs/rate-cosine
lossviz trace digits --model-args depth=2,width=8 --checkpoint runs/rate-start --lr 0.06 --momentum 0.9 \
    --batch-size 64 --steps 600 --every 10 --scheduler CyclicLR \
    --scheduler-args base_lr=0.003,max_lr=0.06,step_size_up=75,mode=triangular,cycle_momentum=false --out runs/rate-triangular
lossviz trace digits --model-args depth=2,width=8 --checkpoint runs/rate-start --lr 0.06 --momentum 0.9 \
    --batch-size 64 --steps 600 --every 10 --scheduler CyclicLR \
    --scheduler-args base_lr=0.003,max_lr=0.06,step_size_up=75,mode=triangular2,cycle_momentum=false --out runs/rate-triangular2
lossviz trace digits --model-args depth=2,width=8 --checkpoint runs/rate-start --lr 0.06 --momentum 0.9 \
    --batch-size 64 --steps 600 --every 10 --scheduler CosineAnnealingWarmRestarts \
    --scheduler-args T_0=150 --out runs/rate-restarts
lossviz trace digits --model-args depth=2,width=8 --checkpoint runs/rate-start --lr 0.06 --momentum 0.9 \
    --batch-size 64 --steps 600 --every 10 --out runs/rate-constant
lossviz compute digits --model-args depth=2,width=8 --checkpoint runs/rate-cosine --plane pca \
    --snapshots runs/rate-step --snapshots runs/rate-exponential --snapshots runs/rate-cosine \
    --snapshots runs/rate-triangular --snapshots runs/rate-triangular2 --snapshots runs/rate-restarts \
    --snapshots runs/rate-constant \
    --split train,test --grid auto:35,auto:29 --out runs/schedules.h5
python examples/schedules.py runs/schedules.h5 figures/09-schedules.png
