//! A loaded model: weights, tokenizer and chat template of one GGUF file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::gguf::{GgufError, Header, TensorInfo, TensorType, Value};
use crate::kernels::{Kernel, LANES, Matrix};
use crate::template::{ChatTemplate, UnknownTemplate};
use crate::tokenizer::{Tokenizer, TokenizerError};

const ARCHITECTURE: &str = "llama";
const MAX_NAME_BYTES: usize = 256;

/// Why a model file was refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LoadError {
    #[error("the GGUF header was refused")]
    Gguf(#[from] GgufError),
    #[error("architecture {0:?}; only {ARCHITECTURE:?} is run")]
    Architecture(String),
    #[error("{name} is {value}, which this engine can't run")]
    Hyperparameter { name: &'static str, value: f64 },
    #[error("metadata key {0:?} asks for a feature that this engine doesn't have")]
    UnsupportedFeature(&'static str),
    #[error("tensor {0:?} isn't part of the architecture")]
    UnexpectedTensor(String),
    #[error("tensor {0:?} is missing")]
    MissingTensor(String),
    #[error("tensor {name:?} has {rows} rows of {columns}; {expected_rows} of {expected_columns} expected")]
    Shape {
        name: String,
        rows: u64,
        columns: u64,
        expected_rows: u64,
        expected_columns: u64,
    },
    #[error("tensor {name:?} is stored as {tensor_type:?}; F32 expected")]
    VectorType { name: String, tensor_type: TensorType },
    #[error("tensor {0:?} overlaps another, or bytes that belong to no tensor precede it")]
    Layout(String),
    #[error("the file goes on after its last tensor")]
    TrailingBytes,
    #[error("the tokenizer was refused")]
    Tokenizer(#[from] TokenizerError),
    #[error("the chat template was refused")]
    Template(#[from] UnknownTemplate),
    #[error("reading failed")]
    Io(#[from] io::Error),
}

/// Sizes of a model, checked against each other.
pub(crate) struct Hyperparameters {
    pub(crate) layers: usize,
    /// Values per token between layers.
    pub(crate) width: usize,
    pub(crate) feed_forward: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_size: usize,
    pub(crate) context: usize,
    pub(crate) vocabulary: usize,
    pub(crate) epsilon: f32,
    pub(crate) rope_base: f64,
}

pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    pub(crate) query: Matrix,
    pub(crate) key: Matrix,
    pub(crate) value: Matrix,
    pub(crate) attention_output: Matrix,
    pub(crate) feed_forward_norm: Vec<f32>,
    pub(crate) gate: Matrix,
    pub(crate) up: Matrix,
    pub(crate) down: Matrix,
}

/// A model ready to run. Immutable; share it in an `Arc`.
pub struct Model {
    name: String,
    pub(crate) kernel: Kernel,
    pub(crate) shape: Hyperparameters,
    pub(crate) embedding: Matrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_norm: Vec<f32>,
    /// None: the embedding serves as output too.
    pub(crate) output: Option<Matrix>,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
}

impl Model {
    /// Loads a GGUF file.
    ///
    /// # Errors
    /// [`LoadError`], as [`Self::load`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Self::load(BufReader::with_capacity(1 << 20, file), size)
    }

    /// Reads a GGUF file of `size` bytes from its first byte to its last, once and in order, so that a caller
    /// can hash the same bytes in passing: wrap the file in a reader that hashes what it hands out, and
    /// compare before the model is used. Weights are repacked as they arrive; the file is never held whole.
    ///
    /// # Errors
    /// [`LoadError`] for anything but a complete Llama-architecture file with nothing unknown in it.
    pub fn load(mut reader: impl Read, size: u64) -> Result<Self, LoadError> {
        let mut header = Header::read(&mut reader, size)?;
        let architecture = header.string("general.architecture")?;
        if architecture != ARCHITECTURE {
            return Err(LoadError::Architecture(architecture.to_owned()));
        }
        let tokenizer = Tokenizer::from_header(&mut header)?;
        let shape = Hyperparameters::from_header(&header, tokenizer.vocabulary_size())?;
        let template = match header.get("tokenizer.chat_template") {
            None => None,
            Some(Value::String(text)) => Some(ChatTemplate::recognize(text, &tokenizer)?),
            Some(_) => return Err(GgufError::WrongType("tokenizer.chat_template").into()),
        };
        let name = match header.get("general.name") {
            Some(Value::String(name)) if name.len() <= MAX_NAME_BYTES => name.clone(),
            _ => String::new(),
        };

        let mut tensors = Tensors::read(&mut reader, &header, &shape, size)?;
        let layers = (0..shape.layers)
            .map(|index| tensors.layer(index))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name,
            kernel: Kernel::best(),
            embedding: tensors.matrix("token_embd.weight")?,
            layers,
            output_norm: tensors.vector("output_norm.weight")?,
            output: tensors.matrices.remove("output.weight"),
            shape,
            tokenizer,
            template,
        })
    }

    /// Runs on another kernel than the CPU's fastest. The results are the same bits.
    pub fn with_kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// The kernel in use.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// `general.name` of the file; empty if it has none or one above 256 bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `general.architecture` of the file.
    pub fn architecture(&self) -> &'static str {
        ARCHITECTURE
    }

    /// Tokens that the model was trained to look back on: the most that prompt and answer can have together.
    pub fn context_length(&self) -> usize {
        self.shape.context
    }

    /// Values of an [`crate::Embedding`].
    pub fn embedding_length(&self) -> usize {
        self.shape.width
    }

    /// Number of tokens in the vocabulary.
    pub fn vocabulary_size(&self) -> usize {
        self.shape.vocabulary
    }

    /// The tokenizer of the file.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The chat template of the file; None for a model that only completes text.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }
}

