//! U-Net and a convolutional encoder-decoder.

use crate::ModelConfig;
use crate::common::{Begin, Needs, begin};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::init::Fan;
use gradus_nn::{
    BatchNorm2d, Conv2d, ConvTranspose2d, Forward, Interpolation, MaxPool2d, Module, ReLU, Scope, Sequential, Upsample,
    sequential,
};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How a decoder doubles the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decoder {
    /// A transposed convolution of stride 2.
    Transposed,
    /// The nearest pixel, then a convolution.
    Nearest,
}

impl Decoder {
    fn doubling(self, from: usize, to: usize) -> Sequential {
        match self {
            Decoder::Transposed => sequential![ConvTranspose2d::new(from, to, 2).stride(2)],
            Decoder::Nearest => sequential![
                Upsample::new().scale_factor(2.0).mode(Interpolation::Nearest),
                Conv2d::new(from, to, 3).padding(1)
            ],
        }
    }
}

/// Configuration of [`UNet`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UNetConfig {
    /// Channels of each level, from fine to coarse.
    pub channels: Vec<usize>,
    /// Whether batch norm follows each convolution; the paper has none.
    pub batch_norm: bool,
    /// How the decoder doubles the size.
    pub decoder: Decoder,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes of a pixel.
    pub num_classes: usize,
}

impl Default for UNetConfig {
    fn default() -> Self {
        UNetConfig {
            channels: vec![64, 128, 256, 512, 1024],
            batch_norm: true,
            decoder: Decoder::Transposed,
            in_channels: 3,
            num_classes: 2,
        }
    }
}

fn check_levels(channels: &[usize]) -> Result<(), String> {
    check_width("channels", channels)?;
    match (2..=9).contains(&channels.len()) {
        true => Ok(()),
        false => Err(format!("`channels` must name 2 to 9 levels, got {channels:?}")),
    }
}

/// Two 3x3 convolutions, each with ReLU behind it.
fn double(from: usize, to: usize, batch_norm: bool) -> Sequential {
    let mut layers = Sequential::new();
    for from in [from, to] {
        layers.push(Conv2d::new(from, to, 3).padding(1).bias(!batch_norm));
        if batch_norm {
            layers.push(BatchNorm2d::new(to));
        }
        layers.push(ReLU);
    }
    layers
}

impl ModelConfig for UNetConfig {
    type Model = UNet;

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 1 << (self.channels.len().max(1) - 1), "pool"))
    }

    fn check(&self) -> Result<(), String> {
        check_levels(&self.channels)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> UNet {
        let mut from = self.in_channels;
        let mut down = Vec::new();
        for &to in &self.channels {
            down.push(double(from, to, self.batch_norm));
            from = to;
        }
        let (mut up, mut merge) = (Vec::new(), Vec::new());
        for pair in self.channels.windows(2).rev() {
            up.push(self.decoder.doubling(pair[1], pair[0]));
            merge.push(double(2 * pair[0], pair[0], self.batch_norm));
        }
        let model = UNet {
            down,
            pool: Pool(MaxPool2d::new(2)),
            up,
            merge,
            head: Conv2d::new(self.channels[0], self.num_classes, 1),
            needs: self.needs().expect("it takes pictures"),
            scope: Scope::default(),
        };
        begin(&model, Begin::KaimingNormal(Fan::In), Begin::Kept, true);
        model
    }
}

