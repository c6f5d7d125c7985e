//! `[statistics]` and `routes.views`, as they are written.

use std::time::Duration;

use crate::config::pattern::Template;
use crate::config::read::At;
use crate::config::section::section;

section! {
    /// `[statistics]`: one event for each view on routes with `views`; none unless a file or server is named here.
    struct Statistics {
        /// The file to which each view is appended as one JSON object in a line; "/dev/stdout" is the standard output. It
        /// may be moved away while the gateway runs. Default: none.
        file: String,
        /// A view ends when nothing of it was asked for so long. The next request of the same viewer begins another.
        view_ends_after: Duration = "30m" in "1m"..="24h",
        /// Views that run at once: what begins beyond that is not counted, but for a metric.
        most_views: usize = 200000 in 1000..=10000000,
        /// Of these, those that began at one address (IPv6: at one /64).
        most_per_address: usize = 20000 in 100..=10000000,
        /// A Matomo that is told of each view. Default: none.
        matomo: Matomo,
        /// An Opencast whose usertracking service is told of each view. Default: none.
        usertracking: Usertracking,
    }
}

section! {
    /// `[statistics.matomo]`
    struct Matomo {
        /// Its tracking address: `"https://matomo.example.edu/matomo.php"`.
        #[required = "url = \"https://matomo.example.edu/matomo.php\""]
        url: String,
        /// The number of the site there for which views count.
        #[required = "site = 3: the number of the site in Matomo"]
        site: usize,
        /// A file that holds a token (`token_auth`) of a user with write access to that site, and nothing else.
        #[required = "token_file = \"matomo.token\": a file with the token of a user who may write"]
        token_file: String,
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}

section! {
    /// `[statistics.usertracking]`: newer Opencasts have no such service.
    struct Usertracking {
        /// Where the service is: `"https://opencast.example.edu/usertracking"`.
        #[required = "url = \"https://opencast.example.edu/usertracking\""]
        url: String,
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}

section! {
    /// `routes.views`: what is played here is counted, by `[statistics]`.
    struct Views {
        /// What is viewed: the whole text may be of the path's parameters.
        event: At<Template> = "{event}",
    }
}
