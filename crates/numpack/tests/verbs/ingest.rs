//! Saving from a source piece by piece: one commit, whole or not at all, whatever the source does.

use std::fs;
use std::path::Path;

use numpack::prelude::*;
use numpack::{ArrayWriter, Incoming};

fn incoming<'a>(name: &'a str, shape: &'a [u64]) -> Incoming<'a> {
    Incoming { name, dtype: DataType::Uint8, shape, overwrite: false, dropped: &[] }
}

/// Everything in a folder, with the bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name.ends_with(".npkd") || name.ends_with(".npkm"))
        .collect();
    found.sort();
    found
}

#[test]
fn pieces_of_any_size_make_one_array() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("data.npk")).unwrap();
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|i| (i % 251) as u8).collect();
    for size in [1 << 8, 999, 1 << 20, 9_000_001, 20_000_000] {
        let name = format!("by {size}");
        let fill = |writer: &mut ArrayWriter| {
            bytes.chunks(size).try_for_each(|piece| writer.write(piece))?;
            assert_eq!(writer.missing(), 0);
            Ok(())
        };
        store.save_from(&incoming(&name, &[2000, 5000]), fill).unwrap();
        assert_eq!(store.load_vec::<u8>(&name).unwrap(), (vec![2000, 5000], bytes.clone()));
        assert_eq!(store.get_array_view(&name).unwrap().row_bytes(1998..3000).unwrap(), bytes[9_990_000..]);
    }
    for (name, shape) in [("none", &[0, 7][..]), ("empty rows", &[5, 0])] {
        store.save_from(&incoming(name, shape), |_| Ok(())).unwrap();
        assert_eq!(store.get_shape(name).unwrap(), shape);
    }
    store.save_from(&incoming("scalar", &[]), |writer| writer.write(&[7])).unwrap();
    assert_eq!(store.get_array_view("scalar").unwrap().row_bytes(0..1).unwrap(), [7]);
    let report = store.verify().unwrap();
    assert_eq!((report.findings.len(), report.checksummed), (0, 8));
}

#[test]
fn another_array_keeps_its_name_unless_it_may_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("data.npk")).unwrap();
    store.save_slice("a", &[1_u8, 2], &[2]).unwrap();
    store.save_slice("b", &[3_u8], &[1]).unwrap();
    let refused = store.save_from(&incoming("a", &[1]), |_| panic!("nothing is asked of the source"));
    assert!(matches!(refused, Err(NpkError::ArrayExists(name)) if name == "a"));
    let over = Incoming { overwrite: true, dropped: &["b", "not there"], ..incoming("a", &[1]) };
    store.save_from(&over, |writer| writer.write(&[9])).unwrap();
    assert_eq!(store.list_arrays(), ["a"]);
    assert_eq!(store.load_vec::<u8>("a").unwrap().1, [9]);
    let twice = Incoming { dropped: &["c"], ..incoming("c", &[1]) };
    assert!(matches!(store.save_from(&twice, |_| Ok(())), Err(NpkError::InvalidArgument { .. })));
}

#[test]
fn what_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.npk");
    let store = Store::new(&path).unwrap();
    store.save_slice("a", &[1_u8, 2], &[2]).unwrap();
    let before = files(&path);
    let over = Incoming { overwrite: true, ..incoming("a", &[1000]) };
    let stopped = store.save_from(&over, |writer| {
        writer.write(&[5; 999])?;
        Err(NpkError::Cancelled)
    });
    assert!(matches!(stopped, Err(NpkError::Cancelled)));
    let short = store.save_from(&over, |writer| writer.write(&[5; 999]));
    assert!(matches!(short, Err(NpkError::InvalidShape { .. })));
    let long = store.save_from(&over, |writer| writer.write(&[5; 1001]));
    assert!(matches!(long, Err(NpkError::InvalidArgument { argument: "bytes", .. })));
    for shape in [&[1 << 48][..], &[1 << 40, 1 << 40], &[1; 256]] {
        let refused = store.save_from(&incoming("x", shape), |_| panic!("nothing is asked of the source"));
        assert!(matches!(refused, Err(NpkError::InvalidShape { .. })), "{shape:?}");
    }
    assert!(store.save_from(&incoming("", &[1]), |_| Ok(())).is_err());
    assert!(files(&path) == before);
    let reader = OpenOptions::new().mode(numpack::Mode::Read).open(&path).unwrap();
    assert!(matches!(reader.save_from(&over, |_| Ok(())), Err(NpkError::ReadOnly { .. })));
}
