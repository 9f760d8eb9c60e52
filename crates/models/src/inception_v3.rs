//! Inception v3: factorised convolutions.

use crate::ModelConfig;
use crate::common::{
    BasicConv2d, Begin, Needs, begin, check_dropout, check_factor, check_transform, scaled, transformed,
};
use crate::extra::{Extra, Taught};
use crate::mixed::{Mixed, Plan, Pooled, chain, same};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::module::{Visitor, VisitorMut, visit_field, visit_field_mut};
use gradus_nn::{AvgPool2d, Conv2d, Dropout, Forward, Linear, MaxPool2d, Module, Scope, init};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`InceptionV3`]; arguments and defaults are torchvision's where it has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InceptionV3Config {
    /// Whether there is an auxiliary classifier.
    pub aux_logits: bool,
    /// Whether pictures normalised for torchvision's other nets are turned into those of the original weights.
    pub transform_input: bool,
    /// Part of the features dropped while training.
    pub dropout: f64,
    /// Factor of all published numbers of channels.
    pub width_mult: f64,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

impl Default for InceptionV3Config {
    fn default() -> Self {
        InceptionV3Config {
            aux_logits: true,
            transform_input: false,
            dropout: 0.5,
            width_mult: 1.0,
            in_channels: 3,
            num_classes: 1000,
        }
    }
}

/// The blocks in order: name, branches, pool.
fn blocks() -> Vec<(&'static str, Vec<Plan>, Pooled)> {
    let mut all = Vec::new();
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        let branches = vec![
            chain(&[same("branch1x1", 64, [1, 1])]),
            chain(&[same("branch5x5_1", 48, [1, 1]), same("branch5x5_2", 64, [5, 5])]),
            chain(&[
                same("branch3x3dbl_1", 64, [1, 1]),
                same("branch3x3dbl_2", 96, [3, 3]),
                same("branch3x3dbl_3", 96, [3, 3]),
            ]),
        ];
        all.push((name, branches, Pooled::Mean(pooled)));
    }
    let branches = vec![
        chain(&[("branch3x3", 384, [3, 3], 2)]),
        chain(&[
            same("branch3x3dbl_1", 64, [1, 1]),
            same("branch3x3dbl_2", 96, [3, 3]),
            ("branch3x3dbl_3", 96, [3, 3], 2),
        ]),
    ];
    all.push(("Mixed_6a", branches, Pooled::Max));
    for (name, c) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        let branches = vec![
            chain(&[same("branch1x1", 192, [1, 1])]),
            chain(&[same("branch7x7_1", c, [1, 1]), same("branch7x7_2", c, [1, 7]), same("branch7x7_3", 192, [7, 1])]),
            chain(&[
                same("branch7x7dbl_1", c, [1, 1]),
                same("branch7x7dbl_2", c, [7, 1]),
                same("branch7x7dbl_3", c, [1, 7]),
                same("branch7x7dbl_4", c, [7, 1]),
                same("branch7x7dbl_5", 192, [1, 7]),
            ]),
        ];
        all.push((name, branches, Pooled::Mean(192)));
    }
    let branches = vec![
        chain(&[same("branch3x3_1", 192, [1, 1]), ("branch3x3_2", 320, [3, 3], 2)]),
        chain(&[
            same("branch7x7x3_1", 192, [1, 1]),
            same("branch7x7x3_2", 192, [1, 7]),
            same("branch7x7x3_3", 192, [7, 1]),
            ("branch7x7x3_4", 192, [3, 3], 2),
        ]),
    ];
    all.push(("Mixed_7a", branches, Pooled::Max));
    for name in ["Mixed_7b", "Mixed_7c"] {
        let fork = |a, b| Some([same(a, 384, [1, 3]), same(b, 384, [3, 1])]);
        let branches = vec![
            chain(&[same("branch1x1", 320, [1, 1])]),
            Plan { chain: vec![same("branch3x3_1", 384, [1, 1])], fork: fork("branch3x3_2a", "branch3x3_2b") },
            Plan {
                chain: vec![same("branch3x3dbl_1", 448, [1, 1]), same("branch3x3dbl_2", 384, [3, 3])],
                fork: fork("branch3x3dbl_3a", "branch3x3dbl_3b"),
            },
        ];
        all.push((name, branches, Pooled::Mean(192)));
    }
    all
}

