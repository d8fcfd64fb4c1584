//! What the kernel unpacks into memory before there is a root: init, the modules that the root needs, the folders to
//! mount on, and the marker that tells init which of its two lives this is.

use std::io::{self, Write};

use kennel_model::layout::MODULES_LIST;

use super::cpio::Cpio;
use super::modules::{self, Module};

/// Tells init that it is in the initramfs.
const MARKER: &str = "etc/kennel-initramfs";
const CONSOLE: (u32, u32) = (5, 1);
/// Where init mounts the root, and what it mounts before.
const MOUNT_POINTS: [&str; 4] = ["dev", "proc", "root", "sys"];

/// The archive, compressed.
///
/// # Errors
/// When a module cannot be read.
pub(super) fn build(init: &[u8], modules: &[Module]) -> io::Result<Vec<u8>> {
    let mut cpio = Cpio::new(Vec::new());
    for folder in MOUNT_POINTS {
        cpio.folder(folder, 0o755)?;
    }
    // Devices appear only when init has mounted them; until then its words need somewhere to go.
    cpio.char_device("dev/console", 0o600, CONSOLE)?;
    cpio.folder("etc", 0o755)?;
    cpio.file(MARKER, 0o644, b"")?;
    cpio.file("init", 0o755, init)?;
    let list = MODULES_LIST.trim_start_matches('/');
    for folder in folders(modules, list) {
        cpio.folder(&folder, 0o755)?;
    }
    cpio.file(list, 0o644, modules::list(modules).as_bytes())?;
    for module in modules {
        cpio.file(module.path.trim_start_matches('/'), 0o644, &module.content.read()?)?;
    }
    compress(&cpio.finish()?)
}

/// All folders above the modules and their list, upper ones first.
fn folders(modules: &[Module], list: &str) -> std::collections::BTreeSet<String> {
    let paths = modules.iter().map(|module| module.path.trim_start_matches('/')).chain([list]);
    paths.flat_map(|path| path.match_indices('/').map(|(end, _)| path[..end].to_owned())).collect()
}

/// xz as the kernel's decoder wants it: CRC32, and a dictionary no larger than the data.
fn compress(archive: &[u8]) -> io::Result<Vec<u8>> {
    use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
    let mut options = LzmaOptions::new_preset(6)?;
    options.dict_size(1 << 20);
    let stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc32)?;
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(archive)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::content::Content;
    use super::*;

    #[test]
    fn the_archive_holds_init_the_marker_and_the_modules_in_order() {
        let module = |name: &str| Module {
            path: format!("/usr/lib/modules/6.12/{name}.ko.xz"),
            content: Content::bytes(name.as_bytes().to_vec()),
        };
        let modules = [module("dm-mod"), module("erofs")];
        let one = build(b"INIT", &modules).unwrap();
        assert_eq!(one, build(b"INIT", &modules).unwrap());
        let mut archive = Vec::new();
        liblzma::read::XzDecoder::new(&*one).read_to_end(&mut archive).unwrap();
        let text = String::from_utf8_lossy(&archive);
        for part in [
            "init\0\0INIT",
            "etc/kennel-initramfs\0",
            "/usr/lib/modules/6.12/dm-mod.ko.xz\n/usr/lib/modules/6.12/erofs.ko.xz\n",
            "usr/lib/modules/6.12/erofs.ko.xz\0",
            "dev/console\0",
        ] {
            assert!(text.contains(part), "{part:?}");
        }
        let place = |part: &str| text.find(part).unwrap();
        assert!(place("usr/lib/modules\0") < place("usr/lib/modules/6.12\0"));
        assert!(place("usr/lib/modules/6.12\0") < place("usr/lib/modules/6.12/dm-mod.ko.xz\0"));
    }
}
