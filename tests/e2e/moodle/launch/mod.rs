//! `launch`: the person's own browser goes through Moodle's `launch.php`, whatever Moodle asks there, and brings the token.

mod behind;
mod checked;
mod faults;
pub mod lab;
mod others;
mod places;
mod routed;
mod way;
