//! Instance types, as far as anyone here wants one.

/// A type of instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) architecture: &'static str,
    /// Without Nitro there is neither UEFI nor a TPM, and no console output of now.
    pub(crate) nitro: bool,
}

const KINDS: [Kind; 6] = [
    Kind { name: "t2.small", architecture: "x86_64", nitro: false },
    Kind { name: "t3.micro", architecture: "x86_64", nitro: true },
    Kind { name: "t3.small", architecture: "x86_64", nitro: true },
    Kind { name: "t3.medium", architecture: "x86_64", nitro: true },
    Kind { name: "m7i.large", architecture: "x86_64", nitro: true },
    Kind { name: "t4g.small", architecture: "arm64", nitro: true },
];

/// The type of this name.
pub(crate) fn kind_of(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
