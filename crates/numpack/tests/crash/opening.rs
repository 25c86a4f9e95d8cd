//! Opening: who makes a store, and what an open one does when its files or its folder are not there any more.

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use numpack::prelude::*;

use crate::folder::scratch;
use crate::procs::{self, child};

/// What the children do; nothing in the process that the user started.
#[test]
fn child_entry() {
    let Some((role, path)) = procs::role() else { return };
    match role.as_str() {
        "make" => {
            say("ready");
            wait_for_parent();
            let made = OpenOptions::new().mode(Mode::CreateNew).open(&path);
            say(match made {
                Ok(_) => "made",
                Err(NpkError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                    "exists"
                }
                Err(other) => panic!("{other}"),
            });
        }
        other => panic!("no role {other}"),
    }
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("@{word}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn wait_for_parent() {
    std::io::stdin().read_exact(&mut [0]).unwrap();
}

/// Reads what a child says up to `word`.
fn hear(child: &mut Child, word: &str) -> String {
    let out = child.stdout.as_mut().unwrap();
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(format!("@{word}\n").as_bytes()) && out.read(&mut byte).unwrap() == 1 {
        heard.push(byte[0]);
    }
    String::from_utf8(heard).unwrap()
}

#[test]
fn of_several_processes_that_make_a_store_one_has_made_it() {
    for _ in 0..20 {
        let dir = scratch();
        let path = dir.path().join("new").join("store");
        let start = || child(module_path!(), "make", &path).stdin(Stdio::piped()).spawn().unwrap();
        let mut children: Vec<Child> = (0..12).map(|_| start()).collect();
        children.iter_mut().for_each(|child| drop(hear(child, "ready")));
        children.iter_mut().for_each(|child| child.stdin.as_mut().unwrap().write_all(b"!").unwrap());
        let made = children.into_iter().map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap().contains("@made")
        });
        assert_eq!(made.filter(|made| *made).count(), 1);
        Store::new(&path).unwrap().save_slice("a", &[1_u8], &[1]).unwrap();
    }
}
