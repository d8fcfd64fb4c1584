//! Ground floor of Kennel: what the other crates agree on. Slots and their derived names, validated ids,
//! the host's layout, and the messages between processes. No I/O happens here and nothing is decided here:
//! init holds the mechanism, control the decisions, the proxy the speed.

pub mod access;
pub mod account;
pub mod acme;
pub mod api;
pub mod audit;
pub mod backup;
pub mod certificate;
pub mod clock;
pub mod cloud;
pub mod command;
pub mod counters;
pub mod cron;
pub mod data;
pub mod denial;
pub mod doctor;
pub mod domain;
pub mod egress;
pub mod env;
pub mod files;
pub mod found;
mod health;
pub mod ids;
pub mod job;
pub mod labels;
pub mod launch;
pub mod layout;
pub mod lease;
pub mod listing;
pub mod memory;
pub mod msg;
pub mod network;
pub mod page;
pub mod places;
pub mod printed;
pub mod process;
pub mod proof;
pub mod redirect;
pub mod release;
pub mod routes;
pub mod routing;
pub mod seeing;
pub mod services;
pub mod session;
pub mod slot;
pub mod task;
pub mod token;
pub mod tpm;
pub mod wake;

pub use domain::Domain;
pub use files::StaticFiles;
pub use health::{HealthPath, InvalidHealthPath};
pub use ids::{
    AccountName, CertificateName, CommitId, EnvName, HostName, InvalidId, NodeName, ProcessName, RefName,
    ReleaseId, RuntimeName, TenantName, TokenName,
};
pub use launch::{LaunchSpec, Limits};
pub use slot::{SlotId, SlotState};
