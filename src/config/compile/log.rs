//! `[log]`.

use super::Checker;
use crate::config::diagnostics::Diagnostic;
use crate::config::{Log, LogFormat, Rotate, file};

impl Checker<'_> {
    pub(super) fn log(&mut self, log: file::Log) -> Option<Log> {
        let is_stderr = log.file.is_absent();
        let file = log.file.checked(|path| self.file_to_write(&path, "file"));
        let fields = log.fields.checked(|fields| {
            self.not_empty(
                &fields,
                "fields",
                "name at least one, or leave `fields` out: then all are told",
            )?;
            self.unique("field", &fields.value);
            if log.format == LogFormat::Combined {
                let problem = Diagnostic::error(fields.at, "`fields` means nothing with format = \"combined\"");
                self.report(
                    problem.help("that format has fields of its own: remove `fields`, or take \"text\" or \"json\""),
                );
                return None;
            }
            Some(super::server::values(fields.value))
        });
        let rotate = log.rotate.checked(|rotate| {
            if is_stderr {
                let problem = Diagnostic::error(rotate.at, "`rotate` without `file`: there is no file to rotate");
                self.report(problem.help("add file = \"/var/log/janua/access.log\", or remove `rotate`"));
            }
            Some(Rotate {
                size: rotate.value.size.0,
                keep: rotate.value.keep,
            })
        });
        self.unique("kind of data", &log.mask);
        Some(Log {
            level: log.level,
            format: log.format,
            file: file?,
            fields: fields?,
            mask: super::server::values(log.mask),
            rotate: rotate?,
            color: log.color,
            priority: log.priority,
        })
    }
}
