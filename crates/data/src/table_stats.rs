//! What is worth knowing about a table before a model learns it.

use crate::text::{TextStats, Tokenizer, Vocabulary};
use crate::{DataError, Table};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// The most frequent values of a column that are named.
const COMMON: usize = 5;
/// Tokens of the vocabulary by which columns of texts are described.
const VOCABULARY: usize = 5000;
/// Columns of text with more words than this in a cell, on average, hold texts and not names.
const WORDS: f64 = 3.0;

/// What the rows of a table are made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableStats {
    /// Number of rows.
    pub rows: usize,
    /// Rows that come more than once, each counted as often as it comes again.
    pub duplicates: usize,
    /// What each column holds, in order.
    pub columns: Vec<ColumnStats>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnStats {
    /// Its name.
    pub name: String,
    /// Cells without a value.
    pub empty: usize,
    /// Different values.
    pub distinct: usize,
    /// The most frequent values with their counts, the most frequent first.
    pub common: Vec<(String, usize)>,
    /// Of a column of numbers.
    pub numbers: Option<NumberStats>,
    /// Of a column of texts of several words: what they are made of.
    pub texts: Option<TextStats>,
}

/// The numbers of a column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NumberStats {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (divisor N).
    pub std: f64,
    /// The smallest.
    pub min: f64,
    /// The one in the middle; of an even number the mean of the two.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl NumberStats {
    /// Of some numbers; nothing of none.
    fn of(mut x: Vec<f64>) -> Option<NumberStats> {
        x.sort_by(f64::total_cmp);
        let n = x.len();
        let (min, max) = (*x.first()?, *x.last()?);
        let mean = x.iter().sum::<f64>() / n as f64;
        let std = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        Some(NumberStats { mean, std, min, median: (x[(n - 1) / 2] + x[n / 2]) / 2.0, max })
    }
}

impl TableStats {
    /// Looks at all cells of a table.
    ///
    /// # Errors
    /// None of a table that was read.
    ///
    /// ```
    /// use gradus_data::{Table, TableStats};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("houses.csv");
    /// std::fs::write(&path, "rooms,place\n3,sea\n,hill\n5,sea\n").unwrap();
    /// let stats = TableStats::of(&Table::open(&path).unwrap()).unwrap();
    /// assert_eq!((stats.columns[0].empty, stats.columns[0].numbers.unwrap().mean), (1, 4.0));
    /// assert_eq!(stats.columns[1].common[0], ("sea".to_string(), 2));
    /// ```
    pub fn of(table: &Table) -> Result<TableStats, DataError> {
        let cells: Vec<Vec<&str>> = table.columns().iter().map(|c| table.texts(c)).collect::<Result<_, _>>()?;
        let rows: HashSet<Vec<&str>> = (0..table.len()).map(|i| cells.iter().map(|c| c[i]).collect()).collect();
        let columns = table.columns().iter().zip(&cells).map(|(name, cells)| column(table, name, cells));
        Ok(TableStats { rows: table.len(), duplicates: table.len() - rows.len(), columns: columns.collect() })
    }
}

fn column(table: &Table, name: &str, cells: &[&str]) -> ColumnStats {
    let known: Vec<&str> = cells.iter().copied().filter(|cell| !crate::table::is_empty(cell)).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    known.iter().for_each(|cell| *counts.entry(cell).or_default() += 1);
    let mut common: Vec<(String, usize)> = counts.iter().map(|(cell, n)| (cell.to_string(), *n)).collect();
    common.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    common.truncate(COMMON);
    let numbers = table.cells(name).ok().and_then(|cells| NumberStats::of(cells.into_iter().flatten().collect()));
    let words: usize = known.iter().map(|cell| cell.split_whitespace().count()).sum();
    let texts = numbers.is_none() && words as f64 > WORDS * known.len() as f64;
    ColumnStats {
        name: name.into(),
        empty: cells.len() - known.len(),
        distinct: counts.len(),
        common,
        numbers,
        texts: texts.then(|| describe(&known)),
    }
}

/// What texts are made of, by the words of a vocabulary of the 5000 most frequent ones.
pub fn describe<S: AsRef<str>>(texts: &[S]) -> TextStats {
    TextStats::of(texts, &Vocabulary::build(texts, Tokenizer::Words, VOCABULARY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_texts_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let text = "x,place,said\n1,sea,the cat saw the dog\n2,hill,a dog and a cat\nNA,sea,the cat saw the dog\n\
                    1,sea,the cat saw the dog\n4,,\n";
        std::fs::write(&path, text).unwrap();
        let stats = TableStats::of(&Table::open(&path).unwrap()).unwrap();
        assert_eq!((stats.rows, stats.duplicates), (5, 1));
        let [x, place, said] = &stats.columns[..] else { panic!("{stats:?}") };
        let numbers = x.numbers.unwrap();
        assert_eq!((numbers.mean, numbers.min, numbers.median, numbers.max), (2.0, 1.0, 1.5, 4.0));
        assert!((numbers.std - 1.5f64.sqrt()).abs() < 1e-12);
        assert_eq!((x.empty, x.distinct, x.texts.as_ref()), (1, 3, None));
        assert_eq!((place.empty, place.distinct, place.numbers), (1, 2, None));
        assert_eq!(place.common, [("sea".to_string(), 3), ("hill".to_string(), 1)]);
        assert!(place.texts.is_none());
        let said = said.texts.as_ref().unwrap();
        assert_eq!((said.texts, said.duplicates, said.tokens, said.distinct), (4, 2, 20, 6));
    }
}
