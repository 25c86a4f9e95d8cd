//! Small stores, and every mutating call on them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use numpack::package::{self, PackOptions, UnpackOptions};
use numpack::prelude::*;
use numpack::{Existing, RawArray, RawRows};
use tempfile::TempDir;

use crate::folder::scratch;
use crate::values::values;

/// One mutating call.
pub(crate) type Act = fn(&Store) -> NpkResult<()>;

/// A call, and what the store is like when it is made.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) setup: fn(&Path),
    pub(crate) act: Act,
}

/// A copy of a closed store.
pub(crate) fn copy(from: &Path, to: &Path) -> PathBuf {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to.to_owned()
}

/// Three arrays of rows of four, one of them with deleted rows, and a scalar.
pub(crate) fn small(path: &Path) {
    let store = Store::new(path).unwrap();
    store.save_slice("a", &values(0, 200), &[50, 4]).unwrap();
    store.save_slice("b", &values(1000, 80), &[20, 4]).unwrap();
    store.save_slice("c", &values(2000, 120), &[30, 4]).unwrap();
    store.save_slice("one", &values(7, 1), &[]).unwrap();
    store.append_slice("a", &values(200, 40)).unwrap();
    store.replace_slice("b", &values(3000, 8), &[1, 5]).unwrap();
    store.drop_arrays("c", Some(&[3, 7, 8, -1])).unwrap();
}

const BIG: usize = (1 << 20) / 4 + 100;

/// A large array saved so often that a retired file waits to be used again.
fn with_recycled(path: &Path) {
    small(path);
    let store = Store::new(path).unwrap();
    for i in 0..3 {
        store.save_slice("big", &values(i, BIG), &[BIG as u64]).unwrap();
    }
}

/// A store whose log is one commit of [`long_save`] away from a checkpoint.
fn before_checkpoint(path: &Path) {
    // Without replaced rows, whose redo bytes keep a log for longer.
    let open = |path: &Path| {
        let store = Store::new(path).unwrap();
        store.save_slice("a", &values(0, 200), &[50, 4]).unwrap();
        store.drop_arrays("a", Some(&[3, 7])).unwrap();
        store
    };
    // Counted in a store of its own: the number follows from the length of the records.
    let trial = scratch();
    let log = || fs::metadata(trial.path().join("metadata.npkm")).unwrap().ino();
    let store = open(trial.path());
    let first = log();
    let mut saves = 0;
    while log() == first {
        long_save(&store).unwrap();
        saves += 1;
        assert!(saves < 5000, "a log of operations is replaced at about 1 MiB");
    }
    let store = open(path);
    (1..saves).for_each(|_| long_save(&store).unwrap());
}

fn long_save(store: &Store) -> NpkResult<()> {
    let name = "n".repeat(1000);
    store.save_slice(&name, &values(store.list_arrays().len(), 4), &[4])
}

fn save_several(store: &Store) -> NpkResult<()> {
    let new: Vec<u8> = values(9000, 12).iter().flat_map(|v| v.to_le_bytes()).collect();
    let array = |name, shape| RawArray { name, dtype: DataType::Float32, shape, bytes: &new };
    store.save_raw(&[array("a", &[3, 4]), array("new", &[12]), array("c", &[2, 6])])
}

fn append_several(store: &Store) -> NpkResult<()> {
    let rows: Vec<u8> = values(9000, 12).iter().flat_map(|v| v.to_le_bytes()).collect();
    let array = |name| RawArray { name, dtype: DataType::Float32, shape: &[3, 4], bytes: &rows };
    store.append_raw(&[array("a"), array("b"), array("c")])
}

fn replace_several(store: &Store) -> NpkResult<()> {
    let rows: Vec<u8> = values(9000, 12).iter().flat_map(|v| v.to_le_bytes()).collect();
    let array = |name| RawArray { name, dtype: DataType::Float32, shape: &[3, 4], bytes: &rows };
    store.replace_raw(&[
        RawRows { rows: array("a"), selection: Selection::List(&[0, 20, -1]) },
        RawRows { rows: array("b"), selection: Selection::from(4..7) },
        RawRows { rows: array("c"), selection: Selection::List(&[9, 3, 7]) },
    ])
}

fn unpack_over(store: &Store) -> NpkResult<()> {
    static PACKAGE: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
        let dir = scratch();
        let store = Store::new(dir.path().join("new.npk")).unwrap();
        store.save_slice("a", &values(6000, 120), &[30, 4]).unwrap();
        store.save_slice("new", &values(7000, 80), &[20, 4]).unwrap();
        store.drop_arrays("new", Some(&[3, 7, -1])).unwrap();
        let options = PackOptions::new().keep_deleted(true);
        let file = package::pack(store.path(), None, options, package::quiet).unwrap();
        (dir, file)
    });
    package::unpack_into(&PACKAGE.1, store, UnpackOptions::new(), package::quiet)
}

/// Two arrays, piece by piece; the rows of one are counted as they come.
pub(crate) fn ingest(store: &Store, name: &str) -> NpkResult<()> {
    let bytes: Vec<u8> = values(5000, 60).iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut ingest = store.ingest()?;
    let mut writer = ingest.array(name, DataType::Float32, &[15, 4])?;
    bytes.chunks(100).try_for_each(|piece| writer.write(piece))?;
    ingest.add(writer)?;
    let mut writer = ingest.rows("b", DataType::Float32, &[2])?;
    bytes[..48].chunks(20).try_for_each(|piece| writer.write(piece))?;
    ingest.add(writer)?;
    ingest.commit(Existing::Replace)
}

/// Every kind of mutating call.
pub(crate) const SCENES: [Scene; 21] = [
    scene("save new", small, |s| s.save_slice("new", &values(5000, 60), &[15, 4])),
    scene("save over", small, |s| s.save_slice("a", &values(5000, 60), &[15, 4])),
    scene("save over replaced", small, |s| s.save_slice("b", &values(5000, 80), &[20, 4])),
    scene("save into a recycled file", with_recycled, |s| {
        s.save_slice("big", &values(9, BIG - 50), &[BIG as u64 - 50])
    }),
    scene("save several", small, save_several),
    scene("ingest, new", small, |s| ingest(s, "new")),
    scene("ingest, over", small, |s| ingest(s, "c")),
    scene("append", small, |s| s.append_slice("a", &values(5000, 20))),
    scene("append behind deleted rows", small, |s| s.append_slice("c", &values(5000, 20))),
    scene("append several", small, append_several),
    scene("replace neighbours", small, |s| {
        s.replace_slice("a", &values(5000, 40), &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    }),
    scene("replace scattered", small, |s| s.replace_slice("c", &values(5000, 16), &[0, 5, -1, 9])),
    scene("replace several", small, replace_several),
    scene("drop rows", small, |s| s.drop_arrays("a", Some(&[0, 9, -1]))),
    scene("drop an array", small, |s| s.drop_arrays("b", None)),
    scene("compact", small, |s| s.compact_array("c")),
    scene("clone", small, |s| s.clone_array("c", "copy")),
    scene("reset", small, Store::reset),
    scene("unpack", small, unpack_over),
    scene("sync", small, Store::sync_metadata),
    scene("checkpoint", before_checkpoint, long_save),
];

const fn scene(name: &'static str, setup: fn(&Path), act: Act) -> Scene {
    Scene { name, setup, act }
}
