//! A bucket of an object store that speaks S3: addresses of its objects, signed by AWS Signature Version 4 in their query, for
//! reading alone. The payload is not signed, and of the headers `Host` is, so that ranges and conditions pass as they come.
//!
//! The keys stand in a file as AWS's own tools have it, which is read again when it changes. No metadata service is asked.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::Method;
use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use url::Url;
use zeroize::Zeroizing;

use crate::config;
use crate::rejection::{Reason, Rejection};
use crate::text::without_mark;
use crate::watch_file;

/// How long an address is good for by which the gateway itself asks: until the request is there.
pub const OWN_REQUESTS: Duration = Duration::from_secs(300);

/// Bytes of a credentials file.
const LARGEST_FILE: u64 = 64 << 10;

pub struct S3 {
    bucket: Bucket,
    /// What stands before each key.
    prefix: String,
    /// How long an address is good for to which a client is sent.
    pub valid: Duration,
    credentials: Arc<ArcSwap<Credentials>>,
    /// `None`: the file's folder cannot be watched, and that was told.
    _watch: Option<watch_file::Guard>,
}

impl S3 {
    /// Reads the credentials and watches their file. Errors: it has none of this profile.
    pub fn new(config: &config::S3) -> io::Result<Self> {
        let (file, profile) = (config.credentials_file.clone(), config.profile.clone());
        // Filled below; watched first, so that no change falls between.
        let credentials = Arc::new(ArcSwap::from_pointee(Credentials::new("", "")));
        let watched = watch_file::watch(&file, refresh(file.clone(), profile.clone(), Arc::clone(&credentials)));
        credentials.store(Arc::new(read(&file, &profile)?));
        let watch = watched.inspect_err(|error| {
            tracing::warn!(path = %file.display(), %error, "changes of these credentials will be noticed at a restart only");
        });
        let style = if config.path_style {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let bucket = Bucket::new(
            config.endpoint.clone(),
            style,
            config.bucket.clone(),
            config.region.clone(),
        );
        Ok(Self {
            bucket: bucket.map_err(|error| io::Error::other(format!("{error:?}")))?,
            prefix: config.prefix.clone(),
            valid: config.valid,
            credentials,
            _watch: watch.ok(),
        })
    }

    /// The signed address of the object at a path, decoded and canonical, for GET or HEAD. Errors: no object has such a key.
    pub fn address(&self, method: &Method, path: &str, now: SystemTime, valid: Duration) -> Result<Url, Rejection> {
        let key = path.strip_prefix('/').unwrap_or(path);
        if key.is_empty() || key.ends_with('/') {
            return Err(Rejection::because(
                Reason::FileNotFound,
                "a folder, and a bucket has none",
            ));
        }
        // Segments of dots would be resolved in the address; no canonical path has such ones.
        if key.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(Reason::FileNotFound.into());
        }
        let time = Timestamp::try_from(now);
        let time = time.map_err(|error| Rejection::because(Reason::Internal, format!("the clock: {error}")))?;
        let (key, credentials) = (format!("{}{key}", self.prefix), self.credentials.load());
        Ok(match *method {
            Method::HEAD => self
                .bucket
                .head_object(Some(&credentials), &key)
                .sign_with_time(valid, &time),
            _ => self
                .bucket
                .get_object(Some(&credentials), &key)
                .sign_with_time(valid, &time),
        })
    }
}

fn refresh(file: PathBuf, profile: String, current: Arc<ArcSwap<Credentials>>) -> impl Fn() + Send + 'static {
    move || match read(&file, &profile) {
        Ok(credentials) => {
            current.store(Arc::new(credentials));
            tracing::info!(path = %file.display(), "the credentials for S3 have changed");
        }
        Err(error) => tracing::error!(%error, "the credentials for S3 stay as they were"),
    }
}

/// The credentials of a profile. Errors: the file cannot be read, or lacks them. The text names the file and quotes nothing.
pub fn read(file: &Path, profile: &str) -> io::Result<Credentials> {
    let wrong = |why: String| io::Error::other(format!("{}: {why}", file.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    // A FIFO would be waited for.
    if !fs::metadata(file).map_err(|error| wrong(error.to_string()))?.is_file() {
        return Err(wrong("it is no regular file".to_owned()));
    }
    let opened = fs::File::open(file).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes));
    if opened.map_err(|error| wrong(error.to_string()))? as u64 > LARGEST_FILE {
        return Err(wrong("it is larger than 64 KiB".to_owned()));
    }
    let text = std::str::from_utf8(without_mark(&bytes)).map_err(|_| wrong("it is no text in UTF-8".to_owned()))?;
    let found = |name| value(text, profile, name).filter(|value| !value.is_empty());
    let missing = |name| {
        wrong(format!(
            "there is no `{name}` in [{profile}]: write it as `aws configure` does, or name another `profile`"
        ))
    };
    let key = found("aws_access_key_id").ok_or_else(|| missing("aws_access_key_id"))?;
    let secret = found("aws_secret_access_key").ok_or_else(|| missing("aws_secret_access_key"))?;
    Ok(match found("aws_session_token") {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    })
}

