//! What every runtime owes the drivers: one suite, run on each adapter in each of its forms.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic in a test is a failed test"
)]

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_lite::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use rocketmq_core::config::HostInfo;
use rocketmq_core::driver::{Clock, ClockOf, Runtime, RuntimeExt, os};
use rocketmq_core::ids::Endpoint;
use rocketmq_core::time::{Instant, UnixMillis};
use rocketmq_smol::Smol;
use rocketmq_tokio::Tokio;

/// A listener, and a thread that does `serve` with its first connection.
fn peer<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (Endpoint, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || serve(listener.accept().unwrap().0));
    (address.to_string().into(), thread)
}

/// Where nobody listens: a port that was just given back could be another test's by now.
const REFUSING: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// Waits on a thread of the blocking kind without stopping the executor.
async fn joined<T>(runtime: &impl Runtime, thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        runtime.sleep_until(runtime.now().after(Duration::from_millis(1))).await;
    }
    thread.join().unwrap()
}

async fn write_vectored<S: AsyncWrite + Unpin>(stream: &mut S, parts: &[&[u8]]) -> usize {
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, &slices)).await.unwrap()
}

async fn reads_and_writes_of_any_size(runtime: impl Runtime) {
    for len in [0, 1, 4_095, 65_536, 3_000_001] {
        let (endpoint, thread) = peer(move |mut stream| {
            let mut received = vec![0; len];
            stream.read_exact(&mut received).unwrap();
            stream.write_all(&received).unwrap();
        });
        let (sent, mut received) = (pattern(len), Vec::new());
        let mut stream = runtime.connect(&endpoint).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_to_end(&mut received).await.unwrap();
        assert!(received == sent, "{len} bytes");
        joined(&runtime, thread).await;
    }
}

async fn vectored_writes_go_out_as_one(runtime: impl Runtime) {
    let (endpoint, thread) = peer(|mut stream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    let mut stream = runtime.connect(&endpoint).await.unwrap();
    let parts: [&[u8]; 16] = std::array::from_fn(|at| if at % 4 == 1 { b"".as_slice() } else { b"0123456789" });
    assert_eq!(write_vectored(&mut stream, &parts).await, 120, "all slices in one call");
    stream.close().await.unwrap();
    assert_eq!(joined(&runtime, thread).await, parts.concat());
}

async fn a_full_socket_takes_a_part_and_then_waits(runtime: impl Runtime) {
    let (go, wait) = mpsc::channel::<()>();
    let (endpoint, thread) = peer(move |mut stream| {
        wait.recv().unwrap();
        io::copy(&mut stream, &mut io::sink()).unwrap()
    });
    let mut stream = runtime.connect(&endpoint).await.unwrap();
    let block = pattern(1 << 20);
    let mut written = 0;
    let soon = || runtime.now().after(Duration::from_millis(100));
    while let Some(n) = runtime.before(soon(), write_vectored(&mut stream, &[&block, &block])).await {
        written += n;
        assert!(written < 1 << 30, "the socket never fills up");
    }
    go.send(()).unwrap();
    written += write_vectored(&mut stream, &[&block]).await;
    stream.close().await.unwrap();
    assert_eq!(joined(&runtime, thread).await, u64::try_from(written).unwrap());
}

async fn the_end_of_the_stream_is_zero_bytes(runtime: impl Runtime) {
    let (endpoint, thread) = peer(|mut stream| stream.write_all(b"bye").unwrap());
    let mut stream = runtime.connect(&endpoint).await.unwrap();
    let mut buf = [0; 16];
    stream.read_exact(&mut buf[..3]).await.unwrap();
    assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
    assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
    joined(&runtime, thread).await;
}

async fn closing_ends_our_half_and_dropping_ends_both(runtime: impl Runtime) {
    let (endpoint, thread) = peer(|mut stream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        stream.write_all(&received).unwrap();
        stream.read(&mut [0]).unwrap()
    });
    let mut stream = runtime.connect(&endpoint).await.unwrap();
    stream.write_all(b"last").await.unwrap();
    stream.close().await.unwrap();
    let mut received = [0; 4];
    stream.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"last");
    drop(stream);
    assert_eq!(joined(&runtime, thread).await, 0);
}

