"""Transforms of hmorph in SimpleITK, ANTsPy and greedy, and theirs in hmorph, on oblique anisotropic grids.

    python tests/cli/interchange.py HMORPH      (HMORPH: the program)

Prints one line a check: the largest and the mean difference over all compared voxels (intensities run from about 40 to 160,
with slopes of up to 10 a millimetre) or points (mm). Ends with code 1 if one is above its tolerance. Everything is
made of formulas: no scan is used.
"""

import itertools
import os
import subprocess
import sys
import tempfile

import ants
import numpy as np
import picsl_greedy
import SimpleITK as sitk

HMORPH = os.path.abspath(sys.argv[1])
FAILED = []


def hmorph(*arguments):
    subprocess.run([HMORPH, "--quiet", "--force", "--threads", "2", *arguments], check=True)


def turned(d, angles):
    if d == 2:
        c, s = np.cos(angles[0]), np.sin(angles[0])
        return np.array([[c, -s], [s, c]])
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*angles)
    return np.array(turn.GetMatrix()).reshape(3, 3)


def grid(d, size, spacing, angles, flips, centre):
    """An image whose axes are flipped and turned, centred at an LPS place."""
    image = sitk.Image(size[:d], sitk.sitkFloat32)
    direction = turned(d, angles) @ np.diag(flips[:d])
    image.SetSpacing(spacing[:d])
    image.SetDirection(direction.ravel())
    half = (np.array(size[:d]) - 1) / 2 * spacing[:d]
    image.SetOrigin(np.array(centre[:d]) - direction @ half)
    return image


def places(image):
    """LPS places of all voxels, in numpy order."""
    size, d = image.GetSize(), image.GetDimension()
    index = np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), -1)
    linear = np.array(image.GetDirection()).reshape(d, d) * image.GetSpacing()
    return (index @ linear.T + image.GetOrigin()).transpose(*range(d - 1, -1, -1), d)


def painted(image, value):
    """The image with the values of a function of the place."""
    out = sitk.GetImageFromArray(value(places(image)).astype(np.float32))
    out.CopyInformation(image)
    return out


def third(p):
    return p[..., 2] if p.shape[-1] == 3 else 0 * p[..., 0]


def intensity(p):
    x, y, z = p[..., 0], p[..., 1], third(p)
    return 100 + 30 * np.sin(x / 7) + 20 * np.cos(y / 9) + z / 2 + x * y / 40


def regions(p):
    x, y, z = p[..., 0], p[..., 1], third(p)
    return 1 + (x > 1) + 2 * (y > x / 3) + 4 * (z > 2)


def displacement(p):
    x, y, z = p[..., 0], p[..., 1], third(p)
    u = np.stack([2 * np.sin(y / 11), 1.5 * np.cos((z + x) / 8) - 0.5, x / 15], -1)
    return u[..., : p.shape[-1]]


def difference(a, b):
    return np.abs(sitk.GetArrayFromImage(a).astype(float) - sitk.GetArrayFromImage(b).astype(float))


def check(d, what, found, tolerance):
    """`found`: differences."""
    found = np.asarray(found)
    good = found.size > 0 and found.max() <= tolerance
    print(f"{d}-D  {what:<66} max {found.max():9.2e}  mean {found.mean():9.2e}  {'' if good else 'ABOVE ' + str(tolerance)}")
    if not good:
        FAILED.append(what)


def agreed(d, what, a, b, share=0.001):
    """Labels: the share of voxels that differ, where a boundary passes a voxel centre to rounding."""
    check(d, what, [np.mean(difference(a, b) != 0)], share)


def write_points(path, points):
    rows = [",".join(repr(float(v)) for v in list(p) + [0.0] * (3 - len(p))) for p in points]
    with open(path, "w") as file:
        file.write("x,y,z\n" + "\n".join(rows) + "\n")


def read_points(path, d):
    return np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(d), ndmin=2)


def greedy(d, fixed, moving, out, transforms, interpolation="LINEAR"):
    run = picsl_greedy.Greedy3D() if d == 3 else picsl_greedy.Greedy2D()
    run.execute(f"-rf {fixed} -ri {interpolation} -rm {moving} {out} -r {' '.join(transforms)}")
    return sitk.ReadImage(out)


def itk(transform, moving, fixed, interpolation):
    return sitk.Resample(moving, fixed, transform, interpolation, 0.0, sitk.sitkFloat32)


def ants_moved(d, transforms, interpolation="linear"):
    fixed, moving = ants.image_read("fixed.nii.gz"), ants.image_read("moving.nii.gz")
    moved = ants.apply_transforms(fixed, moving, transforms, interpolator=interpolation)
    ants.image_write(moved, "ants.nii.gz")
    return sitk.ReadImage("ants.nii.gz")


