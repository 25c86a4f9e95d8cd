//! The seed's Rust programs do what they say.
//!
//! The seed is the document the public interface grew from; `seed/` holds its programs byte for byte, and
//! `src/bin/` what little each needs around it. Every test runs one as a child process in a folder of its own,
//! because they name their stores by relative paths, then reopens the store and looks at what is there.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use ndarray::{s, Array2, Axis, Ix2};
use numpack::prelude::*;
use tempfile::TempDir;

/// Runs a program in `folder`, checks that it succeeded without complaint, and returns what it printed.
fn run(program: &str, folder: &Path) -> String {
    let output = Command::new(program).current_dir(folder).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}: {errors}", output.status);
    assert_eq!(errors, "", "{program} complained");
    String::from_utf8(output.stdout).expect("the program prints text")
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a scratch folder can be made")
}

fn open(store: &Path) -> ParallelIO {
    assert!(store.join("metadata.npkm").is_file(), "{} is not a store", store.display());
    ParallelIO::new(store.to_path_buf()).expect("the store opens again")
}

fn names(io: &ParallelIO) -> Vec<String> {
    let mut names = io.list_arrays();
    names.sort();
    names
}

/// The array, after checking that all that describes it agrees with what was loaded.
fn load(io: &ParallelIO, name: &str) -> Array2<f32> {
    let array = io.load_array::<f32>(name).expect("the array loads");
    let shape: Vec<u64> = array.shape().iter().map(|&length| length as u64).collect();
    let metadata = io.get_array_metadata(name).expect("the array has metadata");
    assert_eq!((metadata.name.as_str(), metadata.dtype), (name, DataType::Float32));
    assert_eq!(metadata.shape, shape);
    assert_eq!(io.get_shape(name).expect("the array has a shape"), shape);
    assert!(io.get_modify_time(name).is_some_and(|time| time > 0));
    array.into_dimensionality::<Ix2>().expect("every array here is a table")
}

#[test]
fn basic_usage() {
    let folder = scratch();
    // The second run opens the store of the first and replaces its array.
    for _ in 0..2 {
        run(env!("CARGO_BIN_EXE_basic_usage"), folder.path());
        let io = open(&folder.path().join("data.npk"));
        assert_eq!(names(&io), ["embeddings"]);
        let embeddings = load(&io, "embeddings");
        assert_eq!(embeddings.dim(), (1050, 128));
        assert_eq!(
            embeddings.slice(s![..1000, ..]),
            Array2::from_shape_fn((1000, 128), |(row, column)| (row * 128 + column) as f32)
        );
        assert_eq!(embeddings.slice(s![1000.., ..]), Array2::<f32>::ones((50, 128)));
    }
}

#[test]
fn array_operations() {
    let folder = scratch();
    for _ in 0..2 {
        run(env!("CARGO_BIN_EXE_array_operations"), folder.path());
        let io = open(&folder.path().join("data.npk"));
        assert_eq!(names(&io), ["embeddings"], "the clone is dropped again");
        // 1,000 zeros and 100 ones; rows 0 and 1 replaced; three of the zeros dropped.
        let embeddings = load(&io, "embeddings");
        assert_eq!(embeddings.dim(), (1097, 128));
        assert_eq!(embeddings.slice(s![..2, ..]), Array2::from_elem((2, 128), 42.0));
        assert_eq!(embeddings.slice(s![2..997, ..]), Array2::<f32>::zeros((995, 128)));
        assert_eq!(embeddings.slice(s![997.., ..]), Array2::<f32>::ones((100, 128)));
        let picked = io.getitem::<f32>("embeddings", &[0, 10, -1]).expect("the rows are there");
        assert_eq!(picked, embeddings.select(Axis(0), &[0, 10, 1096]).into_dyn());
    }
}

