# Skip connections, and what filter normalization is for
#
# Seen: trained alike on 4,000 handwritten digits, the network of 29 convolutions has a round basin with skip connections
# and without them a crooked one, in walls a hundred times as high; multiplying and dividing layers by 4, which changes no
# answer, makes the basin look narrower without filter normalization and leaves it as it is with it.
#
# What it does not show: that the rough network cannot be trained, as it was, or that filter normalization removes every
# such freedom: keys and queries, for one, can be rescaled against each other along directions it does not see.
set -eu
mkdir -p runs figures
for skips in true false; do
    lossviz trace examples/mnist.py --model-args skips=$skips --optimizer adamw --optimizer-args weight_decay=0.3 \
        --lr 0.002 --batch-size 128 --steps 1250 --every 1250 --scheduler OneCycleLR \
        --scheduler-args max_lr=0.002,total_steps=1251,pct_start=0.2 --out runs/mnist-$skips
    lossviz compute examples/mnist.py --model-args skips=$skips --checkpoint runs/mnist-$skips --samples 1000 \
        --grid -1:1:31,-1:1:27 --out runs/mnist-$skips.h5
done
lossviz plot runs/mnist-true.h5 runs/mnist-false.h5 --title 'With skip connections' --title 'Without' \
    --style wide --dpi 130 --out figures/12-skips.png
lossviz plot runs/mnist-true.h5 runs/mnist-false.h5 --kind surface --title 'With skip connections' --title 'Without' \
    --style wide --dpi 130 --out figures/12-skips-surface.png
python examples/rescale.py runs/mnist-true runs/mnist-rescaled.pt
for normalize in filter none; do
    lossviz compute examples/mnist.py --checkpoint runs/mnist-true --samples 1000 --normalize $normalize \
        --grid -0.2:0.2:41 --out runs/before-$normalize.h5
    lossviz compute examples/mnist.py --checkpoint runs/mnist-rescaled.pt --samples 1000 --normalize $normalize \
        --grid -0.2:0.2:41 --out runs/after-$normalize.h5
done
lossviz plot runs/before-filter.h5 runs/after-filter.h5 --title 'as trained' --title 'rescaled' \
    --dpi 150 --out figures/12-filter-normalized.png
lossviz plot runs/before-none.h5 runs/after-none.h5 --title 'as trained' --title 'rescaled' \
    --dpi 150 --out figures/12-not-normalized.png
