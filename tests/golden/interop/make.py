"""Small random networks as VoxelMorph stores them, and what they predict.

usage: python make.py VOXELMORPH      (h5py, numpy, torch; writes beside this file)

VOXELMORPH is a folder with voxelmorph 0.2 (pip download --no-deps voxelmorph==0.2, unzipped). The .pt files are written, and
their output is computed, by its PyTorch code; vxm_strided_2d by the network of CVPR 2018 as its paper describes it. The .h5
files have the groups, names and attributes that Keras 2.11 writes for its TensorFlow code (compared with published files),
and their output is computed with PyTorch operations after TensorFlow's rules: samples outside clamp to the edge, also during
integration. Everything is random; weights are larger than those of trained networks, so that displacements reach voxels.
"""

import importlib
import inspect
import json
import os
import struct
import sys
import types

import h5py
import numpy as np
import torch
import torch.nn.functional as F

inspect.getargspec = lambda function: inspect.getfullargspec(function)[:4]
FOLDER = os.path.dirname(os.path.abspath(__file__))


def voxelmorph_networks(folder):
    """voxelmorph.torch.networks without the imports of the package that need TensorFlow or neurite."""
    for name, below in (("voxelmorph", "voxelmorph"), ("voxelmorph.torch", "voxelmorph/torch")):
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(folder, below)]
        sys.modules[name] = package
    sys.modules["voxelmorph"].default_unet_features = lambda: [[16, 32, 32, 32], [32, 32, 32, 32, 32, 16, 16]]
    return importlib.import_module("voxelmorph.torch.networks")


