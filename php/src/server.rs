//! The HTTP side: a connection is read by hyper, and each request goes to a script, to a file, or nowhere. Bounded in how much
//! is in hand at a time; what is above that is told to come again.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::script::Php;
use crate::site::{Place, Site};
use crate::{Answer, fpm, plain};

/// Requests in hand at a time, most of them waiting for a worker.
const MAX_REQUESTS: usize = 128;
/// How long a head may take, from the proxy on this machine.
const HEAD: Duration = Duration::from_secs(60);
/// After an accept that failed, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What every request needs.
struct Served {
    site: Site,
    php: Php,
    room: Semaphore,
}

/// Serves until it is `asked` to end, and then until what is in hand is answered, for a while.
pub async fn serve(
    listener: TcpListener,
    site: Site,
    socket: PathBuf,
    workers: usize,
    asked: impl Future<Output = ()>,
) {
    let served = Arc::new(Served { site, php: Php::at(&socket, workers), room: Semaphore::new(MAX_REQUESTS) });
    // Connections hear of the end by the one, and are known to have ended by the other.
    let (ending, heard) = watch::channel(());
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    let mut asked = std::pin::pin!(asked);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut asked => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Answers are many small pieces, and none is to wait for the next.
        let _ = stream.set_nodelay(true);
        let served = Arc::clone(&served);
        let service = service_fn(move |request| {
            let served = Arc::clone(&served);
            async move { Ok::<_, Infallible>(served.answer(request).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let (mut heard, open) = (heard.clone(), open.clone());
        tokio::spawn(async move {
            let _open = open;
            let mut connection = std::pin::pin!(connection);
            // A visitor who goes away is nobody's error.
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = heard.changed() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
    drop((listener, ending, open));
    let _ = tokio::time::timeout(fpm::last(), all_closed.recv()).await;
}

impl Served {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let Ok(_room) = self.room.try_acquire() else {
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return answer;
        };
        let (parts, body) = request.into_parts();
        match self.site.find(parts.uri.path()) {
            Place::Script(script) => self.php.answer(self.site.root(), &script, parts, body).await,
            Place::File(file) => crate::files::answer(&file, &parts).await,
            Place::Folder if [Method::GET, Method::HEAD].contains(&parts.method) => {
                with_slash(parts.uri.path(), parts.uri.query())
            }
            Place::Folder => plain(StatusCode::METHOD_NOT_ALLOWED),
            Place::Nothing => plain(StatusCode::NOT_FOUND),
            Place::Malformed => plain(StatusCode::BAD_REQUEST),
        }
    }
}

/// To the same path with a slash. It is one that led to a folder, so that it has no empty name at its beginning that a browser
/// would take for a host.
fn with_slash(path: &str, query: Option<&str>) -> Answer {
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    let Ok(to) = HeaderValue::try_from(format!("{path}/{query}")) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let mut answer = plain(StatusCode::MOVED_PERMANENTLY);
    answer.headers_mut().insert(LOCATION, to);
    answer
}
