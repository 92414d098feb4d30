//! Bounds on one caller: connections, calls, memory and time are limited, and other callers are served meanwhile.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use userpool::api::operation::Operation;

use crate::support::dev::{Address, shared};
use crate::support::http::get;
use crate::support::process::PATIENCE;
use crate::support::serve::{Installation, Serve, argument, https};
use crate::support::wire;

/// The address of a flood, and the address of another caller.
const FLOODER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3));
/// With these arguments the flood of this machine is held to its share.
const SHARES: [&str; 2] = ["--connections-without-share", "127.0.0.1"];
/// A call that is not held up takes much less, even beside other tests.
const SOON: Duration = Duration::from_secs(3);

/// A server with settings of its own.
struct Scene {
    installation: Installation,
    server: Serve,
}

impl Scene {
    async fn start(name: &'static str, arguments: &'static [&'static str]) -> Self {
        let start = move || {
            let postgres = &shared().postgres;
            postgres.create_database(name);
            let installation = Installation::on(&postgres.url(name));
            let server = installation.start(arguments);
            Self { installation, server }
        };
        tokio::task::spawn_blocking(start).await.expect("the server starts")
    }

    /// The server's address, with the credential of its administrator.
    fn address(&self) -> Address {
        let (id, secret) = self.installation.token.split_once('.').expect("a token has two halves");
        Address {
            grpc: self.server.grpc,
            http: self.server.http,
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            token: self.installation.token.clone(),
            database_url: self.installation.database_url.clone(),
        }
    }

    /// Asserts that an ordinary call is answered soon at both doors.
    async fn assert_serves(&self, from: IpAddr) {
        let began = Instant::now();
        let channel = channel(self.server.grpc, from).await;
        wire::must(&channel, &self.address(), "ListUserPools", json!({ "MaxResults": 1 })).await;
        let mut stream = connect(from, self.server.http).await;
        let answer = talk(&mut stream, b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    }

    async fn end(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.expect("it ends");
    }
}

/// A connection from an address of this machine.
async fn connect(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from, 0)).expect("the loopback has many addresses");
    socket.connect(to).await.expect("the server listens")
}

async fn channel(to: SocketAddr, from: IpAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{to}")).expect("an address");
    endpoint.local_address(Some(from)).connect().await.expect("the server listens")
}

/// Sends and reads to the end.
async fn talk(stream: &mut TcpStream, request: &[u8]) -> String {
    let _ = stream.write_all(request).await;
    text_until_end(stream).await
}

async fn text_until_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection does not end: {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether the other end closes a connection soon.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0; 64])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

/// The beginning of a call at the AWS door: a body with this many bytes, which does not end.
fn unfinished(bytes: usize) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: AWSCognitoIdentityProviderService.GetUser\r\ncontent-length: {}\r\n\r\n",
        bytes + 1
    );
    [head.into_bytes(), vec![b' '; bytes]].concat()
}

/// Makes a complete call at the AWS door and returns the exception of its answer.
async fn exception(from: IpAddr, to: SocketAddr, padding: usize) -> String {
    let body = format!("{}{{\"AccessToken\": \"a\"}}", " ".repeat(padding));
    let mut stream = connect(from, to).await;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-amz-target: AWSCognitoIdentityProviderService.GetUser\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = talk(&mut stream, (head + body.as_str()).as_bytes()).await;
    let line = answer.lines().find_map(|line| line.strip_prefix("x-amzn-errortype: "));
    line.unwrap_or_else(|| panic!("no refusal: {answer}")).to_owned()
}

