//! What of the standard library a module may hold.

use super::{Forward, Module, Visitor, VisitorMut, visit_field, visit_field_mut};
use gradus_tensor::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::marker::PhantomData;

macro_rules! nothing_inside {
    ($($t:ty),* $(,)?) => { $(
        impl Module for $t {
            fn visit(&self, _: &mut dyn Visitor) {}
            fn visit_mut(&mut self, _: &mut dyn VisitorMut) {}
        }
    )* };
}

nothing_inside!(bool, char, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, f32, f64);
nothing_inside!(String, &'static str, DType, Device);

impl<T: ?Sized + Send + Sync> Module for PhantomData<T> {
    fn visit(&self, _: &mut dyn Visitor) {}
    fn visit_mut(&mut self, _: &mut dyn VisitorMut) {}
}

/// Nothing, or the module under its own path.
impl<M: Module> Module for Option<M> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        if let Some(m) = self {
            m.visit(visitor);
        }
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        if let Some(m) = self {
            m.visit_mut(visitor);
        }
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        (**self).visit(visitor);
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        (**self).visit_mut(visitor);
    }
}

impl<M: Forward + ?Sized> Forward for Box<M> {
    fn forward(&self, x: &Tensor) -> Tensor {
        (**self).forward(x)
    }
}

macro_rules! by_index {
    ($(($($generics:tt)*) $t:ty),* $(,)?) => { $(
        /// Modules named by their index.
        impl<$($generics)*> Module for $t {
            fn visit(&self, visitor: &mut dyn Visitor) {
                for (i, m) in self.iter().enumerate() {
                    visit_field(visitor, &i.to_string(), m);
                }
            }
            fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
                for (i, m) in self.iter_mut().enumerate() {
                    visit_field_mut(visitor, &i.to_string(), m);
                }
            }
        }
    )* };
}

by_index!((M: Module) Vec<M>, (M: Module, const N: usize) [M; N]);

/// Modules named by their key.
impl<M: Module> Module for BTreeMap<String, M> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        for (name, m) in self {
            visit_field(visitor, name, m);
        }
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        for (name, m) in self {
            visit_field_mut(visitor, name, m);
        }
    }
}

macro_rules! tuples {
    ($(($($m:ident $i:tt),*))*) => { $(
        /// Modules named by their index.
        impl<$($m: Module),*> Module for ($($m,)*) {
            fn visit(&self, visitor: &mut dyn Visitor) {
                $(visit_field(visitor, stringify!($i), &self.$i);)*
            }
            fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
                $(visit_field_mut(visitor, stringify!($i), &mut self.$i);)*
            }
        }
    )* };
}

tuples! { (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) }
