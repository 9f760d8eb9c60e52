//! What an optimiser remembers of each parameter.

use crate::module::Misshapen;
use crate::module::Mistyped;
use crate::{LoadError, StateDict};
use gradus_tensor::{DType, Tensor};
use std::collections::HashSet;

/// A number of steps and `N` tensors of the parameter's shape for each parameter that was stepped.
pub(super) struct Memory<const N: usize> {
    names: [&'static str; N],
    entries: Vec<Option<Entry<N>>>,
}

pub(super) struct Entry<const N: usize> {
    /// Steps of this parameter so far.
    pub steps: u64,
    pub tensors: [Tensor; N],
}

impl<const N: usize> Memory<N> {
    pub fn new(names: [&'static str; N], params: usize) -> Memory<N> {
        Memory { names, entries: (0..params).map(|_| None).collect() }
    }

    /// The entry of parameter `i`: zeros at first.
    pub fn entry(&mut self, i: usize, param: &Tensor) -> &mut Entry<N> {
        let zeros = || std::array::from_fn(|_| param.detach().zeros_like());
        self.entries[i].get_or_insert_with(|| Entry { steps: 0, tensors: zeros() })
    }

    pub fn state_dict(&self, lr: f64) -> StateDict {
        let mut state = StateDict::new();
        state.insert("lr", Tensor::full_of((), lr, DType::F64));
        for (i, e) in self.entries.iter().enumerate() {
            let Some(e) = e else { continue };
            state.insert(format!("{i}.step"), Tensor::from_slice(&[e.steps as i64], ()));
            for (name, t) in self.names.iter().zip(&e.tensors) {
                state.insert(format!("{i}.{name}"), t.clone());
            }
        }
        state
    }

    /// Replaces everything by `state` and returns the learning rate in it.
    pub fn load(&mut self, state: &StateDict, params: &[Tensor]) -> Result<f64, LoadError> {
        let (mut error, mut used) = (LoadError::default(), HashSet::new());
        let mut find = |name: String, like: &Tensor| {
            let found = state.get(&name).cloned();
            match &found {
                None => error.missing.push(name.clone()),
                Some(t) if t.shape() != like.shape() => {
                    error.misshapen.push(Misshapen { name: name.clone(), expected: like.shape(), found: t.shape() });
                }
                Some(t) if t.dtype().is_float() != like.dtype().is_float() => {
                    error.mistyped.push(Mistyped { name: name.clone(), expected: like.dtype(), found: t.dtype() });
                }
                _ => (),
            }
            used.insert(name);
            found.filter(|t| t.shape() == like.shape())
        };
        let lr = find("lr".into(), &Tensor::full_of((), 0.0, DType::F64)).map(|t| t.item_f64());
        let count = Tensor::full_of((), 0.0, DType::I64);
        let mut entries = Vec::with_capacity(params.len());
        for (i, p) in params.iter().enumerate() {
            let began =
                state.contains(&format!("{i}.step")) || self.names.iter().any(|n| state.contains(&format!("{i}.{n}")));
            if !began {
                entries.push(None);
                continue;
            }
            let steps = find(format!("{i}.step"), &count);
            let tensors = self.names.map(|name| find(format!("{i}.{name}"), p));
            // A wrong entry leaves a gap here, and then the whole is dropped below.
            entries
                .push(steps.and_then(|s| own(tensors, p).map(|tensors| Entry { steps: s.item_i64() as u64, tensors })));
        }
        error.unexpected = state.names().filter(|n| !used.contains(*n)).map(str::to_string).collect();
        match lr {
            Some(lr) if error == LoadError::default() => {
                self.entries = entries;
                Ok(lr)
            }
            _ => Err(error),
        }
    }
}

/// Copies of the tensors in the parameter's type, if all are there.
fn own<const N: usize>(tensors: [Option<Tensor>; N], param: &Tensor) -> Option<[Tensor; N]> {
    if tensors.iter().any(Option::is_none) {
        return None;
    }
    Some(tensors.map(|t| {
        let copy = param.detach().zeros_like();
        copy.copy_(&t.expect("checked above"));
        copy
    }))
}
