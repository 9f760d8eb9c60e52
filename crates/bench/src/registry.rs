//! The table of workloads.

use crate::core_jobs;
use crate::job::Job;
use crate::more::{generative, sequence, text, vision};

/// A row of the table.
pub struct Workload {
    /// What it is called; on the command line its beginning is enough.
    pub name: &'static str,
    /// Which comparison it belongs to.
    pub group: Group,
    /// What it is, in a line.
    pub about: &'static str,
    /// Billions of floating-point operations of a forward pass and of a training step: two for each multiply and
    /// add of convolutions (counted directly), matrix products, recurrent layers and attention, nothing else.
    pub gflop: [f64; 2],
    /// Makes the model, its data and its optimiser.
    pub build: fn() -> Box<dyn Job>,
}

/// The two sets of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The twelve that the tables of ratios are made of.
    Core,
    /// Other nets, cells, sizes and batches of the same kinds.
    More,
}

impl Group {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Group::Core => "core",
            Group::More => "more",
        }
    }
}

const fn row(name: &'static str, about: &'static str, gflop: [f64; 2], build: fn() -> Box<dyn Job>) -> Workload {
    let group = if name.as_bytes()[0] == b'w' { Group::Core } else { Group::More };
    Workload { name, group, about, gflop, build }
}

