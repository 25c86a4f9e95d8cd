//! Views of arrays: all of one commit, whatever others write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use numpack::RawArray;
use numpack::ndarray::ArrayD;
use numpack::prelude::*;

fn store(dir: &tempfile::TempDir) -> Store {
    Store::new(dir.path().join("data.npk")).unwrap()
}

fn save(store: &Store, names: &[&str], value: u8, rows: usize) {
    let (bytes, shape) = (vec![value; rows], [rows as u64]);
    let raw = |name| RawArray { name, dtype: DataType::Uint8, shape: &shape, bytes: &bytes };
    store.save_raw(&names.iter().copied().map(raw).collect::<Vec<_>>()).unwrap();
}

#[test]
fn views_are_of_one_commit_beside_writers() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = (store(&dir), store(&dir));
    save(&writer, &["a", "b", "other"], 0, 100);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for value in 1..=255 {
                if value % 2 == 0 {
                    writer.drop_many(&["a", "b"]).unwrap();
                }
                save(&writer, &["a", "b"], value, value.into());
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let views = reader.get_array_views(|name| name != "other").unwrap();
            let found: Vec<ArrayD<u8>> = views.iter().map(|view| view.to_array().unwrap()).collect();
            assert!(matches!(found.len(), 0 | 2), "{} arrays", found.len());
            assert!(found.is_empty() || found[0] == found[1]);
        }
    });
}
