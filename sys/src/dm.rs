//! Device-mapper by its ioctls, as far as devices of one target need it: create, load, resume. What the kernel does with a
//! target's parameters is its own business; one that holds a key stays nowhere in this process.
//! (Kernel: `Documentation/admin-guide/device-mapper/`, `include/uapi/linux/dm-ioctl.h`.)

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use zeroize::Zeroizing;

/// Size of `struct dm_ioctl`.
const HEADER_BYTES: usize = 312;
/// Size of `struct dm_target_spec`.
const TARGET_BYTES: usize = 40;
const DM_READONLY_FLAG: u32 = 1;
/// The kernel wipes its own copy of the parameters.
const DM_SECURE_DATA_FLAG: u32 = 1 << 15;
const DM_DEV_CREATE: u8 = 3;
const DM_DEV_REMOVE: u8 = 4;
const DM_DEV_SUSPEND: u8 = 6;
const DM_TABLE_LOAD: u8 = 9;

/// Makes the read-only device `name` out of one target that spans `sectors` of 512 bytes, and resumes it; answers its number
/// N: it is `/dev/dm-N`.
///
/// # Errors
/// The system's, with the step that failed; there is no such device then.
pub fn create_readonly(name: &str, target: &str, sectors: u64, parameters: &str) -> io::Result<u32> {
    create(name, DM_READONLY_FLAG, &target_spec(target, sectors, parameters))
}

/// The same for a device that can be written to, and parameters that nobody is to find anywhere afterwards, but for the
/// target itself. The caller wipes its own.
///
/// # Errors
/// As above.
pub fn create_secret(name: &str, target: &str, sectors: u64, parameters: &str) -> io::Result<u32> {
    create(name, DM_SECURE_DATA_FLAG, &target_spec(target, sectors, parameters))
}

fn create(name: &str, table_flags: u32, table: &[u8]) -> io::Result<u32> {
    // Reading is enough: what counts is a capability.
    let control = File::open("/dev/mapper/control")?;
    let call = |what: &str, command: u8, flags: u32, payload: &[u8], targets: u32| {
        let mut buffer = header(name, flags, targets, payload);
        // SAFETY: the kernel reads and writes at most `data_size` bytes from the pointer, which is the
        // buffer's length (dm-ioctl.h), and the buffer outlives the call.
        let done = unsafe { libc::ioctl(control.as_raw_fd(), request(command), buffer.as_mut_ptr()) };
        if done == 0 {
            return Ok(minor(&buffer));
        }
        let cause = io::Error::last_os_error();
        Err(io::Error::new(cause.kind(), format!("device-mapper {what} {name}: {cause}")))
    };
    let number = call("create", DM_DEV_CREATE, 0, &[], 0)?;
    let started = call("load", DM_TABLE_LOAD, table_flags, table, 1)
        .and_then(|_| call("resume", DM_DEV_SUSPEND, 0, &[], 0));
    if started.is_err() {
        // Why it did not start is what counts.
        let _ = call("remove", DM_DEV_REMOVE, 0, &[], 0);
    }
    started.map(|_| number)
}

/// `_IOWR(0xfd, command, struct dm_ioctl)`.
const fn request(command: u8) -> libc::Ioctl {
    ((3 << 30) | ((HEADER_BYTES as u64) << 16) | (0xfd << 8) | command as u64) as libc::Ioctl
}

/// Never grows, which would leave a copy behind.
fn header(name: &str, flags: u32, targets: u32, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let total = HEADER_BYTES + payload.len();
    let mut buffer = Zeroizing::new(vec![0; total]);
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

/// Of the device in an answer (`new_encode_dev` of the kernel's <linux/kdev_t.h>).
fn minor(answer: &[u8]) -> u32 {
    let device = u32::from_ne_bytes(std::array::from_fn(|i| answer[40 + i]));
    (device & 0xff) | ((device >> 12) & 0x000f_ff00)
}

fn target_spec(target: &str, sectors: u64, parameters: &str) -> Zeroizing<Vec<u8>> {
    let end = TARGET_BYTES + parameters.len() + 1;
    let mut spec = Zeroizing::new(vec![0; end.next_multiple_of(8)]);
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

    #[test]
    fn a_devices_number_is_read_from_the_answer() {
        let mut answer = header("kennel-swap", 0, 0, &[]);
        for (device, number) in [(0xfd01_u32, 1), (0xfd00, 0), (0x0010_fd07, 0x107)] {
            answer[40..44].copy_from_slice(&device.to_ne_bytes());
            assert_eq!(minor(&answer), number);
        }
    }
}
