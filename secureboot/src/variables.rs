//! The firmware's variables of Secure Boot (PK, KEK, db): what is in them, and the signed form in which a machine that
//! has others takes new ones. After the UEFI specification, 8.2 (variable services) and 32.4 (signature databases).

use der::Encode;
use uuid::{Uuid, uuid};

use crate::error::Error;
use crate::keys::{Certificate, Role};
use crate::pkcs7;
use crate::signer::Signer;

/// Namespace of PK and KEK.
pub(crate) const GLOBAL: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
/// Namespace of db and dbx.
pub(crate) const IMAGE_SECURITY: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
/// Type of a list of certificates.
const X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// Type of a signature around a variable.
const PKCS7: Uuid = uuid!("4aafd29d-68df-49ee-8aa9-347d375665a7");
/// Whose entries in these lists are Kennel's. Any number will do; it is part of what the TPM measures.
pub(crate) const OWNER: Uuid = uuid!("6b656e6e-656c-4b65-8e73-6563757265b0");
/// Kept, readable by loaders and the running system, and written with a signature and a time.
pub(crate) const ATTRIBUTES: u32 = 0x27;
/// Of a list: its type, its length, and the lengths of a header that it does not have and of an entry.
const LIST_HEADER: usize = 28;
const WIN_CERTIFICATE_REVISION: u16 = 0x0200;
const WIN_CERTIFICATE_GUID: u16 = 0x0EF1;

/// A time as the firmware keeps it, in UTC. A variable is only replaced by one of a later time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// From seconds since 1970.
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// `EFI_TIME` with nothing in the fields that signed variables must leave empty.
    pub(crate) fn encode(self) -> [u8; 16] {
        let time = der::DateTime::from_unix_duration(std::time::Duration::from_secs(self.0));
        let mut bytes = [0; 16];
        // Beyond the year 9999 there are others to ask.
        if let Ok(time) = time {
            bytes[..2].copy_from_slice(&time.year().to_le_bytes());
            bytes[2..7].copy_from_slice(&[
                time.month(),
                time.day(),
                time.hour(),
                time.minutes(),
                time.seconds(),
            ]);
        }
        bytes
    }
}

/// One variable: a list with one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Which.
    pub role: Role,
    /// `EFI_SIGNATURE_LIST`.
    pub list: Vec<u8>,
}

impl Variable {
    /// The variable that holds this certificate.
    pub fn new(role: Role, certificate: &Certificate) -> Self {
        let entry = [&OWNER.to_bytes_le()[..], certificate.der()].concat();
        let size = |length: usize| (length as u32).to_le_bytes();
        let sizes = [size(LIST_HEADER + entry.len()), size(0), size(entry.len())].concat();
        Self { role, list: [&X509.to_bytes_le()[..], &sizes, &entry].concat() }
    }

    /// `EFI_SIGNATURE_DATA`, the list's only entry: an owner and the certificate.
    pub(crate) fn entry(&self) -> &[u8] {
        self.list.get(LIST_HEADER..).unwrap_or_default()
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.role.name()
    }

    /// Its namespace.
    pub(crate) const fn namespace(&self) -> Uuid {
        match self.role {
            Role::Platform | Role::Exchange => GLOBAL,
            Role::Database => IMAGE_SECURITY,
        }
    }

    /// The `.auth` form: with a signature by the key that may replace it.
    ///
    /// # Errors
    /// There is no signature.
    pub fn signed(&self, time: Time, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        let name: Vec<u8> = utf16(self.name());
        let (space, attributes, time) =
            (self.namespace().to_bytes_le(), ATTRIBUTES.to_le_bytes(), time.encode());
        let content = [&name, &space[..], &attributes, &time, &self.list].concat();
        let signature = pkcs7::detached(&content, signer)?.to_der()?;
        // WIN_CERTIFICATE_UEFI_GUID: its length, revision and kind, then the kind of signature.
        let length = (24 + signature.len()) as u32;
        let [revision, kind] = [WIN_CERTIFICATE_REVISION, WIN_CERTIFICATE_GUID].map(u16::to_le_bytes);
        let header = [&length.to_le_bytes()[..], &revision, &kind, &PKCS7.to_bytes_le()].concat();
        Ok([&time[..], &header, &signature, &self.list].concat())
    }
}

/// A name as the firmware writes it, without the zero at its end.
pub(crate) fn utf16(name: &str) -> Vec<u8> {
    name.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// All that a new machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// PK, KEK and db.
    pub variables: [Variable; 3],
    /// When the newest of the certificates was made, so that later ones may replace them.
    pub time: Time,
}

impl Enrolment {
    /// From the three certificates, PK first.
    pub fn new(certificates: [&Certificate; 3]) -> Self {
        let [platform, exchange, database] = certificates;
        let time = certificates.map(Certificate::valid_from).into_iter().max().unwrap_or(Time(0));
        let variables = [
            Variable::new(Role::Platform, platform),
            Variable::new(Role::Exchange, exchange),
            Variable::new(Role::Database, database),
        ];
        Self { variables, time }
    }

    /// Checks that such machines boot what this certificate's key has signed.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`].
    pub fn check_boots(&self, certificate: &Certificate) -> Result<(), Error> {
        match self.variables[2].entry().ends_with(certificate.der()) {
            true => Ok(()),
            false => Err(Error::NotEnrolled(certificate.subject())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::KEYS;
    use crate::signer::KeySigner;

    #[test]
    fn a_time_is_written_field_by_field() {
        // 2026-11-21 16:05:09
        let bytes = Time::from_unix(1_795_277_109).encode();
        assert_eq!(bytes, [0xea, 7, 11, 21, 16, 5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn only_what_db_signs_boots() {
        let enrolment = Enrolment::new([0, 1, 2].map(|n| &KEYS[n].certificate));
        enrolment.check_boots(&KEYS[2].certificate).unwrap();
        let error = enrolment.check_boots(&KEYS[1].certificate).unwrap_err().to_string();
        assert!(error.contains("db does not hold the certificate CN=Kennel KEK"), "{error}");
    }

    #[test]
    fn lists_and_signed_lists_have_the_sizes_that_they_say() {
        let certificate = &KEYS[2].certificate;
        let variable = Variable::new(Role::Database, certificate);
        let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(word(&variable.list, 16), variable.list.len());
        assert_eq!(word(&variable.list, 24), 16 + certificate.der().len());
        assert!(variable.list.ends_with(certificate.der()));
        let signed = variable.signed(Time::from_unix(1), &KeySigner::from(&KEYS[1])).unwrap();
        assert_eq!(16 + word(&signed, 16) + variable.list.len(), signed.len());
        assert_eq!(signed, variable.signed(Time::from_unix(1), &KeySigner::from(&KEYS[1])).unwrap());
    }
}
