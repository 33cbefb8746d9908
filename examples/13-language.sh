# A small language model, before and after a short fine-tuning
#
# Seen: fine-tuning on the Zen of Python goes down the loss of that text (right), from 2.0 to 0.7 nats a character, and on
# the same plane up that of the documentation the model was trained on (left), from 1.5 to 2.0: some of it is lost.
#
# What it does not show: that forgetting must cost so much; the plane holds this path and no other, and a model a thousand
# times as large, or a smaller rate, forgets less.
set -eu
mkdir -p runs figures
lossviz trace examples/characters.py --optimizer adam --lr 0.005 --batch-size 32 --steps 1000 --every 1000 \
    --scheduler OneCycleLR --scheduler-args max_lr=0.005,total_steps=1001 --out runs/language
lossviz trace examples/characters.py --checkpoint runs/language --split zen --optimizer adam --lr 0.0005 \
    --batch-size 32 --steps 60 --every 3 --out runs/finetuned
lossviz compute examples/characters.py --checkpoint runs/finetuned --plane pca --snapshots runs/finetuned \
    --split train,zen --samples 198 --grid auto:25,auto:21 --out runs/language.h5
lossviz plot runs/language.h5 --quantity train_loss,zen_loss --style wide --dpi 150 --out figures/13-language.png
