//! Random sequences of every operation through three instances, against a plain model in memory.
//!
//! Two writing instances with cores of their own and a read-only one look at one folder. After every step
//! each of them must show exactly what the model holds, and every error must be the one the model predicts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use numpack::disk::OsFolder;
use numpack::ndarray::{ArrayD, IxDyn};
use numpack::prelude::*;
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "../b", "c/ü\n", "D"];
const INSTANCES: usize = 3;
const READER: usize = 2;

/// An element whose value and bytes follow from a number.
trait Element: NpkElement + PartialEq + std::fmt::Debug {
    fn make(n: u32) -> Self;
    fn push(&self, bytes: &mut Vec<u8>);
}

macro_rules! element {
    ($($t:ty),*) => {$(impl Element for $t {
        fn make(n: u32) -> Self { n as $t }
        fn push(&self, bytes: &mut Vec<u8>) { bytes.extend_from_slice(&self.to_le_bytes()) }
    })*};
}
element!(u8, i32, f64);

impl Element for bool {
    fn make(n: u32) -> Self {
        n.is_multiple_of(3)
    }
    fn push(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }
}

/// Runs an expression with `T` bound to the element type of a dtype.
macro_rules! typed {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            DataType::Uint8 => {
                type $t = u8;
                $body
            }
            DataType::Int32 => {
                type $t = i32;
                $body
            }
            DataType::Bool => {
                type $t = bool;
                $body
            }
            _ => {
                type $t = f64;
                $body
            }
        }
    };
}

const DTYPES: [DataType; 4] = [DataType::Uint8, DataType::Int32, DataType::Float64, DataType::Bool];

fn values<T: Element>(shape: &[u64], seed: u32) -> Vec<T> {
    (0..shape.iter().product::<u64>() as u32)
        .map(|n| T::make(seed.wrapping_mul(31).wrapping_add(n)))
        .collect()
}

fn array<T: Element>(shape: &[u64], seed: u32) -> ArrayD<T> {
    let dims: Vec<usize> = shape.iter().map(|&dim| dim as usize).collect();
    ArrayD::from_shape_vec(IxDyn(&dims), values(shape, seed)).unwrap()
}

fn to_bytes<'a, T: Element>(values: impl IntoIterator<Item = &'a T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.into_iter().for_each(|value| value.push(&mut bytes));
    bytes
}

fn bytes_for(dtype: DataType, shape: &[u64], seed: u32) -> Vec<u8> {
    typed!(dtype, T => to_bytes(&values::<T>(shape, seed)))
}

#[derive(Clone, Debug, PartialEq)]
struct Plain {
    order: u64,
    dtype: DataType,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl Plain {
    fn rows(&self) -> usize {
        self.shape.first().map_or(1, |&rows| rows as usize)
    }

    fn row_bytes(&self) -> usize {
        self.shape.iter().skip(1).product::<u64>() as usize * self.dtype.size_bytes()
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.row_bytes()..][..self.row_bytes()]
    }

    fn named(&self, which: &Which) -> Result<Vec<usize>, Kind> {
        if self.shape.is_empty() {
            return Err(Kind::Shape);
        }
        let rows = self.rows() as i64;
        let row = |&index: &i64| {
            let inside = (-rows..rows).contains(&index);
            inside.then(|| index.rem_euclid(rows.max(1)) as usize).ok_or(Kind::Bounds(index, rows as u64))
        };
        match which {
            Which::All => Ok((0..rows as usize).collect()),
            Which::List(indexes) => indexes.iter().map(row).collect(),
            Which::Slice(_, _, Some(0)) => Err(Kind::Argument),
            Which::Slice(start, stop, step) => Ok(slice(*start, *stop, step.unwrap_or(1), rows)),
            Which::Mask { .. } => {
                let mask = which.mask(rows as usize);
                if mask.len() == rows as usize {
                    Ok((0..mask.len()).filter(|&row| mask[row]).collect())
                } else {
                    Err(Kind::Mask(rows as u64, mask.len() as u64))
                }
            }
        }
    }

