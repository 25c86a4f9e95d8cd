//! Formats of Python libraries: which interpreter gets them, with what, and what is said when there is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use super::command;

/// A program that answers when it is asked for the package, and otherwise says what it was started with.
fn interpreter(path: &Path, says: &str) {
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = -c ] && {{ {says}; exit; }}\necho \"$0\" \"$PYTHONSAFEPATH\"\n\
         printf '<%s>' \"$@\"\necho told >&2\nexit 7\n"
    );
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

const THIS: &str = concat!("echo numpack ", env!("CARGO_PKG_VERSION"));

fn run(dir: &Path, variable: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = command(dir, arguments);
    command.env("PATH", format!("{}:/usr/bin:/bin", dir.join("bin").display())).env_remove("NUMPACK_PYTHON");
    if let Some(variable) = variable {
        command.env("NUMPACK_PYTHON", variable);
    }
    command.output().unwrap()
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    fs::write(dir.path().join("a file.csv"), "1,2\n").unwrap();
    dir
}

const ARGUMENTS: [&str; 7] = ["import", "a file.csv", "data.npk", "--name", "ü", "--overwrite", "--json"];

#[test]
fn the_other_program_gets_the_same_arguments_and_has_the_last_word() {
    let dir = folder();
    interpreter(&dir.path().join("bin/python3"), THIS);
    for variable in [None, Some(""), Some("bin/python3")] {
        let output = run(dir.path(), variable, &ARGUMENTS);
        let told = String::from_utf8(output.stdout).unwrap();
        let expected =
            "python3 1\n<-m><numpack><import><a file.csv><data.npk><--name><ü><--overwrite><--json>";
        assert!(told.ends_with(expected), "{told}");
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(7), &b"told\n"[..]));
    }
    let output = run(dir.path(), None, &["import", "s3://bucket/key.npy", "data.npk"]);
    assert_eq!(output.status.code(), Some(7), "only files on a disk are read here");
}

#[test]
fn the_second_choice_is_taken_when_the_first_has_no_package() {
    let dir = folder();
    interpreter(&dir.path().join("bin/python3"), "echo No module named numpack >&2; exit 1");
    interpreter(&dir.path().join("bin/python"), THIS);
    let told = String::from_utf8(run(dir.path(), None, &ARGUMENTS).stdout).unwrap();
    assert!(told.contains("bin/python 1"), "{told}");
}

#[test]
fn without_the_package_it_is_said_how_to_have_it() {
    let dir = folder();
    interpreter(&dir.path().join("bin/python3"), "echo numpack 99.0.0");
    interpreter(&dir.path().join("bin/python"), "exit 1");
    for (file, extra) in [
        ("a.csv", "pip install '.'"),
        ("a.h5", "pip install '.[hdf5]'"),
        ("a.pt", "pip install '.[torch]'"),
        ("s3://b/a.h5", "pip install '.[s3]'"),
    ] {
        fs::write(dir.path().join("a.csv"), "").unwrap();
        fs::write(dir.path().join("a.h5"), "").unwrap();
        fs::write(dir.path().join("a.pt"), "").unwrap();
        let output = run(dir.path(), None, &["import", file, "data.npk"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        for part in ["python3 has numpack 99.0.0", "python does not have it", "its source", extra] {
            assert!(told.contains(part), "{file}: {told}");
        }
        assert!(!told.contains("install numpack") && !told.contains("install 'numpack"), "{told}");
    }
    let output = run(dir.path(), Some("no such program"), &ARGUMENTS);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("no such program cannot be started"), "{told}");
    assert!(!dir.path().join("data.npk").exists());
}

/// A module `numpack` in a folder of its own, and what a real interpreter says of it.
fn told_of(package: &[(&str, &str)]) -> String {
    let dir = folder();
    fs::create_dir_all(dir.path().join("lib/numpack/io")).unwrap();
    for (file, text) in package {
        fs::write(dir.path().join("lib/numpack").join(file), text).unwrap();
    }
    let mut command = command(dir.path(), &ARGUMENTS);
    command.env("PYTHONPATH", dir.path().join("lib")).env("NUMPACK_PYTHON", "python3");
    String::from_utf8(command.output().unwrap().stderr).unwrap()
}

#[test]
fn another_package_of_the_same_name_is_not_ours() {
    let version = concat!("__version__ = '", env!("CARGO_PKG_VERSION"), "'\n");
    let program = "print('numpack', '0.1.0')\n";
    let told = told_of(&[("__init__.py", version), ("__main__.py", program)]);
    assert!(told.contains("python3 has another package of that name"), "{told}");
    let told = told_of(&[("__init__.py", version), ("__main__.py", program), ("io/__init__.py", "")]);
    assert!(told.contains("python3 has another package of that name"), "{told}");
    let told = told_of(&[("__init__.py", "raise ImportError('broken')"), ("__main__.py", program)]);
    assert!(told.contains("python3 does not have it"), "{told}");
    let own = "def import_file(): pass\n";
    let other_version =
        [("__init__.py", "__version__ = '99.0.0'"), ("io/__init__.py", ""), ("io/_program.py", own)];
    assert!(told_of(&other_version).contains("python3 has numpack 99.0.0"));
}
