//! Tests of the `kennel` program as a whole, by its command line.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod client;
#[cfg(test)]
mod command;
#[cfg(test)]
mod data;
#[cfg(test)]
mod depot;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod env;
#[cfg(test)]
mod git;
#[cfg(test)]
mod host;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod people;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod run;
#[cfg(test)]
mod seeing;
#[cfg(test)]
mod support;
mod tokens;
#[cfg(test)]
mod user_data;
