//! An append log: measurements arrive a few at a time, and a reader follows the writer.
//!
//! The same program in Python: append_log.py.

use std::error::Error;

use numpack::ndarray::Array2;
use numpack::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log.npk");
    let store = OpenOptions::new().open(&path)?;
    store.save_slice::<f64>("log", &[], &[0, 4])?; // the time and three values

    let (mut seen, mut total) = (0, 0.0);
    for start in (0..1000).step_by(10) {
        let more = Array2::from_shape_fn((10, 4), |(row, column)| {
            let time = (start + row) as f64;
            if column == 0 { time } else { (time * column as f64 / 10.0).sin() }
        });
        store.append_rows("log", &more.into_dyn())?;

        // The reader looks less often than the writer writes, and goes on from where it stopped.
        if start % 250 == 240 {
            let reader = OpenOptions::new().mode(Mode::Read).open(&path)?;
            let rows = reader.get_shape("log")?[0] as i64;
            let news = reader.getitem::<f64>("log", &(seen..rows).collect::<Vec<_>>())?;
            total += news.sum();
            println!("read rows {seen} to {rows}");
            seen = rows;
        }
    }

    store.close()?;
    let again = OpenOptions::new().mode(Mode::Read).open(&path)?; // another day, another process
    let log = again.load_array::<f64>("log")?;
    assert_eq!(log.shape(), [1000, 4]);
    assert!((log.sum() - total).abs() < 1e-6);
    println!("the last measurement was at time {}", log[[999, 0]]);
    Ok(())
}
