//! Reader of the GGUF v3 header: metadata and tensor directory.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. The input is hostile until it has
//! been read: each count and length is compared with the bytes that are left before anything is allocated
//! for it, arrays don't nest, and what is kept is at most a small multiple of what was read. Metadata that
//! the engine never asks for is skipped, not stored.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

/// Bytes of a header (everything before the tensor data) above which a file is refused.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;

const MAGIC: [u8; 4] = *b"GGUF";
const VERSION: u32 = 3;
const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_ALIGNMENT: u64 = 1 << 16;
const MAX_KEY_BYTES: u64 = 65_535;
const MAX_TENSOR_NAME_BYTES: u64 = 64;
const MAX_DIMENSIONS: u32 = 4;

/// Why a GGUF header was refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum GgufError {
    #[error("the file doesn't start with the GGUF magic")]
    Magic,
    #[error("GGUF version {0}; only {VERSION} is read")]
    Version(u32),
    #[error("the file ends inside its header")]
    Truncated,
    #[error("the header is longer than {MAX_HEADER_BYTES} bytes")]
    HeaderTooLong,
    #[error("{what}: a count or length of {claimed}, but only {left} bytes are left")]
    TooLong {
        what: &'static str,
        claimed: u64,
        left: u64,
    },
    #[error("{0} isn't UTF-8")]
    NotUtf8(&'static str),
    #[error("metadata value type {0} is unknown")]
    ValueType(u32),
    #[error("metadata key {0:?} holds an array of arrays")]
    NestedArray(String),
    #[error("metadata key {0:?} occurs twice")]
    DuplicateKey(String),
    #[error("metadata key {0:?} is missing")]
    MissingKey(&'static str),
    #[error("metadata key {0:?} has another type or range than expected")]
    WrongType(&'static str),
    #[error("alignment {0} isn't a power of two between 8 and {MAX_ALIGNMENT}")]
    Alignment(u64),
    #[error("tensor {0:?} occurs twice")]
    DuplicateTensor(String),
    #[error("tensor {name:?} has {count} dimensions")]
    Dimensions { name: String, count: u32 },
    #[error("tensor {name:?} has ggml type {ggml_type}; read are F32, F16, Q4_0, Q4_1 and Q8_0")]
    TensorType { name: String, ggml_type: u32 },
    #[error("tensor {0:?} has a size that can't be: rows of no whole block, or a product that overflows")]
    TensorSize(String),
    #[error("tensor {0:?} isn't aligned or lies outside the file")]
    TensorRange(String),
    #[error("reading failed")]
    Io(#[source] io::Error),
}

/// A metadata value. Arrays other than of strings and 32-bit integers are not kept.
pub enum Value {
    /// Any unsigned integer type.
    Unsigned(u64),
    /// Any signed integer type.
    Signed(i64),
    /// `f32` or `f64`.
    Float(f64),
    /// `bool`.
    Bool(bool),
    /// UTF-8 string.
    String(String),
    /// Array of UTF-8 strings.
    Strings(Vec<String>),
    /// Array of `i32` or `u32`, as its bits.
    Words(Vec<u32>),
    /// An array of another type, which was checked for its length and skipped.
    Skipped,
}

/// Block formats of ggml that the engine reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorType {
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// Blocks of 32: `f16` scale, 16 bytes of nibbles; value = scale * (nibble - 8).
    Q4_0,
    /// Blocks of 32: `f16` scale, `f16` minimum, 16 bytes of nibbles; value = scale * nibble + minimum.
    Q4_1,
    /// Blocks of 32: `f16` scale, 32 signed bytes; value = scale * byte.
    Q8_0,
}

impl TensorType {
    fn from_ggml(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            8 => Self::Q8_0,
            _ => return None,
        })
    }

    /// Values per block: rows are whole blocks.
    pub fn block_values(self) -> u64 {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q8_0 => 32,
        }
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q8_0 => 34,
        }
    }
}