/// U-Net: down to coarse maps that see much, and up again, where each level is joined with the encoder's map of its
/// size, which knows exactly where things are.
///
/// It is like [`Fcn`](crate::Fcn), but joins by concatenation instead of addition and scores the classes only at the
/// end. Convolutions are padded, so that the output has the picture's size (the paper's shrink it); where pooling
/// rounds down, the decoder's map is padded at its end by repeating the edge.
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes, H, W]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than two to the power of the
/// number of poolings (16x16 with the default five levels).
///
/// Source: Ronneberger, Fischer and Brox, 2015, <https://arxiv.org/abs/1505.04597>.
///
/// ```
/// use gradus_models::{ModelConfig, UNetConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = UNetConfig { channels: vec![4, 8, 16], num_classes: 5, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([1, 3, 33, 46])).shape(), [1, 5, 33, 46]);
/// ```
#[derive(Module)]
pub struct UNet {
    down: Vec<Sequential>,
    pool: Pool<MaxPool2d>,
    up: Vec<Sequential>,
    merge: Vec<Sequential>,
    head: Conv2d,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for UNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("UNet", x);
        let (mut x, mut maps) = (x.clone(), Vec::new());
        for (level, convolutions) in self.down.iter().enumerate() {
            if level > 0 {
                x = self.pool.forward(&x); // (N, C, h, w) -> (N, C, h / 2, w / 2)
            }
            x = convolutions.forward(&x);
            maps.push(x.clone());
        }
        maps.pop();
        for (up, merge) in self.up.iter().zip(&self.merge) {
            let fine = maps.pop().expect("a map for each level but the coarsest");
            let coarse = padded(&up.forward(&x), fine.size(2), fine.size(3)); // (N, 2 C, h / 2, w / 2) -> (N, C, h, w)
            x = merge.forward(&Tensor::cat(&[&fine, &coarse], 1)); // (N, 2 C, h, w) -> (N, C, h, w)
        }
        self.head.forward(&x) // (N, K, H, W)
    }
}

/// `x` with its last row and column repeated up to the size `h` by `w`.
fn padded(x: &Tensor, h: usize, w: usize) -> Tensor {
    let (rows, columns) = ((h - x.size(2)) as isize, (w - x.size(3)) as isize);
    if rows == 0 && columns == 0 {
        return x.clone();
    }
    x.pad(&[(0, rows), (0, columns)], gradus_tensor::PadMode::Replicate)
}

/// Configuration of [`EncoderDecoder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderDecoderConfig {
    /// Channels of each level, from fine to coarse; each halves the size.
    pub channels: Vec<usize>,
    /// How the decoder doubles the size.
    pub decoder: Decoder,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
}

impl Default for EncoderDecoderConfig {
    fn default() -> Self {
        EncoderDecoderConfig {
            channels: vec![32, 64, 128],
            decoder: Decoder::Transposed,
            in_channels: 3,
            out_channels: 3,
        }
    }
}

impl ModelConfig for EncoderDecoderConfig {
    type Model = EncoderDecoder;

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 1, "encoder.0"))
    }

    fn check(&self) -> Result<(), String> {
        check_levels(&self.channels)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("out_channels", &[self.out_channels])
    }

    fn init(&self) -> EncoderDecoder {
        let (mut encoder, mut decoder) = (Sequential::new(), Sequential::new());
        let mut from = self.in_channels;
        for &to in &self.channels {
            encoder.push(Conv2d::new(from, to, 3).stride(2).padding(1));
            encoder.push(ReLU);
            from = to;
        }
        for &to in self.channels.iter().rev().skip(1).chain([&self.out_channels]) {
            if !decoder.is_empty() {
                decoder.push(ReLU);
            }
            decoder.push(self.decoder.doubling(from, to));
            from = to;
        }
        let needs = Needs::new(self.in_channels, 1, "encoder.0");
        EncoderDecoder { encoder, decoder, needs, scope: Scope::default() }
    }
}

/// A convolutional encoder-decoder from picture to picture: convolutions of stride 2 to a small representation, and back
/// by transposed convolutions or by repeating pixels and convolving. Nothing leads around the small representation, so
/// it must hold all of the output.
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, out_channels, H, W]`
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels.
///
/// Source: Hinton and Salakhutdinov, 2006, <https://doi.org/10.1126/science.1127647>, with convolutions; the two
/// decoders are compared by Odena, Dumoulin and Olah, 2016, <https://distill.pub/2016/deconv-checkerboard/>.
///
/// ```
/// use gradus_models::{EncoderDecoderConfig, ModelConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = EncoderDecoderConfig { channels: vec![4, 8], ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([1, 3, 13, 18])).shape(), [1, 3, 13, 18]);
/// ```
#[derive(Module)]
pub struct EncoderDecoder {
    encoder: Sequential,
    decoder: Sequential,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for EncoderDecoder {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("EncoderDecoder", x);
        let code = self.encoder.forward(x); // (N, C, H / 2^levels, W / 2^levels), rounded up
        let y = self.decoder.forward(&code); // at least (N, out, H, W)
        y.narrow(2, 0, x.size(2)).narrow(3, 0, x.size(3))
    }
}