def ants_points(d, points, transforms):
    import pandas

    table = pandas.DataFrame({name: points[:, n] for n, name in enumerate("xyz"[:d])})
    moved = ants.apply_transforms_to_points(d, table, transforms)
    return moved[list("xyz"[:d])].to_numpy()


def cases(d):
    fixed = grid(d, [24, 20, 16], np.array([1.5, 2.0, 3.0]), [0.12, -0.2, 0.3], [1, -1, -1], [4.0, -3.0, 9.0])
    moving = grid(d, [50, 52, 48], np.array([1.7, 1.4, 2.1]), [-0.3, 0.1, 0.2], [-1, 1, 1], [2.0, 1.0, 6.0])
    coarse = grid(d, [20, 22, 20], np.array([4.0, 4.5, 5.0]), [0.05, 0.1, -0.15], [1, 1, -1], [4.0, -3.0, 9.0])
    fixed, moving_labels = painted(fixed, intensity), painted(moving, regions)
    moving = painted(moving, intensity)
    sitk.WriteImage(fixed, "fixed.nii.gz")
    sitk.WriteImage(moving, "moving.nii.gz")
    sitk.WriteImage(sitk.Cast(moving_labels, sitk.sitkInt16), "labels.nii.gz")
    field = sitk.GetImageFromArray(displacement(places(coarse)).astype(np.float32), isVector=True)
    field.CopyInformation(coarse)
    sitk.WriteImage(field, "field.nii.gz")
    affine = sitk.AffineTransform(d)
    matrix = np.array([[1.02, 0.05, 0], [-0.03, 0.98, 0.04], [0.01, 0, 1.01]])[:d, :d]
    affine.SetMatrix(matrix.ravel())
    affine.SetTranslation([1.5, -2.0, 0.75][:d])
    affine.SetCenter([3.0, 2.0, -1.0][:d])
    sitk.WriteTransform(affine, "affine.mat")
    # Greedy has matrices as RAS text, in 2-D of three rows.
    ras = np.eye(d + 1)
    flip = np.diag([-1, -1, 1][:d])
    ras[:d, :d] = flip @ matrix @ flip
    ras[:d, d] = flip @ affine.TransformPoint([0.0] * d)
    np.savetxt("ras.txt", ras, fmt="%.17g")
    # A point goes through the field first: the last member of ITK's composite.
    deform = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    both = sitk.CompositeTransform([affine, deform])
    sitk.WriteTransform(both, "both.h5")
    return fixed, moving, moving_labels, affine, both


def theirs_in_hmorph(d):
    fixed, moving, labels, affine, both = cases(d)
    chain = ["field.nii.gz", "affine.mat"]
    apply = ["apply", "-r", "fixed.nii.gz", "-t"]
    for name, n, interpolation in [("linear", "linear", sitk.sitkLinear), ("cubic", "cubic", sitk.sitkBSpline)]:
        expected = itk(both, moving, fixed, interpolation)
        hmorph(*apply, *chain, "-i", "moving.nii.gz", "-n", n, "-o", "out.nii.gz")
        check(d, f"field + .mat of ITK, {name}: hmorph - SimpleITK", difference(sitk.ReadImage("out.nii.gz"), expected), 1e-4)
        hmorph(*apply, "both.h5", "-i", "moving.nii.gz", "-n", n, "-o", "out.nii.gz")
        check(d, f"composite .h5 of ITK, {name}: hmorph - SimpleITK", difference(sitk.ReadImage("out.nii.gz"), expected), 1e-4)
    hmorph(*apply, *chain, "-i", "moving.nii.gz", "-o", "out.nii.gz")
    ours = sitk.ReadImage("out.nii.gz")
    check(d, "field + .mat: hmorph - ants.apply_transforms", difference(ours, ants_moved(d, chain)), 1e-4)
    check(d, "composite .h5: hmorph - ants.apply_transforms", difference(ours, ants_moved(d, ["both.h5"])), 1e-4)
    check(d, "field + .mat: hmorph - greedy", difference(ours, greedy(d, "fixed.nii.gz", "moving.nii.gz", "greedy.nii.gz", ["field.nii.gz", "ras.txt"])), 1e-4)
    hmorph(*apply, "field.nii.gz", "ras.txt", "-i", "moving.nii.gz", "-o", "out.nii.gz")
    check(d, "field + RAS text of greedy: hmorph - SimpleITK", difference(sitk.ReadImage("out.nii.gz"), itk(both, moving, fixed, sitk.sitkLinear)), 1e-4)
    hmorph(*apply, *chain, "-l", "labels.nii.gz", "--label-interpolation", "nearest", "-o", "out.nii.gz")
    expected = itk(both, labels, fixed, sitk.sitkNearestNeighbor)
    agreed(d, "labels, nearest: share that differs, hmorph - SimpleITK", sitk.ReadImage("out.nii.gz"), expected)
    hmorph(*apply, "inv:affine.mat", "-i", "moving.nii.gz", "-o", "out.nii.gz")
    expected = ants_inverse(d)
    check(d, "inverse of .mat: hmorph - ants (whichtoinvert)", difference(sitk.ReadImage("out.nii.gz"), expected), 1e-4)
    points = places(fixed).reshape(-1, d)[:: 97]
    write_points("points.csv", points)
    for names in [chain, ["both.h5"]]:
        hmorph("apply", "-t", *names, "-p", "points.csv", "-o", "moved.csv")
        found = read_points("moved.csv", d)
        expected = np.array([both.TransformPoint(p.tolist()) for p in points])
        check(d, f"points through {' + '.join(names)} (mm): hmorph - SimpleITK", np.abs(found - expected), 1e-5)
        check(d, f"points through {' + '.join(names)} (mm): hmorph - ants", np.abs(found - ants_points(d, points, names)), 1e-4)
    back = ["inv:affine.mat", "inv:field.nii.gz"]
    write_points("there.csv", expected)
    hmorph("apply", "-t", *back, "-p", "there.csv", "-o", "moved.csv")
    check(d, "points back through inverses (mm)", np.abs(read_points("moved.csv", d) - points), 1e-4)