/// One entry of the tensor directory. Its range lies inside the file.
pub struct TensorInfo {
    /// Name, e.g. `blk.0.attn_q.weight`.
    pub name: String,
    /// Values per row (ggml's dimension 0).
    pub columns: u64,
    /// Product of the other dimensions.
    pub rows: u64,
    /// How many dimensions the file gives.
    pub dimensions: u32,
    /// Block format.
    pub tensor_type: TensorType,
    /// First byte, counted from [`Header::data_start`].
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// A GGUF header that has been read whole.
pub struct Header {
    metadata: HashMap<String, Value>,
    /// Tensors in order of their place in the file.
    pub tensors: Vec<TensorInfo>,
    /// Alignment of tensors, in bytes.
    pub alignment: u64,
    /// Bytes read so far: the header without the padding that follows it.
    pub length: u64,
    /// First byte of the tensor data, from the start of the file.
    pub data_start: u64,
}

impl Header {
    /// Reads a header from the start of a file of `file_size` bytes, and leaves `reader` at [`Self::length`].
    ///
    /// # Errors
    /// [`GgufError`] for anything that isn't a well-formed GGUF v3 header whose tensors all lie in the file.
    pub fn read(reader: impl Read, file_size: u64) -> Result<Self, GgufError> {
        let limit = file_size.min(MAX_HEADER_BYTES);
        let mut input = Input {
            reader,
            left: limit,
            whole: file_size <= MAX_HEADER_BYTES,
        };
        if input.array::<4>()? != MAGIC {
            return Err(GgufError::Magic);
        }
        let version = input.u32()?;
        if version != VERSION {
            return Err(GgufError::Version(version));
        }
        // The smallest entry is a name length, a dimension count, a type and an offset; the smallest pair is
        // a key length, a type and one byte.
        let tensor_count = input.count("tensor count", 24)?;
        let pair_count = input.count("metadata count", 13)?;

        let mut metadata = HashMap::new();
        for _ in 0..pair_count {
            let key = input.string("metadata key", MAX_KEY_BYTES)?;
            let value_type = input.u32()?;
            let value = input.value(value_type, &key)?;
            if metadata.contains_key(&key) {
                return Err(GgufError::DuplicateKey(key));
            }
            metadata.insert(key, value);
        }

        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Unsigned(value)) => *value,
            Some(_) => return Err(GgufError::WrongType("general.alignment")),
        };
        if !alignment.is_power_of_two() || !(8..=MAX_ALIGNMENT).contains(&alignment) {
            return Err(GgufError::Alignment(alignment));
        }

        let mut tensors = Vec::new();
        let mut names = HashSet::new();
        for _ in 0..tensor_count {
            let tensor = input.tensor_info()?;
            if !names.insert(tensor.name.clone()) {
                return Err(GgufError::DuplicateTensor(tensor.name));
            }
            tensors.push(tensor);
        }

