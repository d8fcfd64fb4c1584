//! Signatures as PKCS #7 structures: around Authenticode's statement, or beside what is signed. No time is told, so that
//! the same key and content give the same bytes.

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::CmsVersion;
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Encode, Tag};
use sha2::{Digest, Sha256};
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::error::Error;
use crate::signer::Signer;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// A signature of content that lies elsewhere, without attributes: what the firmware's variables take.
pub(crate) fn detached(content: &[u8], signer: &dyn Signer) -> Result<SignedData, Error> {
    let signature = signer.sign(&Sha256::digest(content).into())?;
    let content = EncapsulatedContentInfo { econtent_type: DATA, econtent: None };
    assemble(content, None, signature, signer)
}

/// A signature of content that it carries. The content is a `SEQUENCE`; its type is named beside it.
pub(crate) fn around(kind: ObjectIdentifier, content: Any, signer: &dyn Signer) -> Result<SignedData, Error> {
    // What is digested is the value, without the tag and length in front of it.
    let digest = OctetString::new(Sha256::digest(content.value()).as_slice())?;
    let attributes = SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&kind)?)?,
        attribute(MESSAGE_DIGEST, Any::encode_from(&digest)?)?,
    ])?;
    // What is signed is the attributes as a set, not under the tag that they have inside of the structure.
    let signature = signer.sign(&Sha256::digest(attributes.to_der()?).into())?;
    let content = EncapsulatedContentInfo { econtent_type: kind, econtent: Some(content) };
    assemble(content, Some(attributes), signature, signer)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute, Error> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
}

fn assemble(
    encap_content_info: EncapsulatedContentInfo,
    signed_attrs: Option<SetOfVec<Attribute>>,
    signature: Vec<u8>,
    signer: &dyn Signer,
) -> Result<SignedData, Error> {
    let certificate = &signer.certificate().inner;
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: certificate.tbs_certificate.issuer.clone(),
            serial_number: certificate.tbs_certificate.serial_number.clone(),
        }),
        digest_alg: algorithm(SHA_256),
        signed_attrs,
        signature_algorithm: algorithm(RSA),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let certificates = SetOfVec::try_from(vec![CertificateChoices::Certificate(certificate.clone())])?;
    Ok(SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![algorithm(SHA_256)])?,
        encap_content_info,
        certificates: Some(CertificateSet(certificates)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
    })
}

/// A `SEQUENCE` of what is given, in order.
pub(crate) fn sequence(parts: &[&[u8]]) -> Result<Any, Error> {
    Ok(Any::new(Tag::Sequence, parts.concat())?)
}
