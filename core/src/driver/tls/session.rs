//! One TLS connection as a machine: what the peer sent goes in, what it is to be sent comes out.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::io::{ErrorKind, Read, Write};

use rustls::{AlertDescription, CertificateError, ClientConnection, Error, ProtocolVersion};

use crate::error::{IoFailure, IoKind, TlsFailure};

pub(super) struct Session {
    tls: ClientConnection,
    /// The peer has said something that is TLS.
    heard: bool,
}

impl Session {
    pub(super) const fn new(tls: ClientConnection) -> Self {
        Self { tls, heard: false }
    }

    /// Takes some of what the peer sent, at least a byte; how many. What has come to be read should be read before more is
    /// fed: there is room for one record.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<usize, IoFailure> {
        let taken = self.tls.read_tls(&mut bytes).map_err(IoFailure::from)?;
        match self.tls.process_new_packets() {
            Ok(_) => {
                self.heard |= !self.tls.is_handshaking() || self.tls.protocol_version().is_some();
                Ok(taken)
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// Reads what the peer wrote; `None` when more has to be fed first, 0 when it has ended in good order.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<Option<usize>, IoFailure> {
        match self.tls.reader().read(into) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Encrypts as much as there is room for; how much.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, IoFailure> {
        self.tls.writer().write(bytes).map_err(IoFailure::from)
    }

    /// Says that nothing more will be written.
    pub(super) fn close(&mut self) {
        self.tls.send_close_notify();
    }

    /// Moves what is to be sent to `out`.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) -> Result<(), IoFailure> {
        while self.tls.wants_write() {
            self.tls.write_tls(out).map_err(IoFailure::from)?;
        }
        Ok(())
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the peer looks at this client's certificate only after the handshake has ended here.
    pub(super) fn decides_late(&self) -> bool {
        self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the lists of rustls are open")]
    fn failure(&self, error: &Error) -> IoFailure {
        let failure = match error {
            Error::InvalidCertificate(why) => of_certificate(why),
            Error::AlertReceived(alert) => of_alert(*alert),
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsFailure::NothingInCommon,
            Error::NoCertificatesPresented | Error::UnsupportedNameType => TlsFailure::BadCertificate,
            Error::InvalidMessage(_) if !self.heard => TlsFailure::NotTls,
            _ => TlsFailure::Protocol,
        };
        failed(failure, &error.to_string())
    }
}

/// A failure, with words of rustls in which the peer has a say: cut, and without control characters.
pub(super) fn failed(failure: TlsFailure, words: &str) -> IoFailure {
    let clean = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WORDS);
    let text: String = "TLS: ".chars().chain(clean).collect();
    IoFailure::new(IoKind::Tls(failure), text)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the lists of rustls are open")]
const fn of_certificate(why: &CertificateError) -> TlsFailure {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFailure::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFailure::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsFailure::WrongName,
        CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => TlsFailure::WrongPurpose,
        CertificateError::BadSignature => TlsFailure::BadSignature,
        CertificateError::ApplicationVerificationFailure => TlsFailure::Pin,
        _ => TlsFailure::BadCertificate,
    }
}

/// What an alert says. Until TLS 1.2, servers that miss a certificate say that it is bad; Java's say so in 1.3 too.
#[expect(clippy::wildcard_enum_match_arm, reason = "the lists of rustls are open")]
const fn of_alert(alert: AlertDescription) -> TlsFailure {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => TlsFailure::ClientCertificate,
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity => TlsFailure::NothingInCommon,
        _ => TlsFailure::Refused,
    }
}

/// Characters of a failure's words.
const MAX_WORDS: usize = 300;