/// The classifier behind `Mixed_6e`.
#[derive(Module)]
struct InceptionAux {
    conv0: BasicConv2d,
    conv1: BasicConv2d,
    fc: Linear,
    scope: Scope,
}

impl Forward for InceptionAux {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let x = AvgPool2d::new(5).stride(3).forward(x); // (N, 768, 17, 17) -> (N, 768, 5, 5)
        let x = self.conv1.forward(&self.conv0.forward(&x)); // (N, 128, 5, 5) -> (N, 768, 1, 1)
        self.fc.forward(&x.adaptive_avg_pool2d([1, 1]).flatten(1, -1))
    }
}

impl ModelConfig for InceptionV3Config {
    type Model = InceptionV3;

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 75, "Mixed_7a.branch3x3_2.conv"))
    }

    fn check(&self) -> Result<(), String> {
        check_dropout("dropout", self.dropout)?;
        check_factor("width_mult", self.width_mult)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])?;
        check_transform(self.transform_input, self.in_channels)
    }

    fn extra(&self) -> Extra {
        if self.aux_logits { Extra::Auxiliary { heads: 1, smallest: 299 } } else { Extra::None }
    }

    fn forward_taught(model: &InceptionV3, x: &Tensor, _: &Tensor) -> Taught {
        Taught::with_auxiliary(model.forward_with_aux(x))
    }

    fn init(&self) -> InceptionV3 {
        let by = self.width_mult;
        let conv = |from, to, kernel: usize| Conv2d::new(from, to, kernel);
        let [a, b, c, d] = [32, 64, 80, 192].map(|n| scaled(n, by));
        let mut from = d;
        let mut seen = 0;
        let mut mixed = Vec::new();
        for (name, plans, pooled) in blocks() {
            let block = Mixed::new(from, plans, pooled, by, 0);
            from = block.out_channels;
            if name == "Mixed_6e" {
                seen = from;
            }
            mixed.push((name, block));
        }
        let aux = || InceptionAux {
            conv0: BasicConv2d::around(conv(seen, scaled(128, by), 1)),
            conv1: BasicConv2d::around(conv(scaled(128, by), scaled(768, by), 5)),
            fc: Linear::new(scaled(768, by), self.num_classes),
            scope: Scope::default(),
        };
        let stem = vec![
            ("Conv2d_1a_3x3", BasicConv2d::around(conv(self.in_channels, a, 3).stride(2))),
            ("Conv2d_2a_3x3", BasicConv2d::around(conv(a, a, 3))),
            ("Conv2d_2b_3x3", BasicConv2d::around(conv(a, b, 3).padding(1))),
            ("Conv2d_3b_1x1", BasicConv2d::around(conv(b, c, 1))),
            ("Conv2d_4a_3x3", BasicConv2d::around(conv(c, d, 3))),
        ];
        let model = InceptionV3 {
            stem,
            pool: Pool(MaxPool2d::new(3).stride(2)),
            mixed,
            aux: self.aux_logits.then(aux),
            dropout: Dropout::new(self.dropout),
            fc: Linear::new(from, self.num_classes),
            transform_input: self.transform_input,
            needs: self.needs().expect("it takes pictures"),
            scope: Scope::default(),
        };
        begin(&model, Begin::TruncNormal(0.1), Begin::TruncNormal(0.1), false);
        if let Some(aux) = &model.aux {
            init::trunc_normal_(&aux.conv1.conv.weight, 0.0, 0.01, -2.0, 2.0);
            init::trunc_normal_(&aux.fc.weight, 0.0, 0.001, -2.0, 2.0);
        }
        model
    }
}

