//! Uploads, and files by token or by the key that site_info tells.

use std::collections::HashMap;

use serde_json::json;

use super::answer::Answer;
use super::php::{File, Request};
use super::{Row, Site};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const BOUNDARY: &str = "s1k2o3d4a5k6s7";

#[derive(Debug, Clone)]
pub struct Stored {
    owner: String,
    content_type: &'static str,
    content: Vec<u8>,
}

pub fn stored() -> HashMap<String, Stored> {
    let file = |content_type, content| Stored {
        owner: "alice".to_owned(),
        content_type,
        content,
    };
    let essay = || file(TEXT, b"0123456789".repeat(100));
    HashMap::from([
        (
            "/17/assignsubmission_file/submission_files/1/essay.txt".to_owned(),
            essay(),
        ),
        ("/11/user/draft/196537685/essay.txt".to_owned(), essay()),
        (
            "/11/user/draft/87005729/clip.mp4".to_owned(),
            file("video/mp4", vec![7; 300_000]),
        ),
    ])
}

/// Upload and files read their errors like AJAX scripts do.
fn taken(request: &Request, site: &mut Site) -> Result<String, (String, String)> {
    let Some(token) = request.text("token") else {
        let text = "A required parameter (token) was missing";
        return Err(("missingparam".to_owned(), text.to_owned()));
    };
    if !site.settings.web_services {
        return Err(("accessexception".to_owned(), "Access control exception".to_owned()));
    }
    match site.take_token(Some(token)) {
        Ok((user, _)) => Ok(user),
        Err((_, code, _)) if code.starts_with("wsaccess") => Err((code.clone(), format!("error/{code}"))),
        Err((_, code, message)) => Err((code, message)),
    }
}

pub fn upload(request: &Request, site: &mut Site) -> Answer {
    let content_type = if request.files.is_empty() { JSON } else { TEXT };
    let user = match taken(request, site) {
        Ok(user) => user,
        Err((code, text)) => return Answer::error(200, content_type, &code, &text),
    };
    let account = site.accounts[&user].clone();
    site.drafts += 1;
    let (item, context) = (site.drafts, account.id + 8);
    let mut told = Vec::new();
    for file in &request.files {
        keep(site, &user, item, file);
        let source = format!(
            "O:8:\"stdClass\":1:{{s:6:\"source\";s:{}:\"{}\";}}",
            file.name.len(),
            file.name
        );
        told.push(json!({
            "component": "user", "contextid": context, "userid": account.id.to_string(), "filearea": "draft",
            "filename": file.name, "filepath": "/", "itemid": item, "license": "unknown",
            "author": format!("{} Test", account.first_name), "source": source, "filesize": file.content.len(),
        }));
    }
    let mut answer = Answer::error(200, content_type, "", "");
    answer.body = Answer::json(&json!(told));
    answer
}

pub fn file(request: &Request, script: &str, info: &str, site: &mut Site) -> Answer {
    let policy = |answer: Answer| match script.ends_with("pluginfile.php") {
        true => answer
            .with("Access-Control-Allow-Headers", "range")
            .with("Access-Control-Expose-Headers", "Content-Range"),
        false => answer,
    };
    let user = match taken(request, site) {
        Ok(user) => user,
        Err((code, text)) => return policy(Answer::error(200, JSON, &code, &text)),
    };
    policy(of(request, info, &user, site))
}

/// A person's file at a path, if it is there.
pub fn of(request: &Request, path: &str, user: &str, site: &Site) -> Answer {
    match site.files.get(path).filter(|file| file.owner == user) {
        Some(file) => send(request, path, file),
        None => {
            let text = "Sorry, the requested file could not be found";
            let mut answer = Answer::error(404, JSON, "filenotfound", text);
            if let Some(token) = request.text("token").filter(|_| site.settings.debug) {
                let body = String::from_utf8(answer.body).unwrap();
                let told = format!("\"debuginfo\":\"token = '{token}'\"");
                answer.body = body.replace("\"debuginfo\":null", &told).into_bytes();
            }
            answer
        }
    }
}

