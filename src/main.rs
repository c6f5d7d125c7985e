//! The `janua` command: parse the command line, call the library, exit.

use std::process::ExitCode;

use clap::Parser;
use janua::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
