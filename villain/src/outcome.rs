//! What comes of an act: it was done, a limit held it back, or the system refused it, and then the refusal by its name.

use std::io;

use nix::errno::Errno;

/// What a probe answers that was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The forbidden act succeeded.
    Done(String),
    /// It went as far as a limit, and the limit held.
    Held(String),
}

/// What a probe answers: an error is the refusal.
pub type Attempt = io::Result<Outcome>;

/// The act succeeded; how far it went, in words.
pub(crate) fn done(detail: impl Into<String>) -> Attempt {
    Ok(Outcome::Done(detail.into()))
}

/// A limit held.
pub(crate) fn held(detail: impl Into<String>) -> Attempt {
    Ok(Outcome::Held(detail.into()))
}

/// For acts that are tried with arguments which can do no harm: an error that the kernel gives only after it has let the
/// caller pass counts as done.
pub(crate) fn passed<T>(result: io::Result<T>, after: &[Errno]) -> Attempt {
    match result {
        Ok(_) => done("the call succeeded"),
        Err(error) if after.iter().any(|errno| error.raw_os_error() == Some(*errno as i32)) => {
            done(format!("permitted; only then: {error}"))
        }
        Err(error) => Err(error),
    }
}

/// The refusal's name: `EACCES`.
pub(crate) fn name_of(error: &io::Error) -> String {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => format!("{:?}", Errno::from_raw(number)),
        (None, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => "ETIMEDOUT".to_owned(),
        (None, kind) => format!("{kind:?}"),
    }
}

/// An error of this number.
pub(crate) fn refusal(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_names_of_the_table() {
        assert_eq!(name_of(&refusal(Errno::EACCES)), "EACCES");
        assert_eq!(name_of(&refusal(Errno::EDQUOT)), "EDQUOT");
        assert_eq!(name_of(&io::ErrorKind::TimedOut.into()), "ETIMEDOUT");
    }

    #[test]
    fn only_the_errors_that_come_after_the_check_count_as_done() {
        let answer = |errno| passed::<()>(Err(refusal(errno)), &[Errno::ENOEXEC]);
        assert!(matches!(answer(Errno::ENOEXEC), Ok(Outcome::Done(_))));
        assert_eq!(name_of(&answer(Errno::EPERM).unwrap_err()), "EPERM");
    }
}
