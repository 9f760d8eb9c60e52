//! The block of the later Inception nets: branches of convolutions and a pool, side by side.

use crate::common::{BasicConv2d, scaled};
use crate::window::Pool;
use gradus_nn::module::{Visitor, VisitorMut, visit_field, visit_field_mut};
use gradus_nn::{AvgPool2d, Conv2d, Forward, MaxPool2d, Module};
use gradus_tensor::Tensor;

/// A convolution of a branch: its name, output channels, kernel and stride. Kernels of stride 1 keep the size.
pub(crate) type Step = (&'static str, usize, [usize; 2], usize);

/// The steps of one branch, one after another; a branch may end in two steps side by side.
pub(crate) struct Plan {
    pub chain: Vec<Step>,
    pub fork: Option<[Step; 2]>,
}

pub(crate) fn chain(steps: &[Step]) -> Plan {
    Plan { chain: steps.to_vec(), fork: None }
}

pub(crate) fn same(name: &'static str, to: usize, kernel: [usize; 2]) -> Step {
    (name, to, kernel, 1)
}

/// What a block pools: means or maxima at stride 1, projected to so many channels, or maxima at stride 2.
#[derive(Clone, Copy)]
pub(crate) enum Pooled {
    Mean(usize),
    MaxKept(usize),
    Max,
}

/// A branch: convolutions one after another, at the end perhaps two side by side.
struct Branch {
    chain: Vec<(&'static str, BasicConv2d)>,
    fork: Option<[(&'static str, BasicConv2d); 2]>,
}

/// Branches and a pool side by side, joined along the channels.
pub(crate) struct Mixed {
    branches: Vec<Branch>,
    projection: Option<BasicConv2d>,
    pool: Box<dyn Forward>,
    pub out_channels: usize,
}

fn step((name, to, kernel, stride): Step, from: usize, by: f64, strided: usize) -> (&'static str, BasicConv2d) {
    let padding = if stride == 1 { kernel.map(|k| k / 2) } else { [strided, strided] };
    let conv = Conv2d::new(from, scaled(to, by), kernel).stride(stride).padding(padding);
    (name, BasicConv2d::around(conv))
}

impl Mixed {
    /// On `from` channels; published numbers of channels are multiplied by `by`, and what has a stride of 2 pads by
    /// `padding`.
    pub fn new(from: usize, plans: Vec<Plan>, pooled: Pooled, by: f64, padding: usize) -> Mixed {
        let mut out_channels = 0;
        let mut branches = Vec::new();
        for plan in plans {
            let mut width = from;
            let mut chain = Vec::new();
            for one in plan.chain {
                chain.push(step(one, width, by, padding));
                width = scaled(one.1, by);
            }
            let fork = plan.fork.map(|two| two.map(|one| step(one, width, by, padding)));
            out_channels += if fork.is_some() { 2 * width } else { width };
            branches.push(Branch { chain, fork });
        }
        let projection = match pooled {
            Pooled::Mean(to) | Pooled::MaxKept(to) => Some(BasicConv2d::around(Conv2d::new(from, scaled(to, by), 1))),
            Pooled::Max => None,
        };
        out_channels += match pooled {
            Pooled::Mean(to) | Pooled::MaxKept(to) => scaled(to, by),
            Pooled::Max => from,
        };
        let pool: Box<dyn Forward> = match pooled {
            Pooled::Mean(_) => Box::new(Pool(AvgPool2d::new(3).stride(1).padding(1))),
            Pooled::MaxKept(_) => Box::new(Pool(MaxPool2d::new(3).stride(1).padding(1))),
            Pooled::Max => Box::new(Pool(MaxPool2d::new(3).stride(2).padding(padding))),
        };
        Mixed { branches, projection, pool, out_channels }
    }
}

impl Module for Mixed {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.layer("Mixed");
        for branch in &self.branches {
            let last = branch.fork.iter().flatten();
            branch.chain.iter().chain(last).for_each(|(name, conv)| visit_field(visitor, name, conv));
        }
        visit_field(visitor, "pool", &self.pool);
        self.projection.iter().for_each(|conv| visit_field(visitor, "branch_pool", conv));
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        for branch in &mut self.branches {
            let last = branch.fork.iter_mut().flatten();
            branch.chain.iter_mut().chain(last).for_each(|(name, conv)| visit_field_mut(visitor, name, conv));
        }
        visit_field_mut(visitor, "pool", &mut self.pool);
        self.projection.iter_mut().for_each(|conv| visit_field_mut(visitor, "branch_pool", conv));
    }
}

impl Forward for Mixed {
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut outputs = Vec::new();
        for branch in &self.branches {
            let y = branch.chain.iter().fold(x.clone(), |x, (_, conv)| conv.forward(&x));
            match &branch.fork {
                Some(two) => outputs.extend(two.iter().map(|(_, conv)| conv.forward(&y))),
                None => outputs.push(y),
            }
        }
        let pooled = self.pool.forward(x);
        outputs.push(self.projection.as_ref().map_or_else(|| pooled.clone(), |conv| conv.forward(&pooled)));
        Tensor::cat(&outputs.iter().collect::<Vec<_>>(), 1) // (N, C_i, H', W') each -> (N, sum C_i, H', W')
    }
}