        let length = limit - input.left;
        let data_start = length.next_multiple_of(alignment);
        for tensor in &tensors {
            let end = data_start
                .checked_add(tensor.offset)
                .and_then(|start| start.checked_add(tensor.length));
            if tensor.offset % alignment != 0 || end.is_none_or(|end| end > file_size) {
                return Err(GgufError::TensorRange(tensor.name.clone()));
            }
        }
        tensors.sort_by_key(|tensor| tensor.offset);
        Ok(Self {
            metadata,
            tensors,
            alignment,
            length,
            data_start,
        })
    }

    /// The value of a key, if the file has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// A required unsigned integer that fits `u32`.
    ///
    /// # Errors
    /// [`GgufError::MissingKey`] or [`GgufError::WrongType`].
    pub fn u32(&self, key: &'static str) -> Result<u32, GgufError> {
        match self.required(key)? {
            Value::Unsigned(value) => u32::try_from(*value).map_err(|_| GgufError::WrongType(key)),
            Value::Signed(value) => u32::try_from(*value).map_err(|_| GgufError::WrongType(key)),
            _ => Err(GgufError::WrongType(key)),
        }
    }

    /// A required finite float.
    ///
    /// # Errors
    /// [`GgufError::MissingKey`] or [`GgufError::WrongType`].
    pub fn float(&self, key: &'static str) -> Result<f64, GgufError> {
        match self.required(key)? {
            Value::Float(value) if value.is_finite() => Ok(*value),
            _ => Err(GgufError::WrongType(key)),
        }
    }

    /// A required string.
    ///
    /// # Errors
    /// [`GgufError::MissingKey`] or [`GgufError::WrongType`].
    pub fn string(&self, key: &'static str) -> Result<&str, GgufError> {
        match self.required(key)? {
            Value::String(value) => Ok(value),
            _ => Err(GgufError::WrongType(key)),
        }
    }

    /// Takes a required array of strings out of the header.
    ///
    /// # Errors
    /// [`GgufError::MissingKey`] or [`GgufError::WrongType`].
    pub fn take_strings(&mut self, key: &'static str) -> Result<Vec<String>, GgufError> {
        match self.metadata.remove(key) {
            Some(Value::Strings(values)) => Ok(values),
            Some(_) => Err(GgufError::WrongType(key)),
            None => Err(GgufError::MissingKey(key)),
        }
    }

    /// A required array of 32-bit integers.
    ///
    /// # Errors
    /// [`GgufError::MissingKey`] or [`GgufError::WrongType`].
    pub fn words(&self, key: &'static str) -> Result<&[u32], GgufError> {
        match self.required(key)? {
            Value::Words(values) => Ok(values),
            _ => Err(GgufError::WrongType(key)),
        }
    }

    fn required(&self, key: &'static str) -> Result<&Value, GgufError> {
        self.metadata.get(key).ok_or(GgufError::MissingKey(key))
    }
}

/// The rest of the header, with the number of bytes that may still be read.
struct Input<R> {
    reader: R,
    left: u64,
    /// Whether `left` is bounded by the file's end and not by [`MAX_HEADER_BYTES`].
    whole: bool,
}

impl<R: Read> Input<R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.consume(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(read_error)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of things that take at least `smallest` bytes each.
    fn count(&mut self, what: &'static str, smallest: u64) -> Result<u64, GgufError> {
        let claimed = self.u64()?;
        if claimed > self.left / smallest {
            return Err(GgufError::TooLong {
                what,
                claimed,
                left: self.left,
            });
        }
        Ok(claimed)
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, GgufError> {
        self.consume(length)?;
        let mut bytes = Vec::new();
        // Grows with what really arrives, so that a wrong `file_size` costs no memory.
        let read = self
            .reader
            .by_ref()
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(read_error)?;
        if read as u64 != length {
            return Err(GgufError::Truncated);
        }
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> Result<(), GgufError> {
        self.consume(length)?;
        let skipped =
            io::copy(&mut self.reader.by_ref().take(length), &mut io::sink()).map_err(read_error)?;
        if skipped != length {
            return Err(GgufError::Truncated);
        }
        Ok(())
    }

    fn string(&mut self, what: &'static str, limit: u64) -> Result<String, GgufError> {
        let claimed = self.u64()?;
        if claimed > self.left.min(limit) {
            return Err(GgufError::TooLong {
                what,
                claimed,
                left: self.left,
            });
        }
        String::from_utf8(self.bytes(claimed)?).map_err(|_| GgufError::NotUtf8(what))
    }

    fn value(&mut self, value_type: u32, key: &str) -> Result<Value, GgufError> {
        Ok(match value_type {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::String(self.string("metadata string", u64::MAX)?),
            9 => self.array_value(key)?,
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(GgufError::ValueType(other)),
        })
    }

    fn array_value(&mut self, key: &str) -> Result<Value, GgufError> {
        let element_type = self.u32()?;
        let element_bytes = match element_type {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return Err(GgufError::NestedArray(key.to_owned())),
            other => return Err(GgufError::ValueType(other)),
        };
        let count = self.count("array length", element_bytes)?;
        match element_type {
            4 | 5 => {
                let bytes = self.bytes(count * element_bytes)?;
                let (words, _) = bytes.as_chunks::<4>();
                Ok(Value::Words(
                    words.iter().map(|word| u32::from_le_bytes(*word)).collect(),
                ))
            }
            8 => {
                let mut strings = Vec::new();
                for _ in 0..count {
                    strings.push(self.string("array string", u64::MAX)?);
                }
                Ok(Value::Strings(strings))
            }
            _ => {
                self.skip(count * element_bytes)?;
                Ok(Value::Skipped)
            }
        }
    }

    fn tensor_info(&mut self) -> Result<TensorInfo, GgufError> {
        let name = self.string("tensor name", MAX_TENSOR_NAME_BYTES)?;
        let dimensions = self.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(GgufError::Dimensions {
                name,
                count: dimensions,
            });
        }
        let columns = self.u64()?;
        let mut rows = Some(1_u64);
        for _ in 1..dimensions {
            let dimension = self.u64()?;
            rows = rows.and_then(|rows| rows.checked_mul(dimension));
        }
        let ggml_type = self.u32()?;
        let offset = self.u64()?;
        let Some(tensor_type) = TensorType::from_ggml(ggml_type) else {
            return Err(GgufError::TensorType { name, ggml_type });
        };
        let whole_blocks = columns.is_multiple_of(tensor_type.block_values());
        let row_bytes = (columns / tensor_type.block_values()).checked_mul(tensor_type.block_bytes());
        match (
            rows,
            rows.zip(row_bytes)
                .and_then(|(rows, bytes)| rows.checked_mul(bytes)),
        ) {
            (Some(rows), Some(length)) if whole_blocks && length > 0 => Ok(TensorInfo {
                name,
                columns,
                rows,
                dimensions,
                tensor_type,
                offset,
                length,
            }),
            _ => Err(GgufError::TensorSize(name)),
        }
    }

    fn consume(&mut self, length: u64) -> Result<(), GgufError> {
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None if self.whole => return Err(GgufError::Truncated),
            None => return Err(GgufError::HeaderTooLong),
        }
        Ok(())
    }
}