impl Hyperparameters {
    fn from_header(header: &Header, vocabulary: usize) -> Result<Self, LoadError> {
        let size = |name: &'static str, allowed: std::ops::RangeInclusive<u32>, multiple: u32| {
            let value = header.u32(name)?;
            if !allowed.contains(&value) || !value.is_multiple_of(multiple) {
                return Err(LoadError::Hyperparameter {
                    name,
                    value: value.into(),
                });
            }
            Ok(value as usize)
        };
        let layers = size("llama.block_count", 1..=512, 1)?;
        let width = size("llama.embedding_length", 32..=32_768, 32)?;
        let feed_forward = size("llama.feed_forward_length", 32..=131_072, 32)?;
        let heads = size("llama.attention.head_count", 1..=1024, 1)?;
        let kv_heads = size("llama.attention.head_count_kv", 1..=1024, 1)?;
        let context = size("llama.context_length", 1..=1 << 20, 1)?;
        let head_size = size("llama.rope.dimension_count", 16..=256, 16)?;
        if !heads.is_multiple_of(kv_heads) || heads * head_size != width {
            let value = heads as f64;
            return Err(LoadError::Hyperparameter {
                name: "llama.attention.head_count",
                value,
            });
        }
        for name in ["llama.attention.key_length", "llama.attention.value_length"] {
            if header.get(name).is_some() && header.u32(name)? as usize != head_size {
                return Err(LoadError::UnsupportedFeature(name));
            }
        }
        if header.get("llama.vocab_size").is_some() && header.u32("llama.vocab_size")? as usize != vocabulary
        {
            let value = vocabulary as f64;
            return Err(LoadError::Hyperparameter {
                name: "llama.vocab_size",
                value,
            });
        }
        match header.get("llama.rope.scaling.type") {
            None => {}
            Some(Value::String(kind)) if kind == "none" => {}
            Some(_) => return Err(LoadError::UnsupportedFeature("llama.rope.scaling.type")),
        }
        for name in [
            "llama.rope.scale_linear",
            "llama.expert_count",
            "llama.attention.sliding_window",
        ] {
            if header.get(name).is_some() {
                return Err(LoadError::UnsupportedFeature(name));
            }
        }
        let rope_base = match header.get("llama.rope.freq_base") {
            None => 10_000.0,
            Some(_) => header.float("llama.rope.freq_base")?,
        };
        if !(1.0..=1e12).contains(&rope_base) {
            return Err(LoadError::Hyperparameter {
                name: "llama.rope.freq_base",
                value: rope_base,
            });
        }
        let epsilon = header.float("llama.attention.layer_norm_rms_epsilon")?;
        if !(1e-12..=1.0).contains(&epsilon) {
            let name = "llama.attention.layer_norm_rms_epsilon";
            return Err(LoadError::Hyperparameter { name, value: epsilon });
        }
        let epsilon = epsilon as f32;
        Ok(Self {
            layers,
            width,
            feed_forward,
            heads,
            kv_heads,
            head_size,
            context,
            vocabulary,
            epsilon,
            rope_base,
        })
    }

    /// Rows and columns of a matrix of the architecture, or (1, length) of a vector.
    fn expected(&self, name: &str) -> Option<(usize, usize)> {
        let kv_width = self.kv_heads * self.head_size;
        let part = match name.strip_prefix("blk.") {
            None => name,
            Some(rest) => {
                let (index, part) = rest.split_once('.')?;
                // Canonical numbers only, so that no two names mean one tensor.
                let layer: usize = index.parse().ok()?;
                if layer >= self.layers || layer.to_string() != index {
                    return None;
                }
                return Some(match part {
                    "attn_norm.weight" | "ffn_norm.weight" => (1, self.width),
                    "attn_q.weight" | "attn_output.weight" => (self.width, self.width),
                    "attn_k.weight" | "attn_v.weight" => (kv_width, self.width),
                    "ffn_gate.weight" | "ffn_up.weight" => (self.feed_forward, self.width),
                    "ffn_down.weight" => (self.width, self.feed_forward),
                    _ => return None,
                });
            }
        };
        match part {
            "output_norm.weight" => Some((1, self.width)),
            "token_embd.weight" | "output.weight" => Some((self.vocabulary, self.width)),
            _ => None,
        }
    }
}