async fn a_refused_connection_is_an_error_at_once(runtime: impl Runtime) {
    let began = runtime.now();
    let error = runtime.connect(&REFUSING.to_string().into()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    assert!(runtime.now().since(began) < Duration::from_secs(1));
}

async fn names_are_resolved_and_each_address_tried(runtime: impl Runtime) {
    let (endpoint, thread) = peer(drop);
    let port = endpoint.as_str().rsplit(':').next().unwrap();
    assert!(runtime.connect(&format!("localhost:{port}").into()).await.is_ok());
    joined(&runtime, thread).await;

    let (endpoint, thread) = peer(drop);
    let good: SocketAddr = endpoint.as_str().parse().unwrap();
    let connect = |address: SocketAddr| {
        let runtime = runtime.clone();
        async move { runtime.connect(&address.to_string().into()).await }
    };
    assert!(os::connect_each(&runtime, &"host:1".into(), Ok([REFUSING, REFUSING, good]), connect).await.is_ok());
    joined(&runtime, thread).await;

    let metadata: SocketAddr = "169.254.169.254:80".parse().unwrap();
    let nowhere = |_| async { Ok(()) };
    let error = os::connect_each(&runtime, &"host:80".into(), Ok([metadata]), nowhere).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "a name that leads where nobody may go: {error}");
    assert!(os::connect_each(&runtime, &"169.254.169.254:80".into(), Ok([metadata]), nowhere).await.is_ok());
    let error = os::connect_each(&runtime, &"host:1".into(), Ok([]), connect).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for bad in ["", "nonsense", "127.0.0.1", "host.invalid:80", "127.0.0.1:65536"] {
        let error = runtime.connect(&bad.into()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{bad:?}: {error}");
    }
}

async fn a_silent_address_does_not_block_the_next(runtime: impl Runtime) {
    let connect = |address: SocketAddr| async move {
        if address.port() == 1 { std::future::pending().await } else { Ok(address) }
    };
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let began = runtime.now();
    assert_eq!(
        os::connect_each(&runtime, &"host:1".into(), Ok([address(1), address(2)]), connect).await.unwrap(),
        address(2)
    );
    let took = runtime.now().since(began);
    assert!(took >= os::PATIENCE && took < os::PATIENCE * 2, "{took:?}");
}

async fn timers_fire_in_order_and_never_early(runtime: impl Runtime) {
    let began = runtime.now();
    let (send, fired) = mpsc::channel();
    for millis in [60, 20, 40, 0] {
        let (runtime, send) = (runtime.clone(), send.clone());
        let at = began.after(Duration::from_millis(millis));
        runtime.clone().spawn(async move {
            runtime.sleep_until(at).await;
            assert!(runtime.now() >= at, "early");
            send.send(millis).unwrap();
        });
    }
    drop(send);
    let order = joined(&runtime, thread::spawn(move || fired.iter().collect::<Vec<_>>())).await;
    assert_eq!(order, [0, 20, 40, 60]);
    assert!(runtime.now().since(began) < Duration::from_secs(2));
}

async fn a_past_deadline_fires_at_once_and_the_far_one_never(runtime: impl Runtime) {
    let began = runtime.now();
    runtime.sleep_until(Instant::ZERO).await;
    runtime.sleep_until(began).await;
    assert!(runtime.now().since(began) < Duration::from_millis(100));
    for far in [Instant::FAR, Instant::from_micros(u64::MAX - 1), began.after(Duration::from_secs(3_600))] {
        let soon = runtime.now().after(Duration::from_millis(5));
        assert!(runtime.before(soon, runtime.sleep_until(far)).await.is_none());
    }
}

async fn deadlines_bound_a_task(runtime: impl Runtime) {
    let soon = runtime.now().after(Duration::from_millis(5));
    assert_eq!(runtime.before(soon, std::future::pending::<()>()).await, None);
    assert_eq!(runtime.before(Instant::ZERO, std::future::ready(1)).await, Some(1), "what is ready wins the tie");
}

async fn spawned_tasks_run_though_nobody_holds_them(runtime: impl Runtime) {
    let (send, receive) = mpsc::channel();
    for number in 0..100 {
        let (runtime, send) = (runtime.clone(), send.clone());
        runtime.clone().spawn(async move {
            runtime.sleep_until(runtime.now().after(Duration::from_millis(1))).await;
            send.send(number).unwrap();
        });
    }
    drop(send);
    let all = thread::spawn(move || receive.iter().sum::<u32>());
    assert_eq!(joined(&runtime, all).await, 4_950);
}

async fn files_are_replaced_whole(runtime: impl Runtime) {
    let folder = Scratch::new();
    let path = folder.0.join("deep/er/offsets.json");
    assert_eq!(runtime.load(&path).await.unwrap(), None);
    for contents in [pattern(100_000), b"short".to_vec(), Vec::new()] {
        runtime.save(&path, contents.clone()).await.unwrap();
        assert_eq!(runtime.load(&path).await.unwrap(), Some(contents));
    }
    let names = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(names(path.parent().unwrap()), 1, "nothing but the file is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let old = std::fs::File::open(&path).unwrap();
        runtime.save(&path, b"new".to_vec()).await.unwrap();
        assert_ne!(metadata.ino(), std::fs::metadata(&path).unwrap().ino(), "another file took its place");
        assert_eq!(old.metadata().unwrap().len(), 0, "and who reads the old one is not disturbed");
    }
    let is_a_folder = folder.0.join("deep");
    assert!(runtime.save(&is_a_folder, b"x".to_vec()).await.is_err());
    assert!(runtime.load(&is_a_folder).await.is_err());
    assert_eq!((names(&folder.0), names(&is_a_folder)), (1, 1), "a failed save leaves nothing behind");
}

async fn concurrent_saves_do_not_mix(runtime: impl Runtime) {
    let folder = Scratch::new();
    let path = folder.0.join("offsets.json");
    let (send, receive) = mpsc::channel();
    for number in 0..8 {
        let (runtime, path, send) = (runtime.clone(), path.clone(), send.clone());
        runtime.clone().spawn(async move { send.send(runtime.save(&path, vec![number; 50_000]).await).unwrap() });
    }
    drop(send);
    let results = joined(&runtime, thread::spawn(move || receive.iter().collect::<Vec<_>>())).await;
    assert!(results.len() == 8 && results.iter().all(Result::is_ok));
    let contents = runtime.load(&path).await.unwrap().unwrap();
    assert!(contents.len() == 50_000 && contents.iter().all(|byte| *byte == contents[0]));
}

async fn chance_differs_at_each_call(runtime: impl Runtime) {
    let mut seen: Vec<u64> = (0..1_000).map(|_| runtime.entropy()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 1_000);
}

async fn clocks_go_forward_and_agree(runtime: impl Runtime) {
    let (other, clock) = (runtime.clone(), ClockOf(runtime.clone()));
    let clock: &dyn Clock = &clock;
    let mut last = Instant::ZERO;
    for _ in 0..1_000 {
        for now in [runtime.now(), other.now(), clock.now()] {
            assert!(now >= last);
            last = now;
        }
    }
    clock.sleep_until(last.after(Duration::from_millis(5))).await;
    assert!(runtime.now() >= last.after(Duration::from_millis(5)));
    assert!(clock.wall() > UnixMillis(1_700_000_000_000));
}

async fn the_host_knows_itself(runtime: impl Runtime) {
    let host = runtime.host();
    assert_eq!(host.pid, std::process::id());
    assert!(!host.ip.is_unspecified() && !host.ip.is_multicast());
    assert!(host.env.keys().all(|name| HostInfo::HONOURED.contains(&name.as_str())));
}

/// A folder that goes away with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rocketmq-contract-{:016x}", os::entropy()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it would be in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn smol_global<F: Future<Output = ()>>(test: impl FnOnce(Smol) -> F) {
    smol::block_on(test(Smol::new()));
}