    fn fits(&self, dtype: DataType, shape: &[u64]) -> Result<(), Kind> {
        if self.shape.is_empty() {
            return Err(Kind::Shape);
        }
        if self.dtype != dtype {
            return Err(Kind::Dtype);
        }
        let same = shape.len() == self.shape.len() && shape[1..] == self.shape[1..];
        if same { Ok(()) } else { Err(Kind::Shape) }
    }
}

/// The error variants that a bad call can meet.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    NotFound,
    Exists,
    Name,
    Shape,
    Dtype,
    Argument,
    Bounds(i64, u64),
    Mask(u64, u64),
    ReadOnly,
    Other(String),
}

fn kind(error: NpkError) -> Kind {
    match error {
        NpkError::ArrayNotFound(_) => Kind::NotFound,
        NpkError::ArrayExists(_) => Kind::Exists,
        NpkError::InvalidName { .. } => Kind::Name,
        NpkError::InvalidShape { .. } => Kind::Shape,
        NpkError::InvalidDtype { .. } => Kind::Dtype,
        NpkError::InvalidArgument { .. } => Kind::Argument,
        NpkError::IndexOutOfBounds { index, rows } => Kind::Bounds(index, rows),
        NpkError::MaskMismatch { rows, flags } => Kind::Mask(rows, flags),
        NpkError::ReadOnly { .. } => Kind::ReadOnly,
        other => Kind::Other(other.to_string()),
    }
}

/// Rows of whatever array a step is about.
#[derive(Clone, Debug)]
enum Which {
    All,
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// Flags by the bits of a seed, mostly one for every row.
    Mask {
        seed: u64,
        longer: usize,
    },
    List(Vec<i64>),
}

impl Which {
    /// The flags for an array of so many rows.
    fn mask(&self, rows: usize) -> Vec<bool> {
        match self {
            Which::Mask { seed, longer } => {
                (0..rows + longer).map(|row| seed >> (row % 61) & 1 == 1).collect()
            }
            _ => Vec::new(),
        }
    }

    fn selection<'a>(&'a self, mask: &'a [bool]) -> Selection<'a> {
        match self {
            Which::All => Selection::All,
            &Which::Slice(start, stop, step) => Selection::Slice { start, stop, step },
            Which::Mask { .. } => Selection::Mask(mask),
            Which::List(indexes) => Selection::List(indexes),
        }
    }
}

/// The rows of Python's slice, by stepping through it.
fn slice(start: Option<i64>, stop: Option<i64>, step: i64, rows: i64) -> Vec<usize> {
    let (low, high) = if step > 0 { (0, rows) } else { (-1, rows - 1) };
    let inside = |end: i64| if end < 0 { (end + rows).max(low) } else { end.min(high) };
    let mut row = start.map_or(if step > 0 { low } else { high }, inside);
    let end = stop.map_or(if step > 0 { high } else { low }, inside);
    let mut found = Vec::new();
    while (step > 0 && row < end) || (step < 0 && row > end) {
        found.push(row as usize);
        row += step;
    }
    found
}

/// Rows for an existing array: a good row shape mostly, the dtype mostly.
#[derive(Clone, Debug)]
struct Rows {
    name: usize,
    count: u64,
    seed: u32,
    /// 0: a wrong row shape, 1: a wrong dtype, 2: a wrong number of rows, otherwise right.
    slip: u8,
    which: Which,
}

#[derive(Clone, Debug)]
enum Step {
    Save {
        arrays: Vec<(usize, Vec<u64>, u32)>,
        dtype: usize,
    },
    SaveSlice {
        name: usize,
        shape: Vec<u64>,
        dtype: usize,
        seed: u32,
        short: bool,
    },
    BadName(bool),
    Append(Vec<Rows>),
    Replace(Vec<Rows>),
    DropRows {
        name: usize,
        which: Which,
    },
    DropArray(usize),
    DropMany(Vec<usize>),
    Compact(usize),
    Clone(usize, usize),
    Reset,
    Sync,
    Get {
        name: usize,
        which: Which,
    },
    Stream {
        name: usize,
        rows: usize,
    },
    HoldView(usize),
    Reopen,
    /// Enough redo bytes to make the log begin anew.
    Churn,
}