def write(name, tensors):
    """A safetensors file of float32 arrays."""
    header, data = {}, b""
    for key, value in tensors.items():
        content = np.ascontiguousarray(value, "<f4").tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def images(shape):
    """Two smooth random images in [0, 1]."""
    coarse = torch.rand(2, 1, *[n // 4 for n in shape])
    fine = F.interpolate(coarse, size=shape, mode="bilinear" if len(shape) == 2 else "trilinear", align_corners=True)
    return fine[:1], fine[1:]


def randomise(network):
    """Weights of He's size with random biases; a flow of a few voxels."""
    for name, value in network.named_parameters():
        fan_in = value[0].numel() if value.ndim > 1 else 1
        scale = 0.1 if value.ndim == 1 else (2 / fan_in) ** 0.5
        value.data = torch.randn(value.shape) * scale * (3 if name.startswith("flow") else 1)


def save_prediction(name, source, target, displacement, moved):
    """source is the moving image, target the fixed one."""
    displaced = displacement.abs().max().item()
    assert displaced > 1, f"{name}: displacements of {displaced} voxels test nothing"
    tensors = {"moving": source, "fixed": target, "displacement": displacement, "moved": moved}
    write(f"{name}.safetensors", {key: value.detach().numpy() for key, value in tensors.items()})


def pytorch(networks):
    source, target = images((16, 24))
    network = networks.VxmDense((16, 24), [[4, 6], [6, 5, 5, 4]], int_steps=5, int_downsize=2)
    randomise(network)
    network.save(os.path.join(FOLDER, "vxm_2d.pt"))
    moved, displacement = network(source, target, registration=True)
    save_prediction("vxm_2d", source, target, displacement, moved)

    source, target = images((8, 12, 8))
    network = networks.VxmDense((8, 12, 8), [[3], [4, 3]], int_steps=0)
    randomise(network)
    torch.save(network.state_dict(), os.path.join(FOLDER, "vxm_3d_state.pt"))
    moved, displacement = network(source, target, registration=True)
    save_prediction("vxm_3d_state", source, target, displacement, moved)


class Block(torch.nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.main = torch.nn.Conv2d(inputs, outputs, 3, stride, 1)

    def forward(self, x):
        return F.leaky_relu(self.main(x), 0.2)


class StridedCore(torch.nn.Module):
    """Two levels of the U-Net of CVPR 2018: stride 2 in the encoder, one more convolution at half resolution."""

    def __init__(self):
        super().__init__()
        self.enc = torch.nn.ModuleList([Block(2, 4, 2), Block(4, 6, 2)])
        self.dec = torch.nn.ModuleList([Block(6, 5), Block(5 + 4, 5), Block(5, 4), Block(4 + 2, 4)])
        self.vm2_conv = Block(4, 3)

    def forward(self, x):
        up = lambda y: F.interpolate(y, scale_factor=2, mode="nearest")
        half = self.enc[0](x)
        y = up(self.dec[0](self.enc[1](half)))
        y = self.dec[2](self.dec[1](torch.cat([y, half], 1)))
        return self.vm2_conv(self.dec[3](torch.cat([up(y), x], 1)))


class Strided(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.unet_model = StridedCore()
        self.flow = torch.nn.Conv2d(3, 2, 3, 1, 1)
        self.spatial_transform = torch.nn.Module()
        self.spatial_transform.register_buffer("grid", torch.zeros(1, 2, 16, 24))

    def forward(self, source, target):
        return self.flow(self.unet_model(torch.cat([source, target], 1)))


def strided():
    source, target = images((16, 24))
    network = Strided()
    randomise(network)
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, os.path.join(FOLDER, "vxm_strided_2d.pt"))
    displacement = network(source, target)
    save_prediction("vxm_strided_2d", source, target, displacement, warp(source, displacement, "zeros"))


def warp(image, displacement, padding):
    shape = image.shape[2:]
    axes = torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij")
    places = torch.stack(axes)[None] + displacement
    scaled = [2 * places[:, c] / (n - 1) - 1 for c, n in enumerate(shape)]
    grid = torch.stack(scaled[::-1], -1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode=padding, align_corners=True)


def keras_layers(prefix, encoder, decoder, axes, skipped=0):
    """Names and channels [in, out] of VxmDense's convolutions, in the order of the data flow."""
    levels, channels, layers = len(encoder), 2, []
    for level, features in enumerate(encoder):
        layers.append((f"{prefix}_unet_enc_conv_{level}_0", channels, features))
        channels = features
    for n, features in enumerate(decoder[:levels]):
        layers.append((f"{prefix}_unet_dec_conv_{levels - 1 - n}_0", channels, features))
        channels = features + (encoder[levels - 1 - n] if n < levels - skipped else 0)
    for n, features in enumerate(decoder[levels:]):
        layers.append((f"{prefix}_unet_dec_final_conv_{n}", channels, features))
        channels = features
    return layers + [(f"{prefix}_flow", channels, axes)]


def keras_predict(weights, source, target, skipped=0):
    """The field before integration, by a plain walk over the layers."""
    axes = source.ndim - 2
    convolve = getattr(F, f"conv{axes}d")
    pool = getattr(F, f"max_pool{axes}d")
    order = [axes + 1, axes] + list(range(axes))
    x, skips = torch.cat([source, target], 1), []
    for name, kernel, bias in weights:
        x = convolve(x, torch.from_numpy(kernel).permute(order), torch.from_numpy(bias), padding=1)
        if name.endswith("_flow"):
            return x
        x = F.leaky_relu(x, 0.2)
        if "_enc_" in name:
            skips.append(x)
            x = pool(x, 2)
        elif "_dec_conv_" in name and len(skips) > skipped:
            x = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skips.pop()], 1)


def resized(field, factor):
    mode = "bilinear" if field.ndim == 4 else "trilinear"
    return F.interpolate(field, scale_factor=factor, mode=mode, align_corners=True) * factor


def keras_file(path, weights, others, settings):
    """settings: the configuration of a whole model, or None for a file of weights alone."""
    with h5py.File(path, "w") as file:
        layers = file
        if settings is not None:
            file.attrs["model_config"] = json.dumps({"class_name": "VxmDense", "config": settings})
            layers = file.create_group("model_weights")
            file.create_group("optimizer_weights").create_dataset("iter:0", data=np.int64(3))
        for place in [file] if settings is None else [file, layers]:
            place.attrs["keras_version"], place.attrs["backend"] = "2.11.0", "tensorflow"
        layers.attrs["layer_names"] = [name for name, *_ in weights] + others
        for name in others:
            layers.create_group(name).attrs["weight_names"] = np.zeros(0)
        for name, kernel, bias in weights:
            group = layers.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
            group.create_dataset(f"{name}/kernel:0", data=kernel)
            group.create_dataset(f"{name}/bias:0", data=bias)


def keras_weights(prefix, encoder, decoder, axes, skipped=0):
    weights = []
    for name, inputs, outputs in keras_layers(prefix, encoder, decoder, axes, skipped):
        scale = (2 / (inputs * 3**axes)) ** 0.5 * (3 if name.endswith("_flow") else 1)
        kernel = (np.random.randn(*[3] * axes, inputs, outputs) * scale).astype("f4")
        weights.append((name, kernel, (np.random.randn(outputs) * 0.1).astype("f4")))
    return weights


def keras():
    # A whole model with integration, saved by VxmDense.save.
    source, target = images((16, 24))
    weights = keras_weights("vxm_dense", [4, 6], [6, 5, 5, 4], 2)
    others = ["vxm_dense_flow_resize", "vxm_dense_flow_int", "vxm_dense_diffflow", "vxm_dense_transformer"]
    settings = {"inshape": [16, 24], "int_steps": 5, "int_resolution": 2, "int_downsize": None, "fill_value": None}
    keras_file(os.path.join(FOLDER, "keras_2d_velocity.h5"), weights, others, settings)
    field = resized(keras_predict(weights, source, target), 0.5) / 2**5
    for _ in range(5):
        field = field + warp(field, field, "border")
    displacement = resized(field, 2)
    save_prediction("keras_2d_velocity", source, target, displacement, warp(source, displacement, "border"))

    # Weights alone, without integration, with the prefix of an early version.
    source, target = images((8, 12, 8))
    weights = keras_weights("model", [3, 4], [4, 3, 3], 3)
    keras_file(os.path.join(FOLDER, "keras_3d.h5"), weights, ["model_transformer", "source_input"], None)
    displacement = keras_predict(weights, source, target)
    save_prediction("keras_3d", source, target, displacement, warp(source, displacement, "border"))

    # Weights alone of a network that leaves out its last upsampling (svf_resolution 2, as SynthMorph's), 7 squarings.
    source, target = images((16, 24))
    weights = keras_weights("vxm_dense", [2, 3], [3, 2, 2], 2, skipped=1)
    name, kernel, bias = weights[-1]
    weights[-1] = name, 5 * kernel, bias
    others = ["vxm_dense_flow_int", "vxm_dense_diffflow", "vxm_dense_transformer"]
    keras_file(os.path.join(FOLDER, "keras_2d_half.h5"), weights, others, None)
    field = keras_predict(weights, source, target, skipped=1) / 2**7
    for _ in range(7):
        field = field + warp(field, field, "border")
    displacement = resized(field, 2)
    save_prediction("keras_2d_half", source, target, displacement, warp(source, displacement, "border"))


if __name__ == "__main__":
    torch.manual_seed(5)
    np.random.seed(5)
    pytorch(voxelmorph_networks(sys.argv[1]))
    strided()
    keras()
