# The loss of one example and the loss of all
#
# Seen: stochastic gradient descent takes each step down the loss of another example, so that its path is ragged on the
# loss of all (left) and has nothing to do with that of one (right), whose saddles and minima are none of the other's.
#
# What it does not show: that the noise leads nowhere; the mean of the examples' gradients is the gradient of all, and both
# paths end in the same basin here, though another order of examples may end in another.
set -eu
mkdir -p runs figures
lossviz compute examples/waves.py --plane 'axes w1 w2' --grid 0:6:121,0:5:101 --split train,one --out runs/one.h5
lossviz trace examples/waves.py --start runs/one.h5@4.5,2.1 --lr 0.04 --batch-size 1 --steps 80 --out runs/one-sgd
lossviz trace examples/waves.py --start runs/one.h5@4.5,2.1 --lr 0.04 --steps 80 --out runs/one-all
lossviz project runs/one.h5 --snapshots runs/one-all --name 'all examples' --snapshots runs/one-sgd --name 'one a step'
lossviz plot runs/one.h5 --quantity train_loss,one_loss --scale linear --style wide --dpi 130 \
    --out figures/06-one-example.png
