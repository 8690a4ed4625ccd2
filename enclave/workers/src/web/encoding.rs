//! Text in the encodings of the Encoding Standard.

use std::cell::RefCell;

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};
use rquickjs::class::{JsClass, Readable, Trace, Tracer};
use rquickjs::prelude::Func;
use rquickjs::{
    Class, Constructor, Ctx, Exception, JsLifetime, Object, Result, String as JsString, TypedArray,
};

/// Bytes that one call decodes: what it may take of memory that doesn't count as the isolate's.
const MAX_PIECE: usize = 1024 * 1024;

/// `label`, `encode`, `decode`, `decoder` and `push`: `host.encoding`.
pub(super) fn natives<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let natives = Object::new(ctx.clone())?;
    natives.set("label", Func::from(label))?;
    natives.set("encode", Func::from(encode))?;
    natives.set("decode", Func::from(decode))?;
    natives.set("decoder", Func::from(decoder))?;
    natives.set("push", Func::from(push))?;
    natives.set("maxPiece", MAX_PIECE as u32)?;
    Ok(natives)
}

/// The name of the encoding with a label.
fn label(label: String) -> Option<String> {
    let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
    Some(encoding.name().to_ascii_lowercase())
}

/// A string of scalar values, as UTF-8.
fn encode<'js>(ctx: Ctx<'js>, text: JsString<'js>) -> Result<TypedArray<'js, u8>> {
    let text = text.to_cstring()?;
    TypedArray::new_copy(ctx, AsRef::<[u8]>::as_ref(&text))
}

/// UTF-8 as a string; undefined where it is malformed.
fn decode<'js>(ctx: Ctx<'js>, bytes: TypedArray<'js, u8>) -> Result<Option<JsString<'js>>> {
    // SAFETY: no JavaScript runs while the bytes are borrowed: making a string runs none.
    let bytes = unsafe { bytes.as_bytes() }.unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => JsString::from_str(ctx, text).map(Some),
        Err(_) => Ok(None),
    }
}

/// A decoder that keeps what it has to between pieces.
fn decoder<'js>(ctx: Ctx<'js>, name: String, keep_bom: bool) -> Result<Class<'js, TextDecoder>> {
    let encoding = Encoding::for_label(name.as_bytes()).unwrap_or(UTF_8);
    let decoder = match keep_bom {
        true => encoding.new_decoder_without_bom_handling(),
        false => encoding.new_decoder_with_bom_removal(),
    };
    let decoder = TextDecoder(RefCell::new(decoder));
    Class::instance(ctx, decoder)
}

/// The text of one more piece of at most `maxPiece` bytes; undefined where a fatal decoder finds it malformed.
fn push<'js>(
    ctx: Ctx<'js>,
    decoder: Class<'js, TextDecoder>,
    bytes: TypedArray<'js, u8>,
    last: bool,
    fatal: bool,
) -> Result<Option<JsString<'js>>> {
    // SAFETY: no JavaScript runs while the bytes are borrowed: decoding runs none.
    let bytes = unsafe { bytes.as_bytes() }.unwrap_or_default();
    if bytes.len() > MAX_PIECE {
        return Err(Exception::throw_range(&ctx, "the piece is too long"));
    }
    let text = {
        let decoder = decoder.borrow();
        piece(&mut decoder.0.borrow_mut(), bytes, last, fatal)
    };
    text.map(|text| JsString::from_str(ctx, &text)).transpose()
}

fn piece(decoder: &mut Decoder, bytes: &[u8], last: bool, fatal: bool) -> Option<String> {
    let room = match fatal {
        true => decoder.max_utf8_buffer_length_without_replacement(bytes.len())?,
        false => decoder.max_utf8_buffer_length(bytes.len())?,
    };
    let mut text = String::with_capacity(room);
    if fatal {
        let (result, _) = decoder.decode_to_string_without_replacement(bytes, &mut text, last);
        return (result == encoding_rs::DecoderResult::InputEmpty).then_some(text);
    }
    let (result, _, _) = decoder.decode_to_string(bytes, &mut text, last);
    (result == CoderResult::InputEmpty).then_some(text)
}

/// A decoder, as JavaScript holds it.
pub(super) struct TextDecoder(RefCell<Decoder>);

impl<'js> Trace<'js> for TextDecoder {
    fn trace<'a>(&self, _tracer: Tracer<'a, 'js>) {}
}

// SAFETY: it has no value of the engine.
unsafe impl<'js> JsLifetime<'js> for TextDecoder {
    type Changed<'to> = TextDecoder;
}

impl<'js> JsClass<'js> for TextDecoder {
    const NAME: &'static str = "Decoder";
    type Mutable = Readable;

    fn constructor(_ctx: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}
