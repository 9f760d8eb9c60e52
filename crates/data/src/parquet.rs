//! Parquet files as rows of text, for [`Table`](crate::Table).

use crate::DataError;
use std::path::Path;

/// The columns' names and the rows of a file.
pub(crate) type Rows = (Vec<String>, Vec<Vec<String>>);

/// Says how a build that reads Parquet is made.
#[cfg(not(feature = "parquet"))]
pub(crate) fn read(path: &Path) -> Result<Rows, DataError> {
    let expected = "CSV or TSV; a build with the feature reads Parquet too: cargo build --features parquet";
    Err(DataError::malformed(path, "content", "Parquet, which this build was made without", expected))
}

/// Reads a whole file; what is absent becomes an empty cell.
#[cfg(feature = "parquet")]
pub(crate) fn read(path: &Path) -> Result<Rows, DataError> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let file = std::fs::File::open(path).map_err(|e| DataError::io(path, e))?;
    let wrong = |e: parquet::errors::ParquetError| {
        DataError::malformed(path, "content", e.to_string(), "a Parquet file of plain columns")
    };
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let schema = reader.metadata().file_metadata().schema_descr().root_schema();
    let header: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_string()).collect();
    let mut rows = Vec::new();
    for (i, row) in reader.get_row_iter(None).map_err(wrong)?.enumerate() {
        let row = row.map_err(wrong)?;
        let cells = row.get_column_iter().map(|(name, field)| {
            cell(field).ok_or_else(|| {
                let place = format!("row {}, column `{name}`", i + 1);
                DataError::malformed(path, place, "a list, a group or bytes", "a number, text or nothing")
            })
        });
        rows.push(cells.collect::<Result<_, _>>()?);
    }
    Ok((header, rows))
}

/// A plain value as text that reads back as the same value.
#[cfg(feature = "parquet")]
fn cell(field: &parquet::record::Field) -> Option<String> {
    use parquet::record::Field;
    Some(match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Float(v) => v.to_string(),
        Field::Double(v) => v.to_string(),
        Field::Float16(v) => v.to_string(),
        Field::Bool(v) => i32::from(*v).to_string(),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).ok()?.to_string(),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => return None,
        other => other.to_string(),
    })
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use crate::{MissingCells, Table};
    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::path::Path;
    use std::sync::Arc;

    fn write(path: &Path, compression: Compression) {
        let text = "message t { required int32 rooms; optional double size; required binary place (UTF8); }";
        let schema = Arc::new(parse_message_type(text).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut file = SerializedFileWriter::new(std::fs::File::create(path).unwrap(), schema, properties).unwrap();
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&[3, 4, 5], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[0.1, 1e300], Some(&[1, 0, 1]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let places: Vec<ByteArray> = ["sea", "hill", "sea"].map(ByteArray::from).into();
        column.typed::<ByteArrayType>().write_batch(&places, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        file.close().unwrap();
    }

    #[test]
    fn a_file_is_a_table_whatever_its_compression() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())] {
            write(&path, compression);
            let table = Table::open(&path).unwrap();
            assert_eq!((table.columns(), table.len()), (&["rooms", "size", "place"].map(String::from)[..], 3));
            assert_eq!(table.numbers("rooms", MissingCells::Refuse).unwrap(), [3.0, 4.0, 5.0]);
            assert_eq!(table.numbers("size", MissingCells::Mean).unwrap(), [0.1, 5e299, 1e300]);
            assert_eq!(table.texts("place").unwrap(), ["sea", "hill", "sea"]);
            let error = table.numbers("size", MissingCells::Refuse).unwrap_err().to_string();
            assert!(error.contains("t.parquet: row 2, column `size`: found an empty cell"), "{error}");
        }
    }

    #[test]
    fn what_is_no_parquet_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        let error = Table::open(&path).unwrap_err().to_string();
        assert!(error.contains("t.parquet: content: ") && error.contains("a Parquet file"), "{error}");
    }
}
