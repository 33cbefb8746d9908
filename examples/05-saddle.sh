# A saddle: exact gradient descent stalls, a nudge escapes
#
# Seen: started exactly on the line that leads into the saddle, gradient descent ends there, where the gradient is 0; a
# thousandth beside it, it comes as near, lingers, and leaves along the direction of negative curvature.
#
# What it does not show: that saddles stop training in practice; the line that leads into one has no width, and the noise
# of mini-batches or rounding is nudge enough, though it may take long.
set -eu
mkdir -p runs figures
lossviz compute examples/saddle.py --plane 'axes w1 w2' --grid -2:2:121,-1.8:1.8:109 --out runs/saddle.h5
lossviz trace examples/saddle.py --start runs/saddle.h5@-1.5,1.5 --lr 0.1 --steps 140 --out runs/saddle-exact
lossviz trace examples/saddle.py --start runs/saddle.h5@-1.5,1.501 --lr 0.1 --steps 140 --out runs/saddle-nudged
lossviz project runs/saddle.h5 --snapshots runs/saddle-exact --name 'exactly on the line' \
    --snapshots runs/saddle-nudged --name '0.001 beside it'
python examples/saddle_signs.py runs/saddle.h5 figures/05-saddle.png
lossviz plot runs/saddle.h5 --kind surface --scale linear --clip 6 --title 'y = w2 w1 x' --dpi 150 \
    --out figures/05-saddle-surface.png
