//! Tokens by the ten thousand, and the wrk scripts that send them in turn.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::EncodePrivateKey;
use serde_json::json;

use super::Result;

/// Enough that the fastest contender does not run out within a round.
const COUNT: usize = 160_000;

/// Who makes access tokens.
pub(super) const ISSUER: &str = "https://idp.bench.test";

pub(super) struct Tokens {
    folder: PathBuf,
    tokens: Vec<String>,
    bearer: String,
}

impl Tokens {
    /// Makes a key, writes `jwks.json`, signs. Each token differs by a claim.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let key = SigningKey::generate();
        let point = key.verifying_key().to_sec1_point(false);
        let coordinate = |bytes: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(bytes.expect("an affine point"));
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
            "x": coordinate(point.x()), "y": coordinate(point.y()),
        });
        fs::write(folder.join("jwks.json"), json!({ "keys": [jwk] }).to_string())?;
        let pem = key.to_pkcs8_pem(Default::default())?;
        fs::write(folder.join("private.pem"), pem.as_bytes())?;
        // HAProxy takes the bare public key.
        let public = p256::pkcs8::EncodePublicKey::to_public_key_pem(key.verifying_key(), Default::default())?;
        fs::write(folder.join("public.pem"), public)?;
        let signer = EncodingKey::from_ec_der(key.to_pkcs8_der()?.as_bytes());
        let exp = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)?
            .as_secs()
            + 3 * 3600;
        let token = |number: usize| {
            let claims = json!({ "exp": exp, "n": number, "oc": { "e:lecture-1": ["read"] } });
            jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &signer)
        };
        let tokens = (0..COUNT).map(token).collect::<std::result::Result<_, _>>()?;
        // RFC 9068 section 2.
        let claims = json!({ "iss": ISSUER, "sub": "anna", "client_id": "bench", "iat": exp - 3 * 3600, "exp": exp });
        let header = Header {
            typ: Some("at+jwt".to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        Ok(Self {
            folder: folder.to_owned(),
            tokens,
            bearer: jsonwebtoken::encode(&header, &claims, &signer)?,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn header(&self, number: usize) -> String {
        format!("Authorization: Bearer {}", self.tokens[number])
    }

    /// The same of an access token.
    pub(super) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.bearer)
    }

    /// The last six bytes of the signature are zero.
    pub(super) fn header_with_bad_signature(&self, number: usize) -> String {
        let header = self.header(number);
        format!("{}AAAAAAAA", &header[..header.len() - 8])
    }

    /// A wrk script that sends these tokens in turn.
    pub(super) fn script(&self, name: &str, range: Range<usize>) -> PathBuf {
        let list = self.folder.join(format!("{name}.txt"));
        let script = self.folder.join(format!("{name}.lua"));
        fs::write(&list, self.tokens[range].join("\n")).expect("the list of tokens can be written");
        let lua = format!(
            "local tokens = {{}}\n\
             for line in io.lines('{}') do tokens[#tokens + 1] = 'Bearer ' .. line end\n\
             local next = 0\n\
             request = function()\n\
               next = next % #tokens + 1\n\
               wrk.headers['Authorization'] = tokens[next]\n\
               return wrk.format()\n\
             end\n",
            list.display()
        );
        fs::write(&script, lua).expect("the script can be written");
        script
    }

    /// A wrk script of readers who jump about in a file of `size` bytes and read `length` bytes each time.
    pub(super) fn readers(&self, size: u64, length: u64) -> PathBuf {
        let script = self.folder.join("readers.lua");
        let lua = format!(
            "wrk.headers['Authorization'] = '{}'\n\
             request = function()\n\
               local first = math.random(0, {})\n\
               wrk.headers['Range'] = string.format('bytes=%d-%d', first, first + {length} - 1)\n\
               return wrk.format()\n\
             end\n",
            self.header(0).trim_start_matches("Authorization: "),
            size - length,
        );
        fs::write(&script, lua).expect("the script can be written");
        script
    }
}