fn shape() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        6 => (0..12u64, 1..5u64).prop_map(|(rows, width)| vec![rows, width]),
        2 => (0..200u64).prop_map(|rows| vec![rows]),
        1 => Just(vec![]),
        1 => (0..5u64).prop_map(|rows| vec![rows, 0, 2]),
        2 => proptest::collection::vec(0..4u64, 0..=8),
    ]
}

/// Small mostly, so that they hit rows; the extremes sometimes.
fn indexes() -> impl Strategy<Value = Vec<i64>> {
    let index = prop_oneof![
        40 => -3..4i64,
        6 => -14..14i64,
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(1 << 32)],
    ];
    proptest::collection::vec(index, 0..6)
}

fn which() -> impl Strategy<Value = Which> {
    let end = || proptest::option::of(-14..14i64);
    prop_oneof![
        6 => indexes().prop_map(Which::List),
        3 => (end(), end(), proptest::option::of(-4..5i64)).prop_map(|(start, stop, step)| Which::Slice(start, stop, step)),
        2 => (any::<u64>(), prop_oneof![9 => Just(0), 1 => 1..3usize]).prop_map(|(seed, longer)| Which::Mask { seed, longer }),
        1 => Just(Which::All),
    ]
}

fn rows() -> impl Strategy<Value = Rows> {
    (0..NAMES.len(), 0..5u64, any::<u32>(), 0..14u8, which())
        .prop_map(|(name, count, seed, slip, which)| Rows { name, count, seed, slip, which })
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let one = |name, shape, seed| (name, shape, seed);
    prop_oneof![
        4 => (proptest::collection::vec((name(), shape(), any::<u32>()).prop_map(move |(n, s, v)| one(n, s, v)), 0..3), 0..4usize)
            .prop_map(|(arrays, dtype)| Step::Save { arrays, dtype }),
        4 => (name(), shape(), 0..4usize, any::<u32>(), 0..12u8)
            .prop_map(|(name, shape, dtype, seed, short)| Step::SaveSlice { name, shape, dtype, seed, short: short == 0 }),
        1 => any::<bool>().prop_map(Step::BadName),
        7 => proptest::collection::vec(rows(), 1..3).prop_map(Step::Append),
        8 => proptest::collection::vec(rows(), 1..3).prop_map(Step::Replace),
        7 => (name(), which()).prop_map(|(name, which)| Step::DropRows { name, which }),
        1 => name().prop_map(Step::DropArray),
        1 => proptest::collection::vec(name(), 0..3).prop_map(Step::DropMany),
        3 => name().prop_map(Step::Compact),
        3 => (name(), name()).prop_map(|(from, to)| Step::Clone(from, to)),
        1 => (0..3u8).prop_map(|n| if n == 0 { Step::Reset } else { Step::Sync }),
        2 => Just(Step::Sync),
        4 => (name(), which()).prop_map(|(name, which)| Step::Get { name, which }),
        2 => (name(), 0..5usize).prop_map(|(name, rows)| Step::Stream { name, rows }),
        2 => name().prop_map(Step::HoldView),
        2 => Just(Step::Reopen),
        1 => Just(Step::Churn),
    ]
}

fn open(path: &Path, instance: usize) -> Store {
    let options = OpenOptions::new();
    match instance {
        0 => options.open(path).unwrap(),
        // A folder of its own gives a core of its own, as another process would have.
        1 => Store::open_folder(Arc::new(OsFolder::open(path).unwrap()), options).unwrap(),
        _ => options.mode(Mode::Read).open(path).unwrap(),
    }
}

#[derive(Default)]
struct Model {
    arrays: BTreeMap<&'static str, Plain>,
    next: u64,
}

/// Array, dtype, shape of the rows, seed of their values, indexes.
type ReplaceCall = (usize, DataType, Vec<u64>, u32, Which);

impl Model {
    fn put(&mut self, name: &'static str, dtype: DataType, shape: &[u64], bytes: Vec<u8>) {
        let order = self.arrays.get(name).map_or(self.next, |old| old.order);
        self.next = self.next.max(order + 1);
        self.arrays.insert(name, Plain { order, dtype, shape: shape.to_vec(), bytes });
    }

