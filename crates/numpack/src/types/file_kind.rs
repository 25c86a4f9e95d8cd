//! What a plain file holds that was taken for a store. A guess for messages, by its first bytes and its name; nobody
//! reads a file by it.

use std::fmt;
use std::path::Path;

/// What a file looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A package of this library.
    Package,
    /// `.npy` of NumPy.
    Npy,
    /// `.npz` of NumPy, or another zip archive.
    Npz,
    /// HDF5.
    Hdf5,
    /// Parquet.
    Parquet,
    /// Feather, or an Arrow file.
    Feather,
    /// SafeTensors.
    SafeTensors,
    /// Tensors of PyTorch.
    Pt,
    /// Text.
    Csv,
    /// Anything else.
    Other,
}

impl FileKind {
    /// The kind by the first bytes (eight are enough), otherwise by the ending of the name.
    pub(crate) fn new(path: &Path, head: &[u8]) -> FileKind {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let ending = ending.to_ascii_lowercase();
        let by_bytes: [(&[u8], FileKind); 5] = [
            (b"NPKPACK", FileKind::Package),
            (b"\x93NUMPY", FileKind::Npy),
            (b"\x89HDF\r\n", FileKind::Hdf5),
            (b"PAR1", FileKind::Parquet),
            (b"ARROW1", FileKind::Feather),
        ];
        if let Some((_, kind)) = by_bytes.iter().find(|(bytes, _)| head.starts_with(bytes)) {
            return *kind;
        }
        match ending.as_str() {
            "pt" | "pth" => FileKind::Pt,
            "safetensors" => FileKind::SafeTensors,
            "csv" | "txt" | "tsv" => FileKind::Csv,
            _ if head.starts_with(b"PK\x03\x04") => FileKind::Npz,
            _ => FileKind::Other,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Package => "a NumPack package",
            FileKind::Npy => "a .npy file",
            FileKind::Npz => "a .npz archive",
            FileKind::Hdf5 => "an HDF5 file",
            FileKind::Parquet => "a Parquet file",
            FileKind::Feather => "a Feather file",
            FileKind::SafeTensors => "a SafeTensors file",
            FileKind::Pt => "a file of tensors",
            FileKind::Csv => "a text file",
            FileKind::Other => "a plain file",
        })
    }
}
