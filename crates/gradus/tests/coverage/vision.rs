//! Groups J and K, and what models cost: rows Q11 to Q17.

/// Group J: nets for classification.
pub mod classification {
    rows! {
        J1 "LeNet-5" [gradus::models::LeNet5] ["crates/models/tests/training.rs::every_model_learns_a_batch_by_heart"];
        J2 "AlexNet" [gradus::models::AlexNet] ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J3 "VGG 11, 13, 16, 19, with and without batch norm" [gradus::models::Vgg]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J4 "GoogLeNet with auxiliary classifiers" [gradus::models::GoogLeNet]
            ["crates/models/tests/vision/golden.rs::auxiliary_outputs_agree_with_torchvision"];
        J5 "A stem that reduces the resolution at once" [gradus::models::ResNetStem]
            ["crates/models/tests/vision/sizes.rs::receptive_fields_are_the_published_ones"];
        J6 "Inception blocks: parallel kernels behind 1x1 bottlenecks" [gradus::models::GoogLeNet]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J7 "Inception v2 (batch norm, 5x5 as two 3x3) and v3 (1xn and nx1)"
            [gradus::models::InceptionV2, gradus::models::InceptionV3]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J8 "ResNet with basic and bottleneck blocks" [gradus::models::ResNet, gradus::models::ResNetBlock]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J9 "Wide ResNet" [gradus::models::ResNetConfig]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J10 "ResNeXt: parallel paths (cardinality)" [gradus::models::ResNetConfig]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J11 "DenseNet: growth rate k, k(i - 1) + k0 maps" [gradus::models::DenseNet]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J12 "Capsule network with dynamic routing, trained by margin loss and reconstruction"
            [gradus::models::CapsNet, gradus::models::capsule_margin_loss]
            ["crates/models/tests/training.rs::every_model_learns_a_batch_by_heart",
             "crates/train/src/objective.rs::a_rebuilt_input_adds_its_squared_error"];
        J13 "The multilayer perceptron as a baseline" [gradus::models::MlpConfig]
            ["crates/models/tests/vision/sizes.rs::a_perceptron_of_several_layers_counts_as_its_formula"];
        J14 "A plain convolutional net: more maps with each convolution, pooling, linear layers at the end"
            [gradus::models::MnistCnn] ["crates/models/tests/training.rs::every_model_learns_a_batch_by_heart"];
        J15 "The effect of depth: plain and residual nets" [gradus::models::ResNetShortcut]
            ["crates/gradus/tests/examples/depth.rs::depth_harms_plain_nets_and_not_residual_ones"];
    }
}

/// Group K: a class for every pixel.
pub mod dense {
    rows! {
        K1 "Segmentation: per-pixel cross-entropy, Dice, mean IoU"
            [gradus::train::MaskConfig, gradus::train::MeasuredPixels, gradus::data::MaskFolder]
            ["crates/gradus/tests/cli/sources.rs::pictures_with_masks_are_learnt_measured_and_predicted_pixel_by_pixel",
             "crates/train/src/pixels.rs::losses_are_over_the_pixels_that_count"];
        K2 "FCN: linear layers as convolutions (W36), then up again" [gradus::models::Fcn]
            ["crates/models/tests/vision/properties.rs::a_linear_layer_is_a_convolution_of_the_size_of_its_map",
             "crates/models/tests/vision/sizes.rs::decoders_come_back_to_the_resolution_of_the_picture"];
        K3 "SegNet: unpooling by the places of the maxima" [gradus::models::SegNet]
            ["crates/models/tests/vision/sizes.rs::decoders_come_back_to_the_resolution_of_the_picture"];
        K4 "U-Net: joined at every level, predicted at the end" [gradus::models::UNet]
            ["crates/models/tests/training.rs::every_model_learns_a_batch_by_heart"];
        K5 "Feature pyramid" [gradus::models::FeaturePyramidNetwork]
            ["crates/models/tests/vision/golden.rs::feature_pyramids_agree_with_torchvision"];
        K6 "Encoder-decoder from picture to picture, with two kinds of decoder (W40)"
            [gradus::models::EncoderDecoder, gradus::models::Decoder]
            ["crates/models/tests/training.rs::every_model_learns_a_batch_by_heart"];
    }
}

/// Rows Q11 to Q17: what models cost and see.
pub mod cost {
    rows! {
        Q11 "Receptive field by recurrence" [gradus::models::LayerRow]
            ["crates/models/tests/vision/sizes.rs::receptive_fields_are_the_published_ones"];
        Q12 "Receptive field in closed form, dilation included" [gradus::models::LayerRow]
            ["crates/models/tests/vision/sizes.rs::receptive_fields_are_the_published_ones",
             "crates/gradus/tests/examples/dilation.rs::dilation_widens_the_field_at_the_same_cost"];
        Q13 "Parameters of a convolution: K F F D + K" [gradus::models::summarize]
            ["crates/models/tests/vision/sizes.rs::every_model_is_in_one_of_the_tables"];
        Q14 "Parameters of a perceptron of any depth: weights, biases, both (W67)" [gradus::models::summarize]
            ["crates/models/tests/vision/sizes.rs::a_perceptron_of_several_layers_counts_as_its_formula"];
        Q15 "Multiplications of a perceptron" [gradus::models::summarize]
            ["crates/models/tests/vision/sizes.rs::a_perceptron_of_several_layers_counts_as_its_formula"];
        Q16 "Multiply-accumulates of a convolution (W68)" [gradus::models::Summary]
            ["crates/models/tests/vision/sizes.rs::every_model_is_in_one_of_the_tables"];
        Q17 "Memory, parameters and operations by layer, with the largest marked" [gradus::models::Summary]
            ["crates/models/tests/vision/sizes.rs::vgg_has_its_parameters_in_linear_layers_and_the_rest_in_convolutions"];
    }
}
