//! `kennel.toml`: what a person wants in the image. Strict: an unknown key is an error that shows the line and what was
//! probably meant. Which exact packages that gives is the lock's business, what becomes of them `image`'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kennel_model::layout::Build;
use kennel_model::services::Service;
use kennel_model::{EnvName, RuntimeName};
use serde::Deserialize;

mod defaults;
mod globs;
mod mistake;

pub use globs::Globs;
pub use mistake::SpecError;

/// The whole of `kennel.toml`. Paths in it are absolute after loading.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The image itself.
    #[serde(default)]
    pub image: Image,
    /// Where Debian's packages come from.
    #[serde(default)]
    pub debian: Debian,
    /// The kernel, its arguments and modules.
    #[serde(default)]
    pub kernel: Kernel,
    /// The host's own root.
    pub host: PackageChoice,
    /// Programs that the builder itself runs, taken from the lock rather than from this computer.
    pub tools: PackageChoice,
    /// What tenants can run on.
    #[serde(default, rename = "runtime")]
    pub runtimes: Vec<Runtime>,
    /// Things beyond a normal host, for images made for tests.
    #[serde(default)]
    pub extra: Extra,
}

/// `[image]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// First part of the file names in `out/`.
    pub name: String,
    /// Version shown and written into the image.
    pub version: String,
    /// Slots in the pool.
    pub slots: u16,
}

/// `[debian]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Debian {
    /// Release name; `<suite>-updates` and `<suite>-security` are read too.
    pub suite: String,
    /// Parts of the archive.
    pub components: Vec<String>,
    /// Main archive. Plain HTTP is as safe as HTTPS here: everything is checked against the signed index.
    pub mirror: String,
    /// Security archive.
    pub security_mirror: String,
    /// OpenPGP certificates that the archive's signatures are checked against, instead of the ones shipped.
    pub keyring: Option<PathBuf>,
}

/// `[kernel]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// The Debian package whose dependency is the kernel image.
    pub package: String,
    /// Dependencies deliberately not taken.
    pub without: Vec<String>,
    /// Added to the kernel command line.
    pub arguments: Vec<String>,
    /// Modules (with what they depend on) loaded in the initramfs, before the root is there.
    pub early_modules: Vec<String>,
    /// Modules loaded from the root.
    pub late_modules: Vec<String>,
    /// Modules loaded after those, on a machine that has a disk to swap to.
    pub swap_modules: Vec<String>,
}

/// `[host]` and `[tools]`: packages of one tree.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageChoice {
    /// Packages wanted; their dependencies follow by themselves.
    pub packages: Vec<String>,
    /// Dependencies deliberately not taken: treated as satisfied.
    #[serde(default)]
    pub without: Vec<String>,
    /// Files taken from the unpacked packages; all of them when absent.
    pub keep: Option<Globs>,
    /// Files not taken, even if `keep` matches.
    #[serde(default)]
    pub drop: Globs,
}

/// One `[[runtime]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Its name, such as `node-24`.
    pub name: RuntimeName,
    /// Debian packages in its tree; their dependencies follow by themselves.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Dependencies deliberately not taken: treated as satisfied.
    #[serde(default)]
    pub without: Vec<String>,
    /// Files taken from the unpacked packages; all of them when absent.
    pub keep: Option<Globs>,
    /// Files not taken, even if `keep` matches.
    #[serde(default)]
    pub drop: Globs,
    /// Packages from the npm registry: the first brings the interpreter.
    #[serde(default)]
    pub npm: Vec<Npm>,
    /// What of it is compiled when the image is built.
    pub bytecode: Option<Bytecode>,
    /// Programs of Kennel's own that it brings, by their name, and where they go.
    #[serde(default)]
    pub programs: BTreeMap<String, String>,
    /// Files that no package brings, by their path: settings, which maintainer scripts would have made.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
    /// Links that these would have made, by their path, and to where.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// Variables that its programs find, unless the tenant sets them.
    #[serde(default)]
    pub env: BTreeMap<EnvName, String>,
    /// What runs a release when the tenant names no command.
    #[serde(default)]
    pub default_command: Vec<String>,
    /// Its programs make code at run time, as a JavaScript engine does. Where not, SELinux refuses them that.
    #[serde(default)]
    pub jit: bool,
    /// How the packages of a release are fetched that came without them.
    pub build: Option<Build>,
}