/// Every workload: the core ones (`w..`), then the further ones (`m..`).
#[rustfmt::skip]
pub const WORKLOADS: &[Workload] = &[
    row("w01_mlp_b64", "MLP 784-128-64-10, batch 64, SGD", [0.013976, 0.029082], core_jobs::mlp),
    row("w02_mlp_wide_b128", "MLP 784-1024-1024-10, dropout, batch 128", [0.47658, 1.2242], core_jobs::mlp_wide),
    row("w03_cnn_mnist_b64", "two convolutions on 28x28, batch 64", [0.54287, 1.5997], core_jobs::cnn_mnist),
    row("w04_cnn_cifar_b32", "three convolutions on 32x32, dropout, batch 32", [0.21239, 0.60887], core_jobs::cnn_cifar),
    row("w05_resnet18_cifar_b16", "ResNet-18 on 32x32, batch 16", [17.774, 53.264], core_jobs::resnet18),
    row("w06_char_lstm_b32", "LSTM 83-256-256, 64 steps, batch 32", [3.6564, 10.621], core_jobs::char_lstm),
    row("w07_transformer_b8", "four encoder layers, width 256, 128 positions, batch 8", [7.0228, 20.666], core_jobs::transformer),
    row("w08_dcgan_b32", "DCGAN on 32x32, a step of both nets, batch 32", [1.1503, 13.443], core_jobs::dcgan),
    row("w11_unet_b4", "U-Net of three levels on 64x64, batch 4", [3.1657, 9.4875], core_jobs::unet),
    row("w12_mobilenet_b16", "six inverted residuals on 32x32, batch 16", [0.83311, 2.471], core_jobs::mobilenet),
    row("w15_skipgram_b512", "skip-gram, vocabulary 20,000, width 128, batch 512, SGD", [0.00078643, 0.0023593], core_jobs::skipgram),
    row("w20_elementwise_norm_b64", "six residual layers of LayerNorm, GELU, dropout, batch 64", [0.20198, 0.57239], core_jobs::norm_stack),
    row("m01_char_gru_b32", "GRU 83-256-256, 64 steps, batch 32", [2.764, 8.031], sequence::char_gru),
    row("m02_char_rnn_b32", "RNN 83-256-256, 64 steps, batch 32", [0.97937, 2.8511], sequence::char_rnn),
    row("m03_bilstm_b16", "embedding and bidirectional LSTM 128-128, 100 steps, batch 16", [0.85524, 2.5657], sequence::bilstm),
    row("m04_char_lstm_512_b8", "LSTM 83-512-512, 64 steps, batch 8", [3.4388, 10.142], sequence::char_lstm_512),
    row("m05_vgg11_bn_b16", "VGG-11 with batch normalisation on 32x32, batch 16", [4.8886, 14.609], vision::vgg11_bn),
    row("m06_alexnet_b4", "AlexNet on 224x224, momentum, batch 4", [5.3208, 15.4], vision::alexnet),
    row("m07_inception_b8", "three Inception blocks on 16x16, batch 8", [3.1246, 9.3454], vision::inception_net),
    row("m08_densenet_b16", "DenseNet, 3 x 6 layers of 12, on 32x32, batch 16", [2.333, 6.9848], vision::densenet),
    row("m09_resnet18_b1", "ResNet-18 on 32x32, batch 1", [1.1108, 3.329], vision::resnet18_alone),
    row("m10_resnet18_224_b1", "ResNet-18 on 224x224, momentum, batch 1", [3.6281, 10.648], vision::resnet18_large),
    row("m11_mlp_b1", "MLP 784-128-64-10, batch 1, SGD", [2.1837e-4, 0.0004544], vision::mlp_alone),
    row("m12_vit_b16", "vision transformer, patch 4, width 192, 6 layers, AdamW, batch 16", [5.8512, 17.535], vision::vit),
    row("m13_gpt_b4", "GPT, width 256, 4 layers, 256 positions, dropout 0.1, AdamW, batch 4", [8.0405, 24.121], sequence::gpt),
    row("m14_long_attention_b1", "an encoder layer, width 256, 4 heads, 2048 positions, batch 1", [7.5162, 21.743], sequence::long_attention),
    row("m15_autoencoder_b32", "convolutional autoencoder on 28x28, batch 32", [0.045359, 0.13427], generative::conv_autoencoder),
    row("m16_vae_b128", "VAE 784-400-20, batch 128", [0.16671, 0.41984], generative::vae),
    row("m17_diffusion_b8", "diffusion U-Net with attention on 32x32, batch 8", [3.0411, 9.109], generative::diffusion),
    row("m18_wgan_gp_b16", "WGAN with gradient penalty on 32x32, a step of both nets, batch 16", [0.57514, 10.094], generative::wgan_gp),
    row("m19_text_cnn_b32", "embedding and convolutions over 128 words, batch 32", [1.2272, 3.6816], text::text_cnn),
    row("m20_bag_b256", "bags of 32 embeddings of 50,000 x 64, SGD, batch 256", [1.3107e-4, 0.00039322], text::bag_of_embeddings),
    row("m21_tcn_b16", "dilated causal convolutions, 64 channels, 256 steps, batch 16", [0.72144, 2.1475], sequence::tcn),
    row("m22_conv3d_b4", "three 3-d convolutions on 16x32x32, batch 4", [0.39637, 1.1325], vision::conv3d),
    row("m23_resnet20_b32", "ResNet-20 on 32x32, momentum and weight decay, batch 32", [2.612, 7.8078], vision::resnet20),
    row("m24_siamese_b32", "triplets through one convolutional net on 28x28, batch 32", [0.25703, 2.2248], vision::siamese),
];

/// The workloads whose names begin with one of `wanted`, or that belong to a group of that name; `default` if
/// nothing is wanted.
///
/// # Errors
/// The first wanted name that nothing begins with.
pub fn select(wanted: &[String], default: Group) -> Result<Vec<&'static Workload>, &str> {
    let fits = |w: &Workload, name: &str| w.name.starts_with(name) || w.group.name() == name;
    if let Some(unknown) = wanted.iter().find(|name| !WORKLOADS.iter().any(|w| fits(w, name))) {
        return Err(unknown);
    }
    let chosen = |w: &&Workload| match wanted {
        [] => w.group == default,
        names => names.iter().any(|name| fits(w, name)),
    };
    Ok(WORKLOADS.iter().filter(chosen).collect())
}
