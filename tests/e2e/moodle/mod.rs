//! A CAS session calls Moodle's web services, and no token of Moodle's is ever seen.

mod access_tokens;
mod browsing;
mod calls;
mod cross_site;
mod crowd;
mod explained;
mod facade;
mod launch;
mod own_tokens;
mod reactions;
mod replicas;
pub mod school;
mod sources;
mod usernames;
mod vault;
