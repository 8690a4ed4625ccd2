//! Bytes that come from JavaScript and go back to it.

use rquickjs::{ArrayBuffer, Ctx, FromJs, Result, TypedArray, Value};

/// A `Uint8Array` that a native function was called with. The JavaScript side makes one of each `BufferSource`.
pub(super) struct Bytes<'js>(TypedArray<'js, u8>);

impl<'js> FromJs<'js> for Bytes<'js> {
    fn from_js(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        TypedArray::from_value(value).map(Bytes)
    }
}

/// Runs `f` on what the arrays hold. `f` must not call into JavaScript; a detached array reads as empty.
pub(super) fn read<R, const N: usize>(arrays: [&Bytes<'_>; N], f: impl FnOnce([&[u8]; N]) -> R) -> R {
    // SAFETY: the slices live as long as the call of `f`, and no JavaScript runs, and so no buffer is written,
    // resized or detached, before it returns: what is called here knows nothing of the engine.
    f(arrays.map(|array| unsafe { array.0.as_bytes() }.unwrap_or_default()))
}

/// A new `ArrayBuffer` with a copy of `bytes`, in memory that counts towards the isolate's limit.
pub(super) fn buffer<'js>(ctx: &Ctx<'js>, bytes: &[u8]) -> Result<ArrayBuffer<'js>> {
    ArrayBuffer::new_copy(ctx.clone(), bytes)
}
