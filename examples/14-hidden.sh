# What the plane hides
#
# Seen: the plane of a path's own principal components shows most of its motion, and yet the network's own loss and the
# plane's beneath it part where the path is far off the plane; a random walk, drawn the same way, also makes a smooth
# curve; and eight random directions give eight profiles, shown as their median and range.
#
# What it does not show: that a smooth curve with a large share of the variance says something of the loss; compare it with
# the share that a random walk of as many snapshots has, and read a landscape from several seeds.
set -eu
mkdir -p runs figures
lossviz trace digits --model-args depth=2,width=8 --optimizer adam --lr 0.01 --batch-size 64 --steps 360 --every 6 \
    --out runs/hidden
lossviz compute digits --model-args depth=2,width=8 --checkpoint runs/hidden --plane pca --snapshots runs/hidden \
    --grid auto:33,auto:27 --out runs/hidden.h5
lossviz plot runs/hidden.h5 --title 'Training, on its own plane' --dpi 150 --out figures/14-path.png
python examples/random_walk.py runs/walk
lossviz compute digits --model-args depth=2,width=8 --checkpoint runs/walk --plane pca --snapshots runs/walk \
    --grid auto:33,auto:27 --out runs/walk.h5
lossviz plot runs/walk.h5 --title 'A random walk, on its own plane' --dpi 150 --out figures/14-random-walk.png
for seed in 1 2 3 4 5 6 7 8; do
    lossviz compute digits --model-args depth=2,width=8 --checkpoint runs/hidden --split train,test --seed $seed \
        --grid -1:1:41 --out runs/seed-$seed.h5
done
lossviz plot runs/seed-1.h5 runs/seed-2.h5 runs/seed-3.h5 runs/seed-4.h5 runs/seed-5.h5 runs/seed-6.h5 runs/seed-7.h5 \
    runs/seed-8.h5 --dpi 150 --out figures/14-seeds.png
