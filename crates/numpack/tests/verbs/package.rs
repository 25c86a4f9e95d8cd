//! Packages: what goes in comes out, equal arrays give equal bytes, damage is refused and leaves no trace.

use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use numpack::RawArray;
use numpack::package::{PackOptions, info, pack, quiet, unpack, verify};
use numpack::prelude::*;
use proptest::prelude::*;

use crate::folder::scratch;
use crate::packages::{colourful, contents, fast, names, save, small};

#[test]
fn what_goes_in_comes_out() {
    let dir = scratch();
    let source = dir.path().join("data.npk");
    colourful(&source);
    let before = contents(&source);
    for options in [
        PackOptions::new(),
        PackOptions::new().compressed(false),
        PackOptions::new().compression(Some(19)),
        PackOptions::new().keep_deleted(true),
    ] {
        let kept = options == PackOptions::new().keep_deleted(true);
        let file = pack(&source, None, options.overwrite(true), quiet).unwrap();
        assert_eq!(file, dir.path().join("data.npkg"));
        let copy = dir.path().join("copy/of/it.npk");
        assert_eq!(unpack(&file, Some(&copy), fast(), quiet).unwrap(), copy);
        let mut expected = before.clone();
        if !kept {
            expected.iter_mut().for_each(|array| array.3 = 0);
        }
        let found = contents(&copy);
        assert!(found == expected, "{options:?}");
        let told: Vec<_> =
            info(&file).unwrap().arrays.into_iter().map(|a| (a.name, a.shape, a.deleted_rows)).collect();
        assert_eq!(told, found.into_iter().map(|a| (a.0, a.2, a.3)).collect::<Vec<_>>());
        fs::remove_dir_all(dir.path().join("copy")).unwrap();
    }
}

#[test]
fn an_empty_store_and_default_names() {
    let dir = scratch();
    Store::new(dir.path().join("data.npk")).unwrap();
    let file = pack(dir.path().join("data.npk"), None, PackOptions::new(), quiet).unwrap();
    assert_eq!(info(&file).unwrap().ratio(), 1.0);
    fs::remove_dir_all(dir.path().join("data.npk")).unwrap();
    assert_eq!(unpack(&file, None, fast(), quiet).unwrap(), dir.path().join("data.npk"));
    assert!(contents(&dir.path().join("data.npk")).is_empty());
    fs::rename(dir.path().join("data.npk"), dir.path().join("other.d")).unwrap();
    let file = pack(dir.path().join("other.d"), None, PackOptions::new(), quiet).unwrap();
    assert_eq!(file, dir.path().join("other.d.npkg"));
}

#[test]
fn equal_arrays_give_equal_bytes() {
    let dir = scratch();
    let pack_of = |name: &str, options: PackOptions| {
        fs::read(pack(dir.path().join(name), None, options.overwrite(true), quiet).unwrap()).unwrap()
    };
    colourful(&dir.path().join("a.npk"));
    let first = pack_of("a.npk", PackOptions::new());
    assert!(first == pack_of("a.npk", PackOptions::new()));
    // Another history, the same arrays.
    unpack(dir.path().join("a.npkg"), Some(&dir.path().join("b.npk")), fast(), quiet).unwrap();
    let store = Store::new(dir.path().join("b.npk")).unwrap();
    store.rename_array("scalar", "z").unwrap();
    store.rename_array("z", "scalar").unwrap();
    assert!(first == pack_of("b.npk", PackOptions::new()));
    store.drop_arrays("scalar", None).unwrap();
    assert!(first != pack_of("b.npk", PackOptions::new()));
}

#[test]
fn targets_that_are_there() {
    let dir = scratch();
    let (source, file) = (dir.path().join("data.npk"), dir.path().join("data.npkg"));
    small(&source);
    let exists = |error: NpkError| matches!(error, NpkError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists);
    fs::write(&file, "mine").unwrap();
    assert!(exists(pack(&source, None, PackOptions::new(), quiet).unwrap_err()));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    pack(&source, None, PackOptions::new().overwrite(true), quiet).unwrap();
    assert!(exists(unpack(&file, None, fast(), quiet).unwrap_err()));

    let inside = source.join("x.npkg");
    let refused = |result: NpkResult<PathBuf>| matches!(result, Err(NpkError::InvalidArgument { .. }));
    assert!(refused(pack(&source, Some(&inside), PackOptions::new(), quiet)));
    assert!(refused(pack(&source, Some(dir.path()), PackOptions::new().overwrite(true), quiet)));
    assert!(refused(pack(&file, None, PackOptions::new(), quiet)), "a file is not a store");
    assert!(refused(pack(dir.path(), Some(&dir.path().join("x")), PackOptions::new(), quiet)));
    assert!(refused(unpack(source.join("metadata.npkm"), Some(&dir.path().join("x")), fast(), quiet)));
    assert!(refused(pack(
        &source,
        Some(&dir.path().join("x")),
        PackOptions::new().compression(Some(99)),
        quiet
    )));
    // A folder of somebody else's files is never replaced.
    fs::create_dir(dir.path().join("letters")).unwrap();
    fs::write(dir.path().join("letters/one.txt"), "dear").unwrap();
    let over = fast().overwrite(true);
    assert!(refused(unpack(&file, Some(&dir.path().join("letters")), over, quiet)));
    assert!(refused(unpack(&file, Some(&dir.path().join("letters/one.txt")), over, quiet)));
    assert_eq!(names(&dir.path().join("letters")), ["one.txt"]);
    // An empty folder is not a store to lose.
    fs::create_dir(dir.path().join("empty")).unwrap();
    unpack(&file, Some(&dir.path().join("empty")), over, quiet).unwrap();
    assert_eq!(names(dir.path()), ["data.npk", "data.npkg", "empty", "letters"]);
}

