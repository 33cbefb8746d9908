# Local minima, and which start ends in which
#
# Seen: from 21,413 starts gradient descent ends in some twenty places, marked within the window with their share of the
# starts; the borders between their basins run along the ridges, and the two lowest minima take three starts in ten.
#
# What it does not show: that a network's training is caught in bad minima in the same way; with many parameters nearly all
# that stops it are saddles and plateaus, and another step size or batch moves these borders.
set -eu
mkdir -p runs figures
lossviz compute examples/waves.py --plane 'axes w1 w2' --grid 0:6:121,0:5:101 --out runs/basins.h5
python examples/basins.py runs/basins.h5 figures/04-basins.png
