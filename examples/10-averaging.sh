# Averaging: the plane through three solutions, and their mean
#
# Seen: three networks met along one run at a constant rate lie on the walls of one basin, and the mean of their
# parameters lies lower than any of them in train loss and errs less on test examples.
#
# Not to be concluded: that the minimum of the test error is where that of the train loss is, which this map shows apart,
# or that any two networks can be averaged: these share the first part of their training.
set -eu
lossviz trace digits --model-args depth=3,width=12 --optimizer sgd --lr 0.02 --momentum 0.9 --batch-size 32 \
    --steps 900 --every 300 --out runs/swa-start
lossviz trace digits --model-args depth=3,width=12 --checkpoint runs/swa-start --optimizer sgd --lr 0.08 \
    --momentum 0.9 --batch-size 32 --steps 450 --every 450 --seed 1 --out runs/swa-a
lossviz trace digits --model-args depth=3,width=12 --checkpoint runs/swa-a --optimizer sgd --lr 0.08 \
    --momentum 0.9 --batch-size 32 --steps 450 --every 450 --seed 2 --out runs/swa-b
lossviz trace digits --model-args depth=3,width=12 --checkpoint runs/swa-b --optimizer sgd --lr 0.08 \
    --momentum 0.9 --batch-size 32 --steps 450 --every 450 --seed 3 --out runs/swa-c
lossviz compute digits --model-args depth=3,width=12 --plane 'through runs/swa-a runs/swa-b runs/swa-c' \
    --split train,test --grid auto:33,auto:29 --out runs/averaging.h5
python examples/averaging.py runs/averaging.h5 figures/10-averaging.png runs/swa-a runs/swa-b runs/swa-c
