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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".into(), "1".into()], vec!["long".into(), "10".into()]];
        assert_eq!(table(&["name", "n"], &rows, &[1]), "name   n\n--------\na      1\nlong  10\n");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([thousands(7), thousands(1234), thousands(1234567)], ["7", "1,234", "1,234,567"]);
    }
}
