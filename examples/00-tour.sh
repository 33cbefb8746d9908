# Five minutes: a surface, and the way there
#
# Seen: the loss of a small network that tells two spirals apart, around the parameters it was trained to, and the path of
# Adam on the plane of that path's own principal components.
#
# What it does not show: that training rolled down the surface on the left: the two pictures show two planes, and on its own
# the path runs beside the surface, by as much as the strip beneath it says.
set -eu
mkdir -p runs figures
lossviz compute examples/spirals.py --split train,test --grid -1:1:31,-1:1:25 --out runs/spirals.h5
lossviz plot runs/spirals.h5 --kind surface --title Spirals --dpi 150 --out figures/00-surface.png
lossviz trace examples/spirals.py --model-args steps=0 --optimizer adam --lr 0.01 --steps 300 --every 10 \
    --out runs/spirals-adam
lossviz compute examples/spirals.py --model-args steps=0 --checkpoint runs/spirals-adam --plane pca \
    --snapshots runs/spirals-adam --grid auto:31,auto:25 --out runs/spirals-path.h5
lossviz plot runs/spirals-path.h5 --title 'Adam on its own plane' --dpi 150 --out figures/00-path.png
