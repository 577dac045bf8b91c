"""Local NCC values and gradients in float64, beside the float32 ones of losses_*.safetensors and losses2_*.safetensors.

usage: python ncc_float64.py      (torch, safetensors; run in this folder; writes ncc_float64_{2d,3d}.safetensors)

In 3-D the float32 references differ from these by up to 5e-4 of the largest gradient and 1.4e-5 of the value: windows of little variance
amplify the rounding of sums of squares. The tests hold hmorph to both.
"""

import torch
from safetensors.torch import load_file, save_file

EPS = 1e-5


def gradients(fixed, pred, window, dimensions):
    """d(-mean cc)/d pred of the plain (PyTorch) and the clamped (TensorFlow) form of VoxelMorph."""
    conv = getattr(torch.nn.functional, f"conv{dimensions}d")
    ones = torch.ones([1, 1] + [window] * dimensions, dtype=torch.float64)
    found = {}
    for form in ("ncc", "ncc_clamped"):
        moved = pred.double().clone().requires_grad_()
        total = lambda x: conv(x, ones, padding=window // 2)
        n = window**dimensions
        f, m = total(fixed.double()), total(moved)
        cross = total(fixed.double() * moved) - f * m / n
        var_f = total(fixed.double() ** 2) - f * f / n
        var_m = total(moved * moved) - m * m / n
        if form == "ncc":
            cc = cross * cross / (var_f * var_m + EPS)
        else:
            cross, var_f, var_m = (x.clamp(min=EPS) for x in (cross, var_f, var_m))
            cc = (cross / var_f) * (cross / var_m)
        (-cc.mean()).backward()
        found[f"{form}_win{window}"] = moved.grad.float(), -cc.mean().detach().float()
    return found


for dimensions in (2, 3):
    out = {}
    for file, form in ((f"losses_{dimensions}d", "ncc"), (f"losses2_{dimensions}d", "ncc_clamped")):
        data = load_file(f"{file}.safetensors")
        for window in (5, 9):
            name = f"{form}_win{window}"
            items = [
                gradients(f[None], p[None], window, dimensions)[name]
                for f, p in zip(data["true"], data["pred"])
            ]
            out[f"{name}_grad_pred"] = torch.cat([grad for grad, _ in items]) / len(items)
            out[name] = torch.stack([value for _, value in items]).mean()
    save_file(out, f"ncc_float64_{dimensions}d.safetensors")
