//! Model files: the header, and the whole load of a file that passes for a model.
#![no_main]

use jeju_inference::Model;
use jeju_inference::gguf::Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let size = input.len() as u64;
    if let Ok(header) = Header::read(input, size) {
        for tensor in &header.tensors {
            assert!(
                header.data_start + tensor.offset + tensor.length <= size,
                "tensors lie in the file"
            );
        }
    }
    // A header that claims a larger file than there is.
    let _ = Header::read(input, u64::MAX);
    let _ = Model::load(input, size);
});
