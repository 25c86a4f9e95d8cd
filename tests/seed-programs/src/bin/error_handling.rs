//! The seed's "Error Handling": its statements, once without the array it asks for and once with it.

use std::path::PathBuf;

use numpack::prelude::{DataType, ParallelIO};

include!(concat!(env!("OUT_DIR"), "/error_handling.rs"));

fn main() -> numpack::prelude::NpkResult<()> {
    let io = ParallelIO::new(PathBuf::from("data.npk"))?;
    error_handling(&io)?;
    let data = ndarray::Array2::<f32>::zeros((2, 3)).into_dyn();
    io.save_arrays(&[("nonexistent".to_string(), data, DataType::Float32)])?;
    error_handling(&io)
}
