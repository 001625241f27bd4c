fn main() -> std::process::ExitCode {
    drift::cli::main()
}