def registered_by_ants(d):
    """A composite of antsRegistration, in single precision and compressed, as fMRIPrep has them."""
    cases(d)
    fixed, moving = ants.image_read("fixed.nii.gz"), ants.image_read("moving.nii.gz")
    prefix = os.path.abspath("reg")
    found = ants.registration(fixed, moving, "SyN", write_composite_transform=True, outprefix=prefix, reg_iterations=[10, 5])
    for name, key, still in [("composite", "fwdtransforms", "fixed"), ("inverse composite", "invtransforms", "moving")]:
        moved = "moving" if still == "fixed" else "fixed"
        image = ants.apply_transforms(ants.image_read(f"{still}.nii.gz"), ants.image_read(f"{moved}.nii.gz"), [found[key]])
        ants.image_write(image, "ants.nii.gz")
        expected = sitk.ReadImage("ants.nii.gz")
        hmorph("apply", "-t", found[key], "-i", f"{moved}.nii.gz", "-r", f"{still}.nii.gz", "--fill", "0", "-o", "out.nii.gz")
        ours = sitk.ReadImage("out.nii.gz")
        # Outside the grid of its field ITK does not move at all, hmorph as at its edge: where both have an image.
        inside = (sitk.GetArrayFromImage(expected) != 0) & (sitk.GetArrayFromImage(ours) != 0) & covered(expected, still, d)
        check(d, f"{name} .h5 of ants.registration: hmorph - ants", difference(ours, expected)[inside], 1e-4)


def covered(image, still, d):
    """Places of the fixed grid, on which both fields of a registration of ANTs are."""
    if still == "fixed":
        return np.full(image.GetSize()[::-1], True)
    fixed = sitk.ReadImage("fixed.nii.gz")
    linear = np.array(fixed.GetDirection()).reshape(d, d) * fixed.GetSpacing()
    index = (places(image) - fixed.GetOrigin()) @ np.linalg.inv(linear).T
    return np.all((index > 4) & (index < np.array(fixed.GetSize()) - 5), -1)


def ants_inverse(d):
    fixed, moving = ants.image_read("fixed.nii.gz"), ants.image_read("moving.nii.gz")
    moved = ants.apply_transforms(fixed, moving, ["affine.mat"], interpolator="linear", whichtoinvert=[True])
    ants.image_write(moved, "ants.nii.gz")
    return sitk.ReadImage("ants.nii.gz")


