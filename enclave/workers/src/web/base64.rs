//! `atob` and `btoa`: the engine's own, with a shorter way for long strings that are as they mostly are. What isn't goes to
//! the engine's, so that both give the same in every case.

use std::ffi::{CStr, c_int};
use std::slice;

use base64_simd::{AsOut, STANDARD};
use rquickjs::{Ctx, Error, Result, qjs};

/// Shortest string for which the shorter way is shorter.
const SHORT: i64 = 48;
/// Longest string that goes that way: it takes as much again for a moment.
const LONG: i64 = 1024 * 1024;

/// What the engine calls, with the function that was there before as its data.
type Native = unsafe extern "C" fn(
    *mut qjs::JSContext,
    qjs::JSValue,
    c_int,
    *mut qjs::JSValue,
    c_int,
    *mut qjs::JSValue,
) -> qjs::JSValue;

/// A quick way to an answer. None: the engine's own function has to be asked, and nothing was thrown.
type Quick = unsafe fn(*mut qjs::JSContext, qjs::JSValue) -> Option<qjs::JSValue>;

/// Puts the shorter way in front of the global functions.
pub(super) fn install(ctx: &Ctx<'_>) -> Result<()> {
    replace(ctx, c"atob", decode)?;
    replace(ctx, c"btoa", encode)
}

fn replace(ctx: &Ctx<'_>, name: &CStr, native: Native) -> Result<()> {
    let globals = ctx.globals();
    // SAFETY: all values are of this context; the old function is freed once, as the new one has its own reference, and the
    // call that defines the property takes the new one over.
    let done = unsafe {
        let raw = ctx.as_raw().as_ptr();
        let mut old = qjs::JS_GetPropertyStr(raw, globals.as_raw(), name.as_ptr());
        let new = qjs::JS_NewCFunctionData2(raw, Some(native), name.as_ptr(), 1, 0, 1, &mut old);
        qjs::JS_FreeValue(raw, old);
        if qjs::JS_IsException(new) {
            return Err(Error::Exception);
        }
        let flags = qjs::JS_PROP_WRITABLE | qjs::JS_PROP_CONFIGURABLE;
        qjs::JS_DefinePropertyValueStr(raw, globals.as_raw(), name.as_ptr(), new, flags as _)
    };
    if done < 0 { Err(Error::Exception) } else { Ok(()) }
}

unsafe extern "C" fn decode(
    raw: *mut qjs::JSContext,
    this: qjs::JSValue,
    count: c_int,
    values: *mut qjs::JSValue,
    _magic: c_int,
    old: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: the engine's call is handed on as it is.
    unsafe { call(raw, this, count, values, old, quick_decode) }
}

unsafe extern "C" fn encode(
    raw: *mut qjs::JSContext,
    this: qjs::JSValue,
    count: c_int,
    values: *mut qjs::JSValue,
    _magic: c_int,
    old: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: the engine's call is handed on as it is.
    unsafe { call(raw, this, count, values, old, quick_encode) }
}

/// # Safety
/// As the engine calls natives that have data: with its context, as many values as it says, and the function in the data.
unsafe fn call(
    raw: *mut qjs::JSContext,
    this: qjs::JSValue,
    count: c_int,
    values: *mut qjs::JSValue,
    old: *mut qjs::JSValue,
    quick: Quick,
) -> qjs::JSValue {
    // SAFETY: as the caller promises. A string's length is its own property, so that no code of a worker runs.
    unsafe {
        let mut len = 0;
        let is_text =
            count > 0 && qjs::JS_IsString(*values) && qjs::JS_GetLength(raw, *values, &mut len) == 0;
        if is_text
            && (SHORT..=LONG).contains(&len)
            && let Some(answer) = quick(raw, *values)
        {
            return answer;
        }
        qjs::JS_Call(raw, *old, this, count, values)
    }
}

