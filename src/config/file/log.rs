//! `[log]`, as it is written.

use crate::config::read::At;
use crate::config::section::section;
use crate::config::value::Size;
use crate::config::{LogField, LogFormat, LogLevel, Masked, When};

section! {
    /// `[log]`
    struct Log {
        /// error, warn, info, debug or trace.
        level: LogLevel = "info",
        /// text, json, or combined: access lines in Apache's Combined Log Format.
        format: LogFormat = "text",
        /// Default: stderr.
        file: String,
        /// What an access line tells, in this order, behind the time: `["client", "status", "path"]`. Default: none, everything is told.
        fields: Vec<At<LogField>>,
        /// What is told of people in another form: "address" (networks, /24 of IPv4 and /48 of IPv6), "subject" (16 hexadecimal
        /// digits by a key of the gateway's instead of the name). In the log and at /denials.
        mask: Vec<At<Masked>> = [],
        /// When the gateway itself begins a new file. Default: none, the file grows.
        rotate: LogRotate,
        /// Are levels and statuses coloured: "auto" (on a terminal, unless NO_COLOR is set), "always" or "never"? Only with
        /// format = "text".
        color: When = "auto",
        /// Does each line begin with its priority, `<6>`, as the journal of systemd reads it: "auto" (where stderr is the
        /// journal), "always" or "never"?
        priority: When = "auto",
    }
}

section! {
    /// `log.rotate`: the file is renamed to `.1`, the one before to `.2`, and so on.
    struct LogRotate {
        /// The size beyond which a new file is begun. At least 64KiB.
        size: Size = "100MB" in "64KiB"..="1024GiB",
        /// How many files are kept beside the present one.
        keep: usize = 7 in 1..=1000,
    }
}