/// `[[runtime.npm]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Npm {
    /// Name in the registry.
    pub package: String,
    /// Leading parts of the version: `24` takes the newest 24.x.y when locking.
    pub version: String,
    /// What is taken from the package, and where it goes in the runtime. Nothing else is taken; of a name that ends in a slash, all that is
    /// below it.
    pub files: BTreeMap<String, String>,
}

/// `[runtime.bytecode]`: the library of a Python, which could not keep at run time what it compiles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bytecode {
    /// The interpreter, in the runtime.
    pub program: String,
    /// The folders of what it compiles.
    pub folders: Vec<String>,
}

/// `[extra]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extra {
    /// Files added to the host's root.
    #[serde(rename = "file")]
    pub files: Vec<ExtraFile>,
    /// Services added to the sealed table.
    #[serde(rename = "service")]
    pub services: Vec<Service>,
    /// CIL files compiled together with the policy.
    pub policy: Vec<PathBuf>,
    /// Lines added to the policy's file contexts.
    pub file_contexts: Vec<PathBuf>,
    /// The policy with these additions need not pass the static proof: for an image that only says what is asked of its
    /// policy (`tests/coverage.sh`).
    pub unproved: bool,
}

/// One `[[extra.file]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraFile {
    /// File on this computer.
    pub source: PathBuf,
    /// Absolute path on the host's root.
    pub path: String,
    /// Permission bits, written as octal text: `"0755"`.
    #[serde(deserialize_with = "defaults::octal")]
    pub mode: u32,
}

impl PackageChoice {
    /// Whether this file or link (an absolute path in the tree) is taken from the packages. Folders are not asked
    /// about: they follow from what is in them.
    pub fn takes(&self, path: &Path) -> bool {
        globs::takes(self.keep.as_ref(), &self.drop, path)
    }
}

impl Runtime {
    /// Like [`PackageChoice::takes`].
    pub fn takes(&self, path: &Path) -> bool {
        globs::takes(self.keep.as_ref(), &self.drop, path)
    }
}

impl Spec {
    /// Reads and checks a spec file.
    ///
    /// # Errors
    /// [`SpecError`] names the line.
    pub fn load(path: &Path) -> Result<Self, SpecError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| SpecError::Unreadable { path: path.to_owned(), cause })?;
        let mut spec = Self::parse(&text, path)?;
        spec.make_absolute(path.parent().unwrap_or(Path::new("")));
        Ok(spec)
    }

    /// Parses and checks a spec; `path` is for messages.
    ///
    /// # Errors
    /// [`SpecError`] names the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SpecError> {
        let spec: Self = toml::from_str(text).map_err(|error| SpecError::from_toml(path, text, &error))?;
        spec.check().map_err(|(what, hint)| SpecError::Invalid { path: path.to_owned(), what, hint })?;
        Ok(spec)
    }

    fn make_absolute(&mut self, folder: &Path) {
        let extra = &mut self.extra;
        let paths = extra.files.iter_mut().map(|file| &mut file.source);
        let paths =
            paths.chain(&mut extra.policy).chain(&mut extra.file_contexts).chain(&mut self.debian.keyring);
        for path in paths {
            *path = folder.join(&*path);
        }
    }

    /// What the types cannot say, as (fault, hint).
    fn check(&self) -> Result<(), (String, &'static str)> {
        let slots = self.image.slots;
        if !(1..=4096).contains(&slots) {
            return Err((format!("image.slots is {slots}"), "take 1 to 4096"));
        }
        for (index, runtime) in self.runtimes.iter().enumerate() {
            if let Some((name, _)) =
                runtime.env.iter().find(|(name, value)| name.is_reserved() || value.contains('\0'))
            {
                return Err((
                    format!("the runtime {} cannot set {name}", runtime.name),
                    "the host sets it itself",
                ));
            }
            if self.runtimes[..index].iter().any(|other| other.name == runtime.name) {
                return Err((format!("two runtimes are called {}", runtime.name), "give one another name"));
            }
        }
        let inside = self.runtimes.iter().flat_map(|r| &r.npm).flat_map(|npm| npm.files.values());
        let inside = inside.chain(self.extra.files.iter().map(|file| &file.path));
        let compiled = self.runtimes.iter().filter_map(|r| r.bytecode.as_ref());
        let compiled = compiled.flat_map(|bytecode| [&bytecode.program].into_iter().chain(&bytecode.folders));
        let own =
            self.runtimes.iter().flat_map(|r| r.programs.values().chain(r.texts.keys()).chain(r.links.keys()));
        for path in inside.chain(compiled).chain(own) {
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return Err((format!("{path:?} is not an absolute path in the image"), "begin it with /"));
            }
        }
        Ok(())
    }
}
