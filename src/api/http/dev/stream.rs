//! Server-sent events: news for a page that is open.
//!
//! A stream is an answer without an end, so it has limits of its own: there are few streams, each ends after a while,
//! and all end when the server stops. Browsers reconnect by themselves and say what they have seen, so a stream that
//! ends loses nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::stream::{self, Stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::http::dev::Failed;
use crate::store::Store;
use crate::store::wake::Wake;

/// Most streams at once: more than a person has tabs open.
pub(super) const MOST: usize = 16;
/// A stream ends after this time, like a connection without a call.
const LONGEST: Duration = Duration::from_secs(300);
/// How often a stream looks for changes by other processes.
pub(super) const POLL: Duration = Duration::from_millis(500);
/// How often a sign of life is written; if that fails, the reader has gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// A browser whose stream has ended reconnects after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// A piece of news, and the place after it.
pub(super) struct Item {
    /// The id that a browser sends when it reconnects, to say what it has seen.
    pub(super) id: String,
    /// HTML that the page inserts.
    pub(super) html: String,
}

/// Where the news of a stream comes from.
pub(super) trait Source: Send + 'static {
    /// The news since the last call.
    fn look(&mut self, store: &Store) -> impl Future<Output = Result<Vec<Item>, Failed>> + Send;

    /// Ends when there may be news; notices everything from the moment of this call.
    fn news(wake: &Wake) -> BoxFuture<'_, ()>;
}

/// The open streams of the server.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Streams {
    /// Without open streams. Streams end when the token is cancelled.
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), stopping }
    }

    /// A stream of the news of a source, or a refusal.
    pub(super) fn open(&self, headers: &HeaderMap, store: Store, source: impl Source) -> Response {
        if is_of_another_page(headers) {
            return (StatusCode::FORBIDDEN, "Only the console's own pages may open this stream.\n").into_response();
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let later = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
            return (StatusCode::SERVICE_UNAVAILABLE, later, "Too many streams are open.\n").into_response();
        };
        let following =
            Following { store, source, items: VecDeque::new(), life: Life::new(self.stopping.clone()), _place: place };
        Sse::new(events(following)).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response()
    }
}

/// The end of a stream: its time, or the end of the server.
struct Life {
    end: Instant,
    stopping: CancellationToken,
}

impl Life {
    fn new(stopping: CancellationToken) -> Self {
        Self { end: Instant::now() + LONGEST, stopping }
    }

    fn is_over(&self) -> bool {
        self.stopping.is_cancelled() || Instant::now() >= self.end
    }

    async fn over(&self) {
        let _ = tokio::time::timeout_at(self.end, self.stopping.cancelled()).await;
    }
}

/// A page of another origin can't read a stream, but it could occupy all places.
fn is_of_another_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    site.is_some_and(|site| site != b"same-origin" && site != b"none")
}

/// One stream. It looks for news after its reader has taken the last ones.
struct Following<S> {
    store: Store,
    source: S,
    items: VecDeque<Item>,
    life: Life,
    _place: OwnedSemaphorePermit,
}

fn events<S: Source>(following: Following<S>) -> impl Stream<Item = Result<Event, Infallible>> {
    // Sent at once, so that the browser knows that the stream is open.
    let begin = stream::once(async { Ok(Event::default().retry(AGAIN).comment("open")) });
    let items = stream::unfold(following, |mut following| async move {
        let item = following.next().await?;
        Some((Ok(event(&item)), following))
    });
    futures::StreamExt::chain(begin, items)
}

/// JSON, because the HTML may contain line breaks and events can't.
fn event(item: &Item) -> Event {
    let event = Event::default().event("item").id(&item.id);
    event.json_data(&item.html).unwrap_or_default()
}

impl<S: Source> Following<S> {
    async fn next(&mut self) -> Option<Item> {
        let wake = self.store.wake().clone();
        loop {
            if self.life.is_over() {
                return None;
            }
            if let Some(item) = self.items.pop_front() {
                return Some(item);
            }
            let news = S::news(&wake);
            match self.source.look(&self.store).await {
                Ok(items) if items.is_empty() => {
                    tokio::select! {
                        () = self.life.over() => return None,
                        () = news => {}
                    }
                }
                Ok(items) => self.items.extend(items),
                Err(Failed(error)) => {
                    tracing::warn!(cause = ?error.cause, "the news of a stream can't be read");
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_after_a_while_or_when_the_server_stops() {
        let (began, stopping) = (Instant::now(), CancellationToken::new());
        let life = Life::new(stopping.clone());
        assert!(!life.is_over());
        life.over().await;
        assert!(life.is_over());
        assert_eq!(began.elapsed(), LONGEST);
        let life = Life::new(stopping.clone());
        stopping.cancel();
        life.over().await;
        assert!(life.is_over());
        assert_eq!(began.elapsed(), LONGEST, "nothing is waited for");
    }

    #[test]
    fn only_pages_of_the_console_and_programs_may_open_streams() {
        let headers = |site: &'static str| {
            HeaderMap::from_iter([("sec-fetch-site".parse().unwrap(), HeaderValue::from_static(site))])
        };
        assert!(!is_of_another_page(&HeaderMap::new()));
        for (site, refused) in [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true)] {
            assert_eq!(is_of_another_page(&headers(site)), refused, "{site}");
        }
    }

    #[tokio::test]
    async fn any_html_is_sent_as_one_line() {
        let html = "a\r\nb\rc\n\nevent: other\ndata: d";
        let item = Item { id: "1".to_owned(), html: html.to_owned() };
        let answer = Sse::new(stream::iter([Ok::<_, Infallible>(event(&item))])).into_response();
        let body = axum::body::to_bytes(answer.into_body(), 1024).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["event: item", "id: 1"]);
        let data: String = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((data.as_str(), lines[3], lines.len()), (html, "", 4));
    }
}
