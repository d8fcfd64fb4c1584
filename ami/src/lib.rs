//! Publishes Kennel's disk images to EC2, looks after what was published, and launches hosts from it. The program
//! `kennel-ami`, which `kennel ami`, `kennel launch` and `kennel hosts` run, is a thin shell around this.
//!
//! `aws` makes the calls: each goes through one table, from which the IAM policies are made too. `image` reads disk images,
//! `publish` uploads them, `manage` looks after AMIs, `launch` after hosts. Nothing here builds images or knows what is in them.

pub mod args;
pub mod aws;
pub mod bill;
pub mod commands;
pub mod exit;
pub mod iam;
pub mod image;
pub mod launch;
pub mod manage;
pub mod names;
pub mod publish;
pub mod state;
pub mod time;
pub mod ui;
