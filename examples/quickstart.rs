//! Quickstart: save arrays, change rows where they lie, read only what is needed.
//!
//! The same program in Python: quickstart.py. Every call here that changes something is one commit: it happens
//! as a whole or not at all.

use std::error::Error;

use numpack::ndarray::{Array2, ArrayD, Axis};
use numpack::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = OpenOptions::new().open(folder.path().join("data.npk"))?;

    let embeddings = Array2::from_shape_fn((1000, 128), |(row, column)| (row * 128 + column) as f32);
    store.save_arrays(&[("embeddings".to_string(), embeddings.into_dyn(), DataType::Float32)])?;
    store.save_slice("labels", &(0..1000).collect::<Vec<i64>>(), &[1000])?;

    store.append_rows("embeddings", &Array2::<f32>::ones((50, 128)).into_dyn())?;
    store.append_slice("labels", &(1000..1050).collect::<Vec<i64>>())?;
    store.replace_rows("embeddings", &Array2::<f32>::zeros((2, 128)).into_dyn(), &[0, -1])?;
    let gone = Selection::from(5..8);
    store.drop_rows_many(&[("embeddings", gone), ("labels", gone)])?;
    println!("embeddings have the shape {:?}", store.get_shape("embeddings")?);

    let rows: ArrayD<f32> = store.getitem("embeddings", 3..6)?;
    println!("rows 3 to 5 begin with {}", rows.index_axis(Axis(1), 0));
    let labels: ArrayD<i64> = store.getitem("labels", 3..6)?;
    println!("labels there are {labels}");

    store.sync_metadata()?; // from here on a power cut cannot take it either
    assert_eq!(store.get_shape("embeddings")?, [1047, 128]);
    assert_eq!(labels.as_slice(), Some(&[3, 4, 8][..]));
    assert_eq!(rows[[2, 0]], 8.0 * 128.0);
    assert!(store.getitem::<f32>("embeddings", &[0, -1])?.iter().all(|&value| value == 0.0));
    Ok(())
}
