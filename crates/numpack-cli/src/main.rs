//! The program `numpack`; everything it does is in the library, which the Python package calls too.

fn main() {
    std::process::exit(numpack_cli::run(std::env::args_os().skip(1), &numpack_cli::Interpreter));
}
