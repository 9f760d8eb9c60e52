//! Plain tables for a terminal.

/// Rows of text under a header, columns as wide as their widest cell; the columns in `right` are aligned right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|r| r[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().enumerate().map(|(i, c)| match right.contains(&i) {
            true => format!("{c:>w$}", w = widths[i]),
            false => format!("{c:<w$}", w = widths[i]),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    let rule: usize = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
    let body = rows.iter().map(|r| line(r.iter().map(String::as_str).collect()));
    line(header.to_vec()) + &"-".repeat(rule) + "\n" + &body.collect::<String>()
}

/// 1234567 as "1,234,567".
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Three digits or four and a prefix: 1234567 as "1.23 M".
pub(crate) fn short(n: f64) -> String {
    let (size, prefix) = match n {
        ..1e3 => return format!("{n}"),
        ..1e6 => (n / 1e3, "k"),
        ..1e9 => (n / 1e6, "M"),
        _ => (n / 1e9, "G"),
    };
    let digits = if size < 10.0 { 2 } else { usize::from(size < 100.0) };
    format!("{size:.digits$} {prefix}")
}

/// A number of bytes.
pub(crate) fn bytes(n: usize) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".into(), "1".into()], vec!["long".into(), "10".into()]];
        assert_eq!(table(&["name", "n"], &rows, &[1]), "name   n\n--------\na      1\nlong  10\n");
    }

    #[test]
    fn numbers_are_shortened() {
        let all = [7.0, 1234.0, 12_345.0, 123_456_789.0, 4.089e9].map(short);
        assert_eq!(all, ["7", "1.23 k", "12.3 k", "123 M", "4.09 G"]);
        assert_eq!([bytes(10), bytes(1536), bytes(3 << 20)], ["10 B", "1.5 KiB", "3.0 MiB"]);
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([thousands(7), thousands(1234), thousands(1234567)], ["7", "1,234", "1,234,567"]);
    }
}
