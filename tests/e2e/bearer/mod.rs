//! Applications call with access tokens of the campus's authorization server.

mod basics;
