//! A file of web service functions: `"@functions.txt"` in a route's `functions`. One name, pattern or group a line, `#` begins a
//! comment.

use std::sync::Arc;

use super::{FunctionPattern, Place};

/// Bytes of such a file. All of Moodle's own names take 30 KiB.
pub(in crate::config) const LARGEST: u64 = 256 << 10;

/// What stands in a file.
#[derive(Debug, Default, PartialEq)]
pub(in crate::config) struct Listed {
    /// Each with its place.
    pub(in crate::config) names: Vec<FunctionPattern>,
    /// The numbers of lines that name nothing, and why.
    pub(in crate::config) bad: Vec<(usize, &'static str)>,
}

/// Reads the text of a file, whose name is told with each line. CRLF ends a line as well.
pub(in crate::config) fn parse(text: &str, file: &Arc<str>) -> Listed {
    let mut listed = Listed::default();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let word = line.split('#').next().unwrap_or_default().trim();
        match FunctionPattern::word(word) {
            _ if word.is_empty() => {}
            Some(pattern) => listed.names.push(pattern.at(Place {
                file: Arc::clone(file),
                line: line_number,
            })),
            None if word.starts_with('@') => listed.bad.push((line_number, "a list names no other file")),
            None if word.contains(char::is_whitespace) => listed.bad.push((line_number, "one function a line")),
            None => listed.bad.push((line_number, "this cannot be the name of a function")),
        }
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FunctionGroup;

    #[test]
    fn lines_comments_and_what_windows_writes() {
        let file: Arc<str> = "functions.txt".into();
        let text = "# ours\r\n\r\ncore_x  # why\r\n\tmod_*\nread-only\n";
        let listed = parse(text, &file);
        assert_eq!(listed.bad, []);
        let names: Vec<String> = listed.names.iter().map(|name| name.to_string()).collect();
        assert_eq!(
            names,
            [
                "core_x (functions.txt:3)",
                "mod_* (functions.txt:4)",
                "read-only (functions.txt:5)"
            ]
        );
        assert_eq!(listed.names[2].group(), Some(FunctionGroup::ReadOnly));
        assert_eq!(parse("", &file), Listed::default());
    }

    #[test]
    fn bad_lines_are_told_by_number() {
        let listed = parse("core_x\nCore_x\n@other.txt\na b\n\u{feff}core_y\n", &"f".into());
        let lines: Vec<usize> = listed.bad.iter().map(|(line, _)| *line).collect();
        assert_eq!((listed.names.len(), lines), (1, vec![2, 3, 4, 5]));
    }
}