/// The last value of a name in the section of a profile.
fn value<'a>(text: &'a str, profile: &str, name: &str) -> Option<&'a str> {
    let mut is_here = false;
    let mut found = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.split(']').next().unwrap_or_default().trim();
            is_here = section.strip_prefix("profile ").unwrap_or(section).trim() == profile;
        } else if is_here
            && !line.starts_with(['#', ';'])
            && let Some((known, value)) = line.split_once('=')
            && known.trim().eq_ignore_ascii_case(name)
        {
            found = Some(value.trim());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn store(folder: &Path, style: bool, endpoint: &str, prefix: &str) -> S3 {
        let file = folder.join("credentials");
        let text = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n\
                    aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n";
        fs::write(&file, text).unwrap();
        S3::new(&config::S3 {
            bucket: "examplebucket".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: endpoint.parse().unwrap(),
            path_style: style,
            prefix: prefix.to_owned(),
            credentials_file: file,
            profile: "default".to_owned(),
            valid: Duration::from_secs(60),
        })
        .unwrap()
    }

    /// The example of AWS's documentation ("Authenticating Requests: Using Query Parameters").
    #[test]
    fn an_address_is_signed_as_in_the_documentation() {
        let folder = tempfile::tempdir().unwrap();
        let s3 = store(folder.path(), false, "https://s3.amazonaws.com", "");
        let at = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let address = s3
            .address(&Method::GET, "/test.txt", at, Duration::from_secs(86_400))
            .unwrap();
        assert_eq!(
            address.as_str(),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
             AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400\
             &X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
        let head = s3
            .address(&Method::HEAD, "/test.txt", at, Duration::from_secs(86_400))
            .unwrap();
        assert_ne!(head, address, "the method is signed, too");
    }

    #[test]
    fn keys_are_encoded_byte_by_byte_and_stay_in_their_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let s3 = store(folder.path(), true, "http://127.0.0.1:9000", "opencast/");
        let path = |path: &str| {
            let address = s3.address(&Method::GET, path, UNIX_EPOCH, OWN_REQUESTS);
            address.map(|address| (address.host_str().unwrap().to_owned(), address.path().to_owned()))
        };
        for (asked, expected) in [
            ("/a.mp4", "a.mp4"),
            ("/a b+c/ü.mp4", "a%20b%2Bc/%C3%BC.mp4"),
            (
                "/a?b#c%2f&=@:;,!'()*$~",
                "a%3Fb%23c%252f%26%3D%40%3A%3B%2C%21%27%28%29%2A%24~",
            ),
            ("/a\\..\\b", "a%5C..%5Cb"),
            ("/%2e%2e/b", "%252e%252e/b"),
            ("/...", "..."),
        ] {
            let found = path(asked).unwrap();
            assert_eq!(
                found,
                ("127.0.0.1".to_owned(), format!("/examplebucket/opencast/{expected}"))
            );
        }
        for asked in ["", "/", "/a/", "/../b", "/a/./b", "/.."] {
            assert_eq!(
                path(asked).err().map(|refusal| refusal.reason),
                Some(Reason::FileNotFound),
                "{asked}"
            );
        }
    }

    #[test]
    fn credentials_are_those_of_their_profile() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        let text = "\u{feff}# of the campus\naws_access_key_id = nobody\n[default]\naws_access_key_id = one\r\n\
                    ; AWS_SECRET_ACCESS_KEY = no\nAWS_SECRET_ACCESS_KEY = a=b/c+ \n\n[profile archive]\n\
                    aws_access_key_id=two\naws_secret_access_key=s\naws_session_token=t\n[broken]\naws_access_key_id = x\n";
        fs::write(&file, text).unwrap();
        let one = read(&file, "default").unwrap();
        assert_eq!((one.key(), one.secret(), one.token()), ("one", "a=b/c+", None));
        let two = read(&file, "archive").unwrap();
        assert_eq!((two.key(), two.secret(), two.token()), ("two", "s", Some("t")));
        for profile in ["broken", "none", ""] {
            let error = read(&file, profile).unwrap_err().to_string();
            assert!(error.contains("there is no `aws_"), "{error}");
        }
    }
}
