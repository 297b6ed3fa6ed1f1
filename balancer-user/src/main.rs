//! The `balancer` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    balancer_user::cli::main()
}
