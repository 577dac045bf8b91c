"""VoxelMorph's own PyTorch network trained on real scans: the peer of a model of hmorph with as many steps.

usage: voxelmorph_train.py SPLIT.csv --size DxHxW (2-D: HxW) --steps N -o FOLDER
                           [--batch N] [--lr RATE] [--diffusion WEIGHT] [--save-every N] [--threads N] [--seed N]

SPLIT.csv is that of a run of `hmorph train`; its training subjects are used, two different ones a pair. Images are clipped
at their 0.5 and 99.5 percentiles, brought to [0, 1] and centred on the grid of SIZE. Local NCC of window 9 by average
pooling, diffusion of the velocity, Adam. Writes FOLDER/STEP.pt, which hmorph reads; with pairs of test subjects in pairs.csv:

  hmorph eval --pairs pairs.csv --model FOLDER/STEP.pt --normalize percentile:0.5:99.5 --init header --linear none -o results

Needs torch, voxelmorph 0.2, pystrum, nibabel and numpy.
"""
import argparse
import csv
import inspect
import os
import random
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from network_torch import DECODER, ENCODER, FINAL, diffusion, local_ncc

os.environ["VXM_BACKEND"] = "pytorch"
# voxelmorph 0.2 calls what Python 3.11 no longer has.
inspect.getargspec = lambda function: inspect.getfullargspec(function)[:4]
import voxelmorph  # noqa: E402


def prepare(path, size):
    """The image on the grid, centre on centre."""
    image = np.squeeze(np.asanyarray(nib.load(path).dataobj))
    low, high = np.percentile(image, [0.5, 99.5])
    image = np.clip((image - low) / (high - low), 0, 1)
    for axis, (have, want) in enumerate(zip(image.shape, size)):
        before = max(want - have, 0) // 2
        image = np.pad(image, [(before, max(want - have, 0) - before) if a == axis else (0, 0) for a in range(image.ndim)])
        start = max(have - want, 0) // 2
        image = image.take(range(start, start + want), axis)
    return torch.from_numpy(image.astype(np.float32))[None]


def training_images(split, size):
    """The images of each training subject."""
    subjects = {}
    for row in csv.DictReader(open(split)):
        if row["split"] == "train":
            path = Path(split).parent / row["image"]
            subjects.setdefault(row["subject"], []).append(prepare(path, size))
    return list(subjects.values())


def batch(subjects, count, rng):
    """Moving and fixed images of `count` pairs."""
    pairs = [[rng.choice(images) for images in rng.sample(subjects, 2)] for _ in range(count)]
    return [torch.stack(images) for images in zip(*pairs)]


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("split")
    parser.add_argument("--size", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--diffusion", type=float, default=1.0)
    for name, default in [("--batch", 1), ("--save-every", 0), ("--threads", 1), ("--seed", 0)]:
        parser.add_argument(name, type=int, default=default)
    return parser.parse_args()


def main():
    args = arguments()
    size = [int(n) for n in args.size.split("x")]
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    subjects = training_images(args.split, size)
    features = [ENCODER, DECODER + FINAL]
    network = voxelmorph.networks.VxmDense(size, features, int_steps=7, int_downsize=2)
    adam = torch.optim.Adam(network.parameters(), lr=args.lr)
    args.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for step in range(1, args.steps + 1):
        moving, fixed = batch(subjects, args.batch, rng)
        moved, velocity = network(moving, fixed)
        loss = local_ncc(fixed, moved) + args.diffusion * diffusion(velocity)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step == args.steps or (args.save_every and step % args.save_every == 0):
            network.save(args.out / f"{step}.pt")
            print(f"step {step}: loss {loss.item():.4f}, {time.perf_counter() - started:.0f} s", flush=True)


main()
