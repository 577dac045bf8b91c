//! Loss terms against VoxelMorph's own PyTorch code: values and gradients.

use burn::tensor::{Device, Tensor};
use hmorph::loss::{Bending, Diffusion, Mse, Ncc, NccForm, Norm, soft_dice};

use crate::golden::{Golden, assert_close, relative_distance, values};

/// One value per item, averaged, against `name`; the gradient for `input` against `name` + `suffix`.
fn check(
    golden: &Golden,
    name: &str,
    input: &str,
    suffix: &str,
    loss: impl Fn(Tensor<5>) -> Tensor<1>,
) {
    let device = Device::flex().autodiff();
    let x = golden.tensor(input, &device).require_grad();
    let value = loss(x.clone()).mean();
    let found = value.clone().into_scalar::<f32>();
    assert_close(name, &[found], &[golden.scalar(name)], 1e-5);
    let grad = x.grad(&value.backward()).unwrap();
    let name = format!("{name}{suffix}");
    assert_close(&name, &values(grad), golden.values(&name), 1e-4);
}

/// Local NCC as in [`check`], against float64, and against the float32 reference with that reference's own distance to
/// float64 added to the tolerance (see `golden/ncc_float64.py`).
fn check_ncc(golden: &Golden, exact: &Golden, name: &str, loss: impl Fn(Tensor<5>) -> Tensor<1>) {
    let device = Device::flex().autodiff();
    let pred = golden.tensor("pred", &device).require_grad();
    let value = loss(pred.clone()).mean();
    let found = value.clone().into_scalar::<f32>();
    let grad = values(pred.grad(&value.backward()).unwrap());
    let grad_name = format!("{name}_grad_pred");
    for (name, found, tolerance) in [(name, &[found][..], 1e-5), (&grad_name, &grad, 1e-4)] {
        let (truth, reference) = (exact.values(name), golden.values(name));
        assert_close(&format!("{name}, float64"), found, truth, tolerance);
        let distance = relative_distance(reference, truth);
        assert_close(name, found, reference, tolerance + distance);
    }
}

fn ncc(window: usize, form: NccForm, fixed: Tensor<5>) -> impl Fn(Tensor<5>) -> Tensor<1> {
    let ncc = Ncc {
        window,
        form,
        ..Default::default()
    };
    move |moved| ncc.map(&fixed, &moved).mean().neg()
}

#[test]
fn voxelmorph_losses() {
    let device = Device::flex();
    for dimension in ["2d", "3d"] {
        let golden = Golden::open(&format!("losses_{dimension}"));
        let exact = Golden::open(&format!("ncc_float64_{dimension}"));
        let fixed = golden.tensor("true", &device);
        for window in [5, 9] {
            let name = format!("ncc_win{window}");
            let loss = ncc(window, NccForm::Plain, fixed.clone());
            check_ncc(&golden, &exact, &name, loss);
        }
        check(&golden, "mse", "pred", "_grad_pred", |moved| {
            Mse::default().between(&fixed, &moved)
        });
        let onehot = golden.tensor("onehot_true", &device);
        check(&golden, "dice", "onehot_pred", "_grad_pred", |moved| {
            soft_dice(&onehot, &moved).mean().neg()
        });
        for norm in [Norm::L1, Norm::L2] {
            let diffusion = Diffusion {
                norm,
                ..Default::default()
            };
            let name = match norm {
                Norm::L1 => "diffusion_l1",
                Norm::L2 => "diffusion_l2",
            };
            check(&golden, name, "field", "_grad", |field| {
                diffusion.of(&field)
            });
        }
    }
}

#[test]
fn clamped_ncc_and_bending() {
    let device = Device::flex();
    for dimension in ["2d", "3d"] {
        let golden = Golden::open(&format!("losses2_{dimension}"));
        let exact = Golden::open(&format!("ncc_float64_{dimension}"));
        let fixed = golden.tensor("true", &device);
        for window in [5, 9] {
            let name = format!("ncc_clamped_win{window}");
            let loss = ncc(window, NccForm::Clamped, fixed.clone());
            check_ncc(&golden, &exact, &name, loss);
        }
        check(&golden, "bending", "field", "_grad", |field| {
            Bending::of(&field)
        });
    }
}
