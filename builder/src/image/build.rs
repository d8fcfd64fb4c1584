//! The build, in its named steps: unpack, policy, one per runtime, root, verity, disk, documents. Each step is somebody
//! else's work; here is only the order, and what runs beside what.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use kennel_policy::Rendered;
use kennel_secureboot::{Enrolment, Signer};
use serde::Serialize;

use super::boot::Boot;
use super::cache::Cache;
use super::documents::{self, Facts, Measure};
use super::flavour::Flavour;
use super::guests::{self, Guest};
use super::host::{self, Furniture};
use super::modules::{Module, Modules};
use super::output::Output;
use super::runtime::{self, Runtime};
use super::sources::{Share, Sourced, Sources};
use super::tools::Tools;
use super::{BuildError, disk, erofs, labels, lint, policy, verity};
use crate::digest::Sha256;
use crate::lock::{Lock, PackageSet};
use crate::spec::Spec;
use crate::steps::{self, Steps};
use crate::store::Store;

/// What an image is built from, and where it goes.
pub struct Build<'a> {
    /// What was asked for.
    pub spec: &'a Spec,
    /// Which packages that is.
    pub lock: &'a Lock,
    /// Where the packages are; all of them must be there.
    pub store: &'a Store,
    /// What earlier builds have made.
    pub cache: &'a Cache,
    /// The folder of Kennel's programs for the host.
    pub guests: &'a Path,
    /// Where the image goes.
    pub out: &'a Path,
    /// Which image.
    pub flavour: Flavour,
    /// Who signs the boot program, where somebody does.
    pub signer: Option<&'a dyn Signer>,
    /// The keys of the hosts that will boot it, where they are known: the manifest then says what their TPMs measure.
    pub enrolment: Option<&'a Enrolment>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Built {
    /// The disk image.
    pub image: PathBuf,
    /// All about it, for programs.
    pub manifest: PathBuf,
    /// Version in its name.
    pub version: String,
    /// It has slots without layers, and must not be published.
    pub proof: bool,
    /// SHA-256 of the disk image.
    pub sha256: Sha256,
    /// The root file system's verity hash.
    pub root_hash: String,
    /// Bytes of the image that are not holes.
    pub written_bytes: u64,
    /// Bytes of the boot program.
    pub boot_bytes: u64,
    /// Whom the certificate names by whose key the boot program is signed.
    pub signed_by: Option<String>,
}

/// All that the root and the boot program are made of.
struct Material<'a> {
    rendered: Rendered,
    policy: Vec<u8>,
    tools: Tools,
    guests: Vec<Guest>,
    brought: Vec<Guest>,
    kernel: Sourced,
    runtimes: Vec<Runtime>,
    build: &'a Build<'a>,
}

/// The root, measured.
struct Root {
    image: PathBuf,
    size: u64,
    verity: verity::Tree,
    shares: Vec<Share>,
    files: Vec<(String, u64)>,
}

/// Modules by where and when they are loaded.
struct Loaded {
    /// In the initramfs.
    early: Vec<Module>,
    /// From the root.
    late: Vec<Module>,
    /// From the root, where there is a disk to swap to.
    swap: Vec<Module>,
}

