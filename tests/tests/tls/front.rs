//! Servers before the models, which speak TLS, or something else, and write down each byte that reaches them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

/// A server on the loopback interface.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a server does with a connection.
#[derive(Clone)]
pub(crate) enum Serve {
    /// Speaks TLS, and hands on what is in it.
    Tls(Arc<ServerConfig>, Option<SocketAddr>),
    /// Once something has come, says this, and, if it is told to, hangs up.
    Say { bytes: Vec<u8>, hang_up: bool },
}

impl Front {
    pub(crate) fn start(serve: Serve) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (received, ended) = (Arc::<Mutex<Vec<Vec<u8>>>>::default(), Arc::<AtomicBool>::default());
        let (log, stop) = (received.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let index = {
                    let mut log = log.lock().unwrap();
                    log.push(Vec::new());
                    log.len() - 1
                };
                let (serve, log, stop) = (serve.clone(), log.clone(), stop.clone());
                std::thread::spawn(move || {
                    let record = |bytes: &[u8]| log.lock().unwrap()[index].extend_from_slice(bytes);
                    match serve {
                        Serve::Tls(config, behind) => encrypted(stream, config, behind, &stop, &record),
                        Serve::Say { bytes, hang_up } => say(stream, &bytes, hang_up, &stop, &record),
                    }
                });
            }
        });
        Self { address, received, ended, thread: Some(thread) }
    }

    /// What each connection has sent, as it went over the wire.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn encrypted(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    behind: Option<SocketAddr>,
    stop: &AtomicBool,
    record: &dyn Fn(&[u8]),
) {
    let mut tls = ServerConnection::new(config).unwrap();
    tls.set_buffer_limit(None);
    let mut behind = behind.map(|address| TcpStream::connect(address).unwrap());
    for stream in behind.iter().chain([&stream]) {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    let mut buf = [0; 16_384];
    let mut over = false;
    while !stop.load(Ordering::SeqCst) {
        let mut idle = true;
        match stream.read(&mut buf) {
            Ok(0) => return,
            Ok(read) => {
                idle = false;
                record(&buf[..read]);
                let mut rest = &buf[..read];
                while !rest.is_empty() && !over {
                    over |= tls.read_tls(&mut rest).is_err() || tls.process_new_packets().is_err();
                    let mut plain = Vec::new();
                    drop(tls.reader().read_to_end(&mut plain));
                    if let Some(behind) = &mut behind {
                        write_all(behind, &plain);
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        if let Some(behind) = &mut behind
            && !tls.is_handshaking()
        {
            match behind.read(&mut buf) {
                Ok(0) => {
                    tls.send_close_notify();
                    over = true;
                }
                Ok(read) => {
                    idle = false;
                    tls.writer().write_all(&buf[..read]).unwrap();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        let mut out = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut out).unwrap();
        }
        write_all(&mut stream, &out);
        if over {
            // The client reads the alert before the connection is gone, and is listened to until it goes.
            drop(stream.shutdown(std::net::Shutdown::Write));
            return listen(stream, stop, record);
        }
        if idle {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn write_all(stream: &mut TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => return,
        }
    }
}

fn say(mut stream: TcpStream, bytes: &[u8], hang_up: bool, stop: &AtomicBool, record: &dyn Fn(&[u8])) {
    let mut buf = [0; 4_096];
    match stream.read(&mut buf) {
        Ok(read) => record(&buf[..read]),
        Err(_) => return,
    }
    drop(stream.write_all(bytes));
    if hang_up {
        drop(stream.shutdown(std::net::Shutdown::Write));
    }
    stream.set_nonblocking(true).unwrap();
    listen(stream, stop, record);
}

/// Writes down what comes until the client goes.
fn listen(mut stream: TcpStream, stop: &AtomicBool, record: &dyn Fn(&[u8])) {
    let mut buf = [0; 4_096];
    while !stop.load(Ordering::SeqCst) {
        match stream.read(&mut buf) {
            Ok(0) => return,
            Ok(read) => record(&buf[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => return,
        }
    }
}
