//! A very small HTTP client that sends a scenario's request byte for byte.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::refusals;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Values by name; names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The exception at the AWS door, with its message.
    pub fn exception(&self) -> (String, String) {
        let json = self.json();
        let member = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(self.headers.get("x-amzn-errortype"), Some(&member("__type")));
        assert!(self.headers.contains_key("x-amzn-requestid"));
        (member("__type"), member("message"))
    }
}

/// Sends a request with these headers, and besides them only its length and the end of the connection.
pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let answer = exchange(address, method, path, headers, body).await.expect("the server listens and answers");
    let answer = parse(&answer).expect("an answer of HTTP");
    note_refusal(headers, &answer);
    answer
}

/// Notes the exception as met, if an operation was called at the AWS door.
fn note_refusal(headers: &[(&str, &str)], answer: &Answer) {
    let target = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-amz-target"));
    if let Some((_, operation)) = target.and_then(|(_, target)| target.split_once('.'))
        && answer.headers.contains_key("x-amzn-errortype")
    {
        let (exception, message) = answer.exception();
        refusals::met(operation, &exception, &message);
    }
}

/// The same to a server that may end at any moment; `None` if the answer is not complete.
pub async fn send_if_there(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Answer> {
    let answer = parse(&exchange(address, method, path, headers, body).await.ok()?)?;
    let length: usize = answer.headers.get("content-length")?.parse().ok()?;
    (answer.body.len() == length).then_some(answer)
}

async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Vec<u8>> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()));
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Sends a GET without further headers.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, "GET", path, &[], b"").await
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).expect("headers are text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    assert!(!headers.contains_key("transfer-encoding"), "this client reads whole bodies only");
    Some(Answer { status: status.expect("an answer has a status"), headers, body: answer[end + 4..].to_vec() })
}