def hmorphs_in_theirs(d):
    fixed, moving, _, affine, both = cases(d)
    chain = ["field.nii.gz", "affine.mat"]
    transform = ["transform", "-t", *chain]
    hmorph(*transform, "-r", "fixed.nii.gz", "-o", "one.nii.gz")
    hmorph(*transform, "-r", "fixed.nii.gz", "-o", "one.h5")
    hmorph(*transform, "-o", "kept.h5")
    hmorph(*transform, "-r", "fixed.nii.gz", "-o", "l2r:disp_0001_0002.nii.gz")
    for name in ["ours.mat", "ours.tfm", "ours.txt"]:
        hmorph("transform", "-t", "affine.mat", "-r", "fixed.nii.gz", "-o", name)
    hmorph("apply", "-t", *chain, "-i", "moving.nii.gz", "-r", "fixed.nii.gz", "-o", "out.nii.gz")
    ours = sitk.ReadImage("out.nii.gz")
    one = sitk.DisplacementFieldTransform(sitk.ReadImage("one.nii.gz", sitk.sitkVectorFloat64))
    check(d, "field of hmorph in SimpleITK", difference(ours, itk(one, moving, fixed, sitk.sitkLinear)), 1e-4)
    for name in ["one.h5", "kept.h5"]:
        read = sitk.ReadTransform(name)
        check(d, f"{name} of hmorph in SimpleITK", difference(ours, itk(read, moving, fixed, sitk.sitkLinear)), 1e-4)
        check(d, f"{name} of hmorph in ants", difference(ours, ants_moved(d, [name])), 1e-4)
    check(d, "field of hmorph in ants", difference(ours, ants_moved(d, ["one.nii.gz"])), 1e-4)
    moved = greedy(d, "fixed.nii.gz", "moving.nii.gz", "greedy.nii.gz", ["one.nii.gz"])
    check(d, "field of hmorph in greedy", difference(ours, moved), 1e-4)
    hmorph("apply", "-t", "affine.mat", "-i", "moving.nii.gz", "-r", "fixed.nii.gz", "-o", "out.nii.gz")
    ours = sitk.ReadImage("out.nii.gz")
    for name in ["ours.mat", "ours.tfm"]:
        read = sitk.ReadTransform(name)
        check(d, f"{name} of hmorph in SimpleITK", difference(ours, itk(read, moving, fixed, sitk.sitkLinear)), 1e-4)
    check(d, "ours.mat of hmorph in ants", difference(ours, ants_moved(d, ["ours.mat"])), 1e-4)
    moved = greedy(d, "fixed.nii.gz", "moving.nii.gz", "greedy.nii.gz", ["ours.txt"])
    check(d, "ours.txt of hmorph in greedy", difference(ours, moved), 1e-4)
    learn2reg(d)


def learn2reg(d):
    """moved(x) = moving(x + disp) in voxels of one grid for both images, with scipy as the challenge does it."""
    from scipy.ndimage import map_coordinates

    fixed = sitk.ReadImage("fixed.nii.gz")
    hmorph("apply", "-t", "l2r:disp_0001_0002.nii.gz", "-i", "fixed.nii.gz", "-r", "fixed.nii.gz", "-o", "out.nii.gz")
    found = sitk.GetArrayFromImage(sitk.ReadImage("out.nii.gz")).T.astype(float)
    image = sitk.GetArrayFromImage(fixed).T.astype(float)
    field = read_voxel_field(d)
    where = np.stack(np.meshgrid(*[np.arange(n) for n in image.shape], indexing="ij")) + field
    inside = np.all([(w >= 0) & (w <= n - 1) for w, n in zip(where, image.shape)], 0)
    check(d, "Learn2Reg field: hmorph - scipy", np.abs(found - map_coordinates(image, where, order=1))[inside], 1e-4)


def read_voxel_field(d):
    import nibabel

    data = nibabel.load("disp_0001_0002.nii.gz").get_fdata()
    return np.moveaxis(data.reshape(*data.shape[:d], d), -1, 0)


def formats(d):
    """Images that SimpleITK writes, and those of hmorph in SimpleITK."""
    fixed = cases(d)[0]
    np.savetxt("none.txt", np.eye(4), fmt="%g")
    for suffix, packed in itertools.product(["mha", "mhd", "nrrd", "nhdr"], [False, True]):
        sitk.WriteImage(fixed, f"theirs.{suffix}", packed)
        hmorph("apply", "-t", "none.txt", "-i", f"theirs.{suffix}", "-r", f"theirs.{suffix}", "-o", f"ours.{suffix}")
        back = sitk.ReadImage(f"ours.{suffix}")
        check(d, f".{suffix}{' compressed' if packed else ''}: values", difference(back, fixed), 0)
        geometry = [np.abs(np.array(a(back)) - np.array(a(fixed))).max() for a in (sitk.Image.GetOrigin, sitk.Image.GetSpacing, sitk.Image.GetDirection)]
        check(d, f".{suffix}{' compressed' if packed else ''}: origin, spacing, direction (mm)", geometry, 1e-9)


def main():
    print(f"SimpleITK {sitk.Version.VersionString()}, antspyx {ants.__version__}, picsl_greedy {version('picsl_greedy')}")
    for d in [3, 2]:
        for part in [theirs_in_hmorph, registered_by_ants, hmorphs_in_theirs, formats]:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                part(d)
                os.chdir("/")
    print(f"{len(FAILED)} above tolerance" if FAILED else "all within tolerance")
    return 1 if FAILED else 0


def version(package):
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    sys.exit(main())
