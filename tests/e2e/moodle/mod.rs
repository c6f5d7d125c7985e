//! A CAS session calls Moodle's web services, and no token of Moodle's is ever seen.

mod access_tokens;
mod attribute;
mod browsing;
mod calls;
mod casattras;
mod clearpass;
mod coming_back;
mod cross_site;
mod crowd;
mod each_source;
mod everywhere;
mod expired;
mod explained;
mod facade;
mod functions;
pub mod launch;
mod leaving;
mod oidc_launch;
mod own_tokens;
mod page;
mod page_tokens;
mod reactions;
mod replicas;
pub mod school;
mod sources;
mod usernames;
mod vault;
