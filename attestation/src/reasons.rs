//! The macro behind the error enums of evidence: one variant per reason, each with a stable code and a class.

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
