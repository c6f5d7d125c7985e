//! People sign in through a real CAS server: to the page that they wanted, and nobody else by their ticket or cookie.

mod attacks;
mod back_ends;
mod browser;
pub mod campus;
mod cross_site;
mod explained;
mod flow;
mod hosts;
mod lives;
mod quiet;
mod replicas;
mod ways;
