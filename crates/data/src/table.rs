//! Tables of text: CSV and TSV files as numbers.

use crate::{DataError, TableEncoder, TensorDataset};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What becomes of a cell without a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingCells {
    /// It is an error that names the line and the column.
    #[default]
    Refuse,
    /// It becomes the mean of the column's numbers.
    Mean,
    /// It becomes the median of the column's numbers.
    Median,
    /// Its row is left out.
    Drop,
}

/// The cells of a CSV, TSV or Parquet file, as text.
///
/// The first line holds the columns' names. A file that ends in `.tsv` is cut at tabs and knows no quotes, any
/// other at commas. One that ends in `.parquet` is read by a build with the feature `parquet`; an empty cell is one
/// without a value.
///
/// ```
/// use gradus_data::{MissingCells, Table};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("houses.csv");
/// std::fs::write(&path, "rooms,place,price\n3,sea,10\n,hill,20\n5,sea,30\n").unwrap();
/// let table = Table::open(&path).unwrap();
/// assert_eq!(table.numbers("rooms", MissingCells::Mean).unwrap(), [3.0, 4.0, 5.0]);
/// let data = table.regression(&["rooms", "place"], "price", MissingCells::Median).unwrap();
/// // A column of text becomes one column for each of its values, in sorted order.
/// assert_eq!(data.inputs().to_vec::<f32>(), [3.0, 0.0, 1.0, 4.0, 1.0, 0.0, 5.0, 0.0, 1.0]);
/// let e = table.numbers("rooms", MissingCells::Refuse).unwrap_err().to_string();
/// assert!(e.contains("houses.csv: line 3, column `rooms`: found an empty cell"), "{e}");
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    /// The cells of each row, with the line it begins at.
    rows: Vec<(u64, Vec<String>)>,
    /// What `rows` are counted in.
    place: &'static str,
}

/// Cells that hold nothing, whatever their case.
const EMPTY: [&str; 5] = ["", "na", "n/a", "nan", "null"];

pub(crate) fn is_empty(cell: &str) -> bool {
    EMPTY.contains(&cell.trim().to_ascii_lowercase().as_str())
}

