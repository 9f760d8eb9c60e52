//! The `gradus` program.

fn main() -> std::process::ExitCode {
    gradus::cli::main()
}
