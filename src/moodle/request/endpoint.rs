//! Which of Moodle's scripts gets a token: four of them, by their path. Everything else on such a route gets none.
//!
//! SOAP is left out on purpose: its answers repeat the token. PHP runs the script whose name ends in `.php`
//! and takes what follows as PATH_INFO, so `server.php/x` is `server.php`.

use http::Method;

use super::Refusal;

/// A script that takes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/webservice/rest/server.php`: parameter `wstoken`, and a function.
    Rest,
    /// `/webservice/upload.php`: parameter `token`.
    Upload,
    /// `/webservice/pluginfile.php` or `draftfile.php`: parameter `token`.
    File,
}

impl Endpoint {
    /// A word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Upload => "upload",
            Self::File => "file",
        }
    }

    /// `path` is the canonical, decoded path as Moodle gets it.
    pub fn of(path: &str) -> Result<Self, Refusal> {
        let below = path.strip_prefix("/webservice/").ok_or(Refusal::Endpoint)?;
        let end = below
            .find(".php")
            .map(|at| at + ".php".len())
            .ok_or(Refusal::Endpoint)?;
        let (script, info) = below.split_at_checked(end).ok_or(Refusal::Endpoint)?;
        if !(info.is_empty() || info.starts_with('/')) {
            return Err(Refusal::Endpoint);
        }
        match script {
            "rest/server.php" => Ok(Self::Rest),
            "upload.php" => Ok(Self::Upload),
            "pluginfile.php" | "draftfile.php" => Ok(Self::File),
            _ => Err(Refusal::Endpoint),
        }
    }

    /// What PHP reads a body for is POST; the others carry none. `OPTIONS` would be run as a call, and so would `HEAD`: it
    /// cannot go on as POST as a GET does, so the token would stand in the URL, which Moodle's web server logs.
    pub fn methods(self) -> &'static [Method] {
        match self {
            Self::Rest => &[Method::GET, Method::POST],
            Self::File => &[Method::GET, Method::HEAD, Method::POST],
            Self::Upload => &[Method::POST],
        }
    }

    pub fn token_parameter(self) -> &'static str {
        match self {
            Self::Rest => "wstoken",
            Self::Upload | Self::File => "token",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_scripts_and_their_path_info() {
        let taken = [
            ("/webservice/rest/server.php", Endpoint::Rest),
            ("/webservice/rest/server.php/x/y", Endpoint::Rest),
            ("/webservice/upload.php", Endpoint::Upload),
            ("/webservice/pluginfile.php/17/a/b/1/essay.txt", Endpoint::File),
            ("/webservice/pluginfile.php/17/a/b/1/server.php", Endpoint::File),
            ("/webservice/draftfile.php/11/user/draft/1/x", Endpoint::File),
        ];
        for (path, endpoint) in taken {
            assert_eq!(Endpoint::of(path), Ok(endpoint), "{path}");
        }
    }

    #[test]
    fn nothing_else() {
        let refused = [
            "/webservice/soap/server.php",
            "/webservice/rest/simpleserver.php",
            "/webservice/xmlrpc/server.php",
            "/webservice/rest/server.phpx",
            "/webservice/rest/",
            "/pluginfile.php/1",
            "/lib/ajax/service.php",
            "/webservice/rest/server.php5",
            "/webservice/REST/server.php",
            "/webservice/soap/server.php/upload.php",
            "/webservice/",
            "/moodle/webservice/upload.php",
            "/webservice/rest/x.php/server.php",
        ];
        for path in refused {
            assert_eq!(Endpoint::of(path), Err(Refusal::Endpoint), "{path}");
        }
    }
}
