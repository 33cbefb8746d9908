# Learning rates: too small, good, too large
#
# Seen: in a valley 25 times as curved across as along, 40 steps creep at a rate of 0.004, arrive at 0.07, bounce between
# the walls just under 2/25 = 0.08 and leave just over it; with batches of 8 a constant rate wanders about the minimum
# for ever, and a falling one comes to rest.
#
# What it does not show: that one bound decides for a network too; its curvature changes on the way, and training often
# settles where the largest curvature is about 2 over the rate.
set -eu
mkdir -p runs figures
for rate in 0.004 0.07 0.0795 0.082; do
    lossviz compute examples/valley.py --plane 'axes w1 w2' --grid -1:5:91,-2.4:2.4:73 --out runs/descent-$rate.h5
    lossviz trace examples/valley.py --start runs/descent-$rate.h5@4,0.6 --lr $rate --steps 40 --out runs/descent-$rate
    lossviz project runs/descent-$rate.h5 --snapshots runs/descent-$rate --name 'gradient descent'
done
lossviz plot runs/descent-0.004.h5 runs/descent-0.07.h5 runs/descent-0.0795.h5 runs/descent-0.082.h5 --style wide --dpi 150 \
    --title '0.004: creeps' --title '0.07: arrives' --title '0.0795: bounces' --title '0.082: leaves' \
    --out figures/03-learning-rates.png
lossviz compute examples/valley.py --plane 'axes w1 w2' --grid -0.7:0.8:121,-0.3:0.3:81 --out runs/wandering.h5
lossviz trace examples/valley.py --start runs/wandering.h5@0.7,0.2 --lr 0.03 --batch-size 8 --steps 150 \
    --out runs/wandering
lossviz trace examples/valley.py --start runs/wandering.h5@0.7,0.2 --lr 0.03 --batch-size 8 --steps 150 \
    --scheduler CosineAnnealingLR --scheduler-args T_max=150 --out runs/settling
lossviz project runs/wandering.h5 --snapshots runs/wandering --name 'rate 0.03' \
    --snapshots runs/settling --name 'falling to 0'
lossviz plot runs/wandering.h5 --title 'Batches of 8' --dpi 150 --out figures/03-wandering.png