/// Inception v3: blocks whose 5x5 convolutions are two 3x3 ones, and whose 7x7 ones are 1x7 and 7x1, with batch norm
/// throughout.
///
/// Factorised kernels see as far with fewer weights. An auxiliary classifier acts while the net is trained.
/// Parameters have torchvision's names (`Conv2d_1a_3x3.conv.weight`, `Mixed_5b.branch5x5_1.bn.bias`,
/// `AuxLogits.fc.weight`). Between `Conv2d_2b_3x3` and `Conv2d_3b_1x1`, and behind `Conv2d_4a_3x3`, maxima are pooled.
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits; the paper's pictures are 299x299
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than 75x75.
///
/// Source: Szegedy et al., 2015, <https://arxiv.org/abs/1512.00567>.
///
/// ```
/// use gradus_models::{InceptionV3Config, ModelConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = InceptionV3Config { width_mult: 0.0625, num_classes: 10, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([2, 3, 75, 75])).shape(), [2, 10]);
/// ```
pub struct InceptionV3 {
    stem: Vec<(&'static str, BasicConv2d)>,
    pool: Pool<MaxPool2d>,
    mixed: Vec<(&'static str, Mixed)>,
    aux: Option<InceptionAux>,
    dropout: Dropout,
    fc: Linear,
    transform_input: bool,
    needs: Needs,
    scope: Scope,
}

impl Module for InceptionV3 {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.layer("InceptionV3");
        self.stem.iter().for_each(|(name, conv)| visit_field(visitor, name, conv));
        self.mixed.iter().for_each(|(name, block)| visit_field(visitor, name, block));
        visit_field(visitor, "AuxLogits", &self.aux);
        visit_field(visitor, "pool", &self.pool);
        visit_field(visitor, "dropout", &self.dropout);
        visit_field(visitor, "fc", &self.fc);
        visit_field(visitor, "scope", &self.scope);
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        self.stem.iter_mut().for_each(|(name, conv)| visit_field_mut(visitor, name, conv));
        self.mixed.iter_mut().for_each(|(name, block)| visit_field_mut(visitor, name, block));
        visit_field_mut(visitor, "AuxLogits", &mut self.aux);
        visit_field_mut(visitor, "fc", &mut self.fc);
        visit_field_mut(visitor, "scope", &mut self.scope);
    }
}

impl InceptionV3 {
    /// The logits, and those of the auxiliary classifier, if there is one.
    ///
    /// # Panics
    /// As `forward`, and if the picture is too small for the auxiliary classifier (299x299 is the least).
    pub fn forward_with_aux(&self, x: &Tensor) -> (Tensor, Vec<Tensor>) {
        let _scope = self.scope.enter();
        let (y, middle) = self.run(x);
        if self.aux.is_some() {
            let (h, w) = (middle.size(2), middle.size(3));
            if h.min(w) < 17 {
                let what =
                    format_args!("`AuxLogits.conv1` needs a map of at least 17x17, got {h}x{w} (299x299 gives it)");
                gradus_tensor::fail("InceptionV3::forward_with_aux", what);
            }
        }
        (y, self.aux.iter().map(|aux| aux.forward(&middle)).collect())
    }

    /// The logits, and what the auxiliary classifier sees: the output of `Mixed_6e`.
    fn run(&self, x: &Tensor) -> (Tensor, Tensor) {
        self.needs.enforce("InceptionV3", x);
        let mut x = if self.transform_input { transformed(x) } else { x.clone() };
        for (i, (_, conv)) in self.stem.iter().enumerate() {
            x = conv.forward(&x);
            if i == 2 || i == 4 {
                x = self.pool.forward(&x); // (N, 64, 73, 73), (N, 192, 35, 35) for 299x299
            }
        }
        let mut middle = x.clone();
        for (name, block) in &self.mixed {
            x = block.forward(&x); // (N, 288, 35, 35), (N, 768, 17, 17), (N, 2048, 8, 8) at the ends of groups 5, 6, 7
            if *name == "Mixed_6e" {
                middle = x.clone();
            }
        }
        let x = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1); // (N, 2048, 1, 1) -> (N, 2048)
        (self.fc.forward(&self.dropout.forward(&x)), middle)
    }
}

impl Forward for InceptionV3 {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.run(x).0
    }
}
