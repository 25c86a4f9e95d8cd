//! All that a store of float32 arrays holds, for comparing.

use std::collections::BTreeMap;

use numpack::prelude::*;

/// Everything a user can see: name, logical shape, values.
pub(crate) type Contents = BTreeMap<String, (Vec<u64>, Vec<f32>)>;

pub(crate) fn contents(store: &Store) -> NpkResult<Contents> {
    store.list_arrays().into_iter().map(|name| Ok((name.clone(), store.load_vec(&name)?))).collect()
}
