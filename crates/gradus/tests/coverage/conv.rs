//! Groups C and O: convolution, pooling, resizing, skip connections, look-up tables.

rows! {
    C5 "Conv2d(in, out, kernel, stride, padding), stride 1 unless set (W87)" [gradus::nn::Conv1d, gradus::nn::Conv2d, gradus::nn::Conv3d] ["crates/nn/tests/conv.rs::layers_agree_with_pytorch", "crates/nn/tests/goldens.rs::layers_agree_with_pytorch"];
    C6 "The notes' loops for convolution, general for rectangles, channels, batches (W86)" [gradus::nn::Conv2d] ["crates/nn/tests/oracles.rs::convolution_equals_the_notes_loops_on_squares", "crates/nn/tests/oracles.rs::convolution_equals_its_definition_on_rectangles"];
    C7 "Output size of a convolution, rounded down (W9)" [gradus::nn::Conv1d, gradus::nn::Conv2d] ["crates/nn/tests/oracles.rs::output_sizes"];
    C8 "Same padding, (k - 1) / 2 for odd k" [gradus::nn::Padding] ["crates/nn/tests/conv/behaviour.rs::same_padding_keeps_the_size"];
    C9 "Border mode extend: copies of the edge, k / 2 wide" [gradus::nn::PaddingMode, gradus::nn::ReplicationPad2d] ["crates/nn/tests/conv/behaviour.rs::border_modes", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C10 "Border mode padding: black pixels" [gradus::nn::PaddingMode, gradus::nn::ZeroPad2d, gradus::nn::ConstantPad2d] ["crates/nn/tests/conv/behaviour.rs::border_modes", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C11 "Border mode crop: skip the edge" [gradus::nn::Padding] ["crates/nn/tests/conv/behaviour.rs::border_modes"];
    C12 "Dilated convolution, which keeps the resolution (W10)" [gradus::nn::Conv2d] ["crates/nn/tests/oracles.rs::dilated_receptive_fields", "crates/gradus/tests/examples/dilation.rs::dilation_widens_the_field_at_the_same_cost"];
    C13 "1x1 convolution" [gradus::nn::Conv2d] ["crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C14 "Depthwise convolution and the depthwise-separable pair" [gradus::nn::DepthwiseSeparableConv2d] ["crates/nn/tests/conv.rs::layers_agree_with_pytorch", "crates/nn/tests/conv.rs::convolutions_differentiate_twice"];
    C15 "Grouped convolution" [gradus::nn::Conv2d] ["crates/nn/tests/conv.rs::layers_agree_with_pytorch", "crates/nn/tests/oracles.rs::convolution_equals_its_definition_on_rectangles"];
    C16 "Max pooling, and the notes' loops for it (W86)" [gradus::nn::MaxPool1d, gradus::nn::MaxPool2d, gradus::nn::MaxPool3d, gradus::nn::AdaptiveMaxPool2d] ["crates/nn/tests/oracles.rs::max_pooling_equals_the_notes_loops_on_squares", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C17 "Average pooling, and power means" [gradus::nn::AvgPool1d, gradus::nn::AvgPool2d, gradus::nn::AvgPool3d, gradus::nn::LPPool2d] ["crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C18 "Global average pooling" [gradus::nn::AdaptiveAvgPool2d] ["crates/nn/tests/conv/behaviour.rs::global_average_pooling", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C19 "Max pooling with indices and max unpooling" [gradus::nn::MaxPool2d, gradus::nn::MaxUnpool1d, gradus::nn::MaxUnpool2d, gradus::nn::MaxUnpool3d] ["crates/nn/tests/conv/behaviour.rs::unpooling_is_sparse_and_undoes_pooling", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C20 "Transposed convolution: paints, adds where filters overlap (W11)" [gradus::nn::ConvTranspose1d, gradus::nn::ConvTranspose2d, gradus::nn::ConvTranspose3d] ["crates/nn/tests/oracles.rs::a_transposed_convolution_paints_and_is_a_convolution_of_spread_inputs", "crates/nn/tests/conv.rs::layers_agree_with_pytorch", "crates/nn/tests/conv/behaviour.rs::a_transposed_convolution_reaches_the_sizes_a_stride_loses"];
    C21 "Upsampling: nearest, linear, cubic; pixel shuffle" [gradus::nn::Upsample, gradus::nn::Interpolation, gradus::nn::PixelShuffle, gradus::nn::PixelUnshuffle] ["crates/nn/tests/conv/behaviour.rs::upsampling_by_two_copies_each_pixel", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C22 "Convolution by fixed filters: Sobel, two outputs" [gradus::nn::FixedConv2d, gradus::nn::filters::sobel] ["crates/nn/tests/conv/behaviour.rs::sobel_gives_two_outputs_and_sees_edges", "crates/gradus/tests/examples/edges.rs::sobel_finds_the_edges_and_high_pass_kernels_ignore_even_surfaces"];
    C23 "High-pass kernels, whose values must add up to zero" [gradus::nn::FixedConv2d, gradus::nn::filters::laplacian, gradus::nn::filters::detail] ["crates/nn/tests/conv/behaviour.rs::high_pass_kernels_add_up_to_zero", "crates/gradus/tests/examples/edges.rs::sobel_finds_the_edges_and_high_pass_kernels_ignore_even_surfaces"];
    C24 "Skip connection that adds" [gradus::nn::Residual] ["crates/nn/tests/conv/behaviour.rs::a_skip_connection_carries_the_gradient", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C25 "Dense skip connections: layer i sees k(i - 1) + k0 maps; both kinds of layer (W12)" [gradus::nn::DenseBlock, gradus::nn::DenseLayerKind] ["crates/nn/tests/conv/behaviour.rs::dense_connections_grow_by_the_growth_rate", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C26 "Parallel branches joined along the channels" [gradus::nn::Concat] ["crates/nn/tests/conv/behaviour.rs::branches_must_agree_but_for_one_dimension", "crates/nn/tests/conv.rs::layers_agree_with_pytorch"];
    C30 "Sparse connections, shared weights, translation equivariance (W14)" [gradus::nn::Conv2d, gradus::nn::Linear] ["crates/nn/tests/oracles.rs::sparse_connections_and_shared_weights", "crates/nn/tests/oracles.rs::convolution_is_translation_equivariant"];
}

/// The row on tables of group O.
pub mod tables {
    rows! {
        O29 "Embedding: an integer picks a learnt row; bags of them" [gradus::nn::Embedding, gradus::nn::EmbeddingBag, gradus::nn::BagMode] ["crates/nn/tests/conv.rs::layers_agree_with_pytorch", "crates/nn/tests/conv/behaviour.rs::an_embedding_is_a_linear_map_of_a_one_hot_vector", "crates/nn/tests/conv/behaviour.rs::pretrained_tables_are_frozen_and_keep_their_padding", "crates/nn/tests/conv/behaviour.rs::bags_check_their_offsets"];
    }
}
