# Learning-rate schedules, marked along the path
#
# Seen: seven runs from one start, on the plane of all of them; where the rate falls (numbers) the path comes to rest, where
# it rises again the path leaves its place, and the last, at a constant rate, is cut where the test loss was least.
#
# Not to be concluded: which schedule is best, for that takes many seeds and each at its own best rate; and the plane holds
# part of the motion only, so that paths which cross here need not have met.
set -eu
lossviz trace digits --model-args depth=2,width=8 --lr 0.1 --batch-size 64 --steps 360 --every 6 \
    --scheduler StepLR --scheduler-args step_size=90,gamma=0.2 --out runs/rate-step
lossviz trace digits --model-args depth=2,width=8 --lr 0.1 --batch-size 64 --steps 360 --every 6 \
    --scheduler ExponentialLR --scheduler-args gamma=0.988 --out runs/rate-exponential
lossviz trace digits --model-args depth=2,width=8 --lr 0.1 --batch-size 64 --steps 360 --every 6 \
    --scheduler CosineAnnealingLR --scheduler-args T_max=360 --out runs/rate-cosine
lossviz trace digits --model-args depth=2,width=8 --lr 0.1 --batch-size 64 --steps 360 --every 6 \
    --scheduler CyclicLR \
    --scheduler-args base_lr=0.005,max_lr=0.1,step_size_up=45,mode=triangular,cycle_momentum=false \
    --out runs/rate-triangular
lossviz trace digits --model-args depth=2,width=8 --lr 0.1 --batch-size 64 --steps 360 --every 6 \
    --scheduler CyclicLR \
    --scheduler-args base_lr=0.005,max_lr=0.1,step_size_up=45,mode=triangular2,cycle_momentum=false \
    --out runs/rate-triangular2
lossviz trace digits --model-args depth=2,width=8 --lr 0.1 --batch-size 64 --steps 360 --every 6 \
    --scheduler CosineAnnealingWarmRestarts --scheduler-args T_0=90 --out runs/rate-restarts
lossviz trace digits --model-args depth=2,width=8 --lr 0.1 --batch-size 64 --steps 360 --every 6 --out runs/rate-constant
lossviz compute digits --model-args depth=2,width=8 --checkpoint runs/rate-constant --plane pca \
    --snapshots runs/rate-step --snapshots runs/rate-exponential --snapshots runs/rate-cosine \
    --snapshots runs/rate-triangular --snapshots runs/rate-triangular2 --snapshots runs/rate-restarts \
    --snapshots runs/rate-constant \
    --split train,test --grid auto:41,auto:33 --out runs/schedules.h5
python examples/schedules.py runs/schedules.h5 figures/09-schedules.png
