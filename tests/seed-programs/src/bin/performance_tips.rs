//! The seed's "Performance Tips": its statements, over an array of 1,000 and one of 500 rows.

use ndarray::{Array2, ArrayD};
use numpack::prelude::*;
use std::path::PathBuf;

include!(concat!(env!("OUT_DIR"), "/performance_tips.rs"));

fn main() -> NpkResult<()> {
    let io = ParallelIO::new(PathBuf::from("data.npk"))?;
    let data_a = Array2::<f32>::from_shape_fn((1000, 128), |(row, _)| row as f32).into_dyn();
    let data_b = Array2::<f32>::from_elem((500, 128), 2.0).into_dyn();
    performance_tips(&io, data_a, data_b)
}
