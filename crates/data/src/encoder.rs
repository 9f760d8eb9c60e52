//! What was learnt about the columns of a table, to treat other tables alike.

use crate::table::rule_value;
use crate::{DataError, MissingCells, Table};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How the columns of a table become numbers; fitted to the training rows, stored with the model, and applied to
/// every other table.
///
/// Columns of numbers have their empty cells filled and can be standardised; a column of text becomes one column
/// of 0 and 1 for each value it had.
///
/// ```
/// use gradus_data::{MissingCells, Table, TableEncoder};
/// # let dir = tempfile::tempdir().unwrap();
/// # let (train, test) = (dir.path().join("train.csv"), dir.path().join("test.csv"));
/// std::fs::write(&train, "rooms,place\n1,sea\n3,hill\n").unwrap();
/// std::fs::write(&test, "place,rooms\nsea,\nsea,5\n").unwrap();
/// let (train, test) = (Table::open(&train).unwrap(), Table::open(&test).unwrap());
/// let encoder = TableEncoder::fit(&train, &["rooms", "place"], MissingCells::Mean, true).unwrap();
/// assert_eq!(encoder.names(), ["rooms", "place=hill", "place=sea"]);
/// // Filled with the mean 2 of the training rows, standardised by their deviation 1.
/// assert_eq!(encoder.encode(&test).unwrap().to_vec::<f32>(), [0.0, 0.0, 1.0, 3.0, 0.0, 1.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableEncoder {
    columns: Vec<Column>,
}

/// What is known of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Column {
    Number { name: String, fill: Option<f64>, mean: f64, std: f64 },
    Text { name: String, values: Vec<String> },
}

impl TableEncoder {
    /// Learns fills, means, deviations and values from these columns.
    ///
    /// A column is one of numbers if most of its cells are.
    ///
    /// # Errors
    /// If there is no such column, or text stands in one of numbers.
    pub fn fit(
        table: &Table,
        columns: &[&str],
        missing: MissingCells,
        standardize: bool,
    ) -> Result<TableEncoder, DataError> {
        let learn = |&name: &&str| {
            let texts = table.texts(name)?;
            let numbers = texts.iter().filter(|c| c.trim().parse::<f64>().is_ok()).count();
            if 2 * numbers <= texts.len() {
                return Ok(Column::Text { name: name.to_string(), values: table.classes(name)? });
            }
            let known: Vec<f64> = table.cells(name)?.into_iter().flatten().collect();
            let fill = rule_value(&known, missing);
            let (mut mean, mut std) = (0.0, 1.0);
            if standardize {
                let all = table.cells(name)?.into_iter().filter_map(|c| c.or(fill)).collect::<Vec<f64>>();
                let n = all.len() as f64;
                mean = all.iter().sum::<f64>() / n;
                let deviation = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
                // A column that is the same everywhere is only shifted.
                std = if deviation > 0.0 { deviation } else { 1.0 };
            }
            Ok(Column::Number { name: name.to_string(), fill, mean, std })
        };
        Ok(TableEncoder { columns: columns.iter().map(learn).collect::<Result<_, DataError>>()? })
    }

    /// The names of the resulting columns: a column's own, or `column=value`.
    pub fn names(&self) -> Vec<String> {
        let names = self.columns.iter().flat_map(|column| match column {
            Column::Number { name, .. } => vec![name.clone()],
            Column::Text { name, values } => values.iter().map(|v| format!("{name}={v}")).collect(),
        });
        names.collect()
    }

    /// The rows of a table as f32, [N, names].
    ///
    /// # Errors
    /// If a column is missing, a cell is empty without a rule for it, or holds text where numbers were or a
    /// value that was not there.
    pub fn encode(&self, table: &Table) -> Result<Tensor, DataError> {
        let mut out: Vec<Vec<f32>> = Vec::new();
        for column in &self.columns {
            match column {
                Column::Number { name, fill, mean, std } => {
                    let cells = table.filled(name, *fill)?;
                    out.push(cells.into_iter().map(|v| ((v - mean) / std) as f32).collect());
                }
                Column::Text { name, values } => {
                    let texts = table.texts(name)?;
                    if let Some(row) = texts.iter().position(|t| !values.iter().any(|v| v == t)) {
                        let found = format!("`{}`", texts[row]);
                        let expected = format!("one of the values that were trained: {}", values.join(", "));
                        return Err(table.wrong(row, name, found, &expected));
                    }
                    out.extend(values.iter().map(|v| texts.iter().map(|t| f32::from(u8::from(t == v))).collect()));
                }
            }
        }
        // columns x N -> N x columns
        let data = (0..table.len()).flat_map(|row| out.iter().map(move |column| column[row])).collect();
        Ok(Tensor::from_vec(data, [table.len(), out.len()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tables_are_treated_by_what_was_learnt() {
        let dir = tempfile::tempdir().unwrap();
        let table = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            Table::open(dir.path().join(name)).unwrap()
        };
        let train = table("train.csv", "a,b,k\n1,5,x\n2,5,y\n9,5,x\n,5,y\n");
        let encoder = TableEncoder::fit(&train, &["a", "b", "k"], MissingCells::Median, true).unwrap();
        let x = encoder.encode(&train).unwrap();
        assert_eq!(x.shape(), [4, 4]);
        let columns = x.mean_dim(0, false).to_vec::<f32>();
        assert!(columns[0].abs() < 1e-6 && columns[1] == 0.0 && columns[2] == 0.5, "{columns:?}");
        assert_eq!((x.at(&[1, 0]), x.at(&[1, 3])), (x.at(&[3, 0]), 1.0));
        let json = serde_json::to_string(&encoder).unwrap();
        assert_eq!(serde_json::from_str::<TableEncoder>(&json).unwrap(), encoder);
        let error = |text: &str| encoder.encode(&table("test.csv", text)).map(drop).unwrap_err().to_string();
        let e = error("a,b,k\n1,1,x\n1,1,z\n");
        assert!(e.contains("test.csv: line 3, column `k`: found `z`, expected one of the values that were"), "{e}");
        assert!(error("a,k\n1,x\n").contains("no column `b`"));
        assert!(error("a,b,k\n1,1,x\none,1,x\n").contains("line 3, column `a`: found `one`"));
        let strict = TableEncoder::fit(&train, &["a"], MissingCells::Refuse, false).unwrap();
        let e = strict.encode(&train).map(drop).unwrap_err().to_string();
        assert!(e.contains("line 5, column `a`: found an empty cell"), "{e}");
    }
}
