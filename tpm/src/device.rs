//! One command for the TPM and its answer. Commands and answers are `tpm2-protocol`'s to encode; here they are carried.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tpm2_protocol::constant::TPM_MAX_COMMAND_SIZE;
use tpm2_protocol::data::{TpmRc, TpmRcBase, TpmSt, TpmsAuthCommand};
use tpm2_protocol::frame::{TpmFrame, TpmResponse, TpmUnmarshalBody, tpm_marshal_command};
use tpm2_protocol::{TpmError, TpmWriter};

/// Making a key of RSA takes a slow TPM half a minute; nothing else takes a second.
const PATIENCE: Duration = Duration::from_secs(40);

/// Why the TPM did not do it.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It said so.
    #[error("the TPM does not {act}: {code:?}")]
    Refused {
        /// What it was to do.
        act: &'static str,
        /// Its reason.
        code: TpmRc,
    },
    /// A command or an answer that is none.
    #[error("the TPM's answer to `{act}` makes no sense: {cause:?}")]
    Nonsense {
        /// What it was to do.
        act: &'static str,
        /// What is wrong with it.
        cause: TpmError,
    },
    /// No answer in time.
    #[error("the TPM did not {act} in {} s", PATIENCE.as_secs())]
    Late {
        /// What it was to do.
        act: &'static str,
    },
    /// The device's.
    #[error("the TPM cannot be asked to {act}: {cause}")]
    Io {
        /// What it was to do.
        act: &'static str,
        /// What the system said.
        cause: io::Error,
    },
}

/// The TPM, open.
#[derive(Debug)]
pub struct Device(OwnedFd);

impl Device {
    /// Takes over a descriptor that does not block.
    pub const fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Has the TPM do one thing. `act` is the verb for errors.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn call<C: TpmFrame, R: TpmUnmarshalBody>(
        &self,
        act: &'static str,
        command: &C,
        sessions: &[TpmsAuthCommand],
    ) -> Result<R, DeviceError> {
        let nonsense = |cause| DeviceError::Nonsense { act, cause };
        let mut buffer = [0; TPM_MAX_COMMAND_SIZE];
        let mut writer = TpmWriter::new(&mut buffer);
        let tag = if sessions.is_empty() { TpmSt::NoSessions } else { TpmSt::Sessions };
        tpm_marshal_command(command, tag, sessions, &mut writer).map_err(nonsense)?;
        let answer = self.exchange(act, writer.as_bytes())?;
        let answer = TpmResponse::cast(&answer).map_err(nonsense)?;
        match answer.rc().map_err(nonsense)? {
            TpmRc::Fmt0(TpmRcBase::Success) => answer.unmarshal().map_err(nonsense),
            code => Err(DeviceError::Refused { act, code }),
        }
    }

    /// One command in one piece, one answer in one piece: what the kernel's driver takes and gives.
    fn exchange(&self, act: &'static str, command: &[u8]) -> Result<Vec<u8>, DeviceError> {
        let fault = |cause: Errno| DeviceError::Io { act, cause: cause.into() };
        let end = Instant::now() + PATIENCE;
        let written = rustix::io::write(&self.0, command).map_err(fault)?;
        if written != command.len() {
            return Err(DeviceError::Io { act, cause: io::ErrorKind::WriteZero.into() });
        }
        let mut answer = vec![0; TPM_MAX_COMMAND_SIZE];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let late = DeviceError::Late { act };
            if left.is_zero() {
                return Err(late);
            }
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Ok(0) => return Err(late),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(cause) => return Err(fault(cause)),
            }
            match rustix::io::read(&self.0, &mut answer) {
                Ok(length) => {
                    answer.truncate(length);
                    return Ok(answer);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(cause) => return Err(fault(cause)),
            }
        }
    }
}
