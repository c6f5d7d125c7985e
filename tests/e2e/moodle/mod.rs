//! A CAS session calls Moodle's web services, and no token of Moodle's is ever seen.

mod browsing;
mod calls;
mod crowd;
mod explained;
mod reactions;
mod school;
mod sources;
mod vault;