impl Table {
    /// Reads a whole file.
    ///
    /// # Errors
    /// If the file cannot be read, is not UTF-8, has no rows, two columns of one name, or a row of another length
    /// than the header.
    pub fn open(path: impl AsRef<Path>) -> Result<Table, DataError> {
        let path = path.as_ref();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
            let (header, rows) = crate::parquet::read(path)?;
            return Table { path: path.to_owned(), header, rows: (1..).zip(rows).collect(), place: "row" }.checked();
        }
        let tabs = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if tabs { b'\t' } else { b',' })
            .quoting(!tabs)
            .flexible(true)
            .from_path(path)
            .map_err(|e| malformed(path, e))?;
        let header = reader.headers().map_err(|e| malformed(path, e))?;
        let header: Vec<String> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_string()).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| malformed(path, e))?;
            let line = record.position().map_or(0, |p| p.line());
            if record.len() != header.len() {
                let expected = format!("{}, as in the header", header.len());
                return Err(DataError::malformed(
                    path,
                    format!("line {line}"),
                    format!("{} cells", record.len()),
                    expected,
                ));
            }
            rows.push((line, record.iter().map(str::to_string).collect()));
        }
        Table { path: path.to_owned(), header, rows, place: "line" }.checked()
    }

    /// The table, if its columns can be told apart and it has a row.
    fn checked(self) -> Result<Table, DataError> {
        let (path, header) = (&self.path, &self.header);
        if let Some(twice) = header.iter().enumerate().find(|(i, name)| header[..*i].contains(name)) {
            return Err(DataError::malformed(path, "header", format!("`{}` twice", twice.1), "names that differ"));
        }
        match self.rows.is_empty() {
            true => Err(DataError::malformed(path, "rows", "none", "a line of names and then at least one row")),
            false => Ok(self),
        }
    }

    /// The columns' names.
    pub fn columns(&self) -> &[String] {
        &self.header
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows, which [`Table::drop_missing`] can lead to.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The cells of a column as they are written.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn texts(&self, column: &str) -> Result<Vec<&str>, DataError> {
        let at = self.position(column)?;
        Ok(self.rows.iter().map(|(_, cells)| cells[at].as_str()).collect())
    }

    /// The numbers of a column.
    ///
    /// # Errors
    /// If there is no such column, a cell holds something else than a number, or none at all and `missing` says
    /// no value for it.
    pub fn numbers(&self, column: &str, missing: MissingCells) -> Result<Vec<f64>, DataError> {
        self.filled(column, self.fill(column, missing)?)
    }

    /// The cells of a column of numbers; nothing where one is empty.
    pub(crate) fn cells(&self, column: &str) -> Result<Vec<Option<f64>>, DataError> {
        let cells = self.texts(column)?.into_iter().enumerate().map(|(row, cell)| match cell.trim().parse::<f64>() {
            _ if is_empty(cell) => Ok(None),
            Ok(v) if v.is_finite() => Ok(Some(v)),
            _ => Err(self.wrong(row, column, format!("`{cell}`"), "a number")),
        });
        cells.collect()
    }

    /// What an empty cell of a column becomes by a rule; nothing if the rule says no value for it, or no cell holds one.
    ///
    /// # Errors
    /// If there is no such column, or a cell holds text.
    pub fn fill(&self, column: &str, missing: MissingCells) -> Result<Option<f64>, DataError> {
        let known: Vec<f64> = self.cells(column)?.into_iter().flatten().collect();
        Ok(rule_value(&known, missing))
    }

    /// The numbers of a column, with `fill` where a cell is empty: the [`Table::fill`] of the rows that a model learns
    /// from, so that it learns nothing of later ones.
    ///
    /// # Errors
    /// If there is no such column, a cell holds text, or one is empty and there is no `fill`.
    pub fn filled(&self, column: &str, fill: Option<f64>) -> Result<Vec<f64>, DataError> {
        let rule = "a number, or a rule for missing cells (mean, median or drop) and some numbers to follow it";
        let cells = self.cells(column)?.into_iter().enumerate();
        cells.map(|(row, v)| v.or(fill).ok_or_else(|| self.wrong(row, column, "an empty cell", rule))).collect()
    }

    /// The table without the rows that have an empty cell in one of these columns.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn drop_missing(&self, columns: &[&str]) -> Result<Table, DataError> {
        let at = columns.iter().map(|c| self.position(c)).collect::<Result<Vec<_>, _>>()?;
        let whole = self.rows.iter().filter(|(_, cells)| at.iter().all(|&i| !is_empty(&cells[i])));
        Ok(self.with(whole.cloned().collect()))
    }

    /// The values of a column of text, sorted; a label is a position in them.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn classes(&self, column: &str) -> Result<Vec<String>, DataError> {
        let found: std::collections::BTreeSet<&str> = self.texts(column)?.into_iter().collect();
        Ok(found.into_iter().map(str::to_string).collect())
    }

    /// Some columns as inputs [N, columns]. Columns of text become one column of 0 and 1 for each of their values.
    ///
    /// # Errors
    /// As [`Table::numbers`].
    pub fn features(&self, columns: &[&str], missing: MissingCells) -> Result<Tensor, DataError> {
        TableEncoder::fit(self, columns, missing, false)?.encode(self)
    }

    /// Examples for regression: inputs [N, columns] and targets `[N, 1]`, both f32.
    ///
    /// # Errors
    /// As [`Table::numbers`].
    pub fn regression(&self, inputs: &[&str], target: &str, missing: MissingCells) -> Result<TensorDataset, DataError> {
        let table = self.ready(inputs, target, missing)?;
        // A target that is missing is not made up.
        let targets = table.numbers(target, MissingCells::Refuse)?.into_iter().map(|v| v as f32).collect();
        let targets = Tensor::from_vec(targets, [table.len(), 1]);
        Ok(TensorDataset::new(table.features(inputs, missing)?, targets))
    }

    /// Examples for classification, with the names of the classes: inputs [N, columns] as f32 and targets `[N]`.
    ///
    /// # Errors
    /// As [`Table::numbers`].
    pub fn classification(
        &self,
        inputs: &[&str],
        target: &str,
        missing: MissingCells,
    ) -> Result<(TensorDataset, Vec<String>), DataError> {
        let table = self.ready(inputs, target, missing)?;
        let classes = table.classes(target)?;
        let labels = Tensor::from_vec(table.labels(target, &classes)?, [table.len()]);
        Ok((TensorDataset::new(table.features(inputs, missing)?, labels), classes))
    }

    /// The place of each cell of a column among `classes`.
    ///
    /// # Errors
    /// If there is no such column, or a cell is empty or none of the classes.
    pub fn labels(&self, column: &str, classes: &[String]) -> Result<Vec<i64>, DataError> {
        let by_name: BTreeMap<&str, i64> = classes.iter().map(String::as_str).zip(0..).collect();
        let cells = self.texts(column)?.into_iter().enumerate();
        let label = |(row, cell): (usize, &str)| match by_name.get(cell) {
            _ if is_empty(cell) => Err(self.wrong(row, column, "an empty cell", "a class")),
            Some(label) => Ok(*label),
            None => {
                let expected = format!("one of the classes that are trained: {}", classes.join(", "));
                Err(self.wrong(row, column, format!("`{cell}`"), &expected))
            }
        };
        cells.map(label).collect()
    }

    /// The table of these rows, counted from 0, in this order.
    ///
    /// # Panics
    /// If there is no such row.
    #[track_caller]
    pub fn subset(&self, rows: &[usize]) -> Table {
        self.with(rows.iter().map(|&i| self.rows[i].clone()).collect())
    }

    /// The table with other rows.
    fn with(&self, rows: Vec<(u64, Vec<String>)>) -> Table {
        Table { path: self.path.clone(), header: self.header.clone(), rows, place: self.place }
    }

    /// The rows that are used.
    fn ready(&self, inputs: &[&str], target: &str, missing: MissingCells) -> Result<Table, DataError> {
        match missing {
            MissingCells::Drop => {
                let table = self.drop_missing(&[inputs, &[target]].concat())?;
                match table.is_empty() {
                    true => Err(DataError::malformed(&self.path, "rows", "an empty cell in each", "a whole row")),
                    false => Ok(table),
                }
            }
            _ => Ok(self.clone()),
        }
    }

    fn position(&self, column: &str) -> Result<usize, DataError> {
        self.header.iter().position(|name| name == column).ok_or_else(|| {
            let found = format!("no column `{column}`");
            DataError::malformed(&self.path, "header", found, format!("one of {}", self.header.join(", ")))
        })
    }

    /// The error of a cell, by its row counted from 0.
    pub(crate) fn wrong(&self, row: usize, column: &str, found: impl Into<String>, expected: &str) -> DataError {
        let (place, at) = (self.place, self.rows[row].0);
        DataError::malformed(&self.path, format!("{place} {at}, column `{column}`"), found, expected)
    }
}

