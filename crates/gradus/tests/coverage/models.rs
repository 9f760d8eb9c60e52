//! Groups J, K and part of Q: models of pictures, and what they cost.

pub mod classification {
    rows! {
        J1 "LeNet-5" [gradus::models::LeNet5] ["crates/models/tests/training.rs::every_model_learns_a_batch_by_heart",
            "crates/models/tests/vision/checkpoints.rs::every_model_comes_back_from_its_checkpoint"];
        J2 "AlexNet" [gradus::models::AlexNet] ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J3 "VGG 11, 13, 16, 19, with and without batch norm" [gradus::models::Vgg, gradus::models::VggConfig]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J4 "GoogLeNet with its auxiliary classifiers" [gradus::models::GoogLeNet]
            ["crates/models/tests/vision/golden.rs::auxiliary_outputs_agree_with_torchvision"];
        J5 "Stem that reduces the resolution at once" [gradus::models::GoogLeNet, gradus::models::ResNetStem]
            ["crates/models/tests/vision/sizes.rs::receptive_fields_are_the_published_ones"];
        J6 "Inception block: parallel branches, 1x1 bottlenecks" [gradus::models::GoogLeNetConfig]
            ["crates/models/tests/vision/golden.rs::auxiliary_outputs_agree_with_torchvision"];
        J7 "Inception v2 and v3: batch norm, factorised blocks"
            [gradus::models::InceptionV2, gradus::models::InceptionV3]
            ["crates/models/tests/vision/golden.rs::auxiliary_outputs_agree_with_torchvision",
             "crates/models/tests/vision/sizes.rs::every_model_is_in_one_of_the_tables"];
        J8 "ResNet of basic and of bottleneck blocks" [gradus::models::ResNet, gradus::models::ResNetBlock]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J9 "Wide ResNet" [gradus::models::ResNetConfig]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J10 "ResNeXt: cardinality" [gradus::models::ResNetConfig]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J11 "DenseNet, also the paper's for CIFAR" [gradus::models::DenseNet, gradus::models::DenseNetConfig]
            ["crates/models/tests/vision/golden.rs::models_agree_with_torchvision"];
        J12 "Capsule network with reconstruction" [gradus::models::CapsNet, gradus::models::capsule_margin_loss]
            ["crates/models/tests/vision/golden.rs::capsules_and_their_reconstruction_agree_with_a_twin_in_torch"];
        J13 "Multilayer perceptron beside a convolutional net: parameters" [gradus::models::MlpConfig]
            ["crates/models/tests/vision/sizes.rs::a_perceptron_of_several_layers_counts_as_its_formula",
             "crates/models/tests/vision/sizes.rs::a_convolutional_net_sees_more_with_fewer_parameters_than_a_perceptron"];
        J14 "Convolutions that deepen, pooling after each or every second, flattened into linear layers"
            [gradus::models::MnistCnn, gradus::models::LeNet5]
            ["crates/models/tests/training.rs::every_model_learns_a_batch_by_heart"];
        J15 "The effect of depth: plain and residual nets" [gradus::models::ResNetShortcut]
            ["crates/gradus/tests/examples/depth.rs::depth_harms_plain_nets_and_not_residual_ones"];
    }
}

pub mod dense {
    rows! {
        K1 "A class for every pixel" [gradus::models::Output]
            ["crates/models/tests/training.rs::every_model_learns_a_batch_by_heart"];
        K2 "FCN-32s, 16s, 8s; linear layers as convolutions (W36)" [gradus::models::Fcn]
            ["crates/models/tests/vision/golden.rs::nets_for_pixels_agree_with_twins_in_torch",
             "crates/models/tests/vision/properties.rs::a_linear_layer_is_a_convolution_of_the_size_of_its_map"];
        K3 "SegNet: unpooling by indices" [gradus::models::SegNet]
            ["crates/models/tests/vision/golden.rs::nets_for_pixels_agree_with_twins_in_torch"];
        K4 "U-Net" [gradus::models::UNet]
            ["crates/models/tests/vision/golden.rs::nets_for_pixels_agree_with_twins_in_torch"];
        K5 "Feature pyramid, over a ResNet as detectors have it"
            [gradus::models::FeaturePyramidNetwork, gradus::models::BackboneWithFpn, gradus::models::resnet_fpn_backbone]
            ["crates/models/tests/vision/pyramids.rs::feature_pyramids_agree_with_torchvision",
             "crates/models/tests/vision/pyramids.rs::backbones_with_a_pyramid_agree_with_torchvision"];
        K6 "Convolutional encoder-decoder; decoders of transposed convolutions or nearest pixels (W40)"
            [gradus::models::EncoderDecoder, gradus::models::Decoder]
            ["crates/models/tests/vision/golden.rs::nets_for_pixels_agree_with_twins_in_torch"];
    }
}

pub mod costs {
    rows! {
        Q11 "Receptive field by recurrence" [gradus::models::Summary, gradus::models::LayerRow]
            ["crates/models/tests/vision/sizes.rs::both_formulas_of_the_receptive_field_give_the_summarys"];
        Q12 "Receptive field in closed form" [gradus::models::LayerRow]
            ["crates/models/tests/vision/sizes.rs::both_formulas_of_the_receptive_field_give_the_summarys",
             "crates/nn/tests/oracles.rs::dilated_receptive_fields"];
        Q13 "Parameters of a convolution" [gradus::models::LayerRow]
            ["crates/gradus/tests/cli.rs::a_summary_counts_what_layers_cost_and_compares_models"];
        Q14 "Parameters of a multilayer perceptron: weights, biases, total (W67)" [gradus::models::Summary]
            ["crates/models/tests/vision/sizes.rs::a_perceptron_of_several_layers_counts_as_its_formula"];
        Q15 "Operations of a multilayer perceptron" [gradus::models::Summary]
            ["crates/models/tests/vision/sizes.rs::a_perceptron_of_several_layers_counts_as_its_formula"];
        Q16 "Operations of a convolution; an operation is half a multiply-accumulate (W68)" [gradus::models::summarize]
            ["crates/models/tests/vision/sizes.rs::every_model_is_in_one_of_the_tables",
             "crates/gradus/tests/cli.rs::a_summary_counts_what_layers_cost_and_compares_models"];
        Q17 "Table of memory, parameters and operations by layer, the largest marked" [gradus::models::summarize]
            ["crates/models/tests/vision/sizes.rs::vgg_has_its_parameters_in_linear_layers_and_the_rest_in_convolutions",
             "crates/gradus/tests/cli/models.rs::models_are_compared_side_by_side_and_drawn"];
    }
}