impl Build<'_> {
    /// Builds the image. The same spec, lock and programs give the same bytes, wherever and whenever.
    ///
    /// # Errors
    /// [`BuildError`]; then the output folder is as it was.
    pub fn run(&self, steps: &Steps) -> Result<Built, BuildError> {
        let guests = guests::read(self.guests, self.flavour)?;
        let wanted = self.spec.runtimes.iter().flat_map(|runtime| runtime.programs.keys());
        let brought = guests::read_wanted(self.guests, wanted)?;
        let step = steps.start("unpack");
        let sources = Sources::open(self.lock, self.store, self.cache, &step)?;
        step.done(format!("{} packages", self.lock.packages.len()));

        let material = self.material(&sources, guests, brought, steps)?;
        let modules = Modules::of(&material.kernel.tree)?;
        let Loaded { early, late, swap } = self.modules(&modules)?;
        // The boot program's parts are packed while the root is.
        let (boot, root) = std::thread::scope(|scope| {
            let boot = scope.spawn(|| {
                let Material { kernel, guests, tools, .. } = &material;
                Boot::gather(self.spec, self.flavour, &kernel.tree, &modules, &early, guests, tools)
            });
            let root = material.root(&sources, &late, &swap, steps);
            (boot.join().unwrap_or_else(|_| Err(BuildError::Panicked("boot".into()))), root)
        });
        let boot = boot?;
        let kernel = Self::kernel_shares(&sources, &boot, early.iter().chain(&late).chain(&swap))?;
        let built = material.assemble(&boot, &root?, &kernel, steps)?;
        self.tidy();
        Ok(built)
    }

    /// Everything that takes time and does not depend on each other, side by side.
    fn material(
        &self,
        sources: &Sources<'_>,
        guests: Vec<Guest>,
        brought: Vec<Guest>,
        steps: &Steps,
    ) -> Result<Material<'_>, BuildError> {
        let tools = sources.tree(&PackageSet::Tools, |path| self.spec.tools.takes(path))?;
        let tools = Tools::install(tools.tree, self.cache)?;
        let kernel = sources.tree(&PackageSet::Kernel, |path| {
            path.starts_with("/usr/lib/modules") || path.starts_with("/boot")
        })?;
        let rendered = policy::render(self.spec, self.flavour)?;
        let step = steps.start("proof");
        if self.spec.extra.unproved {
            step.done("left out: the spec says `unproved`");
        } else {
            let proof = policy::prove(&rendered, self.flavour)?;
            step.done(format!("{} slots apart, {} rules", proof.slots, proof.rules));
        }
        let (policy, runtimes) = std::thread::scope(|scope| {
            let compiled = scope.spawn(|| {
                let step = steps.start("policy");
                let policy = policy::compile(&rendered, &tools, self.cache)?;
                step.done(format!("{} slots, {}", rendered.slots, steps::bytes(policy.len() as u64)));
                Ok(policy)
            });
            let runtimes = self.runtimes(sources, &brought, &rendered, &tools, steps);
            (compiled.join().unwrap_or_else(|_| Err(BuildError::Panicked("policy".into()))), runtimes)
        });
        let (policy, runtimes) = (policy?, runtimes?);
        Ok(Material { rendered, policy, tools, guests, brought, kernel, runtimes, build: self })
    }

    fn runtimes(
        &self,
        sources: &Sources<'_>,
        brought: &[Guest],
        rendered: &Rendered,
        tools: &Tools,
        steps: &Steps,
    ) -> Result<Vec<Runtime>, BuildError> {
        let one = |wanted: &crate::spec::Runtime| {
            let step = steps.start(wanted.name.as_str());
            let contexts = &rendered.runtime;
            let runtime =
                runtime::build(self.spec, wanted, (sources, brought), self.lock, contexts, tools, self.cache)?;
            let size = size_of(&runtime.image)?;
            step.done(format!("{} {}", runtime.facts.version, steps::bytes(size)).trim_start());
            Ok(runtime)
        };
        self.spec.runtimes.iter().map(one).collect()
    }

    fn modules(&self, modules: &Modules<'_>) -> Result<Loaded, BuildError> {
        let kernel = &self.spec.kernel;
        let early = modules.closure(&kernel.early_modules, &[])?;
        // The packet filter knows best what its rules need.
        let mut late = kernel.late_modules.clone();
        late.extend(kennel_iptables::MODULES.map(str::to_owned));
        late.extend(self.flavour.modules().iter().map(|&name| name.to_owned()));
        let late = modules.closure(&late, &early)?;
        let before = [early.as_slice(), &late].concat();
        let swap = modules.closure(&kernel.swap_modules, &before)?;
        Ok(Loaded { early, late, swap })
    }

    /// Which packages gave the kernel and those modules that are in the image.
    fn kernel_shares<'m>(
        sources: &Sources<'_>,
        boot: &Boot,
        modules: impl Iterator<Item = &'m Module>,
    ) -> Result<Vec<Share>, BuildError> {
        let mut used: HashSet<&Path> = modules.map(|module| Path::new(&module.path)).collect();
        used.insert(Path::new(boot.kernel_path()));
        Ok(sources.tree(&PackageSet::Kernel, |path| used.contains(path))?.shares)
    }

    /// Forgets what no build has used for long. Of roots, which change with every program, only the newest stay.
    fn tidy(&self) {
        self.cache.prune("erofs-root", Some(3));
        for kind in ["unpacked", "tools"] {
            self.cache.prune(kind, None);
        }
        self.cache.prune("policy", Some(8));
        for runtime in &self.spec.runtimes {
            for kind in ["erofs", "bytecode"] {
                self.cache.prune(&format!("{kind}-{}", runtime.name), Some(3));
            }
        }
    }
}

