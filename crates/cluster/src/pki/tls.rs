//! TLS 1.3 between nodes, each side with a certificate of the cluster.

use std::io;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};

use super::authority::{MEMBER_NAME, PeerIdentity, node_name, read_identity};
use super::{IdentityFiles, PkiError};
use crate::model::{ClusterId, NodeId};

/// What is spoken inside.
const PROTOCOL: &[u8] = b"standfast-cluster/1";

/// How a node shows who it is, as a server and as a client.
#[derive(Clone)]
pub struct TlsIdentity {
    /// For connections that come in. A client without a certificate is let through the handshake:
    /// it may ask to join, and nothing else.
    pub server: Arc<ServerConfig>,
    /// For connections to other members.
    pub client: Arc<ClientConfig>,
}

impl TlsIdentity {
    /// Reads key and certificates.
    ///
    /// # Errors
    /// They are missing, or do not belong together.
    pub fn load(files: &IdentityFiles) -> Result<Self, PkiError> {
        let (certificate, authority) = files.certificates()?;
        let key = files.key()?.to_pem();
        Self::from_pem(&certificate, &authority, key.expose())
    }

    fn from_pem(certificate: &str, authority: &str, key: &str) -> Result<Self, PkiError> {
        let fail =
            |error: String| PkiError::certificate("the node's certificate is of no use", error);
        let read = |pem: &str| {
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| fail(error.to_string()))
        };
        let authority = read(authority)?;
        // The authority goes along, so that a node that joins can compare it with its token.
        let chain = vec![read(certificate)?, authority.clone()];
        let key = || {
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| fail(error.to_string()))
        };
        let roots = Arc::new(root(&authority)?);
        let provider = Arc::new(provider::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| fail(error.to_string()))?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| fail(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key()?)
            .map_err(|error| fail(error.to_string()))?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Each connection shows its certificate: a resumed one would not be checked again.
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| fail(error.to_string()))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key()?)
            .map_err(|error| fail(error.to_string()))?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.resumption = Resumption::disabled();
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

fn root(authority: &CertificateDer<'_>) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned()).map_err(|error| {
        PkiError::certificate("the authority's certificate is of no use", error)
    })?;
    Ok(roots)
}

/// The name that a member must show.
pub fn server_name(cluster: ClusterId, node: NodeId) -> Option<ServerName<'static>> {
    ServerName::try_from(node_name(cluster, node)).ok()
}

/// Who is at the other end, by the certificate that the handshake verified.
pub fn peer_identity(certificates: Option<&[CertificateDer<'_>]>) -> Option<PeerIdentity> {
    read_identity(certificates?.first()?)
}

/// For a node that joins: it has no certificate, and believes whoever has one of the authority
/// that its token names.
///
/// # Errors
/// TLS cannot be set up.
pub fn joining_client(
    authority: [u8; 32],
) -> Result<(Arc<ClientConfig>, ServerName<'static>), PkiError> {
    let fail = |error: String| PkiError::certificate("TLS cannot be set up", error);
    let provider = Arc::new(provider::default_provider());
    let verifier = Arc::new(ByFingerprint { authority, provider: Arc::clone(&provider) });
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| fail(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    client.alpn_protocols = vec![PROTOCOL.to_vec()];
    client.resumption = Resumption::disabled();
    let name = ServerName::try_from(MEMBER_NAME).map_err(|error| fail(error.to_string()))?;
    Ok((Arc::new(client), name))
}

/// Believes the authority whose certificate has this SHA-256, and whom it certified.
#[derive(Debug)]
struct ByFingerprint {
    authority: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByFingerprint {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_meant = |der: &&CertificateDer<'_>| {
            digest(&SHA256, der.as_ref()).as_ref() == self.authority.as_slice()
        };
        let authority = intermediates.iter().find(is_meant);
        let authority = authority.ok_or(CertificateError::UnknownIssuer)?;
        let roots = root(authority).map_err(|_| CertificateError::BadEncoding)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a failed handshake means, for a person.
pub fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let meaning = match tls {
        Some(Error::InvalidCertificate(reason)) => of_its_certificate(reason),
        Some(Error::AlertReceived(alert)) => of_alert(*alert),
        _ => None,
    };
    meaning.map_or_else(|| error.to_string(), str::to_owned)
}

fn of_its_certificate(reason: &CertificateError) -> Option<&'static str> {
    Some(match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, or the clocks of the two nodes differ by days"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: the clocks of the two nodes differ by days"
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it belongs to another cluster: its certificate is not of this cluster's authority"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "another node answers at this address"
        }
        _ => return None,
    })
}

fn of_alert(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateExpired => {
            "it says that the certificate of this node has expired; make a token there and run \
             `standfast join` here again, nothing is lost"
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it belongs to another cluster: it does not know the authority of this node's \
             certificate"
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not accept the certificate of this node"
        }
        _ => return None,
    })
}