/// Tensors read, by name.
#[derive(Default)]
struct Tensors {
    matrices: HashMap<String, Matrix>,
    vectors: HashMap<String, Vec<f32>>,
}

impl Tensors {
    /// Reads all tensor data and the padding around it, up to the end of the file.
    fn read(
        reader: &mut impl Read,
        header: &Header,
        shape: &Hyperparameters,
        size: u64,
    ) -> Result<Self, LoadError> {
        let mut tensors = Self::default();
        let mut position = header.length;
        for info in &header.tensors {
            let start = header.data_start + info.offset;
            let gap = start.checked_sub(position).filter(|gap| *gap < header.alignment);
            let gap = gap.ok_or_else(|| LoadError::Layout(info.name.clone()))?;
            skip(reader, gap)?;
            tensors.read_one(reader, info, shape)?;
            position = start + info.length;
        }
        // Some writers pad after the last tensor too.
        let rest = size.saturating_sub(position);
        if rest >= header.alignment {
            return Err(LoadError::TrailingBytes);
        }
        skip(reader, rest)?;
        if reader.read(&mut [0])? != 0 {
            return Err(LoadError::TrailingBytes);
        }
        Ok(tensors)
    }

    fn read_one(
        &mut self,
        reader: &mut impl Read,
        info: &TensorInfo,
        shape: &Hyperparameters,
    ) -> Result<(), LoadError> {
        let name = info.name.clone();
        let Some((rows, columns)) = shape.expected(&name) else {
            return Err(LoadError::UnexpectedTensor(name));
        };
        if (info.rows, info.columns) != (rows as u64, columns as u64) {
            return Err(LoadError::Shape {
                name,
                rows: info.rows,
                columns: info.columns,
                expected_rows: rows as u64,
                expected_columns: columns as u64,
            });
        }
        if info.dimensions > 1 {
            self.matrices
                .insert(name, Matrix::read(reader, info.tensor_type, rows, columns)?);
            return Ok(());
        }
        if info.tensor_type != TensorType::F32 {
            return Err(LoadError::VectorType {
                name,
                tensor_type: info.tensor_type,
            });
        }
        let mut bytes = vec![0; columns * 4];
        reader.read_exact(&mut bytes)?;
        let values = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes));
        self.vectors.insert(name, values.collect());
        Ok(())
    }

    fn layer(&mut self, index: usize) -> Result<Layer, LoadError> {
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm"))?,
            query: self.matrix(&name("attn_q"))?,
            key: self.matrix(&name("attn_k"))?,
            value: self.matrix(&name("attn_v"))?,
            attention_output: self.matrix(&name("attn_output"))?,
            feed_forward_norm: self.vector(&name("ffn_norm"))?,
            gate: self.matrix(&name("ffn_gate"))?,
            up: self.matrix(&name("ffn_up"))?,
            down: self.matrix(&name("ffn_down"))?,
        })
    }

    fn matrix(&mut self, name: &str) -> Result<Matrix, LoadError> {
        self.matrices
            .remove(name)
            .ok_or_else(|| LoadError::MissingTensor(name.to_owned()))
    }

    fn vector(&mut self, name: &str) -> Result<Vec<f32>, LoadError> {
        self.vectors
            .remove(name)
            .ok_or_else(|| LoadError::MissingTensor(name.to_owned()))
    }
}

