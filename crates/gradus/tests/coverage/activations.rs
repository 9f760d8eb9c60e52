//! Group B: activations.

rows! {
    B1 "Sigmoid and its derivative" [gradus::nn::Sigmoid] ["crates/nn/tests/goldens.rs::layers_agree_with_pytorch"];
}
