"""Denoisers that others have trained, as modules whose rectified activations can be tapped."""

import torch
from torch import nn
from torch.nn import functional as F


class Convolution(nn.Conv2d):
    """As torch's, drawn afresh as the untrained control is: Kaiming-normal by fan-in, biases zero."""

    def reset_parameters(self):
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class UNet(nn.Module):
    """Two scales, dilated in the middle; returns the clean image."""

    def __init__(self, bias=False):
        super().__init__()
        self.conv1 = Convolution(1, 32, 5, padding=2, bias=bias)
        self.conv2 = Convolution(32, 32, 3, padding=1, bias=bias)
        self.conv3 = Convolution(32, 64, 3, stride=2, padding=1, bias=bias)
        self.conv4 = Convolution(64, 64, 3, padding=1, bias=bias)
        self.conv5 = Convolution(64, 64, 3, padding=2, dilation=2, bias=bias)
        self.conv6 = Convolution(64, 64, 3, padding=4, dilation=4, bias=bias)
        self.conv7 = nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1, bias=bias)
        self.conv8 = Convolution(96, 32, 3, padding=1, bias=bias)
        self.conv9 = Convolution(32, 1, 5, padding=2, bias=False)
        self.rectified = nn.ModuleList(nn.ReLU() for _ in range(8))  # what is tapped; it has no weights
        self.tap_aliases = {"enc1": "rectified.1", "enc2": "rectified.3", "mid": "rectified.5", "dec1": "rectified.7"}

    def forward(self, y):
        rows, cols = y.shape[2:]
        h = F.pad(y, (0, cols % 2, 0, rows % 2))
        h = fine = self.rectified[1](self.conv2(self.rectified[0](self.conv1(h))))
        for i in range(2, 7):
            h = self.rectified[i](getattr(self, f"conv{i + 1}")(h))
        h = self.rectified[7](self.conv8(torch.cat([h, fine], dim=1)))
        return self.conv9(h)[..., :rows, :cols]


class Spread(nn.BatchNorm2d):
    """Batch normalisation without centring, in evaluation: x · weight / (√running_var + 1e-5)."""

    def forward(self, input):
        scale = self.weight / (self.running_var.sqrt() + 1e-5)
        return input * scale.view(1, -1, 1, 1)


class DnCNN(nn.Module):
    """Twenty convolutions at one scale; what they make is taken off y, so that it returns the clean image."""

    def __init__(self, bias=False):
        super().__init__()
        self.first_layer = Convolution(1, 64, 3, padding=1, bias=bias)
        self.hidden_layer_list = nn.ModuleList(Convolution(64, 64, 3, padding=1, bias=bias) for _ in range(18))
        self.bn_layer_list = nn.ModuleList((nn.BatchNorm2d if bias else Spread)(64) for _ in range(18))
        self.last_layer = Convolution(64, 1, 3, padding=1, bias=bias)
        self.rectified = nn.ModuleList(nn.ReLU() for _ in range(19))
        self.tap_aliases = {f"layer{n}": f"rectified.{n - 1}" for n in (5, 10, 15, 19)}

    def forward(self, y):
        h = self.rectified[0](self.first_layer(y))
        for i in range(18):
            h = self.rectified[i + 1](self.bn_layer_list[i](self.hidden_layer_list[i](h)))
        return y - self.last_layer(h)


class Gain(nn.Module):
    """x · gammas / running_sd."""

    running_sd: torch.Tensor

    def __init__(self, channels):
        super().__init__()
        self.gammas = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("running_sd", torch.ones(1, channels, 1, 1))

    def reset_parameters(self):
        nn.init.ones_(self.gammas)
        nn.init.ones_(self.running_sd)

    def forward(self, x):
        return x * (self.gammas / self.running_sd)


class Flat(nn.Module):
    """Twenty-one convolutions of 3×3 or 1×1; returns the noise y − x."""

    def __init__(self, receptive_field=43):
        super().__init__()
        kernels = {  # by the receptive field, in pixels
            5: [3, *19 * [1], 3],
            13: [3 if layer % 4 == 0 else 1 for layer in range(21)],
            43: 21 * [3],
        }[receptive_field]
        widths = [1, *20 * [64], 1]
        self.conv_layers = nn.ModuleList(
            Convolution(widths[i], widths[i + 1], k, padding=k // 2, bias=False) for i, k in enumerate(kernels)
        )
        self.BN_layers = nn.ModuleList(Gain(64) for _ in range(19))
        self.rectified = nn.ModuleList(nn.ReLU() for _ in range(19))
        self.tap_aliases = {f"layer{n}": f"rectified.{n - 2}" for n in (5, 10, 15, 20)}

    def forward(self, y):
        h = self.conv_layers[0](y)
        for i in range(19):
            h = self.rectified[i](self.BN_layers[i](self.conv_layers[i + 1](h)))
        return self.conv_layers[20](h)
