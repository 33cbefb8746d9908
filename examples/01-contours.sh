# The loss of two parameters as a map and as a surface
#
# Seen: both figures show the same 121 × 101 losses of a sum of two sines fitted to noisy points; the two deepest basins
# mirror each other, because the two frequencies can change places.
#
# What it does not show: that a network's landscape looks like this one, which has two parameters and is shown whole;
# of a network's millions a picture shows a plane.
set -eu
mkdir -p runs figures
lossviz compute examples/waves.py --plane 'axes w1 w2' --grid 0:6:121,0:5:101 --out runs/contours.h5
lossviz plot runs/contours.h5 --dpi 150 --out figures/01-contours.png
lossviz plot runs/contours.h5 --kind surface --dpi 150 --out figures/01-surface.png
