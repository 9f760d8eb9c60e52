//! Texts as bags of words.

use super::{BagWeights, Encoding, Parts, TEST_PART, TextConfig, file, learnt_classes, some_to_learn_from};
use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError};
use crate::recipe::{DataConfig, Recipe};
use crate::word_vectors::{self, WordVectors};
use gradus_data::text::Vocabulary;
use gradus_data::{DataError, Dataset, Draw, Table, stratified_split};
use gradus_nn::Forward;
use gradus_tensor::Tensor;
use std::sync::Arc;

/// Texts that become bags of words when they are asked for: all of them at once would fill the memory.
struct Bags {
    texts: Vec<String>,
    labels: Vec<i64>,
    vocabulary: Arc<Vocabulary>,
    weights: BagWeights,
}

impl Dataset for Bags {
    fn len(&self) -> usize {
        self.texts.len()
    }

    fn get(&self, indices: &[usize], _: Draw) -> Result<(Tensor, Tensor), DataError> {
        let texts: Vec<&str> = indices.iter().map(|&i| self.texts[i].as_str()).collect();
        let labels = indices.iter().map(|&i| self.labels[i]).collect();
        Ok((self.weights.of(&self.vocabulary, &texts), Tensor::from_vec(labels, [indices.len()])))
    }
}

pub(super) fn read(recipe: &Recipe, config: &TextConfig) -> Result<Parts> {
    if recipe.loss.is_regression() {
        return Err(TrainError::Recipe("setting `loss`: texts have classes; use cross-entropy".into()));
    }
    if config.vocabulary < 3 {
        return Err(TrainError::Recipe(format!(
            "setting `data.text.vocabulary`: must be at least 3, got {}",
            config.vocabulary
        )));
    }
    config.tokenizer.check().map_err(|e| TrainError::Recipe(format!("setting `data.text.tokenizer`: {e}")))?;
    let [train, validation, test] = parts(&recipe.data, config)?;
    some_to_learn_from("text", train.len())?;
    let classes = train.classes(&config.target)?;
    let more = more_texts(&recipe.data, config)?;
    let known = texts(&train, config)?.into_iter().chain(more.iter().map(String::as_str));
    let vocabulary = Arc::new(Vocabulary::build(known, config.tokenizer, config.vocabulary));
    let bag = |table: &Table| bags(table, config, &vocabulary, config.weights, &classes);
    let [train, validation, test] = [bag(&train)?, bag(&validation)?, bag(&test)?];
    let others = [("validation", &validation.labels[..]), ("test", &test.labels[..])];
    learnt_classes("text", &classes, &train.labels, others)?;
    Ok(Parts {
        train: Arc::new(train),
        validation: Arc::new(validation),
        test: Arc::new(test),
        classes,
        preprocess: Preprocess { shape: vec![vocabulary.len()], mean: vec![], std: vec![] },
        encoding: Encoding::Text { vocabulary: (*vocabulary).clone(), weights: config.weights },
        target: None,
    })
}

pub(super) fn test(
    data: &DataConfig,
    config: &TextConfig,
    vocabulary: &Vocabulary,
    weights: BagWeights,
    classes: &[String],
) -> Result<Arc<dyn Dataset>> {
    let test = match config.test.is_empty() {
        true => {
            let [_, _, test] = parts(data, config)?;
            test
        }
        false => Table::open(file(data, "text", "test", &config.test)?)?,
    };
    Ok(Arc::new(bags(&test, config, &Arc::new(vocabulary.clone()), weights, classes)?))
}

/// The rows to learn from, for validation and for the test.
fn parts(data: &DataConfig, config: &TextConfig) -> Result<[Table; 3]> {
    let mut train = Table::open(file(data, "text", "train", &config.train)?)?;
    let mut aside = |name: &str, key: &str, part: f64, seed: u64| -> Result<Table> {
        if !name.is_empty() {
            return Ok(Table::open(file(data, "text", key, name)?)?);
        }
        let labels = train.labels(&config.target, &train.classes(&config.target)?)?;
        let (stay, aside) = stratified_split(&labels, part, seed);
        let taken = train.subset(&aside);
        train = train.subset(&stay);
        Ok(taken)
    };
    let test = aside(&config.test, "test", TEST_PART, data.split_seed)?;
    let validation = aside(&config.validation, "validation", data.validation, data.split_seed.wrapping_add(1))?;
    Ok([train, validation, test])
}

/// The texts from which word vectors are learnt, none if the recipe names no file of them.
fn more_texts(data: &DataConfig, config: &TextConfig) -> Result<Vec<String>> {
    if config.vectors.is_empty() {
        return Ok(vec![]);
    }
    let table = Table::open(file(data, "text", "vectors", &config.vectors)?)?;
    Ok(texts(&table, config)?.into_iter().map(str::to_string).collect())
}

/// Learns the vectors of the first layer of `model` if the recipe asks for them.
///
/// # Errors
/// An unreadable file, a model without a hidden layer.
pub(crate) fn begin(recipe: &Recipe, encoding: &Encoding, model: &dyn Forward) -> Result<()> {
    let (Some(config), Encoding::Text { vocabulary, .. }) = (&recipe.data.text, encoding) else { return Ok(()) };
    let texts = more_texts(&recipe.data, config)?;
    if texts.is_empty() {
        return Ok(());
    }
    let ids: Vec<Vec<i64>> = texts.iter().map(|text| vocabulary.encode(text)).collect();
    word_vectors::begin_with(model, vocabulary.len(), |dim| {
        eprintln!("learning {dim} numbers for each of {} words from {} texts", vocabulary.len(), ids.len());
        WordVectors::new(dim).epochs(config.vectors_epochs).seed(recipe.seed).fit(&ids, vocabulary.len())
    })
}

/// The texts of a file, in the first of the columns that it has.
fn texts<'t>(table: &'t Table, config: &TextConfig) -> Result<Vec<&'t str>, DataError> {
    let has = |c: &&String| table.columns().contains(c);
    let column = config.text.iter().find(has).or(config.text.first()).map_or("", String::as_str);
    table.texts(column)
}

fn bags(
    table: &Table,
    config: &TextConfig,
    vocabulary: &Arc<Vocabulary>,
    weights: BagWeights,
    classes: &[String],
) -> Result<Bags> {
    let texts = texts(table, config)?.into_iter().map(str::to_string).collect();
    let labels = table.labels(&config.target, classes)?;
    Ok(Bags { texts, labels, vocabulary: vocabulary.clone(), weights })
}