impl Material<'_> {
    fn root(
        &self,
        sources: &Sources<'_>,
        late: &[Module],
        swap: &[Module],
        steps: &Steps,
    ) -> Result<Root, BuildError> {
        let Build { spec, cache, flavour, .. } = *self.build;
        let step = steps.start("root");
        let Sourced { mut tree, mut shares } = sources.tree(&PackageSet::Host, |path| spec.host.takes(path))?;
        let mut rules = kennel_iptables::render(spec.image.slots)?;
        flavour.open(&mut rules);
        Furniture {
            spec,
            flavour,
            guests: &self.guests,
            policy: &self.policy,
            rules: &rules,
            runtimes: &self.runtimes,
            modules: late,
            swap_modules: swap,
        }
        .add_to(&mut tree)?;
        lint::check("host", lint::lint(&tree).map_err(BuildError::io("host"))?)?;
        labels::label(&mut tree, &self.rendered.host, "host")?;
        // Already compressed; and one more layer would be paid for at every read.
        let stored = [r"^usr/lib/kennel/runtimes/.*\.erofs$", r".*\.ko\.xz$"];
        let style = erofs::Style { stored: &stored, origin: Some(host::origin) };
        let image = erofs::make(&tree, "erofs-root", style, &self.tools, cache)?;
        let size = size_of(&image)?;
        step.done(format!("{} files, {}", tree.iter().count(), steps::bytes(size)));

        let step = steps.start("verity");
        let verity = seal(&image, size, &tree.digest())?;
        let root_hash = verity::hex(&verity.root_hash);
        step.done(format!("root hash {}…", &root_hash[..16]));
        shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.package.cmp(&b.package)));
        Ok(Root { image, size, verity, shares, files: documents::files(&tree) })
    }

    fn assemble(&self, boot: &Boot, root: &Root, kernel: &[Share], steps: &Steps) -> Result<Built, BuildError> {
        let Build { spec, lock, out, flavour, signer, enrolment, .. } = *self.build;
        let step = steps.start("disk");
        let command_line = boot.command_line(&root.verity);
        let program = boot.program(&command_line, signer)?;
        let mut output = Output::to(out)?;
        let (suffix, unproved) = (flavour.suffix(), if spec.extra.unproved { "-unproved" } else { "" });
        let name = format!("{}-{}{suffix}{unproved}-x86_64.raw", spec.image.name, spec.image.version);
        let seed = Sha256::of(format!("kennel disk {}{suffix}", spec.image.name).as_bytes());
        let (image, measure) =
            output.file(&name, |file| root.write_disk(file, &program, seed, &out.join(&name)))?;
        step.done(format!("{name}, {} written", steps::bytes(measure.written)));

        let step = steps.start("documents");
        let facts = Facts {
            spec,
            flavour,
            lock,
            disk: documents::Disk { file: &name, measure },
            boot,
            program: documents::Program::of(&program, &command_line, signer, enrolment)?,
            root: root.facts(),
            kernel,
            runtimes: &self.runtimes,
            guests: &self.guests,
            brought: &self.brought,
            rendered: &self.rendered,
            policy: &self.policy,
        };
        let manifest = documents::write(&mut output, &facts)?;
        output.publish()?;
        step.done("manifest, SBOM, policy report");
        let root_hash = verity::hex(&root.verity.root_hash);
        let (version, boot_bytes) = (spec.image.version.clone(), program.len() as u64);
        let Measure { sha256, written: written_bytes } = measure;
        let proof = flavour.is_proof();
        let signed_by = signer.map(|signer| signer.certificate().subject());
        Ok(Built { image, manifest, version, proof, sha256, root_hash, written_bytes, boot_bytes, signed_by })
    }
}

impl Root {
    /// Writes the whole disk to the file, whose path is for messages, and measures it.
    fn write_disk(&self, file: &File, uki: &[u8], seed: Sha256, path: &Path) -> Result<Measure, BuildError> {
        let root = File::open(&self.image).map_err(BuildError::io(&self.image))?;
        let parts = disk::Parts { uki, root: (&root, self.size), verity: &self.verity, seed };
        disk::write(file, &parts).map_err(|error| error.about(path))?;
        Measure::of(file).map_err(BuildError::io(path))
    }

    fn facts(&self) -> documents::Root<'_> {
        let Self { verity, size, shares, files, .. } = self;
        documents::Root { verity, bytes: *size, shares, files }
    }
}

/// The hash tree, with a UUID from what is sealed.
///
/// The salt is the same in all images, so that the part of the tree over what did not change does not change either. It is
/// no secret and needs not be: it stands on the disk and on the command line, and who changes a block must find another
/// block with the same salted SHA-256, which a salt known beforehand makes no easier. (Salts that differ would only keep
/// work done against one image from being of use against another.)
fn seal(image: &Path, size: u64, digest: &Sha256) -> Result<verity::Tree, BuildError> {
    let salt = *Sha256::of(b"kennel verity salt").as_bytes();
    let uuid = erofs::uuid(&Sha256::of(format!("kennel verity {digest}").as_bytes())).into_bytes();
    let file = File::open(image).map_err(BuildError::io(image))?;
    verity::Tree::over(&file, size, verity::Seed { salt, uuid }).map_err(BuildError::io(image))
}

fn size_of(path: &Path) -> Result<u64, BuildError> {
    Ok(std::fs::metadata(path).map_err(BuildError::io(path))?.len())
}
