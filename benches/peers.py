"""hmorph beside other registration tools on the same pairs, one after the other in one run.

usage: python benches/peers.py SET FIXED:MOVING[,FIXED:MOVING...] --hmorph PROGRAM [--tools hmorph,greedy,synquick,syncc]
                               [--threads 2] [--out results.csv] [--hmorph-args "..."]

SET holds images/NAME.nii.gz and labels/NAME.nii.gz, 3-D or 2-D. Needs nibabel and, for the tools asked for, picsl_greedy and
antspyx. Every tool does its own affine from a start of its own: hmorph compares headers, centres and centres of mass, greedy
begins with the centres of the images (-ia-image-centers), ANTs as antspyx has it. Its own program moves the labels, by the
nearest voxel. Seconds: hmorph as a whole process, the others without the start of Python; reading and writing included. Memory:
the largest resident set of the process, Python included. Folds: voxels of the fixed grid where the determinant of the
Jacobian (central differences) of the deformation is not positive, the affine left out.
"""
import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

ANTS = {"synquick": "antsRegistrationSyNQuick[s]", "syncc": "SyNCC"}


def axes(path):
    import nibabel as nib

    return np.squeeze(nib.load(path).dataobj).ndim


def run_greedy(fixed, moving, labels, out, threads):
    from picsl_greedy import Greedy2D, Greedy3D

    dimension = axes(fixed)
    greedy = Greedy2D() if dimension == 2 else Greedy3D()
    radius = "x".join("2" * dimension)
    started = time.time()
    greedy.execute(f"-threads {threads} -i {fixed} {moving} -a -dof 12 -ia-image-centers -n 100x50x10 "
                   f"-m NCC {radius} -o {out}/affine.mat")
    greedy.execute(f"-threads {threads} -i {fixed} {moving} -it {out}/affine.mat -n 100x100x50 -m NCC {radius} "
                   f"-o {out}/warp.nii.gz")
    greedy.execute(f"-threads {threads} -rf {fixed} -rm {moving} {out}/moved.nii.gz -r {out}/warp.nii.gz {out}/affine.mat")
    seconds = time.time() - started
    greedy.execute(f"-threads {threads} -rf {fixed} -ri NN -rm {labels} {out}/labels.nii.gz "
                   f"-r {out}/warp.nii.gz {out}/affine.mat")
    return seconds, f"{out}/warp.nii.gz"


def run_ants(kind, fixed, moving, labels, out):
    import ants

    started = time.time()
    f, m = ants.image_read(fixed), ants.image_read(moving)
    found = ants.registration(f, m, type_of_transform=ANTS[kind], outprefix=f"{out}/a", random_seed=1)
    ants.image_write(found["warpedmovout"], f"{out}/moved.nii.gz")
    seconds = time.time() - started
    moved = ants.apply_transforms(f, ants.image_read(labels), found["fwdtransforms"], interpolator="nearestNeighbor")
    ants.image_write(moved, f"{out}/labels.nii.gz")
    return seconds, next(name for name in found["fwdtransforms"] if name.endswith("Warp.nii.gz"))


def one(tool, fixed, moving, labels, out, threads):
    """The part that runs in a process of its own."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    if tool == "greedy":
        seconds, warp = run_greedy(fixed, moving, labels, out, threads)
    else:
        seconds, warp = run_ants(tool, fixed, moving, labels, out)
    print(f"RESULT {seconds} {warp}")


def folded(warp):
    """Voxels that fold, from a field in LPS mm; hmorph and ANTs write it for the fixed grid."""
    import nibabel as nib

    image = nib.load(warp)
    u = np.squeeze(np.asarray(image.dataobj)).astype(np.float64)
    n = u.shape[-1]
    to_voxel = np.linalg.inv(np.diag([-1, -1, 1]) @ image.affine[:3, :3])[:n, :n]
    u = u @ to_voxel.T
    gradients = [np.gradient(u[..., c]) for c in range(n)]
    jacobian = np.stack([np.stack(g, -1) for g in gradients], -2) + np.eye(n)
    return int((~(np.linalg.det(jacobian) > 0)).sum()), u[..., 0].size


def dice(fixed, moved):
    import nibabel as nib

    f, m = (np.squeeze(np.asarray(nib.load(path).dataobj)) for path in (fixed, moved))
    both = [2 * ((f == k) & (m == k)).sum() / ((f == k).sum() + (m == k).sum()) for k in np.unique(f) if k]
    return float(np.mean(both))


def measured(command):
    """Standard output, seconds and peak memory (bytes) of a process."""
    started = time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}\n{text}")
    return text, time.time() - started, usage.ru_maxrss * 1024


def register(tool, arguments, fixed, moving, labels, out):
    if tool == "hmorph":
        command = [arguments.hmorph, "register", fixed, moving, "--moving-labels", labels, "-o", f"{out}/h",
                   "--label-interpolation", "nearest", "--threads", str(arguments.threads), *arguments.hmorph_args.split()]
        _, seconds, memory = measured(command)
        import json

        record = json.load(open(f"{out}/h/run.json"))["measures"]
        return f"{out}/h/moved_labels.nii.gz", seconds, memory, record["folded_voxels"], record["voxels"]
    command = [sys.executable, __file__, "--one", tool, fixed, moving, labels, out, str(arguments.threads)]
    text, _, memory = measured(command)
    result = next(line for line in text.splitlines() if line.startswith("RESULT")).split()
    return f"{out}/labels.nii.gz", float(result[1]), memory, *folded(result[2])


def main():
    if sys.argv[1:2] == ["--one"]:
        return one(*sys.argv[2:7], int(sys.argv[7]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("pairs")
    parser.add_argument("--hmorph", required=True)
    parser.add_argument("--hmorph-args", default="")
    parser.add_argument("--tools", default="hmorph,greedy,synquick")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", default="peers.csv")
    arguments = parser.parse_args()
    tools, rows = arguments.tools.split(","), []
    image, label = (lambda name, kind=kind: f"{arguments.set}/{kind}/{name}.nii.gz" for kind in ("images", "labels"))
    for fixed, moving in (pair.split(":") for pair in arguments.pairs.split(",")):
        for tool in tools:
            with tempfile.TemporaryDirectory() as out:
                found = register(tool, arguments, image(fixed), image(moving), label(moving), out)
                labels, seconds, memory, folds, voxels = found
                overlap = dice(label(fixed), labels)
            rows.append([f"{fixed}:{moving}", tool, overlap, 100 * folds / voxels, seconds, memory / 1e9])
            print("{} {:9} Dice {:.4f}  folded {:.4f} %  {:6.1f} s  {:.2f} GB".format(*rows[-1]), flush=True)
            with open(arguments.out, "w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["pair", "tool", "dice", "folded_percent", "seconds", "gigabytes"])
                writer.writerows(rows)
    for tool in tools:
        mine = np.array([row[2:] for row in rows if row[1] == tool])
        means = mine.mean(0)
        print(f"{tool:9} Dice {means[0]:.4f}  folded {means[1]:.4f} %  median {np.median(mine[:, 2]):.1f} s  "
              f"at most {mine[:, 3].max():.2f} GB  ({len(mine)} pairs)")


if __name__ == "__main__":
    main()
