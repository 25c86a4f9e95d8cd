//! The calls of a scenario, made on a store.

use numpack::prelude::*;
use numpack::{Existing, RawArray};

use super::model::{Call, Counts, WIDTH, cells, fresh};

fn raw<'a>(name: &'a str, shape: &'a [u64; 2], bytes: &'a [u8]) -> RawArray<'a> {
    RawArray { name, dtype: DataType::Uint64, shape, bytes }
}

fn with_raw<R>(i: u32, arrays: &[(String, usize, usize)], run: impl FnOnce(&[RawArray<'_>]) -> R) -> R {
    let parts: Vec<_> = arrays
        .iter()
        .map(|(name, start, n)| {
            let bytes: Vec<u8> =
                cells(&fresh(i, *start, *n)).iter().flat_map(|cell| cell.to_le_bytes()).collect();
            (name, [*n as u64, WIDTH as u64], bytes)
        })
        .collect();
    run(&parts.iter().map(|(name, shape, bytes)| raw(name, shape, bytes)).collect::<Vec<_>>())
}

/// Prepares call `i` and returns what makes it, so that only the call itself stands between the marks.
pub(super) fn store_call(
    store: &Store,
    i: u32,
    call: Call,
    counts: &Counts,
    mark: impl Fn(),
) -> NpkResult<()> {
    match call {
        Call::Save(arrays) => {
            let arrays: Vec<_> = arrays.into_iter().map(|(name, n)| (name, 0, n)).collect();
            with_raw(i, &arrays, |raw| {
                mark();
                store.save_raw(raw)
            })
        }
        Call::Ingest(arrays, all) => {
            let arrays: Vec<_> = arrays.into_iter().map(|(name, n)| (name, 0, n)).collect();
            with_raw(i, &arrays, |raw| {
                mark();
                let mut ingest = store.ingest()?;
                for array in raw {
                    let mut writer = ingest.array(array.name, array.dtype, array.shape)?;
                    array.bytes.chunks(50_000).try_for_each(|part| writer.write(part))?;
                    ingest.add(writer)?;
                }
                ingest.commit(if all { Existing::RemoveAll } else { Existing::Replace })
            })
        }
        Call::Append(arrays) => {
            let arrays: Vec<_> = arrays
                .into_iter()
                .map(|(name, n)| {
                    let start = counts[&name];
                    (name, start, n)
                })
                .collect();
            with_raw(i, &arrays, |raw| {
                mark();
                store.append_raw(raw)
            })
        }
        Call::Replace(name, at) => {
            let values = cells(&at.iter().map(|&at| (i, at as u32)).collect::<Vec<_>>());
            mark();
            store.replace_slice(&name, &values, &at)
        }
        Call::DropRows(name, at) => {
            mark();
            store.drop_arrays(&name, Some(&at))
        }
        Call::Remove(names) => {
            mark();
            store.drop_many(&names.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Call::Compact(name) => {
            mark();
            store.compact_array(&name)
        }
        Call::Clone(from, to) => {
            mark();
            store.clone_array(&from, &to)
        }
        Call::Reset => {
            mark();
            store.reset()
        }
    }
}
