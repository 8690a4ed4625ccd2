//! Text out of the engine.

use std::slice;

use rquickjs::{Error, Result, Value, qjs};

/// A string's text; halves of pairs that stand alone become U+FFFD. Nothing of the worker's code runs.
///
/// # Errors
/// The value is no string, or memory.
pub(crate) fn lossy(value: &Value<'_>) -> Result<String> {
    if !value.is_string() {
        return Err(Error::new_from_js(value.type_name(), "string"));
    }
    let mut len = 0;
    // SAFETY: the text has `len` bytes, is copied before it is let go, and is let go once.
    unsafe {
        let raw = value.ctx().as_raw().as_ptr();
        let text = qjs::JS_ToCStringLen(raw, &mut len, value.as_raw());
        if text.is_null() {
            return Err(Error::Exception);
        }
        let bytes = slice::from_raw_parts(text.cast::<u8>(), len);
        let copy = String::from_utf8_lossy(bytes).into_owned();
        qjs::JS_FreeCString(raw, text);
        Ok(copy)
    }
}
