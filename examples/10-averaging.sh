# Averaging: the plane through three solutions, and their mean
#
# Seen: three networks met along one run at a constant rate lie on the walls of one basin, and the mean of their
# parameters lies lower than any of them in train loss and errs less on test examples.
#
# What it does not show: that the minimum of the test error is where that of the train loss is, which this map shows apart,
# or that any two networks can be averaged: these share the first part of their training.
set -eu
mkdir -p runs figures
lossviz trace examples/mnist.py --model-args depth=3 --lr 0.05 --momentum 0.9 --batch-size 64 --steps 1000 \
    --every 1000 --out runs/swa-start
lossviz trace examples/mnist.py --model-args depth=3 --checkpoint runs/swa-start --lr 0.05 --momentum 0.9 \
    --batch-size 64 --steps 315 --every 315 --seed 1 --out runs/swa-a
lossviz trace examples/mnist.py --model-args depth=3 --checkpoint runs/swa-a --lr 0.05 --momentum 0.9 \
    --batch-size 64 --steps 315 --every 315 --seed 2 --out runs/swa-b
lossviz trace examples/mnist.py --model-args depth=3 --checkpoint runs/swa-b --lr 0.05 --momentum 0.9 \
    --batch-size 64 --steps 315 --every 315 --seed 3 --out runs/swa-c
lossviz compute examples/mnist.py --model-args depth=3 --plane 'through runs/swa-a runs/swa-b runs/swa-c' \
    --split train,test --grid auto:31,auto:27 --out runs/averaging.h5
python examples/averaging.py runs/averaging.h5 figures/10-averaging.png runs/swa-a runs/swa-b runs/swa-c
