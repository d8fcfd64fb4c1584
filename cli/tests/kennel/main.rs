//! Tests of the `kennel` program as a whole, by its command line.

#[cfg(test)]
mod client;
#[cfg(test)]
mod command;
mod egress;
#[cfg(test)]
mod keys;
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