fn skip(reader: &mut impl Read, bytes: u64) -> Result<(), LoadError> {
    let skipped = io::copy(&mut reader.take(bytes), &mut io::sink())?;
    if skipped != bytes {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(())
}

// Interleaving by rows needs whole groups wherever a product is the input of the next step.
const _: () = assert!(32 % LANES == 0);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Session;
    use crate::test_model;

    fn load(file: &[u8]) -> Result<Model, LoadError> {
        Model::load(file, file.len() as u64)
    }

    fn refused(file: &[u8]) -> LoadError {
        load(file).err().expect("a refusal")
    }

    /// Replaces the only occurrence of some bytes by as many others.
    fn edit(from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut file = test_model::file(1);
        let places: Vec<usize> = (0..file.len() - from.len())
            .filter(|at| file[*at..].starts_with(from))
            .collect();
        assert_eq!((places.len(), from.len()), (1, to.len()));
        file[places[0]..][..to.len()].copy_from_slice(to);
        file
    }

    /// Sets the value of a key that holds a `u32`.
    fn set(key: &str, old: u32, new: u32) -> Vec<u8> {
        let entry = |value: u32| [key.as_bytes(), &[4, 0, 0, 0], &value.to_le_bytes()].concat();
        edit(&entry(old), &entry(new))
    }

    #[test]
    fn reads_the_whole_file_and_nothing_after_it() {
        let model = load(&test_model::file(1)).unwrap();
        assert_eq!(
            (model.name(), model.architecture(), model.context_length()),
            ("tiny", "llama", 256)
        );
        let mut file = test_model::file(1);
        file.resize(file.len().next_multiple_of(32), 0);
        let mut reader = &file[..];
        Model::load(&mut reader, file.len() as u64).unwrap();
        assert!(reader.is_empty());
        file.extend([0; 32]);
        assert!(matches!(refused(&file), LoadError::TrailingBytes));
        // More bytes than the caller said.
        assert!(matches!(
            Model::load(&file[..], file.len() as u64 - 32),
            Err(LoadError::TrailingBytes)
        ));
        // Fewer.
        let end = file.len() - 40;
        assert!(matches!(
            Model::load(&file[..end], file.len() as u64 - 32),
            Err(LoadError::Io(_))
        ));
        assert!(matches!(
            refused(&file[..end]),
            LoadError::Gguf(GgufError::TensorRange(_))
        ));
    }

    #[test]
    fn other_models_are_refused_for_their_reason() {
        let other = edit(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba");
        assert!(matches!(refused(&other), LoadError::Architecture(name) if name == "mamba"));
        for (key, old, new) in [
            ("llama.block_count", 2, 0),
            ("llama.context_length", 256, 1 << 21),
            ("llama.embedding_length", 64, 65),
            ("llama.feed_forward_length", 96, 80),
            ("llama.attention.head_count", 4, 3),
            ("llama.attention.head_count_kv", 2, 3),
            ("llama.rope.dimension_count", 16, 8),
        ] {
            let error = refused(&set(key, old, new));
            assert!(
                matches!(error, LoadError::Hyperparameter { .. }),
                "{key}: {error}"
            );
        }
        let scaled = test_model::file_with(1, &[("llama.rope.scaling.type", "yarn")]);
        assert!(matches!(
            refused(&scaled),
            LoadError::UnsupportedFeature("llama.rope.scaling.type")
        ));
        let unscaled = test_model::file_with(1, &[("llama.rope.scaling.type", "none")]);
        assert!(load(&unscaled).is_ok());
        let experts = test_model::file_with(1, &[("llama.expert_count", "8")]);
        assert!(matches!(
            refused(&experts),
            LoadError::UnsupportedFeature("llama.expert_count")
        ));
        let model = edit(b"\x04\0\0\0\0\0\0\0gpt2", b"\x04\0\0\0\0\0\0\0bert");
        assert!(matches!(
            refused(&model),
            LoadError::Tokenizer(TokenizerError::Kind { .. })
        ));
        let template = edit(b"{% for message in messages %}", b"{% for message in Messages %}");
        assert!(matches!(refused(&template), LoadError::Template(UnknownTemplate)));
    }

    #[test]
    fn wrong_tensors_are_refused_for_their_reason() {
        let unknown = edit(b"output_norm.weight", b"output_norm.weighs");
        assert!(matches!(refused(&unknown), LoadError::UnexpectedTensor(_)));
        let unknown = edit(b"blk.1.attn_q.weight", b"blk.7.attn_q.weight");
        assert!(matches!(refused(&unknown), LoadError::UnexpectedTensor(_)));
        let missing = set("llama.block_count", 2, 3);
        assert!(matches!(refused(&missing), LoadError::MissingTensor(name) if name.starts_with("blk.2.")));
        let shape = set("llama.feed_forward_length", 96, 128);
        assert!(matches!(
            refused(&shape),
            LoadError::Shape {
                expected_rows: 128,
                ..
            }
        ));

        let norm = |ggml_type: u32| {
            let shape = [&1_u32.to_le_bytes()[..], &64_u64.to_le_bytes()].concat();
            [
                b"blk.0.attn_norm.weight".as_slice(),
                &shape,
                &ggml_type.to_le_bytes(),
            ]
            .concat()
        };
        let half = edit(&norm(0), &norm(1));
        assert!(matches!(
            refused(&half),
            LoadError::VectorType {
                tensor_type: TensorType::F16,
                ..
            }
        ));

        // The second tensor, moved onto the first.
        let embedding = test_model::load(1).vocabulary_size() as u64 * 68;
        let place = |offset: u64| [&norm(0)[..], &offset.to_le_bytes()].concat();
        let offset = embedding.next_multiple_of(32);
        assert!(matches!(
            refused(&edit(&place(offset), &place(offset - 32))),
            LoadError::Layout(_)
        ));
        assert!(matches!(
            refused(&edit(&place(offset), &place(offset + 32))),
            LoadError::Layout(_)
        ));
    }

    #[test]
    fn damaged_files_never_panic() {
        let sound = test_model::file(2);
        let mut random = 1_u64;
        let mut next = |limit: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % limit
        };
        let mut loaded = 0;
        for round in 0..1500 {
            let mut file = sound.clone();
            for _ in 0..=round % 3 {
                // Mostly the header, which decides everything.
                let limit = if round % 4 == 0 { file.len() } else { 9000 };
                let at = next(limit);
                file[at] = [0, 0xff, 0x7f, 0x80, file[at] ^ 1, next(256) as u8][next(6)];
            }
            if let Ok(model) = load(&file) {
                loaded += 1;
                let tokens = model.tokenizer().encode("hello world");
                Session::new(&model, 64)
                    .feed(&tokens)
                    .expect("room for a few tokens");
            }
        }
        assert!(loaded > 50 && loaded < 1450, "{loaded}");
    }
}
