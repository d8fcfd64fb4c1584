//! Where distributions keep OVMF: the UEFI firmware's code, and the template of its variables that each machine copies.

use std::path::{Path, PathBuf};

use super::VmError;

/// Code and variables of one build of the firmware; they go together. Debian's 4 MiB build first.
const PLACES: [(&str, &str); 5] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
];

/// Builds that know Secure Boot and keep their variables from the guest, with variables that hold no keys yet.
const SECURE_PLACES: [(&str, &str); 3] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
];

/// One build of OVMF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Read-only.
    pub code: PathBuf,
    /// To be copied.
    pub vars: PathBuf,
}

/// Finds the firmware of this computer, with Secure Boot or without.
///
/// # Errors
/// [`VmError::NoFirmware`] says where it was looked for.
pub fn find(secure: bool) -> Result<Firmware, VmError> {
    find_below(Path::new("/"), if secure { &SECURE_PLACES } else { &PLACES })
}

fn find_below(root: &Path, places: &[(&str, &str)]) -> Result<Firmware, VmError> {
    let place = |path: &str| root.join(path.trim_start_matches('/'));
    places
        .iter()
        .map(|(code, vars)| Firmware { code: place(code), vars: place(vars) })
        .find(|f| f.code.is_file() && f.vars.is_file())
        .ok_or_else(|| {
            let codes: Vec<&str> = places.iter().map(|(code, _)| *code).collect();
            VmError::NoFirmware(codes.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_without_its_variables_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/share/OVMF");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("OVMF_CODE_4M.fd"), "").unwrap();
        let error = find_below(root.path(), &PLACES).unwrap_err().to_string();
        assert!(error.contains("/usr/share/OVMF/OVMF_CODE_4M.fd"), "{error}");
        for file in ["OVMF_CODE.fd", "OVMF_VARS.fd"] {
            std::fs::write(folder.join(file), "").unwrap();
        }
        assert_eq!(find_below(root.path(), &PLACES).unwrap().vars, folder.join("OVMF_VARS.fd"));
    }
}