fn smol_own<F: Future<Output = ()>>(test: impl FnOnce(Smol) -> F) {
    let executor = Arc::new(smol::Executor::new());
    smol::block_on(executor.run(test(Smol::with_executor(&executor))));
}

fn tokio_current_thread<F: Future<Output = ()>>(test: impl FnOnce(Tokio) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(Tokio::current().unwrap()).await });
}

fn tokio_multi_thread<F: Future<Output = ()>>(test: impl FnOnce(Tokio) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { test(Tokio::current().unwrap()).await });
}

/// Polled by another executor, as handles may be.
fn tokio_from_outside<F: Future<Output = ()>>(test: impl FnOnce(Tokio) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    assert!(Tokio::current().is_err());
    smol::block_on(test(Tokio::with_handle(runtime.handle().clone())));
}

macro_rules! contract {
    ($($clause:ident)*) => {
        contract!(@on smol_global $($clause)*);
        contract!(@on smol_own $($clause)*);
        contract!(@on tokio_current_thread $($clause)*);
        contract!(@on tokio_multi_thread $($clause)*);
        contract!(@on tokio_from_outside $($clause)*);
    };
    (@on $host:ident $($clause:ident)*) => {
        mod $host {
            $(#[test]
            fn $clause() {
                super::$host(super::$clause);
            })*
        }
    };
}

contract! {
    reads_and_writes_of_any_size
    vectored_writes_go_out_as_one
    a_full_socket_takes_a_part_and_then_waits
    the_end_of_the_stream_is_zero_bytes
    closing_ends_our_half_and_dropping_ends_both
    a_refused_connection_is_an_error_at_once
    names_are_resolved_and_each_address_tried
    a_silent_address_does_not_block_the_next
    timers_fire_in_order_and_never_early
    a_past_deadline_fires_at_once_and_the_far_one_never
    deadlines_bound_a_task
    spawned_tasks_run_though_nobody_holds_them
    files_are_replaced_whole
    concurrent_saves_do_not_mix
    chance_differs_at_each_call
    clocks_go_forward_and_agree
    the_host_knows_itself
}
