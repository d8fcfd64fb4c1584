//! The one program of the host that speaks with EC2's metadata service, and only by its second version: first a token,
//! then questions that bear it. It tells init what the service says and understands nothing of user-data or keys itself.
//!
//! | file | duty |
//! |---|---|
//! | `http` | one request and its answer, bounded in bytes and time |
//! | `token` | the session: a token that is still good, for every question |
//! | `questions` | what is asked, and what answers mean |
//! | `pace` | when to ask again |
//! | `watch` | the loop: asks, tells init what is new, ends with init |

pub mod http;
pub mod pace;
pub mod questions;
pub mod token;
pub mod watch;
