//! The authority of a cluster: it makes the certificates of the nodes.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{PkiError, fingerprint};
use crate::model::{ClusterId, NodeId, Secret};

/// How long the authority itself is valid.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Certificates begin this much before now, since clocks differ.
const BACKDATED: Duration = Duration::from_secs(2 * 24 * 3600);

/// The name that every member's certificate has.
pub(super) const MEMBER_NAME: &str = "member.standfast.internal";

/// What a node's own certificate is called.
pub(super) fn node_name(cluster: ClusterId, node: NodeId) -> String {
    format!("node-{node}.{cluster}.standfast.internal")
}

/// A private key of a node.
pub struct NodeKey(KeyPair);

/// A node's wish for a certificate: its public key, proven to be its own.
pub struct Request {
    parsed: CertificateSigningRequestParams,
}

/// Who presented a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The cluster that it is of.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The number of the certificate.
    pub certificate: u64,
}

impl NodeKey {
    /// Makes a key (ECDSA, P-256).
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self, PkiError> {
        let made = KeyPair::generate();
        Ok(Self(made.map_err(|error| PkiError::certificate("cannot make a key", error))?))
    }

    /// Reads a key from PEM.
    ///
    /// # Errors
    /// The text is no key.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let read = KeyPair::from_pem(pem);
        Ok(Self(read.map_err(|error| PkiError::certificate("cannot read the key", error))?))
    }

    /// The key as PEM.
    pub fn to_pem(&self) -> Secret {
        Secret::new(self.0.serialize_pem())
    }

    /// SHA-256 of the public key.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.0.public_key_raw())
    }

    /// A request for a certificate of this key (PEM).
    ///
    /// # Errors
    /// The request cannot be signed.
    pub fn request(&self) -> Result<String, PkiError> {
        let fail = |error| PkiError::certificate("cannot make a certificate request", error);
        let request = CertificateParams::default().serialize_request(&self.0).map_err(fail)?;
        request.pem().map_err(fail)
    }
}

impl Request {
    /// Reads a request (PEM) and checks that whoever made it has the key.
    ///
    /// # Errors
    /// It is no request, or not signed by its own key.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let parsed = CertificateSigningRequestParams::from_pem(pem);
        let fail = |error| PkiError::certificate("the certificate request cannot be used", error);
        Ok(Self { parsed: parsed.map_err(fail)? })
    }

    /// SHA-256 of the public key.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.parsed.public_key.der_bytes())
    }
}

/// The authority of a cluster.
pub struct Authority {
    certificate: String,
    key: KeyPair,
    cluster: ClusterId,
}

impl Authority {
    /// Makes the authority of a new cluster.
    ///
    /// # Errors
    /// The key or the certificate cannot be made.
    pub fn found(cluster: ClusterId, now: SystemTime) -> Result<Self, PkiError> {
        let fail = |error| PkiError::certificate("cannot make the cluster's authority", error);
        let key = KeyPair::generate().map_err(fail)?;
        let mut params = CertificateParams::default();
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + AUTHORITY_LIFETIME).into();
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, format!("standfast {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(fail)?.pem();
        Ok(Self { certificate, key, cluster })
    }

    /// The authority that the state holds.
    ///
    /// # Errors
    /// What it holds cannot be read.
    pub fn open(cluster: ClusterId, certificate: &str, key: &Secret) -> Result<Self, PkiError> {
        let key = NodeKey::from_pem(key.expose())?.0;
        Ok(Self { certificate: certificate.into(), key, cluster })
    }

    /// Its certificate (PEM).
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its private key (PEM).
    pub fn key(&self) -> Secret {
        Secret::new(self.key.serialize_pem())
    }

    /// SHA-256 of its certificate.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn fingerprint(&self) -> Result<[u8; 32], PkiError> {
        authority_fingerprint(&self.certificate)
    }

    /// Makes the certificate of a node (PEM).
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn certify(
        &self,
        request: &Request,
        node: NodeId,
        number: u64,
        now: SystemTime,
        ends: SystemTime,
    ) -> Result<String, PkiError> {
        let fail = |error| PkiError::certificate("cannot make a certificate", error);
        let names = vec![node_name(self.cluster, node), MEMBER_NAME.to_owned()];
        let mut params = CertificateParams::new(names).map_err(fail)?;
        params.not_before = (now - BACKDATED).into();
        params.not_after = ends.into();
        params.serial_number = Some(SerialNumber::from_slice(&number.to_be_bytes()));
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, format!("node {node}"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, &self.key).map_err(fail)?;
        let made = params.signed_by(&request.parsed.public_key, &issuer).map_err(fail)?;
        Ok(made.pem())
    }
}

/// SHA-256 of the certificate of an authority (PEM).
///
/// # Errors
/// It cannot be read.
pub fn authority_fingerprint(pem: &str) -> Result<[u8; 32], PkiError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|error| PkiError::certificate("cannot read the authority", error))?;
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &der).as_ref());
    Ok(fingerprint)
}

/// Who a certificate is for. It must have been verified already.
pub(super) fn read_identity(der: &[u8]) -> Option<PeerIdentity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let identity = names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => parse_name(name),
        _ => None,
    });
    let (node, cluster) = identity?;
    let number = certificate.raw_serial();
    let number = number.iter().try_fold(0u64, |value, byte| {
        value.checked_mul(256).map(|value| value | u64::from(*byte))
    })?;
    Some(PeerIdentity { cluster, node, certificate: number })
}

fn parse_name(name: &str) -> Option<(NodeId, ClusterId)> {
    let name = name.strip_prefix("node-")?.strip_suffix(".standfast.internal")?;
    let (node, cluster) = name.split_once('.')?;
    Some((NodeId(node.parse().ok()?), cluster.parse().ok()?))
}

/// When a certificate (PEM) ends.
pub(super) fn ends(pem: &str) -> Result<SystemTime, PkiError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| PkiError::certificate("cannot read the certificate", error))?;
    let (_, certificate) = X509Certificate::from_der(&der)
        .map_err(|error| PkiError::certificate("cannot read the certificate", error))?;
    let seconds = certificate.validity().not_after.timestamp();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or_default()))
}
