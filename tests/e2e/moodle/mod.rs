//! A CAS session calls Moodle's web services, and no token of Moodle's is ever seen.

mod access_tokens;
mod attribute;
mod browsing;
mod calls;
mod clearpass;
mod cross_site;
mod crowd;
mod explained;
mod facade;
mod functions;
pub mod launch;
mod oidc_launch;
mod own_tokens;
mod page;
mod reactions;
mod replicas;
pub mod school;
mod sources;
mod usernames;
mod vault;