#[test]
fn over_a_store_everything_is_replaced_for_open_readers_too() {
    let dir = scratch();
    let (old, new) = (dir.path().join("old.npk"), dir.path().join("new.npk"));
    small(&old);
    colourful(&new);
    let reader = OpenOptions::new().mode(Mode::Read).open(&old).unwrap();
    let view = reader.get_array_view("a").unwrap();
    let before: ndarray_of::F32 = view.to_array().unwrap();
    let file = pack(&new, None, PackOptions::new(), quiet).unwrap();
    unpack(&file, Some(&old), fast().overwrite(true), quiet).unwrap();
    assert_eq!(view.to_array::<f32>().unwrap(), before, "a view keeps what it was made from");
    assert!(!reader.has_array("a") && reader.has_array("scalar"));
    let mut expected = contents(&new);
    expected.iter_mut().for_each(|array| array.3 = 0);
    assert!(contents(&old) == expected);
}

mod ndarray_of {
    pub(crate) type F32 = numpack::ndarray::ArrayD<f32>;
}

#[test]
fn a_callback_stops_the_work_and_nothing_is_left() {
    let dir = scratch();
    let source = dir.path().join("data.npk");
    colourful(&source);
    let mut seen = Vec::new();
    let file = pack(&source, None, PackOptions::new(), |now| {
        seen.push((now.done, now.total));
        ControlFlow::Continue(())
    });
    let file = file.unwrap();
    assert!(seen.is_sorted() && seen.last().is_some_and(|(done, total)| done == total), "{seen:?}");
    let stop = |now: numpack::package::Progress| match now.done {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let interrupted = |result: NpkResult<PathBuf>| matches!(result, Err(NpkError::Io { source, .. }) if source.kind() == std::io::ErrorKind::Interrupted);
    assert!(interrupted(pack(&source, Some(&dir.path().join("x/y.npkg")), PackOptions::new(), stop)));
    assert!(interrupted(unpack(&file, Some(&dir.path().join("x/y.npk")), fast(), stop)));
    let before = contents(&source);
    assert!(interrupted(unpack(&file, Some(&source), fast().overwrite(true), stop)));
    assert!(contents(&source) == before);
    assert_eq!(names(dir.path()), ["data.npk", "data.npkg"]);
}

#[test]
fn every_changed_byte_and_every_cut_is_refused() {
    let dir = scratch();
    let source = dir.path().join("data.npk");
    small(&source);
    let file = pack(&source, None, PackOptions::new().keep_deleted(true), quiet).unwrap();
    let good = fs::read(&file).unwrap();
    let mut done = Vec::new();
    let sound = verify(&file, |now| {
        done.push((now.done, now.total));
        ControlFlow::Continue(())
    });
    assert_eq!(sound.unwrap(), info(&file).unwrap());
    assert_eq!(done.last(), Some(&(803, 803)));
    let target = dir.path().join("out.npk");
    let before = contents(&source);
    let refused = |bytes: &[u8], what: String| {
        fs::write(&file, bytes).unwrap();
        let new = unpack(&file, Some(&target), fast(), quiet);
        let known = matches!(
            new,
            Err(NpkError::Corrupted { .. }
                | NpkError::InvalidArgument { .. }
                | NpkError::UnsupportedVersion { .. })
        );
        assert!(known, "{what}: {new:?}");
        let verified = verify(&file, quiet).map(drop).map_err(|error| error.to_string());
        assert_eq!(verified, new.map(drop).map_err(|error| error.to_string()), "{what}");
        assert!(unpack(&file, Some(&source), fast().overwrite(true), quiet).is_err(), "{what}");
        assert_eq!(names(dir.path()), ["data.npk", "data.npkg"], "{what}");
    };
    for at in 0..good.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            refused(&bytes, format!("byte {at} ^ {change}"));
        }
        refused(&good[..at], format!("cut to {at} bytes"));
    }
    refused(&[&good[..], &[0]].concat(), "a byte more".to_owned());
    assert!(contents(&source) == before);
}

