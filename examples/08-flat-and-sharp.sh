# Flat and sharp minima: small and large batches
#
# Seen: trained on the same digits until no training example is wrong, the network of batches of 16 sits in a wider basin
# than that of batches of 512, and its test loss is half as high; between train and test the minimum rises a thousandfold
# and more, and moves by no more than a grid step, 0.05 and 0.06 (the cross).
#
# What it does not show: that flatness causes generalization, or that batch size alone decides: this is one seed, one plane
# and one pair of rates, and the width is that of filter-normalized units.
set -eu
mkdir -p runs figures
lossviz trace digits --model-args depth=3,width=12 --optimizer sgd --momentum 0.9 --lr 0.01 --batch-size 16 \
    --steps 3600 --every 1200 --out runs/batch-small
lossviz trace digits --model-args depth=3,width=12 --optimizer sgd --momentum 0.9 --lr 0.1 --batch-size 512 \
    --steps 700 --every 350 --out runs/batch-large
for batch in small large; do
    lossviz compute digits --model-args depth=3,width=12 --checkpoint runs/batch-$batch --split train,test \
        --grid -1:1:81 --out runs/profile-$batch.h5
    lossviz compute digits --model-args depth=3,width=12 --checkpoint runs/batch-$batch --split train,test \
        --grid -0.6:0.6:25,-0.6:0.6:21 --out runs/batch-$batch.h5
done
lossviz plot runs/profile-small.h5 runs/profile-large.h5 --quantity train_loss,test_loss --style wide --dpi 150 \
    --title 'batches of 16' --title 'batches of 512' --out figures/08-profiles.png
lossviz plot runs/batch-small.h5 runs/batch-large.h5 --quantity train_loss,test_loss --style wide --dpi 130 \
    --title 'Batches of 16' --title 'Batches of 512' --out figures/08-flat-and-sharp.png
