//! The one program of the host that speaks with its TPM. It is handed the device open, holds two keys there, and answers
//! what init passes on from control: a quote of the registers, and the secret of a credential. It judges nothing.
//!
//! | file | duty |
//! |---|---|
//! | `device` | one command and its answer, bounded in bytes and time |
//! | `keys` | the two keys, as templates from which the TPM makes the same ones each time |
//! | `work` | what is asked, in commands |
//! | `serve` | the loop: takes a question from init, answers it, ends with init |

pub mod device;
pub mod keys;
pub mod serve;
pub mod work;
