//! Rows of delimited text as Python's csv module reads them, lenient as it is by default: the Rust library skips blank
//! lines, which count here.

/// Where a reader is in a row.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Row,
    Field,
    Unquoted,
    Quoted,
    /// After a quote in a quoted field: it ends the field, or a second one follows and stands for one.
    Quote,
}

/// `None` where a carriage return stands within a line, which Python refuses.
pub fn rows(text: &str, delimiter: char) -> Option<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut at = At::Row;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        at = match (at, c) {
            (At::Quoted, '"') => At::Quote,
            (At::Quoted, _) | (At::Quote, '"') => {
                field.push(c);
                At::Quoted
            }
            (_, '\n' | '\r') => {
                let mut end = c;
                while end == '\r'
                    && let Some(next) = chars.next()
                {
                    end = next;
                }
                if !matches!(end, '\n' | '\r') {
                    return None;
                }
                if at != At::Row {
                    row.push(std::mem::take(&mut field));
                }
                rows.push(std::mem::take(&mut row));
                At::Row
            }
            (_, c) if c == delimiter => {
                row.push(std::mem::take(&mut field));
                At::Field
            }
            (At::Row | At::Field, '"') => At::Quoted,
            _ => {
                field.push(c);
                At::Unquoted
            }
        };
    }
    if at != At::Row {
        row.push(field);
        rows.push(row);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python() {
        // list(csv.reader(io.StringIO(text)))
        let cases: [(&str, &[&[&str]]); 8] = [
            ("a,b\n\nc", &[&["a", "b"], &[], &["c"]]),
            ("a,b\r\n,\n", &[&["a", "b"], &["", ""]]),
            ("\"a,\nb\",c", &[&["a,\nb", "c"]]),
            ("\"a\"\"b\"c,d\"e\"", &[&["a\"bc", "d\"e\""]]),
            ("a, \"b,c\"", &[&["a", " \"b", "c\""]]),
            ("\"open, to\nthe end", &[&["open, to\nthe end"]]),
            ("\"\"\"a,b\"\"\"", &[&["\"a,b\""]]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(rows(text, ',').unwrap(), expected, "{text:?}");
        }
        assert_eq!(rows("a\rb", ','), None);
        assert_eq!(rows("a\r\r", ',').unwrap(), [["a"]]);
    }
}
