# Mini-batches: where one step can land, and what it costs
#
# Seen: from one point, 2,000 random batches of each size land in ellipses around the step that all examples would make,
# which shrink as one over the root of the size, a little faster where a batch takes half of all; a single example loses on
# average, and beyond 16 a step gains little more while its cost grows as the size.
#
# What it does not show: that small batches are always cheaper, for hardware takes many examples at once for nearly the price
# of one, and near a minimum, where the gradient is smaller than its noise, the sizes part much further.
set -eu
mkdir -p runs figures
lossviz compute examples/valley.py --plane 'axes w1 w2' --grid 1:2.6:121,-0.8:1:97 --out runs/minibatch.h5
python examples/minibatch.py runs/minibatch.h5 figures/07-minibatch.png