#[test]
fn damage_in_the_store_is_not_packed() {
    let dir = scratch();
    let source = dir.path().join("data.npk");
    small(&source);
    let file = Store::new(&source).unwrap().get_array_metadata("a").unwrap().data_file;
    let mut bytes = fs::read(source.join(&file)).unwrap();
    bytes[17] ^= 4;
    fs::write(source.join(&file), bytes).unwrap();
    assert!(matches!(pack(&source, None, PackOptions::new(), quiet), Err(NpkError::Corrupted { .. })));
    assert_eq!(names(dir.path()), ["data.npk"]);
}

/// Rows of two arrays change together; a package must hold the same commit of both.
#[test]
fn a_package_holds_one_commit_beside_writers() {
    let dir = scratch();
    let source = dir.path().join("data.npk");
    let writer = Store::new(&source).unwrap();
    const ROWS: usize = 300_000;
    writer.save_slice("a", &vec![0_u64; ROWS], &[ROWS as u64]).unwrap();
    writer.save_slice("b", &vec![0_u64; ROWS], &[ROWS as u64]).unwrap();
    writer.save_slice("c", &[0_u64], &[1]).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = || {
            for turn in 1_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // First and last row: a reader that takes its time sees both sides of a commit.
                let rows = numpack::ndarray::arr1(&[turn, turn]).into_dyn();
                let ends: &[i64] = &[0, ROWS as i64 - 1];
                writer.replace_many(&[("a", &rows, ends.into()), ("b", &rows, ends.into())]).unwrap();
                writer.append_slice("c", &[turn]).unwrap();
                if turn % 64 == 0 {
                    writer.save_slice("c", &[turn], &[1]).unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        };
        let thread = scope.spawn(work);
        for turn in 0..8 {
            let file = dir.path().join(format!("{turn}.npkg"));
            pack(&source, Some(&file), PackOptions::new(), quiet).unwrap();
            let copy = dir.path().join(format!("{turn}.npk"));
            unpack(&file, Some(&copy), fast(), quiet).unwrap();
            let copy = Store::new(copy).unwrap();
            let (a, b) = (copy.load_vec::<u64>("a").unwrap().1, copy.load_vec::<u64>("b").unwrap().1);
            let last = *copy.load_vec::<u64>("c").unwrap().1.last().unwrap();
            assert_eq!([a[0], a[ROWS - 1], b[0]], [b[ROWS - 1]; 3]);
            // The append follows the replace: the package stands before or behind it.
            assert!(last == a[0] || last + 1 == a[0], "{last} beside {}", a[0]);
        }
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_store_comes_back(
        arrays in proptest::collection::btree_map(
            "[^\0]{1,12}",
            (0_usize..14, 0_u64..200, 1_u64..9, any::<u32>(), proptest::collection::vec(any::<bool>(), 0..200)),
            0..6,
        ),
        keep in any::<bool>(),
        level in proptest::option::of(-5_i32..5),
    ) {
        let dir = scratch();
        let store = Store::new(dir.path().join("s")).unwrap();
        for (name, (dtype, rows, columns, seed, dropped)) in &arrays {
            save(&store, name, DataType::ALL[*dtype], &[*rows, *columns], *seed);
            let dropped: Vec<i64> = (0..*rows as i64).zip(dropped).filter(|(_, yes)| **yes).map(|(row, _)| row).collect();
            store.drop_arrays(name, Some(&dropped)).unwrap();
        }
        let options = PackOptions::new().keep_deleted(keep).compression(level).durability(Durability::Process);
        let file = pack(dir.path().join("s"), None, options, quiet).unwrap();
        unpack(&file, Some(&dir.path().join("t")), fast(), quiet).unwrap();
        let mut expected = contents(&dir.path().join("s"));
        if !keep {
            expected.iter_mut().for_each(|array| array.3 = 0);
        }
        prop_assert!(contents(&dir.path().join("t")) == expected);
    }
}

#[test]
fn a_pack_that_must_keep_writers_out_waits_as_long_as_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("many.npk");
    let store = Store::new(&path).unwrap();
    let names: Vec<String> = (0..300).map(|i| i.to_string()).collect();
    let arrays: Vec<RawArray<'_>> = names
        .iter()
        .map(|name| RawArray { name, dtype: DataType::Uint8, shape: &[1], bytes: &[7] })
        .collect();
    store.save_raw(&arrays).unwrap();
    drop(store);
    // As a writer that was stopped.
    let lock = std::fs::File::open(path.join("writer.lock")).unwrap();
    lock.lock().unwrap();
    let options = PackOptions::new().lock_timeout(Some(Duration::from_millis(20)));
    let error = pack(&path, None, options, quiet).unwrap_err();
    assert!(matches!(error, NpkError::Locked { .. }), "{error}");
    let mut asked = 0;
    let error = pack(&path, None, PackOptions::new(), |_| {
        asked += 1;
        if asked < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let error = error.unwrap_err();
    assert!(
        matches!(&error, NpkError::Io { source, .. } if source.kind() == ErrorKind::Interrupted),
        "{error}"
    );
    assert!(!dir.path().join("many.npkg").exists());
    lock.unlock().unwrap();
    pack(&path, None, options, quiet).unwrap();
}
