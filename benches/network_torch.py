"""The registration network of VoxelMorph in plain PyTorch, timed: the peer of `cargo bench --bench network`.

usage: network_torch.py train|infer WxHxD batch steps   (2-D: WxH)
Prints the median seconds of a step after one that warms up, and the peak memory of the process in bytes.
Features [16, 32, 32, 32] / [32, 32, 32, 32, 32, 16, 16], velocity on the half grid integrated in 7 squarings, linear
warp; training adds local NCC of window 9 by average pooling, diffusion, the backward pass and Adam. float32.
"""
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

ENCODER = [16, 32, 32, 32]
DECODER = [32, 32, 32, 32]
FINAL = [32, 16, 16]


class Network(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.nd = len(size)
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[self.nd]
        self.pool = {2: F.max_pool2d, 3: F.max_pool3d}[self.nd]
        self.mode = {2: "bilinear", 3: "trilinear"}[self.nd]

        def block(inside, outside):
            return conv(inside, outside, 3, padding=1)

        widths = [2] + ENCODER
        self.encoder = nn.ModuleList(block(*pair) for pair in zip(widths, ENCODER))
        skips = [0] + ENCODER[::-1]
        before = [ENCODER[-1]] + DECODER
        self.decoder = nn.ModuleList(block(b + s, d) for b, s, d in zip(before, skips, DECODER))
        widths = [DECODER[-1] + ENCODER[0]] + FINAL
        self.final = nn.ModuleList(block(*pair) for pair in zip(widths, FINAL))
        self.flow = block(FINAL[-1], self.nd)
        nn.init.normal_(self.flow.weight, std=1e-5)
        nn.init.zeros_(self.flow.bias)
        half = [n // 2 for n in size]
        self.register_buffer("grid", self.positions(size))
        self.register_buffer("half_grid", self.positions(half))

    @staticmethod
    def positions(size):
        axes = [torch.arange(n, dtype=torch.float32) for n in size]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]

    def warp(self, image, displacement, grid):
        size = displacement.shape[2:]
        scale = torch.tensor([2 / (n - 1) for n in size]).view(1, self.nd, *[1] * self.nd)
        where = ((grid + displacement) * scale - 1).movedim(1, -1).flip(-1)
        return F.grid_sample(image, where, align_corners=True, mode="bilinear")

    def resize(self, field, factor):
        return F.interpolate(field, scale_factor=factor, mode=self.mode, align_corners=True) * factor

    def forward(self, moving, fixed):
        x, skips = torch.cat([moving, fixed], 1), []
        for layer in self.encoder:
            x = F.leaky_relu(layer(x), 0.2)
            skips.append(x)
            x = self.pool(x, 2)
        for layer in self.decoder:
            x = F.leaky_relu(layer(x), 0.2)
            x = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skips.pop()], 1)
        for layer in self.final:
            x = F.leaky_relu(layer(x), 0.2)
        velocity = self.resize(self.flow(x), 0.5)
        field = velocity / 2**7
        for _ in range(7):
            field = field + self.warp(field, field, self.half_grid)
        displacement = self.resize(field, 2)
        return self.warp(moving, displacement, self.grid), velocity


def local_ncc(a, b, window=9):
    pool = {4: F.avg_pool2d, 5: F.avg_pool3d}[a.dim()]
    mean = lambda x: pool(x, window, 1, window // 2)
    ma, mb = mean(a), mean(b)
    cross = (mean(a * b) - ma * mb).clamp(min=1e-5)
    va, vb = (mean(a * a) - ma * ma).clamp(min=1e-5), (mean(b * b) - mb * mb).clamp(min=1e-5)
    return -(cross * cross / (va * vb)).mean()


def diffusion(velocity):
    axes = range(2, velocity.dim())
    return sum(velocity.diff(dim=axis).square().mean() for axis in axes) / len(axes) * 2


def main():
    what, size, batch, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    size = [int(n) for n in size.split("x")]
    torch.manual_seed(0)
    network = Network(size)
    moving, fixed = torch.rand(2, batch, 1, *size)
    adam = torch.optim.Adam(network.parameters(), lr=1e-4)

    def train():
        moved, velocity = network(moving, fixed)
        adam.zero_grad()
        (local_ncc(fixed, moved) + diffusion(velocity)).backward()
        adam.step()

    def infer():
        with torch.no_grad():
            network(moving, fixed)

    step, seconds = {"train": train, "infer": infer}[what], []
    for _ in range(steps + 1):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(statistics.median(seconds[1:]), peak)


main()