/// What an empty cell becomes by a rule, beside cells with these numbers.
pub(crate) fn rule_value(known: &[f64], missing: MissingCells) -> Option<f64> {
    match missing {
        _ if known.is_empty() => None,
        MissingCells::Mean => Some(known.iter().sum::<f64>() / known.len() as f64),
        MissingCells::Median => Some(median(known.to_vec())),
        MissingCells::Refuse | MissingCells::Drop => None,
    }
}

fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    let (low, high) = (v[(v.len() - 1) / 2], v[v.len() / 2]);
    low + (high - low) / 2.0
}

/// What the reader of CSV says, with the file and the line.
fn malformed(path: &Path, e: csv::Error) -> DataError {
    let field = e.position().map_or("content".to_string(), |p| format!("line {}", p.line()));
    match e.into_kind() {
        csv::ErrorKind::Io(source) => DataError::io(path, source),
        csv::ErrorKind::Utf8 { err, .. } => DataError::malformed(path, field, err.to_string(), "text in UTF-8"),
        kind => DataError::malformed(path, field, format!("{kind:?}"), "rows of cells"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    fn table(name: &str, text: &str) -> Result<Table, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Table::open(&path)
    }

    fn error<T>(result: Result<T, DataError>) -> String {
        result.map(drop).unwrap_err().to_string()
    }

    const TEXT: &str = "\u{feff}a,b,kind,y\n1,2.5,x,0\n2,,y,1\n\"3\", 4.5,\"x\",0\n4,8.5,y,1\n";

    #[test]
    fn each_rule_for_missing_cells_does_what_it_says() {
        let t = table("t.csv", TEXT).unwrap();
        assert_eq!(t.columns(), ["a", "b", "kind", "y"]);
        assert_eq!(t.numbers("b", MissingCells::Median).unwrap(), [2.5, 4.5, 4.5, 8.5]);
        assert!((t.numbers("b", MissingCells::Mean).unwrap()[1] - 15.5 / 3.0).abs() < 1e-12);
        let e = error(t.regression(&["a", "b"], "y", MissingCells::Refuse));
        assert!(e.contains("t.csv: line 3, column `b`: found an empty cell"), "{e}");
        let kept = t.regression(&["a", "b"], "y", MissingCells::Drop).unwrap();
        assert_eq!((kept.len(), kept.inputs().to_vec::<f32>()[2]), (3, 3.0));
        assert_eq!(kept.targets().shape(), [3, 1]);
    }

    #[test]
    fn text_becomes_columns_or_classes() {
        let t = table("t.csv", TEXT).unwrap();
        let (data, classes) = t.classification(&["a", "kind"], "kind", MissingCells::Refuse).unwrap();
        assert_eq!(classes, ["x", "y"]);
        assert_eq!(data.targets().to_vec::<i64>(), [0, 1, 0, 1]);
        assert_eq!(data.inputs().to_vec::<f32>()[..6], [1.0, 1.0, 0.0, 2.0, 0.0, 1.0]);
        assert_eq!(t.subset(&[3, 0]).texts("a").unwrap(), ["4", "1"]);
        let e = error(t.subset(&[0, 1]).labels("kind", &["x".to_string()]));
        assert!(
            e.contains("t.csv: line 3, column `kind`: found `y`, expected one of the classes that are trained: x"),
            "{e}"
        );
        let t = table("t.tsv", "label\tsentence\n1\ta \"quoted, word\n0\tb\n").unwrap();
        assert_eq!(t.texts("sentence").unwrap(), ["a \"quoted, word", "b"]);
    }

    #[test]
    fn mistakes_are_named_by_file_line_and_column() {
        let t = table("t.csv", "a,b\n1,2\n3,four\n5,6\n").unwrap();
        for result in [t.numbers("b", MissingCells::Mean).map(drop), t.features(&["b"], MissingCells::Mean).map(drop)] {
            let e = error(result);
            assert!(e.contains("t.csv: line 3, column `b`: found `four`, expected a number"), "{e}");
        }
        let e = error(t.numbers("c", MissingCells::Mean));
        assert!(e.contains("t.csv: header: found no column `c`, expected one of a, b"), "{e}");
        let e = error(table("t.csv", "a,b\n1,2\n3\n"));
        assert!(e.contains("line 3: found 1 cells, expected 2"), "{e}");
        assert!(error(table("t.csv", "a,b\n")).contains("rows: found none"));
        assert!(error(table("t.csv", "a,a\n1,2\n")).contains("`a` twice"));
        assert!(error(table("t.csv", "a,b\n1,inf\n").unwrap().numbers("b", MissingCells::Mean)).contains("`inf`"));
        let e = error(table("t.csv", "a,y\n1,2\n3,\n").unwrap().regression(&["a"], "y", MissingCells::Mean));
        assert!(e.contains("line 3, column `y`"), "{e}");
        assert!(matches!(Table::open("/absent/t.csv"), Err(DataError::Io { .. })));
    }
}
