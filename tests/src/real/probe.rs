//! Two hand-made remoting requests: is a broker registered, and please register now.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
const UPDATE_BROKER_CONFIG: u32 = 25;
const GET_BROKER_CLUSTER_INFO: u32 = 106;

/// How the harness itself talks to servers that want to be talked to over TLS: what it makes of a new connection.
#[derive(Clone)]
pub struct Encrypt(Arc<Encryption>);

/// A connection, or what is around it.
pub trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

type Encryption = dyn Fn(TcpStream) -> std::io::Result<Box<dyn Stream>> + Send + Sync;

impl Encrypt {
    /// By this function.
    pub fn new(encrypt: impl Fn(TcpStream) -> std::io::Result<Box<dyn Stream>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(encrypt))
    }
}

impl fmt::Debug for Encrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encrypt")
    }
}

/// Asks servers, over TLS where it has to be.
#[derive(Clone, Debug)]
pub(super) struct Probe(pub(super) Option<Encrypt>);

/// Whether something accepts connections at a loopback port.
pub(super) fn port_open(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), TIMEOUT).is_ok()
}

impl Probe {
    /// Whether the name server at this port lists the broker name together with the address.
    pub(super) fn registered(&self, namesrv: u16, broker_name: &str, broker_addr: &str) -> std::io::Result<bool> {
        let body = self.call(namesrv, GET_BROKER_CLUSTER_INFO, b"")?;
        let text = String::from_utf8_lossy(&body);
        Ok(text.contains(&format!("\"{broker_name}\"")) && text.contains(&format!("\"{broker_addr}\"")))
    }

    /// Makes a broker register at once: setting its permission, even to the old value, does that.
    pub(super) fn ask_to_register(&self, broker: u16, permission: &str) -> std::io::Result<()> {
        self.configure(broker, "brokerPermission", permission)
    }

    /// Changes a setting of a running broker.
    pub(super) fn configure(&self, broker: u16, key: &str, value: &str) -> std::io::Result<()> {
        self.call(broker, UPDATE_BROKER_CONFIG, format!("{key}={value}\n").as_bytes()).map(drop)
    }

    fn call(&self, port: u16, code: u32, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        match &self.0 {
            Some(Encrypt(encrypt)) => ask(encrypt(stream)?, code, body),
            None => ask(stream, code, body),
        }
    }
}

fn ask(mut stream: impl Stream, code: u32, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let header = format!(
        "{{\"code\":{code},\"flag\":0,\"language\":\"RUST\",\"opaque\":1,\
         \"serializeTypeCurrentRPC\":\"JSON\",\"version\":401}}"
    );
    let header_len = header.len() as u32; // JSON: the type byte is 0
    let mut frame = Vec::with_capacity(header.len() + body.len() + 8);
    frame.extend_from_slice(&(header_len + 4 + body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&header_len.to_be_bytes());
    frame.extend_from_slice(header.as_bytes());
    frame.extend_from_slice(body);

    stream.write_all(&frame)?;
    stream.flush()?;

    let mut word = [0_u8; 4];
    stream.read_exact(&mut word)?;
    let length = u32::from_be_bytes(word);
    stream.read_exact(&mut word)?;
    let header_len = u32::from_be_bytes(word) & 0x00ff_ffff;
    if !(4..1 << 20).contains(&length) || header_len > length - 4 {
        return Err(std::io::Error::other("the reply is no frame"));
    }
    let mut rest = vec![0; (length - 4) as usize];
    stream.read_exact(&mut rest)?;
    Ok(rest.split_off(header_len as usize))
}
