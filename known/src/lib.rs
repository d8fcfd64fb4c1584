//! What this computer knows of hosts, for the two programs that speak to them: `kennel`, and `kennel-ami`, which launches
//! them on EC2. Where things are kept, the book of hosts, each one's pinned certificate, and how its console is read.

mod counted;
mod file;
pub mod hosts;
pub mod paths;
pub mod pin;
mod safe;
mod sign;
pub mod tls;

pub use counted::Counted;
pub use file::FileError;
pub use safe::SafeLines;
pub use sign::{Sign, sign};