/// Opens calls with unfinished bodies until a complete call is refused. Some unfinished calls may be refused as well,
/// if they exceed the share first.
async fn fill(from: IpAddr, to: SocketAddr, bytes: usize) -> Vec<TcpStream> {
    let (mut open, began) = (Vec::new(), Instant::now());
    loop {
        let mut stream = connect(from, to).await;
        stream.write_all(&unfinished(bytes)).await.expect("it is read");
        open.push(stream);
        if exception(from, to, bytes).await == "TooManyRequestsException" {
            return open;
        }
        assert!(began.elapsed() < SOON, "everything that is opened is taken: {} calls", open.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_hold_no_call_up_and_are_closed() {
    const SILENT: usize = 1_100;
    let scene = Scene::start("one_caller_silent", &["--connections-longest-headers", "4"]).await;
    for door in [scene.server.http, scene.server.grpc] {
        let mut silent = Vec::new();
        for _ in 0..SILENT {
            silent.push(connect(FLOODER, door).await);
        }
        scene.assert_serves(OTHER).await;
        for stream in &mut silent {
            assert_eq!(text_until_end(stream).await, "");
        }
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_do_not_go_on_hold_no_other_up() {
    const SILENT: usize = 1_100;
    let start = || {
        let postgres = &shared().postgres;
        postgres.create_database("one_caller_handshakes");
        let installation = Installation::on(&postgres.url("one_caller_handshakes"));
        let (certificate, key) = installation.write_certificate();
        let server = installation.start(&["--tls-certificate", argument(&certificate), "--tls-key", argument(&key)]);
        (Scene { installation, server }, certificate)
    };
    let (scene, certificate) = tokio::task::spawn_blocking(start).await.expect("the server starts");
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(connect(FLOODER, scene.server.http).await);
    }
    let began = Instant::now();
    let request = "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    let answer = https(scene.server.http, &certificate, None, request).await.expect("a TLS connection");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_its_share_of_connections_and_others_get_in() {
    let arguments = &["--connections-most", "40", SHARES[0], SHARES[1]];
    let scene = Scene::start("one_caller_connections", arguments).await;
    for door in [scene.server.http, scene.server.grpc] {
        let mut flood = Vec::new();
        for _ in 0..60 {
            flood.push(connect(FLOODER, door).await);
        }
        let mut closed = 0;
        for stream in &mut flood {
            closed += usize::from(is_closed(stream).await);
        }
        assert_eq!(closed, 50, "a quarter of forty stays");
        scene.assert_serves(OTHER).await;
        // Closed connections make room for new ones.
        drop(flood);
        let began = Instant::now();
        while is_closed(&mut connect(FLOODER, door).await).await {
            assert!(began.elapsed() < PATIENCE, "the share does not come back");
        }
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_its_share_of_calls_and_health_is_told_however_many_call() {
    let arguments = &["--connections-calls", "8", "--connections-longest-body", "60", SHARES[0], SHARES[1]];
    let scene = Scene::start("one_caller_calls", arguments).await;
    let open = fill(FLOODER, scene.server.http, 1).await;
    assert_eq!(exception(OTHER, scene.server.http, 0).await, "NotAuthorizedException");
    for path in ["/healthz", "/readyz", "/metrics"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = talk(&mut connect(FLOODER, scene.server.http).await, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    scene.assert_serves(OTHER).await;
    drop(open);

    // At the other door: two calls with unfinished bodies, over a connection each.
    let path = Operation::GetUser.info().path;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 9\r\n\r\n."
    );
    let (mut open, began) = (Vec::new(), Instant::now());
    let body = wire::message_of(Operation::GetUser.info().request, &json!({ "AccessToken": "a" }));
    let (flooder, other) = (channel(scene.server.grpc, FLOODER).await, channel(scene.server.grpc, OTHER).await);
    loop {
        let mut stream = connect(FLOODER, scene.server.grpc).await;
        stream.write_all(head.as_bytes()).await.expect("it is read");
        open.push(stream);
        let refused = wire::grpc_as(&flooder, path, None, body.clone()).await.expect_err("it is refused");
        if refused.code() == Code::ResourceExhausted {
            break;
        }
        assert!(began.elapsed() < SOON, "the calls are not counted: {refused:?}");
    }
    let refused = wire::grpc_as(&other, path, None, body).await.expect_err("the token is none");
    assert_eq!(refused.code(), Code::Unauthenticated);
    // `Check` is answered at once. `Watch` is refused: it is a call like any other.
    let mut health = HealthClient::new(flooder);
    health.check(HealthCheckRequest::default()).await.expect("it is told however many call");
    let watched = health.watch(HealthCheckRequest::default()).await;
    assert_eq!(watched.map(drop).expect_err("there is no place").code(), Code::ResourceExhausted);
    drop(open);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_on_their_way_take_a_bounded_memory_of_which_one_address_gets_a_share() {
    const MIB: usize = 1024 * 1024;
    let arguments = &["--connections-bodies", "8", "--connections-longest-body", "60", SHARES[0], SHARES[1]];
    let scene = Scene::start("one_caller_bodies", arguments).await;
    let http = scene.server.http;
    let large = MIB - 100;
    // A quarter of eight MiB, each body of almost one.
    let mut open = fill(FLOODER, http, large).await;
    assert_eq!(exception(OTHER, http, large).await, "NotAuthorizedException");
    // A caller without a share takes all the rest; then nobody gets more, at either door.
    open.extend(fill(IpAddr::from([127, 0, 0, 1]), http, large).await);
    open.extend(fill(OTHER, http, 10_000).await);
    let other = channel(scene.server.grpc, OTHER).await;
    let body = wire::message_of(Operation::GetUser.info().request, &json!({ "AccessToken": "a".repeat(12_000) }));
    let path = Operation::GetUser.info().path;
    let refused = wire::grpc_as(&other, path, None, body.clone()).await.expect_err("there is no room");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(open);
    let began = Instant::now();
    while wire::grpc_as(&other, path, None, body.clone()).await.expect_err("the token is none").code()
        != Code::Unauthenticated
    {
        assert!(began.elapsed() < PATIENCE, "the memory does not come back");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_bodies_that_come_slowly_are_not_waited_for() {
    let arguments = &["--connections-longest-headers", "1", "--connections-longest-body", "1"];
    let scene = Scene::start("one_caller_slow", arguments).await;
    for door in [scene.server.http, scene.server.grpc] {
        let mut stream = connect(FLOODER, door).await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.expect("it is read");
        let began = Instant::now();
        // A byte now and then does not prolong the time.
        while !is_closed(&mut stream).await {
            let _ = stream.write_all(b"a").await;
            assert!(began.elapsed() < PATIENCE, "headers are waited for");
        }
    }
    let mut stream = connect(FLOODER, scene.server.http).await;
    let answer = {
        stream.write_all(&unfinished(10)).await.expect("it is read");
        let mut answer = vec![0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("it is answered");
        String::from_utf8_lossy(&answer[..read.expect("an answer")]).into_owned()
    };
    assert!(answer.contains("The request's body took longer than 1 seconds."), "{answer}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_read_are_given_up() {
    let scene = Scene::start("one_caller_reader", &["--connections-longest-answer", "1"]).await;
    // HTTP/2: the caller gives the answer no window.
    let endpoint = Endpoint::from_shared(format!("http://{}", scene.server.grpc)).expect("an address");
    let slow = endpoint.initial_stream_window_size(0).connect().await.expect("the server listens");
    let info = Operation::ListUserPools.info();
    let body = wire::message_of(info.request, &json!({ "MaxResults": 1 }));
    let answer = tokio::time::timeout(PATIENCE, wire::grpc_as(&slow, info.path, Some(&scene.installation.token), body));
    answer.await.expect("the answer is given up").expect_err("it was never taken");
    // HTTP/1.1: the caller keeps sending requests and reads nothing.
    let mut stream = connect(FLOODER, scene.server.http).await;
    let asked = tokio::time::timeout(PATIENCE, async {
        let request = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
        while stream.write_all(&request).await.is_ok() {}
    });
    asked.await.expect("the connection is given up");
    scene.assert_serves(OTHER).await;
    scene.end().await;
}

/// The settings that a server announces for HTTP/2, by their numbers.
async fn announced(door: SocketAddr) -> Vec<(u16, u32)> {
    let mut stream = connect(OTHER, door).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("it is read");
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a frame");
    assert_eq!(head[3], 4, "settings come first");
    let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut settings).await.expect("the settings");
    let read = |setting: &[u8]| {
        let (name, value) = setting.split_at(2);
        (u16::from_be_bytes([name[0], name[1]]), u32::from_be_bytes([value[0], value[1], value[2], value[3]]))
    };
    settings.chunks(6).map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_what_is_sent_unasked_are_bounded_at_both_doors() {
    let scene = Scene::start("one_caller_streams", &["--connections-streams", "7"]).await;
    for door in [scene.server.http, scene.server.grpc] {
        let settings = announced(door).await;
        // Streams at once, window of a stream, size of headers.
        for expected in [(3, 7), (4, 64 * 1024), (6, 16 * 1024)] {
            assert!(settings.contains(&expected), "{expected:?} is not in {settings:?}");
        }
        // Opens eight unfinished streams: the eighth is refused.
        let mut stream = connect(OTHER, door).await;
        let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for number in 0..8_u8 {
            // POST, http and / from the static table, and an empty authority.
            let block = [0x83, 0x86, 0x84, 0x41, 0x00];
            request.extend([0, 0, 5, 1, 4, 0, 0, 0, 1 + 2 * number]);
            request.extend(block);
        }
        stream.write_all(&request).await.expect("it is read");
        let refused = tokio::time::timeout(PATIENCE, async {
            loop {
                let mut head = [0; 9];
                stream.read_exact(&mut head).await.expect("a frame");
                let mut rest = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
                stream.read_exact(&mut rest).await.expect("its payload");
                // RST_STREAM of stream 15 by REFUSED_STREAM.
                if head[3] == 3 && head[8] == 15 {
                    break rest;
                }
            }
        });
        assert_eq!(refused.await.expect("the eighth is refused"), [0, 0, 0, 7]);
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_and_a_later_call_is_served() {
    let arguments = &["--connections-longest-idle", "1", "--connections-longest-headers", "1"];
    let scene = Scene::start("one_caller_idle", arguments).await;
    let mut stream = connect(OTHER, scene.server.http).await;
    let answer = talk(&mut stream, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for door in [scene.server.http, scene.server.grpc] {
        let mut stream = connect(OTHER, door).await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("it is read");
        text_until_end(&mut stream).await;
    }
    let channel = channel(scene.server.grpc, OTHER).await;
    for _ in 0..3 {
        wire::must(&channel, &scene.address(), "ListUserPools", json!({ "MaxResults": 1 })).await;
        // A fixed wait: the test asserts that nothing happens.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
    }
    scene.end().await;
}

/// A user who can sign in.
async fn person(channel: &Channel, address: &Address, pool: &str, client: &str, name: &str) -> Value {
    let user = json!({ "ClientId": client, "Username": name, "Password": "Correct-horse-1" });
    wire::must(channel, address, "SignUp", user).await;
    wire::must(channel, address, "AdminConfirmSignUp", json!({ "UserPoolId": pool, "Username": name })).await;
    sign_in(client, name, "Correct-horse-1")
}

fn sign_in(client: &str, name: &str, password: &str) -> Value {
    json!({
        "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": { "USERNAME": name, "PASSWORD": password },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_over_many_connections_causes_no_refusals_of_others() {
    // Enough that their hashes take more than a second on the fastest machine.
    const GUESSERS: usize = 200;
    const RIGHT: usize = 20;
    let arguments = &["--hashing-threads", "2"];
    let scene = Scene::start("one_caller_guesses", arguments).await;
    let address = scene.address();
    let right = channel(scene.server.grpc, OTHER).await;
    let (pool, client) = wire::pool_and_client(&right, &address, "guesses").await;
    let call = person(&right, &address, &pool, &client, "jane").await;
    let (over, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut guessers = Vec::new();
    for number in 0..GUESSERS {
        let channel = channel(scene.server.grpc, FLOODER).await;
        let (over, refused, address) = (over.clone(), refused.clone(), address.clone());
        // Unknown names take the same work, and guessers don't wait for each other.
        let guess = sign_in(&client, &format!("nobody-{number}"), "Wrong-horse-1");
        guessers.push(tokio::spawn(async move {
            let info = Operation::InitiateAuth.info();
            while !over.load(Ordering::Relaxed) {
                let body = wire::message_of(info.request, &guess);
                let answer = wire::grpc(&channel, &address, info, body).await.expect_err("it is a guess");
                if answer.code() == Code::ResourceExhausted {
                    refused.fetch_add(1, Ordering::Relaxed);
                    // Without a pause, their refusals would take the processor from the hashes, on a machine that both
                    // share.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }));
    }
    let began = Instant::now();
    while refused.load(Ordering::Relaxed) < GUESSERS {
        assert!(began.elapsed() < PATIENCE, "the guessers are not refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let info = Operation::InitiateAuth.info();
    let mut signed_in = 0;
    for _ in 0..RIGHT {
        let answer = wire::grpc(&right, &address, info, wire::message_of(info.request, &call)).await;
        signed_in += usize::from(answer.is_ok());
    }
    // Nearly all: on a busy machine a hash may come too late now and then.
    assert!(signed_in >= RIGHT * 9 / 10, "{signed_in} of {RIGHT} right passwords signed in");
    over.store(true, Ordering::Relaxed);
    for guesser in guessers {
        guesser.await.expect("it does not panic");
    }
    assert_eq!(get(scene.server.http, "/readyz").await.status, 200);
    scene.end().await;
}
