//! Parameters as one vector.

use gradus_tensor::{Tensor, fail, no_grad};

/// All elements of all parameters in one vector, through which gradients flow.
///
/// # Panics
/// If there is no parameter, or they differ in type.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parameters_to_vector.html>.
///
/// ```
/// use gradus_nn::{Linear, Module, utils::{parameters_to_vector, vector_to_parameters}};
/// let layer = Linear::new(3, 2);
/// let vector = parameters_to_vector(&layer.parameters());
/// assert_eq!(vector.shape(), [8]);
/// vector_to_parameters(&(vector.detach() * 0.0 + 1.0), &layer.parameters());
/// assert_eq!(layer.bias.as_ref().unwrap().to_vec::<f32>(), [1.0, 1.0]);
/// ```
#[track_caller]
pub fn parameters_to_vector(parameters: &[Tensor]) -> Tensor {
    let flat: Vec<Tensor> = parameters.iter().map(|p| p.reshape([-1])).collect();
    Tensor::cat(&flat.iter().collect::<Vec<_>>(), 0)
}

/// Copies the elements of `vector` into the parameters, in place.
///
/// # Panics
/// If it does not have as many elements as all parameters together.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.vector_to_parameters.html>.
#[track_caller]
pub fn vector_to_parameters(vector: &Tensor, parameters: &[Tensor]) {
    let total: usize = parameters.iter().map(Tensor::numel).sum();
    if vector.shape() != [total] {
        let message = format_args!("the parameters take a vector of {total} elements, not {}", vector.shape());
        fail("vector_to_parameters", message);
    }
    let mut from = 0;
    for p in parameters {
        no_grad(|| p.copy_(&vector.narrow(0, from, p.numel()).reshape(p.shape())));
        from += p.numel();
    }
}
