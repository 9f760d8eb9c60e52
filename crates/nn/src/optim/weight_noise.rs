//! Gaussian noise on weights for one step.

use gradus_tensor::{Tensor, fail, no_grad};

/// Normal noise on parameters, for as long as this value lives: the gradient is taken at the noisy weights, the
/// step is made from the true ones.
///
/// Put it on before the forward pass and take it off after the backward pass, before the optimiser's step: a change
/// in between would be noticed by the backward pass, which panics then.
///
/// Source: Graves, 2011, <https://papers.nips.cc/paper/4329-practical-variational-inference-for-neural-networks>.
///
/// ```
/// use gradus_nn::optim::{Optimizer, Sgd, WeightNoise};
/// use gradus_nn::{Forward, Linear, Module};
/// use gradus_tensor::Tensor;
/// let model = Linear::new(4, 2);
/// let mut optimizer = Sgd::new(model.parameters(), 0.1);
/// let before = model.weight.to_vec::<f32>();
/// let noise = WeightNoise::new(&model.parameters(), 0.05);
/// assert_ne!(model.weight.to_vec::<f32>(), before);
/// model.forward(&Tensor::ones([3, 4])).square().mean().backward();
/// noise.remove();
/// assert_eq!(model.weight.to_vec::<f32>(), before);
/// optimizer.step();
/// ```
#[must_use = "the noise is taken off when this value is dropped"]
pub struct WeightNoise {
    /// Parameters and their true elements.
    params: Vec<(Tensor, Tensor)>,
}

impl WeightNoise {
    /// Adds noise of mean 0 and standard deviation `std` to each parameter, frozen ones excepted.
    ///
    /// # Panics
    /// If `std` is negative or not finite.
    #[track_caller]
    pub fn new(parameters: &[Tensor], std: f64) -> WeightNoise {
        if !(std >= 0.0 && std.is_finite()) {
            fail("WeightNoise", format_args!("{std} is not a standard deviation"));
        }
        let noisy = |p: &Tensor| {
            let truth = Tensor::zeros_like(p);
            truth.copy_(p);
            p.add_(&p.randn_like(), std);
            (p.clone(), truth)
        };
        WeightNoise { params: no_grad(|| parameters.iter().filter(|p| p.requires_grad()).map(noisy).collect()) }
    }

    /// Takes the noise off: every parameter has exactly the elements it had.
    pub fn remove(self) {}
}

impl Drop for WeightNoise {
    fn drop(&mut self) {
        no_grad(|| self.params.iter().for_each(|(p, truth)| p.copy_(truth)));
    }
}
