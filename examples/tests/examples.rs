//! Every example runs to its end without complaint. What each shows, it asserts itself.

use std::process::Command;

/// Runs an example and checks that it ended well, said something and complained of nothing.
fn run(program: &str) {
    let output = Command::new(program).output().expect("the example starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}: {errors}", output.status);
    assert_eq!(errors, "", "{program} complained");
    assert!(!output.stdout.is_empty(), "{program} says what it does");
}

#[test]
fn quickstart() {
    run(env!("CARGO_BIN_EXE_quickstart"));
}

#[test]
fn append_log() {
    run(env!("CARGO_BIN_EXE_append_log"));
}

#[test]
fn upsert_and_search() {
    run(env!("CARGO_BIN_EXE_upsert_and_search"));
}

#[test]
fn many_writers() {
    run(env!("CARGO_BIN_EXE_many_writers"));
}

#[test]
fn share_a_package() {
    run(env!("CARGO_BIN_EXE_share_a_package"));
}
