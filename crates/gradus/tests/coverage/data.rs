//! Group H: data and augmentation.

rows! {
    H1 "ToTensor: bytes to [0, 1], floats as they are" [gradus::data::transforms::ToTensor]
        ["crates/data/src/normalize.rs::only_bytes_are_divided"];
    H2 "Normalize, by measured mean and deviation" [gradus::data::Normalize]
        ["crates/data/src/normalize.rs::each_channel_has_its_own_scale"];
    H3 "ImageNet's mean and deviation" [gradus::data::IMAGENET_MEAN, gradus::data::IMAGENET_STD, gradus::train::Scaling]
        ["crates/data/src/normalize.rs::each_channel_has_its_own_scale",
         "crates/gradus/tests/cli/sources.rs::means_alone_or_of_imagenet_are_subtracted_as_the_recipe_says"];
    H4 "Mean and deviation of a data set" [gradus::data::folder_stats]
        ["crates/data/src/stats.rs::a_directory_is_described_whole"];
    H5 "Mean-image subtraction" [gradus::data::transforms::SubtractMeanImage, gradus::train::Scaling]
        ["crates/data/src/transforms/planes.rs::means_are_subtracted_by_channel_or_by_pixel",
         "crates/gradus/tests/cli/sources.rs::means_alone_or_of_imagenet_are_subtracted_as_the_recipe_says"];
    H6 "Mean subtraction by channel" [gradus::data::transforms::SubtractMean, gradus::train::Scaling]
        ["crates/data/src/transforms/planes.rs::means_are_subtracted_by_channel_or_by_pixel",
         "crates/gradus/tests/cli/sources.rs::means_alone_or_of_imagenet_are_subtracted_as_the_recipe_says"];
    H7 "The same preprocessing when predicting: stored in checkpoints" [gradus::train::Encoding, gradus::train::Card]
        ["crates/gradus/tests/cli/sources.rs::pictures_in_directories_are_learnt_measured_and_predicted_by_the_transforms_of_the_checkpoint",
         "crates/gradus/tests/cli/sources.rs::a_number_is_foretold_from_a_table_with_missing_cells_and_text"];
    H9 "Resize" [gradus::data::transforms::Resize]
        ["crates/data/src/transforms/goldens.rs::every_transform_does_what_pillow_and_torchvision_do"];
    H10 "CenterCrop, with a warning where it keeps little" [gradus::data::transforms::CenterCrop]
        ["crates/data/src/transforms/compose.rs"];
    H11 "FiveCrop, and the mean of what is said of its crops" [gradus::data::transforms::FiveCrop, gradus::train::EvaluateOptions]
        ["crates/data/tests/folders.rs::five_crops_are_a_dimension",
         "crates/gradus/tests/cli/sources.rs::pictures_in_directories_are_learnt_measured_and_predicted_by_the_transforms_of_the_checkpoint"];
    H12 "Compose: as many examples as before, drawn anew in each epoch" [gradus::data::transforms::Compose]
        ["crates/data/src/transforms/compose.rs::examples_change_from_epoch_to_epoch_and_follow_from_the_seed"];
    H13 "Random rotation, scale, translation and flips" [gradus::data::transforms::RandomAffine, gradus::data::transforms::RandomRotation, gradus::data::transforms::RandomHorizontalFlip]
        ["crates/data/src/transforms/goldens.rs::every_transform_does_what_pillow_and_torchvision_do",
         "crates/data/src/transforms/geometry.rs::flips_happen_as_often_as_said"];
    H14 "Noise on inputs, and pairs for taking it away" [gradus::data::transforms::GaussianNoise, gradus::data::PairedImageFolder]
        ["crates/data/src/transforms/planes.rs::noise_has_its_mean_and_deviation",
         "crates/data/tests/folders.rs::pairs_share_their_random_choices_and_strangers_do_not"];
    H15 "A new order in each epoch" [gradus::data::DataLoader]
        ["crates/data/src/loader.rs::the_order_follows_from_seed_and_epoch_alone"];
    H16 "Batches, and a last one that is not full" [gradus::data::DataLoader]
        ["crates/data/src/loader.rs::the_tail_is_kept_unless_it_is_dropped"];
    H17 "DataLoader: iteration and length" [gradus::data::DataLoader]
        ["crates/data/src/loader.rs::the_tail_is_kept_unless_it_is_dropped"];
    H18 "Training, validation and test parts" [gradus::data::stratified_split, gradus::data::split_by_list, gradus::train::Splits]
        ["crates/data/src/split.rs::every_class_gives_its_share_and_every_index_comes_once",
         "crates/gradus/tests/cli/sources.rs::a_class_without_training_pictures_and_an_empty_part_are_said"];
    H19 "Looking at data: pictures, tables, texts"
        [gradus::data::folder_stats, gradus::data::contact_sheet, gradus::data::TableStats]
        ["crates/data/src/stats.rs::a_directory_is_described_whole",
         "crates/data/src/table_stats.rs::numbers_names_and_texts_are_told_apart",
         "crates/gradus/tests/cli/sources.rs::tables_and_texts_are_looked_at"];
    H20 "Noise and quality of data: broken, equal and contradicting examples" [gradus::data::FolderStats]
        ["crates/data/src/stats.rs::a_directory_is_described_whole",
         "crates/gradus/tests/cli/sources.rs::a_broken_picture_is_named_and_skipped_only_when_asked"];
    H21 "Grey and colour" [gradus::data::transforms::Grayscale, gradus::data::Image]
        ["crates/data/src/transforms/goldens.rs::every_transform_does_what_pillow_and_torchvision_do"];
    H23 "Pictures in pairs" [gradus::data::PairedImageFolder]
        ["crates/data/tests/folders.rs::pairs_share_their_random_choices_and_strangers_do_not"];
    H24 "Pictures of two kinds without pairs" [gradus::data::UnpairedImageFolder]
        ["crates/data/tests/folders.rs::pairs_share_their_random_choices_and_strangers_do_not"];
    H25 "Tokens and their ids" [gradus::data::text::Tokenizer, gradus::data::text::Vocabulary]
        ["crates/data/src/text.rs::the_most_frequent_tokens_stay"];
    H26 "A vocabulary of the most frequent tokens" [gradus::data::text::Vocabulary]
        ["crates/data/src/text.rs::the_most_frequent_tokens_stay"];
    H27 "Bags of words and term frequencies" [gradus::data::text::Vocabulary, gradus::train::BagWeights]
        ["crates/data/src/text.rs::bags_count_or_weigh_or_mark",
         "crates/gradus/tests/cli/sources.rs::texts_are_learnt_as_bags_of_words_with_the_vocabulary_of_the_checkpoint"];
    H28 "One-hot characters" [gradus::data::text::one_hot]
        ["crates/data/src/text.rs::bags_count_or_weigh_or_mark"];
    H29 "Contiguous streams side by side" [gradus::data::StreamBatches]
        ["crates/data/src/series.rs::twelve_items_in_two_streams_of_three_steps"];
    H30 "Targets one step later" [gradus::data::shifted]
        ["crates/data/src/series.rs"];
    H31 "Padding and masks" [gradus::data::text::pad_sequence]
        ["crates/data/src/text.rs::long_sequences_are_cut_and_short_ones_filled"];
    H32 "Data sets by name" [gradus::data::DATASETS, gradus::train::SOURCES]
        ["crates/data/src/registry.rs::cifar_is_found_where_its_archive_unpacks_to",
         "crates/data/src/downloads.rs::every_download_is_a_data_set_with_whole_sums"];
    H33 "What a corpus is made of" [gradus::data::text::TextStats]
        ["crates/data/src/text.rs::a_corpus_is_described",
         "crates/gradus/tests/cli/sources.rs::tables_and_texts_are_looked_at"];
}
