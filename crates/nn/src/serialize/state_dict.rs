//! Named tensors in order.

use gradus_tensor::Tensor;
use std::collections::HashMap;

/// Parameters and buffers by name, in the order they were put in.
///
/// ```
/// use gradus_nn::serialize::StateDict;
/// use gradus_tensor::Tensor;
/// let mut state = StateDict::new();
/// state.insert("fc.weight", Tensor::zeros([2, 3]));
/// state.insert("fc.bias", Tensor::zeros([2]));
/// assert_eq!(state.names().collect::<Vec<_>>(), ["fc.weight", "fc.bias"]);
/// assert_eq!(state.get("fc.bias").unwrap().shape(), [2]);
/// ```
#[derive(Clone, Default)]
pub struct StateDict {
    entries: Vec<(String, Tensor)>,
    places: HashMap<String, usize>,
}

impl StateDict {
    /// An empty one.
    pub fn new() -> StateDict {
        StateDict::default()
    }

    /// Puts a tensor in; one of the same name is replaced where it stands and returned.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        let name = name.into();
        match self.places.get(&name) {
            Some(&i) => Some(std::mem::replace(&mut self.entries[i].1, tensor)),
            None => {
                self.places.insert(name.clone(), self.entries.len());
                self.entries.push((name, tensor));
                None
            }
        }
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.places.get(name).map(|&i| &self.entries[i].1)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        let i = self.places.remove(name)?;
        let (_, tensor) = self.entries.remove(i);
        for place in self.places.values_mut().filter(|p| **p > i) {
            *place -= 1;
        }
        Some(tensor)
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(n, _)| n.as_str())
    }

    /// Names and tensors in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(n, t)| (n.as_str(), t))
    }
}

impl<N: Into<String>> FromIterator<(N, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (N, Tensor)>>(items: I) -> StateDict {
        let mut s = StateDict::new();
        for (name, tensor) in items {
            s.insert(name, tensor);
        }
        s
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// Lists names, types and shapes, not elements.
impl std::fmt::Debug for StateDict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.iter().map(|(n, t)| (n, format!("{} {}", t.dtype(), t.shape())));
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_replacing_and_removing() {
        let mut s: StateDict = ["a", "b", "c"].map(|n| (n, Tensor::zeros([1]))).into_iter().collect();
        assert!(s.insert("b", Tensor::ones([2])).is_some());
        assert!(s.remove("a").is_some() && s.remove("a").is_none());
        assert_eq!(s.names().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(s.get("b").unwrap().shape(), [2]);
        assert_eq!(s.get("c").unwrap().shape(), [1]);
        assert!(s.contains("c") && !s.contains("a") && s.len() == 2);
        assert_eq!(format!("{s:?}"), r#"{"b": "f32 [2]", "c": "f32 [1]"}"#);
    }
}
