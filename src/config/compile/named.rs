//! Files and folders that the configuration names.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Checker;
use crate::config::diagnostics::Diagnostic;
use crate::config::read::At;
use crate::text::without_mark;

impl Checker<'_> {
    /// An existing, readable file, as an absolute path.
    pub(in crate::config) fn existing_file(&mut self, path: &At<String>, name: &str) -> Option<PathBuf> {
        self.existing(path, name, "file", fs::Metadata::is_file)
    }

    /// An existing folder, as an absolute path.
    pub(super) fn existing_folder(&mut self, path: &At<String>, name: &str) -> Option<PathBuf> {
        self.existing(path, name, "folder", fs::Metadata::is_dir)
    }

    fn existing(
        &mut self,
        path: &At<String>,
        name: &str,
        kind: &str,
        is_kind: impl Fn(&fs::Metadata) -> bool,
    ) -> Option<PathBuf> {
        let absolute = self.absolute(path, name)?;
        let problem = |why: String| Diagnostic::error(path.at, format!("`{name}`: {why}"));
        let problem = match fs::metadata(&absolute) {
            Ok(found) if is_kind(&found) => match fs::File::open(&absolute) {
                Ok(_) => return Some(absolute),
                Err(why) => problem(format!("this {kind} cannot be opened")).label(why.kind().to_string()),
            },
            Ok(_) => problem(format!("this is no {kind}")),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                let make = match name {
                    "client_key_file" => "`janua keys new` makes one",
                    _ => "make it",
                };
                problem(format!("there is no such {kind}")).help(format!(
                    "{make}, or correct the path; relative paths begin at the folder of this file"
                ))
            }
            Err(why) => problem(format!("this {kind} cannot be looked at")).label(why.kind().to_string()),
        };
        self.report(problem);
        None
    }

    /// The path from the folder of the file; nothing need be there.
    pub(super) fn absolute(&mut self, path: &At<String>, name: &str) -> Option<PathBuf> {
        if path.value.is_empty() || path.value.contains('\0') {
            self.report(Diagnostic::error(path.at, format!("`{name}`: this cannot be a path")));
            return None;
        }
        Some(self.folder.join(&path.value))
    }
}

/// The text of a file of `most` bytes, or what is wrong with it.
pub(super) fn small_text(path: &Path, most: u64) -> Result<String, String> {
    let unreadable = |why: io::Error| format!("cannot be read: {why}");
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(format!("is larger than {} KiB", most >> 10));
    }
    let text = std::str::from_utf8(without_mark(&bytes)).map_err(|_| "is no text in UTF-8".to_owned())?;
    Ok(text.to_owned())
}
