"""The registration network of VoxelMorph in plain PyTorch, timed: the peer of `cargo bench --bench network`.

usage: network_torch.py --worker train|infer --size DxHxW (2-D: HxW) [--batch N] [--warmup N] [--steps N]
                        [--device cpu|cuda] [--bf16]
Prints the median seconds of a timed step, and bytes: the peak memory of the process, on a GPU of PyTorch's pool.
Features [16, 32, 32, 32] / [32, 32, 32, 32, 32, 16, 16], velocity on the half grid integrated in 7 squarings, linear
warp; training adds local NCC of window 9 by average pooling, diffusion, the backward pass and Adam. float32, on a GPU
TF32, or by --bf16 autocast. A step takes its images from the host; inference brings the moved one back.
"""
import argparse
import resource
import statistics
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
        for name, shape in [("full", size), ("half", [n // 2 for n in size])]:
            axes = [torch.arange(n, dtype=torch.float32) for n in shape]
            self.register_buffer(f"{name}_grid", torch.stack(torch.meshgrid(*axes, indexing="ij"))[None])
            scale = torch.tensor([2 / (n - 1) for n in shape])
            self.register_buffer(f"{name}_scale", scale.view(1, self.nd, *[1] * self.nd))

    def warp(self, image, displacement, grid, scale):
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
        # The transform is of float32 under autocast, too.
        velocity = self.resize(self.flow(x).float(), 0.5)
        field = velocity / 2**7
        for _ in range(7):
            field = field + self.warp(field, field, self.half_grid, self.half_scale)
        displacement = self.resize(field, 2)
        return self.warp(moving, displacement, self.full_grid, self.full_scale), velocity


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


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", choices=["train", "infer"], required=True)
    parser.add_argument("--size", required=True)
    for name, default in [("--batch", 1), ("--warmup", 1), ("--steps", 3)]:
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--bf16", action="store_true")
    return parser.parse_args()


def main():
    args = arguments()
    size = [int(n) for n in args.size.split("x")]
    on_gpu = args.device == "cuda"
    if on_gpu:
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    network = Network(size).to(args.device)
    images = torch.rand(2, args.batch, 1, *size)
    adam = torch.optim.Adam(network.parameters(), lr=1e-4)

    def train():
        moving, fixed = images.to(args.device)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            moved, velocity = network(moving, fixed)
            loss = local_ncc(fixed, moved) + diffusion(velocity)
        adam.zero_grad()
        loss.backward()
        adam.step()

    def infer():
        moving, fixed = images.to(args.device)
        with torch.no_grad(), torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            moved, _ = network(moving, fixed)
        moved.cpu()

    step, seconds = {"train": train, "infer": infer}[args.worker], []
    for _ in range(args.warmup + args.steps):
        started = time.perf_counter()
        step()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = torch.cuda.max_memory_reserved() if on_gpu else process
    print(statistics.median(seconds[args.warmup:]), peak)


if __name__ == "__main__":
    main()
