//! Tables in box-drawing characters.

/// Draws a table, upper-cased headers centred, rows to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header
        .iter()
        .map(|title| title.to_uppercase().replace('_', " "))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let rule = |left: char, middle: char, right: char| {
        let columns: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}\n", columns.join(&middle.to_string()))
    };
    let line = |cells: Vec<String>| format!("│{}│\n", cells.join("│"));
    let mut out = rule('┌', '┬', '┐');
    let titles = header.iter().zip(&widths);
    out += &line(
        titles
            .map(|(title, width)| format!(" {title:^width$} "))
            .collect(),
    );
    out += &rule('├', '┼', '┤');
    for row in rows {
        let cells = row.iter().zip(&widths);
        out += &line(cells.map(|(cell, width)| format!(" {cell:>width$} ")).collect());
    }
    out += &rule('└', '┴', '┘');
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = super::table(&["id", "is_leader"], &[vec!["1f".into(), "true".into()]]);
        assert_eq!(
            table,
            "┌────┬───────────┐\n│ ID │ IS LEADER │\n├────┼───────────┤\n│ 1f │      true │\n└────┴───────────┘\n"
        );
    }
}
