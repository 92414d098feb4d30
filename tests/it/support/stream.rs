//! Server-sent events, as a browser reads them while a page is open.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

/// An open connection to a stream, with the text so far.
pub struct Following {
    stream: TcpStream,
    status: u16,
    text: String,
}

/// One server-sent event with its id.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its id: the position to go on from.
    pub id: String,
    /// Its data: HTML to be shown.
    pub html: String,
}

impl Following {
    /// Asks for a stream. It may be refused.
    pub async fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        let mut following = Self { stream, status: 0, text: String::new() };
        following.read_until(|text| text.contains("\r\n\r\n")).await;
        following.status = following.text.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        following
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Waits until the server has confirmed that the stream is open; from then on no event is missed.
    pub async fn begun(mut self) -> Self {
        self.read_until(|text| text.contains(": open")).await;
        self
    }

    /// Waits until there are this many items, and returns all that have come.
    pub async fn items(&mut self, count: usize) -> Vec<Item> {
        self.read_until(|text| items(text).len() >= count).await;
        items(&self.text)
    }

    /// Waits until the server ends the stream.
    pub async fn end(mut self) {
        // The last chunk of the body is empty.
        self.read_until(|text| text.ends_with("\r\n0\r\n\r\n")).await;
    }

    async fn read_until(&mut self, enough: impl Fn(&str) -> bool) {
        let read = async {
            while !enough(&self.text) {
                let mut buffer = vec![0; 64 * 1024];
                let count = self.stream.read(&mut buffer).await.expect("the connection holds");
                assert!(count > 0, "the connection was closed after: {}", self.text);
                self.text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("it did not come in time"));
    }
}

/// The items in a text. The server writes each as one chunk, so no chunk size stands inside an item.
fn items(text: &str) -> Vec<Item> {
    let mut found = Vec::new();
    for part in text.split("\n\n").filter(|part| part.contains("event: item")) {
        let field = |name: &str| part.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (Some(id), Some(data)) = (field("id:"), field("data:")) else { continue };
        let Ok(Value::String(html)) = serde_json::from_str(data) else { continue };
        found.push(Item { id: id.to_owned(), html });
    }
    found
}
