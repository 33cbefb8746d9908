# A narrow curved valley: SGD, momentum, RMSprop, Adam
#
# Seen: from one start, in 100 steps, each with the rate among 0.001, 0.002, 0.005 and so on to 1 that ends lowest, plain
# descent crawls along the floor and is still on its way when the others have arrived; momentum and Adam swing across it.
#
# What it does not show: a ranking, for two parameters whose curvatures lie along the axes are made for methods that scale
# each axis by itself, and with other rates the order changes.
set -eu
mkdir -p runs figures
lossviz compute examples/valley.py --model-args bend=0.35 --plane 'axes w1 w2' --grid -1.8:3.4:121,-0.8:3.6:101 \
    --out runs/optimizers.h5
lossviz trace examples/valley.py --model-args bend=0.35 --start runs/optimizers.h5@2.8,2 --steps 100 \
    --optimizer sgd --lr 0.02 --out runs/optimizers-sgd
lossviz trace examples/valley.py --model-args bend=0.35 --start runs/optimizers.h5@2.8,2 --steps 100 \
    --optimizer sgd --lr 0.01 --momentum 0.9 --out runs/optimizers-momentum
lossviz trace examples/valley.py --model-args bend=0.35 --start runs/optimizers.h5@2.8,2 --steps 100 \
    --optimizer rmsprop --optimizer-args alpha=0.9 --lr 0.1 --out runs/optimizers-rmsprop
lossviz trace examples/valley.py --model-args bend=0.35 --start runs/optimizers.h5@2.8,2 --steps 100 \
    --optimizer adam --lr 1 --out runs/optimizers-adam
lossviz project runs/optimizers.h5 --snapshots runs/optimizers-sgd --name SGD \
    --snapshots runs/optimizers-momentum --name momentum --snapshots runs/optimizers-rmsprop --name RMSprop \
    --snapshots runs/optimizers-adam --name Adam
lossviz plot runs/optimizers.h5 --title 'A curved valley' --dpi 150 --out figures/11-optimizers.png
