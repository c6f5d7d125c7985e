//! What access tokens and answers about them say: of panva's oidc-provider, Keycloak 26 and Apereo CAS, as recorded.

use serde_json::{Value, json};

use super::super::tokens::{in_seconds, now};

/// What tokens for a gateway are meant for.
pub const AUDIENCE: &str = "https://janua.test";

/// `sub` of a person at Keycloak.
const UUID: &str = "85872e4c-5bf4-44e8-b6b1-2a964c1cd898";

/// An access token by RFC 9068.
pub fn rfc9068(issuer: &str) -> Value {
    json!({
        "jti": "k06WxZ0raEzwjSTXYf3b5rl7JnBR", "sub": "anna", "iat": now(), "exp": in_seconds(600), "scope": "moodle",
        "client_id": "app", "iss": issuer, "aud": AUDIENCE,
    })
}

/// Keycloak's access token: its header says `JWT`, and nothing says for whom it is but `azp`.
pub fn keycloak(issuer: &str) -> Value {
    json!({
        "exp": in_seconds(300), "iat": now(), "auth_time": now(), "jti": "onrtac:13bf51a4-81a3-9491-db4e-c962e49960fc",
        "iss": issuer, "sub": UUID, "typ": "Bearer", "azp": "app", "sid": "812e7e5f-611c-6b23-4817-5b4cfc63a208",
        "acr": "1", "allowed-origins": ["http://127.0.0.1:4020"], "scope": "openid profile email",
        "email_verified": true, "name": "Anna Example", "groups": ["/staff/video", "staff"],
        "preferred_username": "anna", "given_name": "Anna", "family_name": "Example", "email": "anna@example.edu",
    })
}

/// Keycloak's ID token of the same sign-in, for the same client.
pub fn keycloak_id_token(issuer: &str) -> Value {
    json!({
        "exp": in_seconds(300), "iat": now(), "auth_time": now(), "jti": "a6c569d9-968a-1da7-be88-e5303409d8b3",
        "iss": issuer, "aud": "app", "sub": UUID, "typ": "ID", "azp": "app", "nonce": "9QtyxVvRzc5Y",
        "sid": "812e7e5f-611c-6b23-4817-5b4cfc63a208", "at_hash": "WdD-NQAJwKh1L_9xiDSoIQ", "acr": "1",
        "preferred_username": "anna",
    })
}

/// Its refresh token says for whom it is: for the server itself.
pub fn keycloak_refresh_token(issuer: &str) -> Value {
    json!({
        "exp": in_seconds(1800), "iat": now(), "jti": "e05ce364-4a84-9edb-46e4-90c4f65459a5", "iss": issuer,
        "aud": issuer, "sub": UUID, "typ": "Refresh", "azp": "app", "sid": "812e7e5f-611c-6b23-4817-5b4cfc63a208",
        "scope": "openid acr profile basic web-origins email roles",
    })
}

/// The access token of a client's own account there.
pub fn keycloak_service_account(issuer: &str) -> Value {
    json!({
        "exp": in_seconds(300), "iat": now(), "jti": "trrtcc:0c3a", "iss": issuer,
        "sub": "5f3c1f0e-7a55-4b3c-8d0e-2a964c1cd899", "typ": "Bearer", "azp": "robot", "acr": "1",
        "scope": "profile email moodle", "clientHost": "127.0.0.1", "clientAddress": "127.0.0.1", "client_id": "robot",
        "email_verified": false, "preferred_username": "service-account-robot", "groups": ["staff"],
    })
}

/// Keycloak's answer about an access token.
pub fn keycloak_answer(issuer: &str) -> Value {
    let mut answer = keycloak(issuer);
    super::super::oidc::double::merge(
        &mut answer,
        &json!({ "client_id": "app", "username": "anna", "token_type": "Bearer", "active": true }),
    );
    answer
}

/// panva's answer about an opaque one.
pub fn panva_answer(issuer: &str) -> Value {
    json!({
        "active": true, "sub": "anna", "client_id": "app", "exp": in_seconds(600), "iat": now(),
        "sid": "U7YfhIbnIBRzdiBYw-JqDAiM9LlV2AjVUDYO05PmuXf", "iss": issuer, "scope": "openid moodle",
        "token_type": "Bearer",
    })
}

/// That of Apereo CAS 7.2: some names in camel case, an empty `cnf`, and `aud` is where the client's users come back to.
pub fn cas_answer(token: &str) -> Value {
    json!({
        "token": token, "active": true, "sub": "anna", "scope": "CAS", "iat": now(), "exp": in_seconds(28_800),
        "realmName": "Static Credentials", "uniqueSecurityName": "anna", "tokenType": "Bearer",
        "aud": "http://127.0.0.1:4020/cb", "client_id": "app", "grant_type": "authorization_code", "cnf": {},
    })
}

/// What it mixes into people's attributes.
fn cas_attributes() -> Value {
    json!({
        "mail": ["anna2@example.edu", "anna@example.edu"], "oauthClientId": "app", "client_id": "app", "uid": "anna",
        "eduPersonAffiliation": ["member", "student"], "displayName": "Änne Example", "scope": [], "groups": "staff",
        "grant_type": "authorization_code", "serverIpAddress": "127.0.0.1", "state": "0FWQirsuzCp6",
        "clientIpAddress": "127.0.0.1", "userAgent": "Mozilla/5.0 (recorder)", "nonce": "Oz583JPujjAD",
        "credentialType": "UsernamePasswordCredential", "stateless": false, "isFromNewLogin": true,
    })
}

/// The profile of 7.2, as it is by default.
pub fn cas_nested() -> Value {
    json!({ "service": "http://127.0.0.1:4020/cb", "attributes": cas_attributes(), "id": "anna", "client_id": "app" })
}

/// The same by `userProfileViewType = FLAT`.
pub fn cas_flat() -> Value {
    let mut flat = cas_attributes();
    flat["id"] = json!("anna");
    flat["service"] = json!("http://127.0.0.1:4020/cb");
    flat
}

/// That of a client which signed in by itself.
pub fn cas_of_client() -> Value {
    json!({
        "oauthClientId": "robot", "authenticationDate": "2026-11-29T02:11:21.590564758Z", "id": "robot",
        "grant_type": "client_credentials", "client_id": "robot", "scope": [], "service": "robot", "groups": "staff",
    })
}

/// That of CAS 5, which names no client.
pub fn cas5() -> Value {
    json!({ "id": "anna", "attributes": { "mail": "anna@example.edu", "groups": ["staff", "all"] } })
}
