//! The derive macro for Gradus modules.

mod expand;
mod options;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `Module` for a struct or an enum by visiting its fields in order.
///
/// The name of a field is the name of what it holds: a parameter in field `weight` of field `conv1` is
/// `conv1.weight`, as in PyTorch. Fields of tuple structs are named by their index, and so are elements
/// of a `Vec` or an array; the `r#` of a raw identifier is dropped (`r#type` is `type`). A variant of an
/// enum adds no name of its own, and where it holds a single unnamed field that field adds none either,
/// so a choice between two kinds of block does not show in the names of their parameters.
///
/// Every field must be a `Module` itself, which `Param`, `Buffer`, layers, plain numbers, `bool`, `String`,
/// and `Option`, `Vec`, `Box`, arrays and tuples of modules are, or be left out.
///
/// The type may be generic over modules (`struct Twice<L> { layer: L }`); what has parameters must then be a
/// `Module`.
///
/// # Attributes
/// - `#[module(skip)]` on a field: leave it out.
/// - `#[module(rename = "name")]` on a field: the name under which it is visited.
/// - `#[module(crate = "path")]` on the type: where the traits are, if the dependency on `gradus` or
///   `gradus-nn` is not found by itself.
/// - `#[module(kind = "Self::KIND")]` on the type: a constant that names it where modules are listed, if
///   that is not the type's own name.
///
/// ```text
/// use gradus::prelude::*;
///
/// #[derive(Module)]
/// struct Block {
///     conv1: Conv2d,
///     bn1: BatchNorm2d,
///     downsample: Option<Sequential>,
///     #[module(skip)]
///     labels: std::collections::HashMap<String, f64>,
/// }
/// ```
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::module(&input).unwrap_or_else(|e| e.into_compile_error()).into()
}
