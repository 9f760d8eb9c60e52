//! The command line of Gradus.

mod analyze;
mod args;
mod bench;
mod commands;
mod data;
mod list;
mod runs;
mod summary;
mod table;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// The process is ended with this code when the user pressed Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the command in the process's arguments.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to standard output with code 0, mistakes to standard error with code 2.
            let _ = e.print();
            return ExitCode::from(e.exit_code() as u8);
        }
    };
    let result = match &cli.command {
        Command::Train(args) => commands::train(args),
        Command::Eval(args) => commands::eval(args),
        Command::Analyze(args) => analyze::analyze(args),
        Command::Predict(args) => commands::predict(args),
        Command::Runs(args) => runs::runs(args),
        Command::Summary(args) => summary::summary(args),
        Command::List(args) => list::list(args),
        Command::Data(args) => data::data(args),
        Command::Bench(args) => bench::bench(args),
    };
    match result {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(if e.is_usage() { 2 } else { 1 })
        }
    }
}
