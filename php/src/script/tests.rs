//! What PHP is told, and what is made of what it answers.

use std::path::Path;

use hyper::Request;
use hyper::header::LOCATION;
use tokio::io::AsyncReadExt as _;

use super::*;

/// Everything that a request is told as, each pair as it is on the wire.
fn told(request: &hyper::http::request::Builder, length: u64) -> String {
    let request = request.try_clone().unwrap().body(()).unwrap();
    let script =
        Script { file: "/app/public/index.php".into(), name: "/index.php".into(), info: "/blog".into() };
    let (parts, ()) = request.into_parts();
    let params = params::of(Path::new("/app/public"), &script, &parts, length).unwrap();
    let mut bytes = Vec::new();
    let run = fastcgi::begin(&mut bytes, &params);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

trait TryClone: Sized {
    fn try_clone(&self) -> Option<Self>;
}

impl TryClone for hyper::http::request::Builder {
    fn try_clone(&self) -> Option<Self> {
        let mut copy = Request::builder().method(self.method_ref()?.clone()).uri(self.uri_ref()?.clone());
        *copy.headers_mut()? = self.headers_ref()?.clone();
        Some(copy)
    }
}

#[test]
fn php_is_told_who_asks_and_for_what() {
    let request = Request::get("/index.php/blog?a=1")
        .header("host", "wiki.example.org:8443")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-for", "10.0.0.1, 198.51.100.4")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("accept-language", "de")
        .header("proxy", "http://evil.example")
        .header("x_forwarded_for", "spoofed");
    let all = told(&request, 0);
    for said in [
        "REQUEST_METHODGET",
        "REQUEST_URI/index.php/blog?a=1",
        "QUERY_STRINGa=1",
        "SCRIPT_FILENAME/app/public/index.php",
        "SCRIPT_NAME/index.php",
        "PATH_INFO/blog",
        "DOCUMENT_ROOT/app/public",
        "SERVER_NAMEwiki.example.org",
        "SERVER_PORT8443",
        "REMOTE_ADDR198.51.100.4",
        "HTTPSon",
        "HTTP_HOSTwiki.example.org:8443",
        "HTTP_COOKIEa=1; b=2",
        "HTTP_ACCEPT_LANGUAGEde",
    ] {
        assert!(all.contains(said), "{said}: {all}");
    }
    for unsaid in ["HTTP_PROXY", "spoofed", "CONTENT_LENGTH"] {
        assert!(!all.contains(unsaid), "{unsaid}: {all}");
    }
}

#[test]
fn a_body_has_a_length_and_a_type() {
    let request = Request::post("/").header("content-type", "text/plain").header("host", "[2001:db8::1]");
    let all = told(&request, 7);
    for said in ["CONTENT_LENGTH7", "CONTENT_TYPEtext/plain", "SERVER_NAME[2001:db8::1]", "SERVER_PORT80"] {
        assert!(all.contains(said), "{said}: {all}");
    }
    assert!(!all.contains("HTTP_CONTENT") && !all.contains("HTTPSon"), "{all}");
}

#[test]
fn a_head_has_a_status_and_headers() {
    let read = |text: &str| head::read(text.as_bytes()).ok().flatten();
    let (answer, length) =
        read("Status: 404 Not Found\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nbody")
            .unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(answer.headers().get_all("x-a").iter().count(), 2);
    assert_eq!(answer.headers().len(), 2);
    assert_eq!(length, 88);
    let status = |text: &str| read(text).map(|(answer, _)| answer.status().as_u16());
    assert_eq!(status("Content-type: text/html\n\nx"), Some(200));
    assert_eq!(status("Location: /a\r\n\r\n"), Some(302));
    assert_eq!(status("Status: 301\r\nLocation: /a\r\n\r\n"), Some(301));
    assert!(read("Location: /a\r\n\r\n").unwrap().0.headers().contains_key(LOCATION));
    assert_eq!(status("Content-type: te"), None);
    for odd in [
        "Status: 99\r\n\r\n",
        "Status: 100 Continue\r\n\r\n",
        "Status:\r\n\r\n",
        "no header\r\n\r\n",
        "<html>\n\n",
    ] {
        assert!(head::read(odd.as_bytes()).is_err(), "{odd}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_is_not_taken_for_a_whole_one() {
    let (here, there) = UnixStream::pair().unwrap();
    let (from, to) = here.into_split();
    let workers = Arc::new(Semaphore::new(1));
    let coming = Coming {
        from,
        _sending: Sending(tokio::spawn(async {}).abort_handle()),
        _worker: Arc::clone(&workers).acquire_owned().await.unwrap(),
    };
    let (mut read, mut write) = there.into_split();
    let text = b"\x01\x06\0\x01\0\x0b\0\0X-A: 1\r\n\r\na";
    tokio::io::AsyncWriteExt::write_all(&mut write, text).await.unwrap();
    let answer = coming.answer().await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    drop(write);
    assert!(body.frame().await.unwrap().is_err());
    drop(to);
    assert_eq!(read.read(&mut [0]).await.unwrap(), 0);
    drop(workers.acquire().await.unwrap());
}
