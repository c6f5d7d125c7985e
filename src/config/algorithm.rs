//! Signature algorithms, as `algorithms` and the headers of tokens spell them.

use super::read::{FromText, Refusal};

/// Signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1). No "none", no HMAC: they cannot be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Es256,
    Es384,
    Es512,
    EdDsa,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
}

impl Algorithm {
    pub const ALL: [Self; 10] = [
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];

    /// As `jwt.algorithms` and the header of a token spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    /// The one of this name, to the letter.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl FromText for Algorithm {
    const EXPECTED: &'static str = "ES256, ES384, ES512, EdDSA, RS256, RS384, RS512, PS256, PS384 or PS512";
    const WORDS: &'static [&'static str] = &[
        "ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    ];

    fn from_text(text: &str) -> Result<Self, Refusal> {
        Self::by_name(text).ok_or_else(|| match text {
            "HS256" | "HS384" | "HS512" => Refusal::new("HMAC is never accepted")
                .help("with a shared secret everyone who can check tokens can also make them"),
            _ if text.eq_ignore_ascii_case("none") => Refusal::new("unsigned tokens are never accepted"),
            _ => Refusal::new("this algorithm is not supported"),
        })
    }
}
