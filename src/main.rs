fn main() {
    println!("{}", burn::tensor::Device::flex().is_autodiff());
}
