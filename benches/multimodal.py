"""hmorph between scans of different contrast, by each of its similarities.

usage: python benches/multimodal.py FOLDER --hmorph PROGRAM [--sets brains,prostate,head] [--out multimodal.csv]

FOLDER holds the sets as HMORPH_TEST_DATA does. Needs nibabel and numpy.

brains    lpba40_2mm S12..S14 to S11; the moving image's contrast is inverted inside the head ("inverted"), or every
          structure has a random mean, with noise ("synthetic"): Dice over the 56 structures
prostate  prostate_mr_trus, MR to ultrasound of one patient, headers nominal: Dice of the gland
head      mr_head_2d_t1_pd, T1 to PD, moved by a known rigid map first: mean distance of the head's pixels to where
          hmorph's own default brings them without that map, mm. No better truth is known: the figure says how far the
          similarities and turns agree, and is 0 for the default unturned
"""
import argparse
import csv
import glob
import json
import os
import subprocess
import tempfile

import nibabel as nib
import numpy as np

METRICS = ["default", "mi", "mind", "ncc", "mse"]
# Their headers say nothing, and one outline of the gland fits many rotations of it.
PROSTATE = ["--init", "centre", "--linear", "none", "--no-network", "--smoothness", "0.7"]


def register(arguments, fixed, moving, out, metric, options):
    chosen = [] if metric == "default" else ["--metric", metric]
    command = [arguments.hmorph, "register", fixed, moving, "-o", out, "--no-report", "-q", *chosen, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.load(open(f"{out}/run.json"))["measures"]


def overlaps(arguments, pair, labels, out, metric, options=()):
    """Dice before and after."""
    named = ["--fixed-labels", labels[0], "--moving-labels", labels[1], *options]
    measures = register(arguments, *pair, out, metric, named)
    return measures["before"]["dice"], measures["after"]["dice"]


def recontrasted(image, labels, kind, out):
    source, structures = nib.load(image), np.asarray(nib.load(labels).dataobj)
    values = np.asarray(source.dataobj).astype(np.float64)
    head, draw = values > 0, np.random.default_rng(1)
    if kind == "inverted":
        changed = np.where(head, values.max() + 20 - values, 0)
    else:
        means = draw.uniform(20, 220, structures.max() + 1)
        # What no structure covers keeps the two tissues apart that the scan shows.
        tissue = np.where(values > np.median(values[head]), 60, 150)
        changed = np.where(structures > 0, means[structures], tissue)
        changed = np.where(head, changed + draw.normal(0, 8, values.shape), 0)
    nib.save(nib.Nifti1Image(changed.clip(0).astype(np.float32), source.affine), out)


def brains(arguments, out):
    at = lambda kind, name: f"{arguments.folder}/lpba40_2mm/{kind}/{name}.nii.gz"
    for kind in ("inverted", "synthetic"):
        for name in ("S12", "S13", "S14"):
            moving = f"{out}/{name}_{kind}.nii.gz"
            recontrasted(at("images", name), at("labels", name), kind, moving)
            labels = (at("labels", "S11"), at("labels", name))
            for metric in METRICS:
                found = overlaps(arguments, (at("images", "S11"), moving), labels, f"{out}/{name}{kind}{metric}", metric)
                yield f"brains, {kind}", name, metric, "Dice", *found


def prostate(arguments, out):
    base = f"{arguments.folder}/prostate_mr_trus"
    for path in sorted(glob.glob(f"{base}/mr_images/*.nii.gz")):
        name = os.path.basename(path)
        glands = []
        for side in ("us", "mr"):
            image = nib.load(f"{base}/{side}_labels/{name}")
            gland = np.asarray(image.dataobj).reshape(*image.shape[:3], -1)[..., 0] > 0.5
            glands.append(f"{out}/{side}{name}")
            nib.save(nib.Nifti1Image(gland.astype(np.uint8), image.affine), glands[-1])
        for metric in METRICS:
            pair = (f"{base}/us_images/{name}", path)
            found = overlaps(arguments, pair, glands, f"{out}/{name}{metric}", metric, PROSTATE)
            yield "prostate, MR to ultrasound", name[:10], metric, "Dice", *found


def head(arguments, out):
    images = sorted(glob.glob(f"{arguments.folder}/mr_head_2d_t1_pd/**/*.nii.gz", recursive=True))
    fixed, moving = (next(p for p in images if "mask" not in p and kind in p) for kind in ("fixed", "moving"))
    mask = next(p for p in images if "mask" in p and "fixed" in p)
    inside = np.argwhere(np.squeeze(np.asarray(nib.load(mask).dataobj)) > 0)
    best = None
    for metric in METRICS:
        # The pair's own alignment is what the best similarity finds; then the moving image is turned and shifted, and
        # each similarity has to come to the same place.
        for turn in (0, 15, -30):
            source = nib.load(moving)
            angle = np.deg2rad(turn)
            spin = np.eye(4)
            spin[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            spin[:2, 3] = [12 * np.sign(turn), -8 * np.sign(turn)]
            placed = f"{out}/head{turn}.nii.gz"
            nib.save(nib.Nifti1Image(np.asarray(source.dataobj), spin @ source.affine), placed)
            folder = f"{out}/head{metric}{turn}"
            register(arguments, fixed, placed, folder, metric, ["--linear", "rigid", "--refine", "0", "--no-network"])
            field = nib.load(f"{folder}/forward.nii.gz")
            u = np.squeeze(np.asarray(field.dataobj))[inside[:, 0], inside[:, 1], :2] * [-1, -1]
            at = (field.affine @ np.c_[inside[:, :2], np.zeros(len(inside)), np.ones(len(inside))].T).T[:, :2]
            back = np.linalg.inv(spin)
            ends = (at + u) @ back[:2, :2].T + back[:2, 3]
            if metric == "default" and turn == 0:
                best = ends
            start = at @ back[:2, :2].T + back[:2, 3]
            far = [float(np.linalg.norm(points - best, axis=1).mean()) for points in (start, ends)]
            yield "head, T1 to PD", f"turned {turn}", metric, "mm", *far


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--hmorph", required=True)
    parser.add_argument("--sets", default="brains,prostate,head")
    parser.add_argument("--out", default="multimodal.csv")
    arguments = parser.parse_args()
    sets = {"brains": brains, "prostate": prostate, "head": head}
    rows = []
    for name in arguments.sets.split(","):
        with tempfile.TemporaryDirectory() as out:
            for row in sets[name](arguments, out):
                rows.append(row)
                print("{:27} {:11} {:8} {} {:.3f} -> {:.3f}".format(*row), flush=True)
    with open(arguments.out, "w", newline="") as file:
        csv.writer(file).writerows([("set", "pair", "metric", "measure", "before", "after"), *rows])
    for key in sorted({(row[0], row[2]) for row in rows}):
        mean = np.mean([row[4:] for row in rows if (row[0], row[2]) == key], axis=0)
        print("{:27} {:8} {:.3f} -> {:.3f}".format(*key, *mean))


if __name__ == "__main__":
    main()
