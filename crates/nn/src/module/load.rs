//! Loading a state dict: all of it, or nothing.

use crate::StateDict;
use gradus_tensor::{DType, Shape, Tensor, no_grad};
use std::collections::HashSet;
use std::fmt;

/// An entry of another shape than the module's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its path.
    pub name: String,
    /// The module's shape.
    pub expected: Shape,
    /// The entry's shape.
    pub found: Shape,
}

/// An entry whose elements cannot stand for the module's: floats for integers or the reverse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistyped {
    /// Its path.
    pub name: String,
    /// The module's type of elements.
    pub expected: DType,
    /// The entry's type of elements.
    pub found: DType,
}

/// Why a state dict does not fit a module: every entry that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadError {
    /// What the module has and the state dict lacks.
    pub missing: Vec<String>,
    /// What the state dict has and the module lacks.
    pub unexpected: Vec<String>,
    /// Entries of another shape.
    pub misshapen: Vec<Misshapen>,
    /// Entries of another kind of elements.
    pub mistyped: Vec<Mistyped>,
}

impl LoadError {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty() && self.mistyped.is_empty()
    }
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state dict does not fit the module; nothing was loaded")?;
        for name in &self.missing {
            write!(f, "\n  missing: {name}")?;
        }
        for name in &self.unexpected {
            write!(f, "\n  unexpected: {name}")?;
        }
        for m in &self.misshapen {
            write!(f, "\n  shape of {}: expected {}, found {}", m.name, m.expected, m.found)?;
        }
        for m in &self.mistyped {
            write!(f, "\n  type of {}: expected {}, found {}", m.name, m.expected, m.found)?;
        }
        Ok(())
    }
}

/// What is to be copied where, and what stands against it.
pub(super) struct Plan<'a> {
    state: &'a StateDict,
    copies: Vec<(Tensor, &'a Tensor)>,
    used: HashSet<String>,
    error: LoadError,
}

impl<'a> Plan<'a> {
    pub fn new(state: &'a StateDict) -> Plan<'a> {
        Plan { state, copies: Vec::new(), used: HashSet::new(), error: LoadError::default() }
    }

    /// The tensor `to` is to be loaded from the entry `path`.
    pub fn add(&mut self, path: &str, to: &Tensor, required: bool) {
        let name = || path.to_string();
        let Some(from) = self.state.get(path) else {
            if required {
                self.error.missing.push(name());
            }
            return;
        };
        self.used.insert(name());
        if from.shape() != to.shape() {
            self.error.misshapen.push(Misshapen { name: name(), expected: to.shape(), found: from.shape() });
        }
        if kind(from.dtype()) != kind(to.dtype()) {
            self.error.mistyped.push(Mistyped { name: name(), expected: to.dtype(), found: from.dtype() });
        }
        self.copies.push((to.clone(), from));
    }

    pub fn carry_out(mut self) -> Result<(), LoadError> {
        let unused = self.state.names().filter(|n| !self.used.contains(*n));
        self.error.unexpected = unused.map(str::to_string).collect();
        if !self.error.is_empty() {
            return Err(self.error);
        }
        no_grad(|| self.copies.iter().for_each(|(to, from)| to.copy_(from)));
        Ok(())
    }
}

/// Types within one kind are converted into each other on loading.
fn kind(dtype: DType) -> u8 {
    match dtype {
        DType::Bool => 0,
        d if d.is_float() => 1,
        _ => 2,
    }
}
