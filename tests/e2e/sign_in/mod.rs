//! People sign in through a real CAS server: to the page that they wanted, and nobody else by their ticket or cookie.

mod attacks;
mod browser;
mod campus;
mod flow;
