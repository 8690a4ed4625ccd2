//! A tiny model with random weights, written as a real GGUF file, for tests that need no download.

use crate::gguf::TensorType;
use crate::model::Model;
use crate::template::SMOLLM2;

pub(crate) const CONTEXT: u32 = 256;
const WIDTH: usize = 64;
const FEED_FORWARD: usize = 96;
const KV_WIDTH: usize = 32;
const LAYERS: usize = 2;

/// Uniform noise in [-1, 1).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

pub(crate) fn load(seed: u64) -> Model {
    let bytes = file(seed);
    Model::load(&bytes[..], bytes.len() as u64).expect("a sound file")
}

/// The whole file.
pub(crate) fn file(seed: u64) -> Vec<u8> {
    file_with(seed, &[])
}

/// The whole file, with more strings in its metadata.
pub(crate) fn file_with(seed: u64, more: &[(&str, &str)]) -> Vec<u8> {
    let mut noise = Noise(seed);
    let tokens = vocabulary();
    let mut tensors = vec![(
        "token_embd.weight".to_owned(),
        TensorType::Q8_0,
        tokens.len(),
        WIDTH,
    )];
    for layer in 0..LAYERS {
        let mut push = |part: &str, tensor_type, rows, columns| {
            tensors.push((format!("blk.{layer}.{part}.weight"), tensor_type, rows, columns));
        };
        push("attn_norm", TensorType::F32, 1, WIDTH);
        push("attn_q", TensorType::Q4_1, WIDTH, WIDTH);
        push("attn_k", TensorType::Q4_0, KV_WIDTH, WIDTH);
        push("attn_v", TensorType::Q8_0, KV_WIDTH, WIDTH);
        push("attn_output", TensorType::F16, WIDTH, WIDTH);
        push("ffn_norm", TensorType::F32, 1, WIDTH);
        push("ffn_gate", TensorType::Q4_1, FEED_FORWARD, WIDTH);
        push("ffn_up", TensorType::Q4_1, FEED_FORWARD, WIDTH);
        push("ffn_down", TensorType::F32, WIDTH, FEED_FORWARD);
    }
    tensors.push(("output_norm.weight".to_owned(), TensorType::F32, 1, WIDTH));

    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((tensors.len() as u64).to_le_bytes());
    let mut pairs = metadata(&tokens);
    pairs.extend(more.iter().map(|(key, value)| text(key, value)));
    out.extend((pairs.len() as u64).to_le_bytes());
    out.extend(pairs.concat());
    let mut data = Vec::new();
    for (name, tensor_type, rows, columns) in &tensors {
        out.extend(string(name));
        let dimensions = if *rows == 1 {
            vec![*columns]
        } else {
            vec![*columns, *rows]
        };
        out.extend((dimensions.len() as u32).to_le_bytes());
        dimensions
            .iter()
            .for_each(|dimension| out.extend((*dimension as u64).to_le_bytes()));
        out.extend(ggml_type(*tensor_type).to_le_bytes());
        data.resize(usize::next_multiple_of(data.len(), 32), 0);
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(tensor_bytes(&mut noise, *tensor_type, *rows, *columns, 0.3));
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

/// Random values in ggml's layout.
pub(crate) fn tensor_bytes(
    noise: &mut Noise,
    tensor_type: TensorType,
    rows: usize,
    columns: usize,
    amplitude: f32,
) -> Vec<u8> {
    let mut out = Vec::new();
    let half = |value: f32| crate::float::to_f16(value).to_le_bytes();
    for _ in 0..rows * columns / tensor_type.block_values() as usize {
        let mut byte = || (noise.next() * 128.0) as i8 as u8;
        let bytes: [u8; 32] = std::array::from_fn(|_| byte());
        match tensor_type {
            TensorType::F32 => out.extend((noise.next() * amplitude).to_le_bytes()),
            TensorType::F16 => out.extend(half(noise.next() * amplitude)),
            TensorType::Q4_0 => {
                out.extend(half(noise.next() * amplitude / 8.0));
                out.extend(&bytes[..16]);
            }
            TensorType::Q4_1 => {
                let scale = noise.next() * amplitude / 8.0;
                out.extend(half(scale));
                out.extend(half(scale * -7.5));
                out.extend(&bytes[..16]);
            }
            TensorType::Q8_0 => {
                out.extend(half(noise.next() * amplitude / 128.0));
                out.extend(bytes);
            }
        }
    }
    out
}

fn vocabulary() -> Vec<String> {
    let mut next = 0x100;
    let bytes = (0..=255_u8).map(|byte| {
        if matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..) {
            return char::from(byte).to_string();
        }
        next += 1;
        char::from_u32(next - 1).expect("a letter").to_string()
    });
    let controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned);
    let joined = ["he", "ll", "hell", "hello", "Ġw"].map(str::to_owned);
    controls.into_iter().chain(bytes).chain(joined).collect()
}

fn metadata(tokens: &[String]) -> Vec<Vec<u8>> {
    let word = |key: &str, value: u32| [string(key), vec![4, 0, 0, 0], value.to_le_bytes().to_vec()].concat();
    let float =
        |key: &str, value: f32| [string(key), vec![6, 0, 0, 0], value.to_le_bytes().to_vec()].concat();
    let array = |key: &str, element: u32, count: usize, bytes: Vec<u8>| {
        let head = [9_u32.to_le_bytes(), element.to_le_bytes()].concat();
        [string(key), head, (count as u64).to_le_bytes().to_vec(), bytes].concat()
    };
    let strings = |key: &str, values: &[String]| {
        array(
            key,
            8,
            values.len(),
            values.iter().flat_map(|value| string(value)).collect(),
        )
    };
    let merges = ["h e", "l l", "he ll", "hell o", "Ġ w"].map(str::to_owned);
    let types = (0..tokens.len())
        .flat_map(|id| if id < 3 { 3_u32 } else { 1 }.to_le_bytes())
        .collect();
    vec![
        text("general.architecture", "llama"),
        text("general.name", "tiny"),
        word("llama.block_count", LAYERS as u32),
        word("llama.context_length", CONTEXT),
        word("llama.embedding_length", WIDTH as u32),
        word("llama.feed_forward_length", FEED_FORWARD as u32),
        word("llama.attention.head_count", 4),
        word("llama.attention.head_count_kv", 2),
        word("llama.rope.dimension_count", 16),
        float("llama.attention.layer_norm_rms_epsilon", 1e-5),
        text("tokenizer.ggml.model", "gpt2"),
        text("tokenizer.ggml.pre", "smollm"),
        strings("tokenizer.ggml.tokens", tokens),
        strings("tokenizer.ggml.merges", &merges),
        array("tokenizer.ggml.token_type", 5, tokens.len(), types),
        word("tokenizer.ggml.eos_token_id", 2),
        text("tokenizer.chat_template", SMOLLM2),
    ]
}

fn text(key: &str, value: &str) -> Vec<u8> {
    [string(key), vec![8, 0, 0, 0], string(value)].concat()
}

fn string(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn ggml_type(tensor_type: TensorType) -> u32 {
    match tensor_type {
        TensorType::F32 => 0,
        TensorType::F16 => 1,
        TensorType::Q4_0 => 2,
        TensorType::Q4_1 => 3,
        TensorType::Q8_0 => 8,
    }
}