/// The base64 of a string of bytes.
///
/// # Safety
/// The value is a string of this context.
unsafe fn quick_encode(raw: *mut qjs::JSContext, text: qjs::JSValue) -> Option<qjs::JSValue> {
    let mut len = 0;
    // SAFETY: the text has `len` units, which are read before it is let go, once.
    let bytes = unsafe {
        let units = qjs::JS_ToCStringLenUTF16(raw, &mut len, text);
        if units.is_null() {
            return Some(qjs::JS_EXCEPTION);
        }
        let bytes = narrow(slice::from_raw_parts(units, len as usize));
        qjs::JS_FreeCStringUTF16(raw, units);
        bytes?
    };
    let encoded = STANDARD.encode_to_string(bytes);
    // SAFETY: the engine copies as many bytes as it is told.
    Some(unsafe { qjs::JS_NewStringLen(raw, encoded.as_ptr().cast(), encoded.len() as _) })
}

/// Bytes of units that are none above 255.
fn narrow(units: &[u16]) -> Option<Vec<u8>> {
    let all = units.iter().fold(0, |all, unit| all | unit);
    (all <= 0xff).then(|| units.iter().map(|unit| *unit as u8).collect())
}

/// The string of the bytes that a base64 string stands for, if that has its padding and no white space.
///
/// # Safety
/// The value is a string of this context.
unsafe fn quick_decode(raw: *mut qjs::JSContext, text: qjs::JSValue) -> Option<qjs::JSValue> {
    let mut len = 0;
    // SAFETY: the text has `len` bytes, and is let go once, after its last use.
    unsafe {
        let encoded = qjs::JS_ToCStringLen2(raw, &mut len, text, false);
        if encoded.is_null() {
            return Some(qjs::JS_EXCEPTION);
        }
        let decoded = decode_bytes(raw, slice::from_raw_parts(encoded.cast(), len as usize));
        qjs::JS_FreeCString(raw, encoded);
        decoded
    }
}

