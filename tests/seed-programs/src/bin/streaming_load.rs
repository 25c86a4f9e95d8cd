//! The seed's "Streaming Load": its statements, over an array of 25,000 rows.

use ndarray::Array2;
use numpack::prelude::*;
use std::path::PathBuf;

include!(concat!(env!("OUT_DIR"), "/streaming_load.rs"));

fn main() -> NpkResult<()> {
    let io = ParallelIO::new(PathBuf::from("data.npk"))?;
    let data = Array2::<f32>::from_shape_fn((25_000, 4), |(row, _)| row as f32).into_dyn();
    io.save_arrays(&[("large_data".to_string(), data, DataType::Float32)])?;
    streaming_load(&io)
}
