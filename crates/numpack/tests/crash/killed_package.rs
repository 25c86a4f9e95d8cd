//! Packing and unpacking killed at random instants: the old target or the new one, and nothing else.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use numpack::package::{PackOptions, pack, quiet, unpack};
use numpack::prelude::*;

use crate::folder::scratch;
use crate::packages::{colourful, contents, fast, names, small};
use crate::procs::{self, child};
use crate::random::Random;

/// Children of the tests below.
#[test]
fn child_entry() {
    let Some((role, path)) = procs::role() else { return };
    let file = |name: &str| path.join(name);
    println!("ready");
    match role.as_str() {
        "over" => loop {
            for name in ["one.npkg", "two.npkg"] {
                unpack(file(name), Some(&file("target.npk")), fast().overwrite(true), quiet).unwrap();
            }
        },
        "fresh" => {
            unpack(file("two.npkg"), Some(&file("target.npk")), fast(), quiet).unwrap();
        }
        "pack" => loop {
            pack(file("two.npk"), Some(&file("target.npkg")), PackOptions::new().overwrite(true), quiet)
                .unwrap();
        },
        other => panic!("no role {other}"),
    }
}

/// Runs a child in `role`, kills it at some instant, and calls `check`.
fn killed(role: &str, folder: &Path, turns: usize, mut check: impl FnMut()) {
    let mut random = Random::new();
    for _ in 0..turns {
        let mut process = child(module_path!(), role, folder).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while !lines.next().unwrap().unwrap().ends_with("ready") {}
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        process.kill().unwrap();
        process.wait().unwrap();
        check();
    }
}

#[test]
fn a_killed_unpack_leaves_the_old_store_or_the_new_one() {
    let dir = scratch();
    let file = |name: &str| dir.path().join(name);
    small(&file("one.npk"));
    colourful(&file("two.npk"));
    for name in ["one.npk", "two.npk"] {
        pack(file(name), None, PackOptions::new(), quiet).unwrap();
        unpack(file(&format!("{name}g")), Some(&file("copy.npk")), fast().overwrite(true), quiet).unwrap();
        fs::rename(file("copy.npk"), file(&format!("{name}.whole"))).unwrap();
    }
    let (one, two) = (contents(&file("one.npk.whole")), contents(&file("two.npk.whole")));
    unpack(file("one.npkg"), Some(&file("target.npk")), fast(), quiet).unwrap();
    killed("over", dir.path(), 12, || {
        // A writer clears away what the dead one left; then nothing is found that does not belong there.
        Store::new(file("target.npk")).unwrap().drop_many(&[]).unwrap();
        let found = contents(&file("target.npk"));
        assert!(found == one || found == two);
    });
    fs::remove_dir_all(file("target.npk")).unwrap();
    killed("fresh", dir.path(), 8, || {
        if file("target.npk").exists() {
            assert!(contents(&file("target.npk")) == two);
            fs::remove_dir_all(file("target.npk")).unwrap();
        }
    });
    unpack(file("two.npkg"), Some(&file("target.npk")), fast(), quiet).unwrap();
    assert!(names(dir.path()).iter().all(|name| !name.ends_with(".part")), "{:?}", names(dir.path()));
}

#[test]
fn a_killed_pack_leaves_the_old_package_or_the_new_one() {
    let dir = scratch();
    let file = |name: &str| dir.path().join(name);
    colourful(&file("two.npk"));
    let whole = fs::read(pack(file("two.npk"), None, PackOptions::new(), quiet).unwrap()).unwrap();
    fs::write(file("target.npkg"), "old").unwrap();
    killed("pack", dir.path(), 12, || {
        let found = fs::read(file("target.npkg")).unwrap();
        assert!(found == b"old" || found == whole, "{} bytes", found.len());
    });
    pack(file("two.npk"), Some(&file("target.npkg")), PackOptions::new().overwrite(true), quiet).unwrap();
    assert_eq!(names(dir.path()), ["target.npkg", "two.npk", "two.npkg"]);
}
