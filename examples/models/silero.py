"""The voice detector of silero-vad for 16 kHz, in torch: the package has its weights, and code for tinygrad."""

from torch import nn


class Vad(nn.Module):
    """How probable it is that a chunk of 512 samples, after the 64 before it, is speech: (B, 576) to (B,)."""

    def __init__(self):
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, 128, bias=False)
        self.stft_conv.requires_grad_(False)  # a Fourier transform, which nobody trained
        self.conv1, self.conv2 = nn.Conv1d(129, 128, 3, 1, 1), nn.Conv1d(128, 64, 3, 2, 1)
        self.conv3, self.conv4 = nn.Conv1d(64, 64, 3, 2, 1), nn.Conv1d(64, 128, 3, 1, 1)
        self.lstm_cell, self.final_conv = nn.LSTMCell(128, 128), nn.Conv1d(128, 1, 1)

    def forward(self, x):
        waves = self.stft_conv(nn.functional.pad(x, (0, 64), "reflect").unsqueeze(1))
        x = (waves[:, :129] ** 2 + waves[:, 129:] ** 2).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        h, _ = self.lstm_cell(x.squeeze(-1))
        return self.final_conv(h.relu().unsqueeze(-1)).sigmoid().flatten()
