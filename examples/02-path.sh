# Where the optimizer is, and where it only seems to be
#
# Seen: gradient descent moves in the plane of the parameters, on the floor; the line on the surface above it is the same
# path lifted by the loss, and no step is ever taken along it.
#
# What it does not show: that something rolls downhill, for there is neither weight nor inertia here, and the lifted path
# lies on the surface only because these two parameters are all there are.
set -eu
mkdir -p runs figures
lossviz compute examples/waves.py --plane 'axes w1 w2' --grid 0:6:121,0:5:101 --out runs/path.h5
lossviz trace examples/waves.py --start runs/path.h5@4.5,2.1 --lr 0.04 --steps 100 --out runs/path
lossviz project runs/path.h5 --snapshots runs/path --name 'gradient descent'
lossviz plot runs/path.h5 --title 'In the plane' --dpi 150 --out figures/02-path-in-the-plane.png
lossviz plot runs/path.h5 --kind surface --camera -20,45 --title 'On the floor, and its lift' --dpi 140 \
    --out figures/02-path-and-its-lift.png