#[test]
fn streaming_load() {
    let folder = scratch();
    let printed = run(env!("CARGO_BIN_EXE_streaming_load"), folder.path());
    let batches: Vec<_> = printed.lines().collect();
    assert_eq!(batches, ["Batch shape: [10000, 4]", "Batch shape: [10000, 4]", "Batch shape: [5000, 4]"]);
    let io = open(&folder.path().join("data.npk"));
    let expected = Array2::from_shape_fn((25_000, 4), |(row, _)| row as f32);
    assert_eq!(load(&io, "large_data"), expected, "reading changes nothing");
}

#[test]
fn performance_tips() {
    let folder = scratch();
    run(env!("CARGO_BIN_EXE_performance_tips"), folder.path());
    let io = open(&folder.path().join("data.npk"));
    assert_eq!(names(&io), ["a", "b"]);
    // 1,000 rows that hold their number and 100 ones; rows 0, 1 and 2 replaced, then dropped.
    let a = load(&io, "a");
    assert_eq!(a.dim(), (1097, 128));
    assert_eq!(a.slice(s![..997, ..]), Array2::from_shape_fn((997, 128), |(row, _)| (row + 3) as f32));
    assert_eq!(a.slice(s![997.., ..]), Array2::<f32>::ones((100, 128)));
    assert_eq!(load(&io, "b"), Array2::from_elem((500, 128), 2.0));
}

#[test]
fn error_handling() {
    let folder = scratch();
    let printed = run(env!("CARGO_BIN_EXE_error_handling"), folder.path());
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines, ["Array nonexistent not found", "Found: [2, 3]"]);
}

/// The one program that names its store by an absolute path, which may hold something of somebody else's.
#[cfg(unix)]
#[test]
fn concurrent_write() {
    let folder = Path::new("/tmp/numpack_data");
    // One run at a time on this machine: the folder above is locked, so that no lock file is left there.
    let parent = File::open("/tmp").expect("/tmp is there");
    parent.lock().expect("/tmp can be locked");
    remove_earlier_run(folder);

    let elsewhere = scratch();
    run(env!("CARGO_BIN_EXE_concurrent_write"), elsewhere.path());
    {
        let io = open(folder);
        let mut expected: Vec<String> = (0..10).map(|i| format!("chunk_{i}")).collect();
        expected.sort();
        assert_eq!(names(&io), expected, "no thread's commit is lost");
        for name in &expected {
            assert_eq!(load(&io, name), Array2::<f32>::ones((100, 128)), "{name}");
        }
    }
    let strays = fs::read_dir(elsewhere.path()).expect("the scratch folder is there").count();
    assert_eq!(strays, 0, "nothing is written beside the store");
    remove_earlier_run(folder);
}

/// Removes what an earlier run of `concurrent_write` left, and refuses to touch anything else.
#[cfg(unix)]
fn remove_earlier_run(folder: &Path) {
    let Ok(metadata) = fs::symlink_metadata(folder) else { return };
    assert!(
        metadata.is_dir() && holds_only_chunks(folder),
        "{} is not of this test's making: move it away and run the test again",
        folder.display()
    );
    fs::remove_dir_all(folder).expect("the test can remove its own store");
}

/// Whether a folder is empty, or a store with nothing in it but `chunk_0` to `chunk_9`.
#[cfg(unix)]
fn holds_only_chunks(folder: &Path) -> bool {
    let entries: Vec<_> = fs::read_dir(folder)
        .and_then(|entries| entries.collect::<Result<_, _>>())
        .expect("the folder can be listed");
    let is_store_file = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        (name == "writer.lock" || name.contains(".npk")) && entry.file_type().is_ok_and(|kind| kind.is_file())
    };
    if entries.is_empty() {
        return true;
    }
    // The store is opened only if there is one: opening creates what is missing.
    if !folder.join("metadata.npkm").is_file() || !entries.iter().all(is_store_file) {
        return false;
    }
    let chunks: Vec<_> = (0..10).map(|i| format!("chunk_{i}")).collect();
    ParallelIO::new(folder.to_path_buf())
        .is_ok_and(|io| io.list_arrays().iter().all(|name| chunks.contains(name)))
}
