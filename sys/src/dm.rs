//! Device-mapper by its ioctls, as far as one read-only target needs it: create, load, resume.
//! (Kernel: `Documentation/admin-guide/device-mapper/`, `include/uapi/linux/dm-ioctl.h`.)

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;

/// Size of `struct dm_ioctl`.
const HEADER_BYTES: usize = 312;
/// Size of `struct dm_target_spec`.
const TARGET_BYTES: usize = 40;
const DM_READONLY_FLAG: u32 = 1;
const DM_DEV_CREATE: u8 = 3;
const DM_DEV_SUSPEND: u8 = 6;
const DM_TABLE_LOAD: u8 = 9;

/// Makes the read-only device `name` out of one target that spans `sectors` of 512 bytes and resumes it.
/// It is the first of its kind on this host and is found at `/dev/dm-0`.
///
/// # Errors
/// The system's, with the step that failed.
pub fn create_readonly(name: &str, target: &str, sectors: u64, parameters: &str) -> io::Result<()> {
    let control = OpenOptions::new().read(true).write(true).open("/dev/mapper/control")?;
    let call = |what: &str, command: u8, flags: u32, payload: &[u8], targets: u32| {
        let mut buffer = header(name, flags, targets, payload);
        // SAFETY: the kernel reads and writes at most `data_size` bytes from the pointer, which is the
        // buffer's length (dm-ioctl.h), and the buffer outlives the call.
        let done = unsafe { libc::ioctl(control.as_raw_fd(), request(command), buffer.as_mut_ptr()) };
        if done == 0 {
            return Ok(());
        }
        let cause = io::Error::last_os_error();
        Err(io::Error::new(cause.kind(), format!("device-mapper {what} {name}: {cause}")))
    };
    call("create", DM_DEV_CREATE, 0, &[], 0)?;
    call("load", DM_TABLE_LOAD, DM_READONLY_FLAG, &target_spec(target, sectors, parameters), 1)?;
    call("resume", DM_DEV_SUSPEND, 0, &[], 0)
}

/// `_IOWR(0xfd, command, struct dm_ioctl)`.
const fn request(command: u8) -> libc::Ioctl {
    ((3 << 30) | ((HEADER_BYTES as u64) << 16) | (0xfd << 8) | command as u64) as libc::Ioctl
}

fn header(name: &str, flags: u32, targets: u32, payload: &[u8]) -> Vec<u8> {
    let total = HEADER_BYTES + payload.len();
    let mut buffer = vec![0; total];
    let mut put = |at: usize, value: u32| buffer[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    put(0, 4); // version 4.0.0: what every kernel since 2.6 takes
    put(12, total as u32);
    put(16, HEADER_BYTES as u32); // data_start
    put(20, targets);
    put(28, flags);
    let name = &name.as_bytes()[..name.len().min(127)];
    buffer[48..48 + name.len()].copy_from_slice(name);
    buffer[HEADER_BYTES..].copy_from_slice(payload);
    buffer
}

fn target_spec(target: &str, sectors: u64, parameters: &str) -> Vec<u8> {
    let end = TARGET_BYTES + parameters.len() + 1;
    let mut spec = vec![0; end.next_multiple_of(8)];
    spec[8..16].copy_from_slice(&sectors.to_ne_bytes()); // sector_start stays 0
    let target = &target.as_bytes()[..target.len().min(15)];
    spec[24..24 + target.len()].copy_from_slice(target);
    spec[TARGET_BYTES..TARGET_BYTES + parameters.len()].copy_from_slice(parameters.as_bytes());
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_numbers_are_those_of_the_header() {
        // From <linux/dm-ioctl.h>, printed by a C program.
        assert_eq!(request(DM_DEV_CREATE), 0xc138_fd03);
        assert_eq!(request(DM_TABLE_LOAD), 0xc138_fd09);
    }

    #[test]
    fn a_table_has_its_parameters_behind_the_target() {
        let spec = target_spec("verity", 8, "1 a b");
        assert_eq!((&spec[8..16], &spec[24..30]), (&8u64.to_ne_bytes()[..], &b"verity"[..]));
        assert_eq!(&spec[40..46], b"1 a b\0");
        assert_eq!(spec.len() % 8, 0);
    }
}
