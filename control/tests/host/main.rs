//! Control as a whole, over real TLS and real SSH signatures, with a stand-in for init that can break off anywhere.

mod api;
mod crashes;
mod described;
mod logs;
mod sign_in;
mod support;
mod uploads;
