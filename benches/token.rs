//! What one token costs: remembered, seen for the first time, and with a bad signature.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up shall say so and end"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use janua::authenticate::token::carrier::find;
use janua::authenticate::token::{Outcome, Recent, Tokens};
use janua::cli::keys::{KeyAlgorithm, New, write_pair};
use janua::cli::token::{Mint, mint};
use janua::config::pattern::{Part, RolePattern};
use janua::config::{Algorithm, Issuer, JwksLocation, Jwt, TokenSource};
use janua::observe::metrics::Metrics;
use janua::rate::Rate;
use janua::store::Store;
use tokio::runtime::Builder;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    mint: Mint,
}

/// A gateway's token part that trusts one key, and what makes its tokens.
struct Bench {
    tokens: Arc<Tokens>,
    sources: Vec<TokenSource>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["trusted", "stranger"] {
            let out = folder.path().join(name);
            write_pair(&New {
                out,
                alg: KeyAlgorithm::Es256,
                kid: None,
            })
            .unwrap();
        }
        let sources = vec![TokenSource::Header {
            name: AUTHORIZATION,
            scheme: "Bearer".to_owned(),
        }];
        let config = Jwt {
            algorithms: vec![Algorithm::Es256],
            sources: sources.clone(),
            roles_claims: vec!["oc-roles".to_owned(), "roles".to_owned()],
            leeway: Duration::from_secs(3),
            refresh: Duration::from_secs(600),
            keep_stale: Duration::from_secs(86_400),
            cache: 128 << 20,
            bad_signatures: Rate {
                per_second: 1e9,
                burst: u32::MAX,
            },
            max_token: 16 << 10,
            max_key_set: 256 << 10,
            max_roles: 256,
            max_grants: 256,
            issuers: vec![Issuer {
                name: "moodle".into(),
                jwks: JwksLocation::File(folder.path().join("trusted/jwks.json")),
                outgoing: janua::config::Outgoing::default(),
                allow_roles: vec![RolePattern { parts: vec![Part::Any] }],
                allow_actions: vec!["read".to_owned(), "write".to_owned()],
                max_lifetime: Duration::from_secs(86_400),
                may_name_users: false,
                iss: None,
                aud: Vec::new(),
                typ: None,
                watch_max: Duration::from_secs(12 * 60 * 60),
            }],
        };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let store = Store::in_memory();
        let tokens = runtime
            .block_on(Tokens::start(&config, &store, &Metrics::new()))
            .unwrap();
        Self {
            tokens,
            sources,
            folder,
        }
    }

    /// A token as Moodle makes it for a learner's lecture; each `n` gives another one.
    fn request(&self, signer: &str, n: usize) -> HeaderMap {
        let key = self.folder.path().join(signer).join("private.pem");
        let (key, claim) = (key.to_str().unwrap(), format!("n={n}"));
        let line = [
            "mint",
            "--key",
            key,
            "--learner",
            "4711",
            "--event",
            "2f4b0d1c-8d25-4f0e-9c5c-6a1d3b2e7f90=read",
            "--expires",
            "4h",
            "--claim",
            &claim,
        ];
        let token = mint(&Line::try_parse_from(line).unwrap().mint, SystemTime::now()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        headers
    }

    /// None of these waits for keys: they are fresh. One whose signature is checked lets others go first, once.
    fn judge(&self, headers: &HeaderMap, recent: &Recent) -> Outcome {
        let carried = find(&self.sources, headers, None);
        let judged = self
            .tokens
            .authenticate(&carried, None, CLIENT, recent, SystemTime::now());
        let mut judged = pin!(judged);
        loop {
            if let Some(outcome) = judged.as_mut().now_or_never() {
                return outcome;
            }
        }
    }
}

fn token(criterion: &mut Criterion) {
    let bench = Bench::new();
    let known = bench.request("trusted", 0);
    let recent = Recent::default();
    for _ in 0..3 {
        assert!(matches!(bench.judge(&known, &recent), Outcome::Person(_)));
    }
    criterion.bench_function("token/known to the connection", |run| {
        run.iter(|| black_box(bench.judge(black_box(&known), &recent)));
    });
    criterion.bench_function("token/known", |run| {
        run.iter(|| black_box(bench.judge(black_box(&known), &Recent::default())));
    });

    let mut n = 0;
    let mut next = |signer| {
        n += 1;
        bench.request(signer, n)
    };
    criterion.bench_function("token/first seen", |run| {
        run.iter_batched(
            || next("trusted"),
            |headers| assert!(matches!(bench.judge(&headers, &Recent::default()), Outcome::Person(_))),
            BatchSize::SmallInput,
        );
    });
    let bad = bench.request("stranger", 0);
    criterion.bench_function("token/bad signature", |run| {
        run.iter(|| {
            assert!(matches!(
                bench.judge(black_box(&bad), &Recent::default()),
                Outcome::Refused(_)
            ));
        });
    });
}

criterion_group!(benches, token);
criterion_main!(benches);
