//! Help, widths, bars, and output that nobody reads to its end.

use std::process::Stdio;

use super::maintain::slow_to_pack;
use super::{command, example, on_terminal, run, strip_bars, text};

#[test]
fn help_has_examples_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    assert!(text(dir.path(), &["--help"]).contains("Exit status"));
    for name in
        ["ls", "info", "head", "stats", "search", "verify", "compact", "pack", "unpack", "import", "export"]
    {
        assert!(text(dir.path(), &[name, "--help"]).contains("Example"), "{name}");
    }
    assert!(text(dir.path(), &["--version"]).starts_with("numpack "));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    store.save_slice("long", &vec![0_u8; 200_000], &[200_000]).unwrap();
    let mut command = command(dir.path(), &["head", "data.npk", "long", "-n", "200000"]);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[test]
fn a_narrow_terminal_gets_narrow_lines_and_a_pipe_gets_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    let long = "a name that is longer than any narrow terminal is wide, by far";
    store.save_slice(long, &[1_u8], &[1]).unwrap();
    for columns in [40, 60] {
        for arguments in [&["ls", "data.npk"][..], &["stats", "data.npk"], &["head", "data.npk", "numbers"]] {
            let printed = on_terminal(dir.path(), columns, arguments);
            let text: String = strip_bars(&printed);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(columns), "{arguments:?} at {columns}: {text}");
        }
        assert!(on_terminal(dir.path(), columns, &["ls", "data.npk"]).contains('…'));
    }
    assert!(text(dir.path(), &["ls", "data.npk"]).contains(long));
    assert!(on_terminal(dir.path(), 200, &["ls", "data.npk"]).contains(long));
}

#[test]
fn bars_are_for_terminals() {
    let dir = tempfile::tempdir().unwrap();
    slow_to_pack(dir.path());
    let shown = on_terminal(dir.path(), 80, &["pack", "data.npk", "--level", "12"]);
    assert!(shown.contains("packing"), "{shown:?}");
    let output = run(dir.path(), &["pack", "data.npk", "--overwrite"]);
    assert!(output.stderr.is_empty(), "{output:?}");
}
