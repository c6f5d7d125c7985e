//! A CAS session calls Moodle's web services, and no token of Moodle's is ever seen.

mod calls;
mod reactions;
mod school;
mod sources;