/// # Safety
/// The context lives.
unsafe fn decode_bytes(raw: *mut qjs::JSContext, encoded: &[u8]) -> Option<qjs::JSValue> {
    let len = STANDARD.decoded_length(encoded).ok()?;
    let filler = encoded
        .get(..len)
        .filter(|filler| !filler.is_empty() && filler.is_ascii())?;
    let mut there = 0;
    // SAFETY: the engine copies the filler into a string that nobody else has, with a byte for each character. As it is of
    // ASCII alone, its text is the string's own memory, of so many bytes, and stays there until both are let go.
    unsafe {
        let string = qjs::JS_NewStringLen(raw, filler.as_ptr().cast(), len as _);
        if qjs::JS_IsException(string) {
            return Some(string);
        }
        let text = qjs::JS_ToCStringLen2(raw, &mut there, string, false);
        if text.is_null() {
            qjs::JS_FreeValue(raw, string);
            return Some(qjs::JS_EXCEPTION);
        }
        let place = slice::from_raw_parts_mut(text.cast_mut().cast::<u8>(), there as usize);
        let is_whole = STANDARD.decode(encoded, place.as_out()).is_ok();
        qjs::JS_FreeCString(raw, text);
        if is_whole {
            return Some(string);
        }
        qjs::JS_FreeValue(raw, string);
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::realm::eval_to_string;

    /// Both functions for strings of each kind, long enough for the shorter way and not, against a plain computation.
    #[test]
    fn all_lengths_and_bytes_are_as_the_standard_says() {
        let script = r#"
            const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            const plain = (text) => {
                const out = [];
                for (let i = 0; i < text.length; i += 3) {
                    const [a, b, c] = [0, 1, 2].map((at) => text.charCodeAt(i + at));
                    out.push(letters[a >> 2], letters[((a & 3) << 4) | (b >> 4)]);
                    out.push(isNaN(b) ? "=" : letters[((b & 15) << 2) | (c >> 6)]);
                    out.push(isNaN(c) ? "=" : letters[c & 63]);
                }
                return out.join("");
            };
            const wrong = [];
            const check = (text) => {
                const encoded = btoa(text);
                const same = encoded === plain(text) && atob(encoded) === text && atob(encoded.replace(/=+$/, "")) === text
                    && atob(encoded.replace(/.{4}/g, "$& \n")) === text;
                if (!same) wrong.push(text.length);
            };
            const byte = (i) => String.fromCharCode((i * 7 + (i >> 5)) & 255);
            for (let length = 0; length < 200; length++) {
                check(Array.from({ length }, (_, i) => byte(i)).join(""));
                check("a".repeat(length));
                // Parts of longer strings, and wide strings that hold nothing but bytes.
                check(("\u20ac" + "\u00ff".repeat(length)).slice(1));
                check("x".repeat(length).substring(length >> 2, length - (length >> 3)));
                check("q".repeat(100) + "\u00e9".repeat(length));
            }
            for (const length of [1 << 20, (1 << 20) + 1]) {
                const text = "\u00ff\u0000a".repeat(length / 3 + 1).slice(0, length);
                if (atob(btoa(text)) !== text) wrong.push(length);
            }
            wrong.join()"#;
        assert_eq!(eval_to_string(script).unwrap(), "");
    }

    #[test]
    fn what_is_no_base64_and_no_bytes_is_refused_as_before() {
        let script = r#"
            const thrown = (f) => { try { return `value ${f().length}`; } catch (error) { return `${error.name} ${error.code}`; } };
            const long = "QUJD".repeat(50);
            [
                thrown(() => btoa("a".repeat(100) + "\u0100")),
                thrown(() => btoa("\u{1f600}".repeat(50))),
                thrown(() => atob(long + "A")),
                thrown(() => atob(long + "A===")),
                thrown(() => atob("=" + long)),
                thrown(() => atob(long + "QQ=")),
                thrown(() => atob(long + "QQ==" + long)),
                thrown(() => atob(long + "A-_=")),
                thrown(() => atob(long + "\u00e9\u00e9\u00e9\u00e9")),
                thrown(() => atob("\u20ac".repeat(64))),
                thrown(() => atob(long + "QR==")),
                thrown(() => atob(long + "QUJ=")),
                thrown(() => atob(`\f${long}\r`)),
                thrown(() => atob(long + "\v")),
                thrown(() => btoa({ toString: () => "z".repeat(100) })),
                thrown(() => btoa(Symbol("a".repeat(100)))),
                [thrown(btoa), thrown(atob), thrown(() => btoa(null))].join(" "),
            ].join("\n")"#;
        let mut expected = vec!["InvalidCharacterError 5"; 10];
        expected.extend(["value 151", "value 152", "value 150", "InvalidCharacterError 5"]);
        expected.extend(["value 136", "TypeError undefined"]);
        expected.push("value 12 InvalidCharacterError 5 value 8");
        let got = eval_to_string(script).unwrap();
        assert_eq!(got.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn strings_that_come_out_are_as_any_other() {
        let script = r#"
            const encoded = btoa("abc\u00ff".repeat(40));
            const key = { [encoded]: 1 };
            const decoded = atob(encoded), again = atob(encoded);
            const o = { [decoded]: 2 };
            [encoded === btoa(decoded), decoded === again, key[encoded], o[again], decoded.length, decoded.slice(0, 4),
                atob("QUJD".repeat(20))].join()"#;
        let text = "ABC".repeat(20);
        assert_eq!(
            eval_to_string(script).unwrap(),
            format!("true,true,1,2,160,abc\u{ff},{text}")
        );
    }

    #[test]
    fn they_look_as_functions_of_the_global_object_do() {
        let script = r#"
            [atob, btoa].map((f) => {
                const d = Object.getOwnPropertyDescriptor(globalThis, f.name);
                let made = "made";
                try { new f("a"); } catch (error) { made = error.name; }
                return [f.name, f.length, d.writable, d.configurable, d.enumerable, made, Object.hasOwn(f, "prototype")].join(" ");
            }).join("\n")"#;
        assert_eq!(
            eval_to_string(script).unwrap(),
            "atob 1 true true false TypeError false\nbtoa 1 true true false TypeError false"
        );
    }
}
