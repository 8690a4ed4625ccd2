//! The two schemes as suites of the FROST library. What is generic over the suite is generic over [`Suite`]; what knows the
//! scheme at run time only chooses with [`for_scheme!`].

use frost_core::keys::{KeyPackage, PublicKeyPackage};
use frost_core::{Ciphersuite, Identifier};
use frost_secp256k1::Secp256K1Sha256;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use frost_secp256k1_tr::keys::EvenY;

use crate::network::{MAX_MEMBERS, MemberIndex};

/// A suite of the FROST library over secp256k1.
pub(crate) trait Suite: Ciphersuite {
    /// Gives a key the form in which it is published.
    fn normalised(
        key: KeyPackage<Self>,
        public: PublicKeyPackage<Self>,
    ) -> (KeyPackage<Self>, PublicKeyPackage<Self>);
}

impl Suite for Secp256K1Sha256 {
    fn normalised(
        key: KeyPackage<Self>,
        public: PublicKeyPackage<Self>,
    ) -> (KeyPackage<Self>, PublicKeyPackage<Self>) {
        (key, public)
    }
}

impl Suite for Secp256K1Sha256TR {
    /// BIP-340 names a key by its x coordinate and means the point with the even y.
    fn normalised(
        key: KeyPackage<Self>,
        public: PublicKeyPackage<Self>,
    ) -> (KeyPackage<Self>, PublicKeyPackage<Self>) {
        (key.into_even_y(None), public.into_even_y(None))
    }
}

/// Runs an expression with a type parameter that stands for the scheme's suite.
macro_rules! for_scheme {
    ($scheme:expr, $suite:ident => $body:expr) => {
        match $scheme {
            $crate::network::Scheme::Secp256k1 => {
                type $suite = frost_secp256k1::Secp256K1Sha256;
                $body
            }
            $crate::network::Scheme::Taproot => {
                type $suite = frost_secp256k1_tr::Secp256K1Sha256TR;
                $body
            }
        }
    };
}
pub(crate) use for_scheme;

/// A member as the library names it.
pub(crate) fn identifier<C: Suite>(member: MemberIndex) -> Identifier<C> {
    Identifier::try_from(member.0).expect("indices start from 1")
}

/// The inverse of [`identifier`].
pub(crate) fn member_of<C: Suite>(named: Identifier<C>) -> Option<MemberIndex> {
    (1..=MAX_MEMBERS)
        .map(MemberIndex)
        .find(|member| identifier::<C>(*member) == named)
}