    fn get(&self, name: usize) -> Result<&Plain, Kind> {
        self.arrays.get(NAMES[name]).ok_or(Kind::NotFound)
    }

    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.arrays.iter().map(|(name, plain)| (plain.order, *name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// The dtype and shape of what a step gives as rows of an array.
    fn given(&self, rows: &Rows, count: u64) -> (DataType, Vec<u64>) {
        let known = self.get(rows.name).ok();
        let mut dtype = known.map_or(DataType::Int32, |plain| plain.dtype);
        let mut shape = known.map_or(vec![1], |plain| plain.shape.clone());
        match shape.first_mut() {
            Some(first) => *first = count,
            None => shape.push(count),
        }
        match rows.slip {
            0 => shape.push(2),
            1 => dtype = if dtype == DataType::Uint8 { DataType::Int32 } else { DataType::Uint8 },
            2 => shape[0] += 1,
            _ => {}
        }
        (dtype, shape)
    }

    fn append(&mut self, all: &[(usize, DataType, Vec<u64>, u32)]) -> Result<(), Kind> {
        distinct(all.iter().map(|rows| rows.0))?;
        all.iter().try_for_each(|rows| self.get(rows.0).map(drop))?;
        all.iter().try_for_each(|(name, dtype, shape, _)| self.get(*name)?.fits(*dtype, shape))?;
        for (name, dtype, shape, seed) in all {
            let plain = self.arrays.get_mut(NAMES[*name]).unwrap();
            plain.shape[0] += shape[0];
            plain.bytes.extend(bytes_for(*dtype, shape, *seed));
        }
        Ok(())
    }

    fn replace(&mut self, all: &[ReplaceCall]) -> Result<(), Kind> {
        distinct(all.iter().map(|rows| rows.0))?;
        let mut changed = self.arrays.clone();
        for (name, dtype, shape, seed, which) in all {
            let plain = self.get(*name)?;
            plain.fits(*dtype, shape)?;
            let (rows, bytes, len) =
                (plain.named(which)?, bytes_for(*dtype, shape, *seed), plain.row_bytes());
            if shape[0] != rows.len() as u64 {
                return Err(Kind::Shape);
            }
            let target = changed.get_mut(NAMES[*name]).unwrap();
            for (i, row) in rows.into_iter().enumerate() {
                target.bytes[row * len..][..len].copy_from_slice(&bytes[i * len..][..len]);
            }
        }
        self.arrays = changed;
        Ok(())
    }

    /// Rows that a step names, as far as it names any, and the flags of its mask.
    fn asked(&self, name: usize, which: &Which) -> (u64, Vec<bool>) {
        let plain = self.get(name).ok();
        let count = plain.and_then(|plain| plain.named(which).ok()).map_or(1, |rows| rows.len());
        (count as u64, which.mask(plain.map_or(0, Plain::rows)))
    }

    fn drop_rows(&mut self, name: usize, which: &Which) -> Result<(), Kind> {
        let plain = self.get(name)?;
        let gone = plain.named(which)?;
        let kept: Vec<usize> = (0..plain.rows()).filter(|row| !gone.contains(row)).collect();
        let bytes = kept.iter().flat_map(|&row| plain.row(row).to_vec()).collect();
        let plain = self.arrays.get_mut(NAMES[name]).unwrap();
        plain.shape[0] = kept.len() as u64;
        plain.bytes = bytes;
        Ok(())
    }
}

fn distinct(names: impl IntoIterator<Item = usize>) -> Result<(), Kind> {
    let mut seen = std::collections::BTreeSet::new();
    if names.into_iter().all(|name| seen.insert(name)) { Ok(()) } else { Err(Kind::Argument) }
}

struct World {
    path: std::path::PathBuf,
    stores: Vec<Store>,
    model: Model,
    held: Vec<(usize, Plain, ArrayView)>,
}

impl World {
    fn run(&mut self, instance: usize, step: &Step) {
        let store = self.stores[instance].clone();
        let writes =
            !matches!(step, Step::Get { .. } | Step::Stream { .. } | Step::HoldView(_) | Step::Reopen);
        if writes && instance == READER {
            let got = self.call(&store, step).map_err(kind);
            assert_eq!(got, Err(Kind::ReadOnly), "{step:?}");
            return;
        }
        let got = self.call(&store, step).map_err(kind);
        let expected = self.expect(instance, step);
        assert_eq!(got, expected, "{step:?}");
    }

    /// The step on the store.
    #[expect(clippy::too_many_lines, reason = "an arm for each step")]
    fn call(&self, store: &Store, step: &Step) -> NpkResult<()> {
        match step {
            Step::Save { arrays, dtype } => typed!(DTYPES[*dtype], T => {
                let arrays: Vec<_> = arrays
                    .iter()
                    .map(|(name, shape, seed)| (NAMES[*name].to_string(), array::<T>(shape, *seed), T::DTYPE))
                    .collect();
                store.save_arrays(&arrays)
            }),
            Step::SaveSlice { name, shape, dtype, seed, short } => typed!(DTYPES[*dtype], T => {
                let mut values = values::<T>(shape, *seed);
                if *short {
                    values.push(T::make(1));
                }
                store.save_slice(NAMES[*name], &values, shape)
            }),
            Step::BadName(long) => {
                let name = if *long { "x".repeat(1025) } else { String::new() };
                store.save_slice(&name, &[1u8], &[1])
            }
            Step::Append(rows) => {
                let given: Vec<_> = rows.iter().map(|r| (r, self.model.given(r, r.count))).collect();
                let data: Vec<_> = given.iter().map(|(r, (d, s))| bytes_for(*d, s, r.seed)).collect();
                let raw: Vec<_> = given
                    .iter()
                    .zip(&data)
                    .map(|((r, (dtype, shape)), bytes)| numpack::RawArray {
                        name: NAMES[r.name],
                        dtype: *dtype,
                        shape,
                        bytes,
                    })
                    .collect();
                match &given[..] {
                    [(r, (dtype, shape))] => {
                        typed!(*dtype, T => store.append_rows(NAMES[r.name], &array::<T>(shape, r.seed)))
                    }
                    _ => store.append_raw(&raw),
                }
            }
            Step::Replace(rows) => {
                let asked: Vec<_> = rows.iter().map(|r| self.model.asked(r.name, &r.which)).collect();
                let given: Vec<_> =
                    rows.iter().zip(&asked).map(|(r, (count, _))| (r, self.model.given(r, *count))).collect();
                let data: Vec<_> = given.iter().map(|(r, (d, s))| bytes_for(*d, s, r.seed)).collect();
                let raw: Vec<_> = given
                    .iter()
                    .zip(&data)
                    .zip(&asked)
                    .map(|(((r, (dtype, shape)), bytes), (_, mask))| numpack::RawRows {
                        rows: numpack::RawArray { name: NAMES[r.name], dtype: *dtype, shape, bytes },
                        selection: r.which.selection(mask),
                    })
                    .collect();
                match &given[..] {
                    [(r, (dtype, shape))] => typed!(*dtype, T => {
                        store.replace_rows(NAMES[r.name], &array::<T>(shape, r.seed), raw[0].selection)
                    }),
                    _ => store.replace_raw(&raw),
                }
            }
            Step::DropRows { name, which: Which::List(indexes) } => {
                store.drop_arrays(NAMES[*name], Some(indexes))
            }
            Step::DropRows { name, which } => {
                store.drop_rows(NAMES[*name], which.selection(&self.model.asked(*name, which).1))
            }
            Step::DropArray(name) => store.drop_arrays(NAMES[*name], None),
            Step::DropMany(names) => {
                store.drop_many(&names.iter().map(|&name| NAMES[name]).collect::<Vec<_>>())
            }
            Step::Compact(name) => store.compact_array(NAMES[*name]),
            Step::Clone(from, to) => store.clone_array(NAMES[*from], NAMES[*to]),
            Step::Reset => store.reset(),
            Step::Sync => store.sync_metadata(),
            Step::Get { name, which } => {
                let mask = self.model.asked(*name, which).1;
                let selection = which.selection(&mask);
                let dtype = self.model.get(*name).map_or(DataType::Uint8, |plain| plain.dtype);
                let bytes = store.read_rows(NAMES[*name], selection)?;
                let got =
                    typed!(dtype, T => store.getitem::<T>(NAMES[*name], selection).map(|a| to_bytes(&a)))?;
                assert_eq!(got, bytes);
                let view = store.get_array_view(NAMES[*name])?;
                let got = typed!(dtype, T => view.gather::<T>(selection).map(|a| to_bytes(&a)))?;
                assert_eq!(got, bytes);
                let plain = self.model.get(*name).unwrap();
                let rows = plain.named(which).unwrap();
                assert_eq!(bytes, rows.iter().flat_map(|&row| plain.row(row).to_vec()).collect::<Vec<u8>>());
                Ok(())
            }
            Step::Stream { name, rows } => {
                let dtype = self.model.get(*name).map_or(DataType::Uint8, |plain| plain.dtype);
                let bytes = typed!(dtype, T => {
                    let mut bytes = Vec::new();
                    for batch in store.stream_load::<T>(NAMES[*name], *rows)? {
                        let batch = batch?;
                        assert!((1..=*rows).contains(&batch.shape()[0]));
                        bytes.extend(to_bytes(&batch));
                    }
                    bytes
                });
                assert_eq!(bytes, self.model.get(*name).unwrap().bytes);
                Ok(())
            }
            Step::HoldView(name) => store.get_array_view(NAMES[*name]).map(drop),
            Step::Reopen => Ok(()),
            Step::Churn => {
                let rows = ArrayD::from_elem(IxDyn(&[1, 8192]), 7u8);
                store.save_arrays(&[("churn".to_string(), rows.clone(), DataType::Uint8)])?;
                for _ in 0..170 {
                    store.replace_rows("churn", &rows, &[0])?;
                }
                store.drop_arrays("churn", None)
            }
        }
    }

    /// The step on the model.
    #[expect(clippy::too_many_lines, reason = "an arm for each step")]
    fn expect(&mut self, instance: usize, step: &Step) -> Result<(), Kind> {
        match step {
            Step::Save { arrays, dtype } => {
                distinct(arrays.iter().map(|array| array.0))?;
                for (name, shape, seed) in arrays {
                    let bytes = bytes_for(DTYPES[*dtype], shape, *seed);
                    self.model.put(NAMES[*name], DTYPES[*dtype], shape, bytes);
                }
                Ok(())
            }
            Step::SaveSlice { short: true, .. } => Err(Kind::Shape),
            Step::SaveSlice { name, shape, dtype, seed, .. } => {
                let bytes = bytes_for(DTYPES[*dtype], shape, *seed);
                self.model.put(NAMES[*name], DTYPES[*dtype], shape, bytes);
                Ok(())
            }
            Step::BadName(_) => Err(Kind::Name),
            Step::Append(rows) => {
                let all: Vec<_> = rows
                    .iter()
                    .map(|r| {
                        let (dtype, shape) = self.model.given(r, r.count);
                        (r.name, dtype, shape, r.seed)
                    })
                    .collect();
                self.model.append(&all)
            }
            Step::Replace(rows) => {
                let all: Vec<_> = rows
                    .iter()
                    .map(|r| {
                        let (dtype, shape) = self.model.given(r, self.model.asked(r.name, &r.which).0);
                        (r.name, dtype, shape, r.seed, r.which.clone())
                    })
                    .collect();
                // A view shows rows that are replaced after it was made.
                self.held.retain(|(held, ..)| rows.iter().all(|r| r.name != *held));
                self.model.replace(&all)
            }
            Step::DropRows { name, which } => self.model.drop_rows(*name, which),
            Step::DropArray(name) => {
                self.model.get(*name)?;
                self.model.arrays.remove(NAMES[*name]);
                Ok(())
            }
            Step::DropMany(names) => {
                distinct(names.iter().copied())?;
                names.iter().try_for_each(|name| self.model.get(*name).map(drop))?;
                names.iter().for_each(|name| drop(self.model.arrays.remove(NAMES[*name])));
                Ok(())
            }
            Step::Compact(name) => self.model.get(*name).map(drop),
            Step::Clone(from, to) => {
                let plain = self.model.get(*from)?.clone();
                if self.model.get(*to).is_ok() {
                    return Err(Kind::Exists);
                }
                self.model.put(NAMES[*to], plain.dtype, &plain.shape, plain.bytes);
                Ok(())
            }
            Step::Reset => {
                self.model.arrays.clear();
                Ok(())
            }
            Step::Get { name, which } => self.model.get(*name)?.named(which).map(drop),
            Step::Stream { name, rows } => {
                let plain = self.model.get(*name)?;
                if *rows == 0 {
                    return Err(Kind::Argument);
                }
                plain.named(&Which::All).map(drop)
            }
            Step::HoldView(name) => {
                let plain = self.model.get(*name)?.clone();
                let view = self.stores[instance].get_array_view(NAMES[*name]).unwrap();
                self.held.push((*name, plain, view));
                Ok(())
            }
            Step::Reopen => {
                self.held.clear();
                let path = self.path.clone();
                self.stores.remove(instance);
                self.stores.insert(instance, open(&path, instance));
                Ok(())
            }
            Step::Sync | Step::Churn => Ok(()),
        }
    }

    fn check(&self) {
        for (instance, store) in self.stores.iter().enumerate() {
            assert_eq!(store.list_arrays(), self.model.names(), "instance {instance}");
            for (index, name) in NAMES.iter().enumerate() {
                let Ok(plain) = self.model.get(index) else {
                    assert!(!store.has_array(name));
                    assert_eq!(store.get_shape(name).map_err(kind), Err(Kind::NotFound));
                    assert_eq!(store.load_array::<u8>(name).map(drop).map_err(kind), Err(Kind::NotFound));
                    continue;
                };
                typed!(plain.dtype, T => check_array::<T>(store, name, plain));
                let wrong = store.load_array::<u64>(name).map(drop).map_err(kind);
                assert_eq!(wrong, Err(Kind::Dtype));
            }
        }
        for (_, plain, view) in &self.held {
            assert_eq!(view.shape(), plain.shape);
            typed!(plain.dtype, T => assert_eq!(to_bytes(&view.to_array::<T>().unwrap()), plain.bytes));
        }
    }
}

fn check_array<T: Element>(store: &Store, name: &str, plain: &Plain) {
    assert!(store.has_array(name));
    assert_eq!(store.get_shape(name).unwrap(), plain.shape);
    let metadata = store.get_array_metadata(name).unwrap();
    assert_eq!((&metadata.shape, metadata.dtype), (&plain.shape, plain.dtype));
    let loaded = store.load_array::<T>(name).unwrap();
    assert_eq!(loaded.shape().iter().map(|&dim| dim as u64).collect::<Vec<_>>(), plain.shape);
    assert_eq!(to_bytes(&loaded), plain.bytes);
    let view = store.get_array_view(name).unwrap();
    assert_eq!(view.shape(), plain.shape);
    assert_eq!(to_bytes(&view.to_array::<T>().unwrap()), plain.bytes);
    if plain.shape.is_empty() {
        return;
    }
    let all: Vec<i64> = (0..plain.rows() as i64).collect();
    assert_eq!(store.read_rows(name, &all).unwrap(), plain.bytes);
    assert_eq!(to_bytes(&view.gather::<T>(&all).unwrap()), plain.bytes);
    assert_eq!(to_bytes(&view.rows::<T>(0..all.len() as u64).unwrap()), plain.bytes);
    let mut streamed = Vec::new();
    for batch in store.stream_load::<T>(name, 7).unwrap() {
        streamed.extend(to_bytes(&batch.unwrap()));
    }
    assert_eq!(streamed, plain.bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_shrink_iters: 3000, ..ProptestConfig::default() })]

    #[test]
    fn every_instance_shows_what_the_model_holds(
        steps in proptest::collection::vec((prop_oneof![4 => Just(0), 3 => Just(1), 1 => Just(READER)], step()), 40)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let stores = (0..INSTANCES).map(|instance| open(&path, instance)).collect();
        let mut world = World { path, stores, model: Model::default(), held: Vec::new() };
        for (instance, step) in &steps {
            world.run(*instance, step);
            world.check();
        }
        let report = world.stores[0].verify().unwrap();
        prop_assert!(!report.findings.iter().any(numpack::Finding::is_damage), "{report:?}");
        // Whatever was replaced, every array has the checksum of the bytes it holds.
        prop_assert_eq!(report.checksummed, report.arrays);
    }
}
