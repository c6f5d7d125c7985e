//! A configuration for the tests of this folder.

use std::time::Duration;

use url::Url;

use crate::config::{Algorithm, ClientAuth, Oidc, Outgoing, UseUserinfo};

pub(super) fn config(issuer: &str) -> Oidc {
    Oidc {
        issuer: issuer.to_owned(),
        issuer_url: Url::parse(issuer).unwrap(),
        discovery: None,
        endpoints: crate::config::sign_in::oidc::Endpoints::default(),
        client_id: "janua".to_owned(),
        client_secret_file: None,
        client_key: None,
        client_auth: ClientAuth::Basic,
        scopes: vec!["openid".to_owned()],
        username: "sub".to_owned(),
        passive: false,
        renew: false,
        acr_values: Vec::new(),
        algorithms: vec![Algorithm::Rs256],
        leeway: Duration::from_secs(60),
        userinfo: UseUserinfo::Auto,
        single_logout: true,
        front_channel_logout: true,
        keep_id_token: true,
        id_token_issuer: issuer.to_owned(),
        accept_missing_nonce: false,
        hands_on_access_token: false,
        outgoing: Outgoing::default(),
    }
}
