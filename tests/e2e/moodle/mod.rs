//! A CAS session calls Moodle's web services, and no token of Moodle's is ever seen.

mod browsing;
mod calls;
mod cross_site;
mod crowd;
mod explained;
mod functions;
mod own_tokens;
mod reactions;
mod replicas;
pub mod school;
mod sources;
mod usernames;
mod vault;