/// Keeps a file as somebody's draft; its path.
pub fn keep(site: &mut Site, user: &str, item: u64, file: &File) -> String {
    let path = format!("/{}/user/draft/{item}/{}", site.accounts[user].id + 8, file.name);
    let stored = Stored {
        owner: user.to_owned(),
        content_type: if file.name.ends_with(".mp4") { "video/mp4" } else { TEXT },
        content: file.content.clone(),
    };
    site.files.insert(path.clone(), stored);
    path
}

/// `tokenpluginfile.php/<key>/…`: any key that was told is `alice`'s here.
pub fn by_key(request: &Request, info: &str, site: &Site) -> Answer {
    let (key, rest) = info.trim_start_matches('/').split_once('/').unwrap_or_default();
    let path = format!("/{rest}");
    let is_token = |row: &Row| row.token == key;
    let known = site.secrets.iter().any(|secret| secret == key) && !site.tokens.iter().any(is_token);
    let policy = |answer: Answer| {
        answer
            .with("Access-Control-Allow-Headers", "range")
            .with("Access-Control-Expose-Headers", "Content-Range")
    };
    match site.files.get(&path).filter(|_| known) {
        Some(file) => policy(send(request, &path, file)),
        None => policy(Answer::html(404, "The user key was not found"))
            .with("Access-Control-Allow-Origin", "*")
            .with("Content-Language", "en")
            .with(
                "Cache-Control",
                "private, pre-check=0, post-check=0, max-age=0, no-transform",
            )
            .with("Pragma", "no-cache")
            .with("Expires", ""),
    }
}

/// What is text is never sent in ranges; a range that cannot be is no error.
fn send(request: &Request, path: &str, file: &Stored) -> Answer {
    let name = path.rsplit('/').next().unwrap_or_default();
    let etag = format!("\"{:040x}\"", file.content.len());
    let dressed = |answer: Answer| {
        answer
            .with("Access-Control-Allow-Origin", "*")
            .with("Content-Disposition", &format!("attachment; filename=\"{name}\""))
            .with("Cache-Control", "private, max-age=10, no-transform")
            .with("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
            .with("Pragma", "")
            .with("Etag", &etag)
    };
    if request
        .header("if-none-match")
        .is_some_and(|known| known == etag || known.contains("f2b2f38b"))
    {
        let mut answer = dressed(Answer::new(304, "", ""));
        answer.headers.retain(|(name, _)| name != "Content-Type");
        return answer;
    }
    let size = file.content.len();
    let ranges: Vec<(usize, usize)> = match request.header("range").and_then(|range| range.strip_prefix("bytes=")) {
        Some(ranges) if file.content_type != TEXT => {
            ranges.split(',').filter_map(|range| within(range, size)).collect()
        }
        _ => Vec::new(),
    };
    let sized = |answer: Answer, length: usize| dressed(answer.with("Content-Length", &length.to_string()));
    match ranges.as_slice() {
        [] => sized(Answer::new(200, file.content_type, file.content.clone()), size),
        [(first, last)] => {
            let answer = Answer::new(206, file.content_type, &file.content[*first..=*last]);
            sized(answer, last - first + 1).with("Content-Range", &format!("bytes {first}-{last}/{size}"))
        }
        several => {
            let mut body = Vec::new();
            for (first, last) in several {
                body.extend(
                    format!(
                        "\r\n--{BOUNDARY}\r\nContent-Type: {}\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n",
                        file.content_type
                    )
                    .bytes(),
                );
                body.extend(&file.content[*first..=*last]);
            }
            body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
            let length = body.len();
            sized(
                Answer::new(206, &format!("multipart/byteranges; boundary={BOUNDARY}"), body),
                length,
            )
        }
    }
}

fn within(range: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = range.split_once('-')?;
    let (first, last) = match (first.parse().ok(), last.parse().ok()) {
        (Some(first), Some(last)) => (first, last),
        (Some(first), None) => (first, size - 1),
        (None, Some(length)) => (size.saturating_sub(length), size - 1),
        (None, None) => return None,
    };
    (first < size).then_some((first, last.min(size - 1)))
}
