//! What the models of the registry cost, so that a list need not build them.

use crate::ModelRow;

/// Name, learnt numbers and multiply-accumulates for one input. A test computes them all.
const SIZES: &[(&str, usize, u64)] = &[
    ("digits-cnn", 90_090, 1_821_952),
    ("mnist-cnn", 421_642, 4_241_152),
    ("mnist-mlp", 109_386, 109_184),
    ("perceptron", 7850, 7840),
    ("mlp", 269_322, 268_800),
    ("lenet5", 61_706, 416_520),
    ("capsnet", 8_215_568, 201_793_536),
    ("alexnet", 61_100_840, 714_188_480),
    ("vgg11", 132_863_336, 7_609_090_048),
    ("vgg11_bn", 132_868_840, 7_609_090_048),
    ("vgg13", 133_047_848, 11_308_466_176),
    ("vgg13_bn", 133_053_736, 11_308_466_176),
    ("vgg16", 138_357_544, 15_470_264_320),
    ("vgg16_bn", 138_365_992, 15_470_264_320),
    ("vgg19", 143_667_240, 19_632_062_464),
    ("vgg19_bn", 143_678_248, 19_632_062_464),
    ("googlenet", 13_004_888, 1_498_376_192),
    ("inception_v2", 11_194_984, 2_018_851_840),
    ("inception_v3", 27_161_264, 5_713_216_096),
    ("resnet18", 11_689_512, 1_814_073_344),
    ("resnet34", 21_797_672, 3_663_761_408),
    ("resnet50", 25_557_032, 4_089_184_256),
    ("resnet101", 44_549_160, 7_801_405_440),
    ("resnet152", 60_192_808, 11_513_626_624),
    ("wide_resnet50_2", 68_883_240, 11_398_021_120),
    ("wide_resnet101_2", 126_886_696, 22_753_050_624),
    ("resnext50_32x4d", 25_028_904, 4_230_479_872),
    ("resnext101_32x8d", 88_791_336, 16_414_015_488),
    ("resnext101_64x4d", 83_455_272, 15_460_270_080),
    ("resnet18_cifar", 11_173_962, 555_422_720),
    ("resnet34_cifar", 21_282_122, 1_159_402_496),
    ("resnet20_cifar", 269_722, 40_551_040),
    ("resnet32_cifar", 464_154, 68_862_592),
    ("resnet44_cifar", 658_586, 97_174_144),
    ("resnet56_cifar", 853_018, 125_485_696),
    ("resnet110_cifar", 1_727_962, 252_887_680),
    ("plain20_cifar", 269_722, 40_551_040),
    ("plain56_cifar", 853_018, 125_485_696),
    ("densenet121", 7_978_856, 2_834_161_664),
    ("densenet161", 28_681_000, 7_727_907_072),
    ("densenet169", 14_149_480, 3_359_843_328),
    ("densenet201", 20_013_928, 4_291_365_888),
    ("densenet100_bc_cifar", 769_162, 287_929_692),
    ("densenet190_bc_cifar", 25_624_430, 9_301_945_740),
    ("fcn32s", 136_152_917, 21_296_701_440),
    ("fcn16s", 134_815_994, 21_299_154_576),
    ("fcn8s", 134_489_759, 21_304_752_336),
    ("segnet", 29_455_125, 31_213_486_080),
    ("unet", 31_037_698, 36_881_367_040),
    ("encoder_decoder", 134_691, 14_909_440),
    ("mobilenet_v2", 3_504_872, 300_774_272),
    ("squeezenet1_0", 1_248_424, 818_924_576),
    ("squeezenet1_1", 1_235_496, 349_151_936),
];

impl ModelRow {
    /// How many numbers it learns, with every setting at its default.
    pub fn parameters(&self) -> usize {
        self.size().1
    }

    /// How many multiply-accumulates ([`Summary::macs`](crate::Summary::macs)) one input of the shape
    /// [`ModelRow::input`] takes, with every setting at its default.
    pub fn macs(&self) -> u64 {
        self.size().2
    }

    fn size(&self) -> &'static (&'static str, usize, u64) {
        SIZES.iter().find(|size| size.0 == self.name).expect("every model has its size")
    }
}
