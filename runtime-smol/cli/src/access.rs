//! Whom to take servers for, and who asks them.

use std::path::{Path, PathBuf};

use clap::Args;
use rocketmq_smol::{ClientBuilder, Credentials, TlsConfig};

use crate::failure::Failure;

/// What all commands need where servers do not let everybody in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct Access {
    /// Encrypt all links, and trust whom the certificates in this PEM file have certified
    #[arg(long, global = true, env = "RMQ_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Show this certificate, and those it rests on, to servers that want to see one; PEM
    #[arg(long, global = true, env = "RMQ_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate; PEM
    #[arg(long, global = true, env = "RMQ_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The name that servers are certified by, instead of the hosts of their addresses
    #[arg(long, global = true, env = "RMQ_TLS_NAME", value_name = "NAME")]
    tls_name: Option<String>,
    /// The user, for servers with ACL; the secret is in RMQ_SECRET_KEY or in a file
    #[arg(long, global = true, env = "RMQ_ACCESS_KEY", value_name = "USER")]
    access_key: Option<String>,
    /// The file that holds the user's secret, and nothing else
    #[arg(long, global = true, env = "RMQ_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
}

impl Access {
    /// A client that is let in.
    pub(crate) fn grant(&self, builder: ClientBuilder) -> Result<ClientBuilder, Failure> {
        let builder = match self.tls()? {
            Some(tls) => builder.tls(tls),
            None => builder,
        };
        Ok(match self.credentials()? {
            Some(credentials) => builder.credentials(credentials),
            None => builder,
        })
    }

    fn tls(&self) -> Result<Option<TlsConfig>, Failure> {
        let Some(ca) = &self.tls_ca else {
            let alone = self.tls_cert.is_some() || self.tls_key.is_some() || self.tls_name.is_some();
            // Nobody is to think that links are encrypted when they are not.
            return if alone { Err(Failure::usage("say whom to trust, too: --tls-ca FILE")) } else { Ok(None) };
        };
        let bad = |file: &Path, error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
        let mut tls = TlsConfig::new().roots_pem(read(ca)?).map_err(|error| bad(ca, &error))?;
        tls = match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => {
                tls.client_auth_pem(read(chain)?, read(key)?).map_err(|error| bad(chain, &error))?
            }
            (None, None) => tls,
            (Some(_), None) | (None, Some(_)) => {
                return Err(Failure::usage(
                    "a certificate and its key belong together: --tls-cert FILE --tls-key FILE",
                ));
            }
        };
        Ok(Some(match &self.tls_name {
            Some(name) => tls.server_name(name).map_err(|error| Failure::usage(error.to_string()))?,
            None => tls,
        }))
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let Some(user) = &self.access_key else {
            let alone = self.secret_key_file.is_some();
            return if alone { Err(Failure::usage("say who asks, too: --access-key USER")) } else { Ok(None) };
        };
        let secret = match &self.secret_key_file {
            Some(file) => String::from_utf8_lossy(&read(file)?).trim().to_owned(),
            None => std::env::var("RMQ_SECRET_KEY").unwrap_or_default(),
        };
        if secret.is_empty() {
            return Err(Failure::usage("the secret is missing: --secret-key-file FILE, or RMQ_SECRET_KEY"));
        }
        Ok(Some(Credentials::new(user, secret)))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}
