//! The macro behind the error enums of evidence: one variant per reason, each with a stable code and a class.

use core::fmt::{self, Write};

/// Defines an error enum whose variants each have a code and a [`Class`](crate::rejection::Class).
///
/// Variants under `own` are `Variant => Class "code"`; those under `of` wrap another such enum and take over its code.
/// `CODES` lists the codes of `own`, so that a test can tell which were never reached.
macro_rules! reasons {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            own {
                $(
                    $(#[$own_meta:meta])*
                    $own:ident
                    $( ( $($own_type:ty),+ $(,)? ) )?
                    $( { $( $(#[$field_meta:meta])* $field:ident : $field_type:ty ),+ $(,)? } )?
                    => $class:ident $code:literal
                ),+ $(,)?
            }
            of {
                $( $(#[$of_meta:meta])* $of:ident ( $of_type:ty ) ),* $(,)?
            }
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, ::thiserror::Error)]
        #[allow(missing_docs, reason = "the message of each variant is its description")]
        pub enum $name {
            $(
                $(#[$own_meta])*
                $own $( ( $($own_type),+ ) )? $( { $( $(#[$field_meta])* $field : $field_type ),+ } )?,
            )+
            $( $(#[$of_meta])* $of($of_type), )*
        }

        impl $name {
            /// The codes that this enum has itself.
            pub const CODES: &'static [&'static str] = &[$($code),+];

            /// Stable code, as JSON and error bodies show it.
            pub fn code(&self) -> &'static str {
                match self {
                    $( Self::$own { .. } => $code, )+
                    $( Self::$of(reason) => reason.code(), )*
                }
            }

            /// Class, from which the client's exit code follows.
            pub fn class(&self) -> $crate::rejection::Class {
                match self {
                    $( Self::$own { .. } => $crate::rejection::Class::$class, )+
                    $( Self::$of(reason) => reason.class(), )*
                }
            }
        }
    };
}

pub(crate) use reasons;

/// Another library's message, as far as it is shown: the first lines, and of each what a screen holds. It may quote a
/// key or a line of the sender's that fills a whole document.
pub(crate) fn shown(message: impl fmt::Display) -> String {
    let mut shown = Shown::default();
    // It never fails, and what it leaves out isn't missed.
    let _ = write!(shown, "{message}");
    shown.text
}

#[derive(Default)]
struct Shown {
    text: String,
    lines: usize,
    column: usize,
}

impl Write for Shown {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        const LINES: usize = 12;
        const COLUMNS: usize = 160;
        for c in part.chars() {
            match c {
                _ if self.lines == LINES => break,
                '\n' => (self.lines, self.column) = (self.lines + 1, 0),
                _ => self.column += 1,
            }
            if self.column <= COLUMNS {
                self.text.push(c);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut() {
        assert_eq!(shown("one\ntwo"), "one\ntwo");
        let long = "x".repeat(1000);
        assert_eq!(shown(format!("{long}\n{long}")).len(), 160 + 1 + 160);
        assert_eq!(shown("x\n".repeat(1000)).len(), 24);
    }
}