fn read_error(error: io::Error) -> GgufError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => GgufError::Truncated,
        _ => GgufError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &mut Vec<u8>, value: &str) {
        out.extend((value.len() as u64).to_le_bytes());
        out.extend(value.as_bytes());
    }

    fn preamble(tensors: u64, pairs: u64) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend(tensors.to_le_bytes());
        out.extend(pairs.to_le_bytes());
        out
    }

    fn tensor(out: &mut Vec<u8>, name: &str, dimensions: &[u64], ggml_type: u32, offset: u64) {
        text(out, name);
        out.extend((dimensions.len() as u32).to_le_bytes());
        for dimension in dimensions {
            out.extend(dimension.to_le_bytes());
        }
        out.extend(ggml_type.to_le_bytes());
        out.extend(offset.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Result<Header, GgufError> {
        Header::read(bytes, bytes.len() as u64)
    }

    fn pair(key: &str, value_type: u32, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        text(&mut out, key);
        out.extend(value_type.to_le_bytes());
        out.extend(value);
        out
    }

    #[test]
    fn reads_what_it_should() {
        let mut file = preamble(1, 2);
        file.extend(pair("a", 4, &7_u32.to_le_bytes()));
        file.extend(pair(
            "b",
            9,
            &[&5_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &[1; 8]].concat(),
        ));
        tensor(&mut file, "t", &[32, 2], 3, 0);
        file.resize(file.len().next_multiple_of(32) + 40, 0);
        let header = read(&file).unwrap();
        assert_eq!(header.u32("a").unwrap(), 7);
        assert_eq!(header.words("b").unwrap(), [0x0101_0101; 2]);
        assert_eq!((header.tensors[0].rows, header.tensors[0].length), (2, 40));
        assert!(matches!(header.u32("c"), Err(GgufError::MissingKey("c"))));
        assert!(matches!(header.string("a"), Err(GgufError::WrongType("a"))));
    }

    #[test]
    fn each_prefix_is_refused() {
        let mut file = preamble(1, 1);
        file.extend(pair("k", 8, b"\x03\0\0\0\0\0\0\0abc"));
        tensor(&mut file, "t", &[32], 8, 0);
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err(), "{end}");
        }
        assert!(matches!(read(&file), Err(GgufError::TensorRange(_))));
    }

    #[test]
    fn counts_and_lengths_beyond_the_file_are_refused() {
        assert!(matches!(
            read(&preamble(u64::MAX, 0)),
            Err(GgufError::TooLong { .. })
        ));
        assert!(matches!(
            read(&preamble(0, 1 << 40)),
            Err(GgufError::TooLong { .. })
        ));
        let mut file = preamble(0, 1);
        file.extend(pair("k", 8, &u64::MAX.to_le_bytes()));
        assert!(matches!(read(&file), Err(GgufError::TooLong { .. })));
        let mut file = preamble(0, 1);
        file.extend(pair(
            "k",
            9,
            &[&8_u32.to_le_bytes()[..], &(1_u64 << 61).to_le_bytes()].concat(),
        ));
        assert!(matches!(read(&file), Err(GgufError::TooLong { .. })));
        // A caller that overstates the size gets an end of file, not an allocation.
        let mut file = preamble(0, 1);
        file.extend(pair("k", 8, &(1_u64 << 25).to_le_bytes()));
        assert!(matches!(
            Header::read(&file[..], 1 << 30),
            Err(GgufError::Truncated)
        ));
    }

    #[test]
    fn malformed_headers_are_refused_for_their_reason() {
        assert!(matches!(read(b"GGML\x03\0\0\0"), Err(GgufError::Magic)));
        assert!(matches!(read(b"GGUF\x02\0\0\0"), Err(GgufError::Version(2))));

        let with_pairs = |pairs: &[Vec<u8>]| {
            let mut file = preamble(0, pairs.len() as u64);
            file.extend(pairs.concat());
            read(&file)
        };
        assert!(matches!(
            with_pairs(&[pair("k", 13, &[0; 8])]),
            Err(GgufError::ValueType(13))
        ));
        let nested = pair("k", 9, &[&9_u32.to_le_bytes()[..], &[0; 8]].concat());
        assert!(matches!(with_pairs(&[nested]), Err(GgufError::NestedArray(_))));
        let twice = pair("k", 7, &[1]);
        assert!(matches!(
            with_pairs(&[twice.clone(), twice]),
            Err(GgufError::DuplicateKey(_))
        ));
        let alignment = pair("general.alignment", 4, &33_u32.to_le_bytes());
        assert!(matches!(with_pairs(&[alignment]), Err(GgufError::Alignment(33))));
        let bad_text = pair("k", 8, b"\x01\0\0\0\0\0\0\0\xff");
        assert!(matches!(with_pairs(&[bad_text]), Err(GgufError::NotUtf8(_))));

        let with_tensors = |write: &dyn Fn(&mut Vec<u8>), count| {
            let mut file = preamble(count, 0);
            write(&mut file);
            file.resize(file.len().next_multiple_of(32) + 128, 0);
            read(&file)
        };
        let two = with_tensors(&|out| (0..2).for_each(|_| tensor(out, "t", &[32], 8, 0)), 2);
        assert!(matches!(two, Err(GgufError::DuplicateTensor(_))));
        let five = with_tensors(&|out| tensor(out, "t", &[1; 5], 0, 0), 1);
        assert!(matches!(five, Err(GgufError::Dimensions { count: 5, .. })));
        let q4_k = with_tensors(&|out| tensor(out, "t", &[256], 12, 0), 1);
        assert!(matches!(q4_k, Err(GgufError::TensorType { ggml_type: 12, .. })));
        for dimensions in [&[33][..], &[0], &[1 << 62, 1 << 62]] {
            let ggml_type = if dimensions == [33] { 8 } else { 0 };
            let result = with_tensors(&|out| tensor(out, "t", dimensions, ggml_type, 0), 1);
            assert!(matches!(result, Err(GgufError::TensorSize(_))), "{dimensions:?}");
        }
        for offset in [1, 1 << 40, u64::MAX - 31] {
            let result = with_tensors(&|out| tensor(out, "t", &[4], 0, offset), 1);
            assert!(matches!(result, Err(GgufError::TensorRange(_))), "{offset}");
        }
    }
}
