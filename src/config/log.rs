//! `[log]`, checked: what is told of the gateway's work, and how.

use std::path::PathBuf;

use super::section::words;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
    /// `None`: stderr.
    pub file: Option<PathBuf>,
    /// Of an access line, in this order. `None`: everything.
    pub fields: Option<Vec<LogField>>,
    /// What of people is told in another form.
    pub mask: Vec<Masked>,
    /// `None`: the file grows until somebody else takes it away.
    pub rotate: Option<Rotate>,
    pub color: When,
    /// Does a line begin with its priority?
    pub priority: When,
}

/// When a new file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotate {
    /// Bytes.
    pub size: u64,
    /// Files that are kept beside the present one, at least one.
    pub keep: usize,
}

words! {
    pub enum LogLevel {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

words! {
    pub enum LogFormat {
        Text = "text",
        Json = "json",
        Combined = "combined",
    }
}

words! {
    /// What an access line can tell, in the order in which it tells everything.
    pub enum LogField {
        Client = "client",
        Method = "method",
        Host = "host",
        Path = "path",
        Query = "query",
        Protocol = "protocol",
        Status = "status",
        BytesIn = "bytes_in",
        BytesOut = "bytes_out",
        Ms = "ms",
        Route = "route",
        Outcome = "outcome",
        Reason = "reason",
        Detail = "detail",
        Subject = "subject",
        Upstream = "upstream",
        UpstreamMs = "upstream_ms",
        UserAgent = "user_agent",
        Referer = "referer",
        RequestId = "request_id",
        TraceId = "trace_id",
    }
}

words! {
    /// An element of `log.mask`.
    pub enum Masked {
        Address = "address",
        Subject = "subject",
    }
}

words! {
    /// Something that the surroundings decide, unless it is said.
    pub enum When {
        Auto = "auto",
        Always = "always",
        Never = "never",
    }
}
