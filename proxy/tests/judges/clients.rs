//! Clients that are not ours, of Debian: curl in its odd corners, nghttp with frames that few send, h2load with many requests. Each request of theirs is
//! accounted for.

use std::process::Output;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{HeaderMap, Request, Response};
use tempfile::TempDir;

use crate::rig::*;
use crate::stand::{HOST, Stand, run};

type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

/// What is uploaded: more than any buffer on the way.
const UPLOAD: usize = 3 << 20;
const LARGE: usize = 1 << 20;

/// A program that says what it was asked, each path another thing of it.
async fn answer(request: Request<Incoming>) -> Response<Body> {
    let field = |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let response = Response::builder();
    match request.uri().path() {
        "/echo" => {
            let body = request.into_body().collect().await.unwrap();
            let trailer = body.trailers().and_then(|trailers| trailers.get("x-end")).cloned();
            let mut response = Response::new(full(body.to_bytes()));
            response.headers_mut().extend(trailer.map(|value| (Some("x-end".parse().unwrap()), value)));
            response
        }
        "/large" => response.body(full(vec![b'x'; LARGE])).unwrap(),
        "/range" => {
            let content = ("content-range", "bytes 1-3/10");
            response
                .status(206)
                .header(content.0, content.1)
                .header("x-range", field("range"))
                .body(full("123"))
                .unwrap()
        }
        "/length" => response.body(full(field("x-long").len().to_string())).unwrap(),
        "/204" => response.status(204).body(empty()).unwrap(),
        "/trailers" => {
            let end: HeaderMap = [("x-end".parse().unwrap(), "ok".parse().unwrap())].into_iter().collect();
            let frames = [Frame::data(Bytes::from("body")), Frame::trailers(end)].map(Ok);
            let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
            response.header("trailer", "x-end").body(body).unwrap()
        }
        _ => response.body(full(format!("{} {}", request.method(), request.uri()))).unwrap(),
    }
}

/// The program, the files that curl reads, and how it finds the site.
struct Curl {
    stand: Stand,
    files: TempDir,
    _program: Program,
}

/// What curl tells of its last request.
#[derive(Debug)]
struct Told {
    exit: i32,
    status: u16,
    version: String,
    /// With heads before it, if they were asked for.
    body: String,
}

impl Curl {
    async fn new() -> Self {
        let (stand, files) = (Stand::new().await, TempDir::new().unwrap());
        let program = program(stand.claim.slot, answer).await;
        std::fs::write(files.path().join("authority"), &stand.authority.pem).unwrap();
        std::fs::write(files.path().join("upload"), vec![b'x'; UPLOAD]).unwrap();
        Self { stand, files, _program: program }
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// `args` are as a person would write them; `@UPLOAD` and `PROXY` stand for the file and the proxy's own address.
    async fn output(&self, args: &[&str]) -> Output {
        let to = |port: u16, address: std::net::SocketAddr| format!("{HOST}:{port}:{address}");
        let (http, https) = (to(80, self.stand.http), to(443, self.stand.https));
        let (authority, upload) = (self.file("authority"), format!("@{}", self.file("upload")));
        let proxy = format!("http://{}", self.stand.http);
        let mut all = vec!["-sS", "--cacert", &authority, "--max-time", "60"];
        if !args.contains(&"PROXY") {
            all.extend(["--connect-to", &http, "--connect-to", &https]);
        }
        all.extend(args.iter().map(|arg| match *arg {
            "@UPLOAD" => &upload,
            "PROXY" => &proxy,
            other => other,
        }));
        run("curl", &all).await
    }

    async fn run(&self, args: &[&str]) -> Told {
        let output = self.output(&[&["-w", "\n%{http_code} %{http_version}"], args].concat()).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, last) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{args:?}: {output:?}"));
        let (status, version) = last.split_once(' ').unwrap();
        let exit = output.status.code().unwrap();
        Told { exit, status: status.parse().unwrap(), version: version.to_owned(), body: body.to_owned() }
    }

    /// Its lines for many requests.
    async fn all(&self, args: &[&str]) -> String {
        String::from_utf8(self.output(args).await.stdout).unwrap()
    }
}

const PLAIN: &str = "http://a.example";
const SECURE: &str = "https://a.example";

/// Asked like this it is answered with that: status, version, body.
const CORNERS: &[(&[&str], u16, &str, &str)] = &[
    (&["http://a.example/"], 200, "1.1", "GET /"),
    (&["--http1.0", "http://a.example/"], 200, "1", "GET /"),
    (&["--http2", "http://a.example/"], 200, "1.1", "GET /"),
    (&["--http2-prior-knowledge", "http://a.example/"], 200, "2", "GET /"),
    (&["--http2", "https://a.example/"], 200, "2", "GET /"),
    (&["--http1.1", "https://a.example/"], 200, "1.1", "GET /"),
    (&["--no-alpn", "https://a.example/"], 200, "1.1", "GET /"),
    (&["--tls-max", "1.2", "https://a.example/"], 200, "2", "GET /"),
    (&["--tlsv1.3", "https://a.example/"], 200, "2", "GET /"),
    (&["-X", "OPTIONS", "--request-target", "*", "http://a.example"], 200, "1.1", "OPTIONS *"),
    (&["-X", "GET", "--request-target", "*", "http://a.example"], 400, "1.1", "400"),
    (&["-X", "PROPFIND", "http://a.example/x"], 200, "1.1", "PROPFIND /x"),
    (&["-X", "TRACE", "http://a.example/"], 405, "1.1", "405"),
    (&["-X", "GET", "-d", "body", "http://a.example/"], 200, "1.1", "GET /"),
    (&["--path-as-is", "http://a.example/a/../b?c=%2e#d"], 200, "1.1", "GET /a/../b?c=%2e"),
    (&["-x", "PROXY", "http://a.example/x"], 200, "1.1", "GET /x"),
    (&["-H", "Host:", "http://a.example/"], 400, "1.1", "400"),
    (&["-H", "Host: b.example", "http://a.example/"], 404, "1.1", "404"),
    (&["-H", "Host: b.example", "https://a.example/"], 421, "2", "421"),
    (&["-r", "1-3", "http://a.example/range"], 206, "1.1", "123"),
    (&["-r", "1-3", "https://a.example/range"], 206, "2", "123"),
    (&["http://a.example/204"], 204, "1.1", ""),
    (&["--http2-prior-knowledge", "http://a.example/204"], 204, "2", ""),
    (&["-d", "a=b", "-H", "Transfer-Encoding: chunked", "http://a.example/echo"], 200, "1.1", "a=b"),
    (&["-d", "a=b", "-H", "Expect: 100-continue", "http://a.example/echo"], 200, "1.1", "a=b"),
    (&["-d", "a=b", "-H", "Expect: something", "http://a.example/echo"], 417, "1.1", "417"),
    (&["-d", "a=b", "-H", "Transfer-Encoding: gzip, chunked", "http://a.example/echo"], 501, "1.1", "501"),
    (&["-d", "a=b", "--http1.0", "http://a.example/echo"], 200, "1", "a=b"),
];

#[tokio::test]
async fn curl_in_its_odd_corners() {
    let curl = Curl::new().await;
    let mut wrong = Vec::new();
    for (args, status, version, body) in CORNERS {
        let told = curl.run(args).await;
        // A page of the proxy's has its status in it.
        let is_body_right = if *status < 400 { told.body == *body } else { told.body.contains(body) };
        if (told.exit, told.status, &told.version[..]) != (0, *status, version) || !is_body_right {
            wrong.push(format!("{args:?}: {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("curl: {} of {}", CORNERS.len(), CORNERS.len());
    curl.stand.ends().await;
}

#[tokio::test]
async fn curl_with_bodies_larger_than_every_buffer() {
    let curl = Curl::new().await;
    for args in [
        &["-i", "-H", "Expect: 100-continue"][..],
        &["-H", "Transfer-Encoding: chunked"],
        &["-H", "Transfer-Encoding: chunked", "-H", "Expect:"],
        &["--http1.0"],
        &["--http2-prior-knowledge"],
    ] {
        let told = curl.run(&[args, &["--data-binary", "@UPLOAD", "http://a.example/echo"]].concat()).await;
        assert_eq!((told.exit, told.status), (0, 200), "{args:?}");
        assert!(told.body.len() >= UPLOAD && told.body.ends_with(&"x".repeat(UPLOAD)), "{args:?}");
        assert_eq!(told.body.starts_with("HTTP/1.1 100 Continue\r\n"), args[0] == "-i", "{args:?}");
    }
    for args in [&["--http2"][..], &["--http1.1"]] {
        let told = curl.run(&[args, &["--data-binary", "@UPLOAD", "https://a.example/echo"]].concat()).await;
        assert_eq!((told.exit, told.status, told.body.len()), (0, 200, UPLOAD), "{args:?}");
    }
    curl.stand.ends().await;
}

#[tokio::test]
async fn curl_with_heads_and_trailers() {
    let curl = Curl::new().await;
    let long = |length: usize| format!("X-Long: {}", "x".repeat(length));
    for (length, status) in [(20 << 10, 200), (60 << 10, 431)] {
        for how in ["--http1.1", "--http2-prior-knowledge"] {
            let told = curl.run(&[how, "-H", &long(length), "http://a.example/length"]).await;
            assert_eq!((told.exit, told.status), (0, status), "{how}, {length}: {told:?}");
            assert!(status != 200 || told.body == length.to_string(), "{how}, {length}");
        }
    }
    let fields: Vec<String> = (0..120).map(|n| format!("X-{n}: y")).collect();
    let many: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).chain(["http://a.example/"]).collect();
    assert_eq!(curl.run(&many).await.status, 431);
    for url in ["http://a.example/", "https://a.example/"] {
        let told = curl.run(&["-I", url]).await;
        assert!(told.status == 200 && told.body.contains("ontent-length: 6"), "{told:?}");
    }
    for how in ["--http1.1", "--http2-prior-knowledge"] {
        let told = curl.run(&[how, "-i", "-H", "TE: trailers", "http://a.example/trailers"]).await;
        assert!(told.status == 200 && told.body.contains("body"), "{how}: {told:?}");
        assert!(told.body.to_lowercase().contains("x-end: ok"), "{how}: {told:?}");
    }
    curl.stand.ends().await;
}

#[tokio::test]
async fn curl_again_and_again() {
    let curl = Curl::new().await;
    // On one connection, one after the other; then at the same time. Debian 12's curl cannot use a connection of prior knowledge twice, nginx's neither.
    for (how, base) in [("--http1.1", PLAIN), ("--http1.1", SECURE), ("--http2", SECURE)] {
        let each = format!("{base}/[1-30]");
        let output = curl.all(&[how, "-w", "<%{http_code} %{num_connects}>", &each]).await;
        assert_eq!(
            (output.matches("<200 1>").count(), output.matches("<200 0>").count()),
            (1, 29),
            "{how}: {output}"
        );
        let output = curl.all(&[how, "-Z", "--parallel-max", "20", "-w", "<%{http_code}>", &each]).await;
        assert_eq!(output.matches("<200>").count(), 30, "{how}: {output}");
    }
    // Who asks for much and goes away in its midst.
    for how in ["--http1.1", "--http2-prior-knowledge"] {
        for _ in 0..10 {
            let told = curl.run(&[how, "--max-filesize", "1000", "http://a.example/large"]).await;
            assert_eq!(told.exit, 63, "{told:?}");
        }
        assert_eq!(curl.run(&[how, "http://a.example/"]).await.body, "GET /");
    }
    // Who sends to a program that answers and does not listen. Debian 12's curl takes the end of a stream for an error, with HTTP/2.
    for expect in ["Expect:", "Expect: 100-continue"] {
        for _ in 0..10 {
            let told = curl.run(&["-H", expect, "--data-binary", "@UPLOAD", "http://a.example/"]).await;
            assert_eq!((told.exit, told.status, &told.body[..]), (0, 200, "POST /"), "{told:?}");
        }
    }
    // To somewhere else, by CONNECT: curl says what it was answered, and gives up.
    let told = curl.run(&["-p", "-x", "PROXY", "http://a.example/"]).await;
    assert_eq!((told.exit, told.status), (56, 0), "{told:?}");
    curl.stand.ends().await;
}

/// nghttp's table has a line for each answer: its number, four times, the status, the size, the path.
fn statuses(output: &str) -> Vec<u16> {
    let rows = output.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    rows.filter_map(|row| row.split_whitespace().rev().nth(2)?.parse().ok()).collect()
}

#[tokio::test]
async fn nghttp_with_what_few_send() {
    let stand = Stand::new().await;
    let program = program(stand.claim.slot, answer).await;
    let files = TempDir::new().unwrap();
    let [file, large] = [("file", 100_000), ("large", UPLOAD)].map(|(name, size)| {
        std::fs::write(files.path().join(name), vec![b'x'; size]).unwrap();
        files.path().join(name).to_str().unwrap().to_owned()
    });
    let (file, large) = (&file[..], &large[..]);
    let (http, https) = (format!("http://{}/echo", stand.http), format!("https://{}/echo", stand.https));
    let mut asked = 0;
    for args in [
        &["-m", "100"][..],
        &["-m", "100", "--no-dep"],
        &["--continuation"],
        &["-b", "255", "-d", file],
        &["-d", file, "--trailer", "x-end: ok"],
        &["-d", file, "--expect-continue"],
        &["-d", file, "--no-content-length"],
        &["-w", "4", "-W", "4", "-d", file],
        &["-m", "10", "-c", "0"],
        &["-p", "1"],
    ] {
        for url in [&http, &https] {
            let output =
                run("nghttp", &[&["-nsy", "-H", ":authority: a.example"], args, &[url]].concat()).await;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let times = args.iter().position(|arg| *arg == "-m").map_or(1, |at| args[at + 1].parse().unwrap());
            assert_eq!(statuses(&text), vec![200; times], "{args:?} {url}: {output:?}");
            asked += times;
        }
    }
    // Of a program that does not listen.
    for n in 0..20 {
        let url = http.replace("echo", &n.to_string());
        let output = run("nghttp", &["-ns", "-H", ":authority: a.example", "-d", large, &url]).await;
        assert_eq!(statuses(&String::from_utf8_lossy(&output.stdout)), [200], "{output:?}");
        asked += 1;
    }
    assert_eq!(program.requests(), asked);
    println!("nghttp: {asked} of {asked} answered with 200");
    stand.ends().await;
}

#[tokio::test]
async fn h2load_has_every_request_answered() {
    let stand = Stand::new().await;
    let program = program(stand.claim.slot, answer).await;
    let files = TempDir::new().unwrap();
    let body = files.path().join("body");
    std::fs::write(&body, vec![b'x'; 16 << 10]).unwrap();
    let body = body.to_str().unwrap();
    let (http, https) = (format!("http://{HOST}/echo"), format!("https://{HOST}/echo"));
    let mut asked = 0;
    for (url, args) in [
        (&http, &["-n", "2000", "-c", "4", "-m", "50"][..]),
        (&https, &["-n", "2000", "-c", "4", "-m", "50"]),
        (&http, &["-n", "2000", "-c", "20", "--h1"]),
        (&https, &["-n", "1000", "-c", "20", "--h1"]),
        (&http, &["-n", "500", "-c", "2", "-m", "10", "-d", body]),
        (&https, &["-n", "500", "-c", "2", "-m", "10", "-d", body]),
        (&http, &["-n", "500", "-c", "2", "-m", "10", "-d", body, "-w", "10", "-W", "10"]),
        (&http, &["-n", "500", "-c", "10", "--h1", "-d", body]),
    ] {
        let to = if url.starts_with("https") { stand.https } else { stand.http }.to_string();
        let output = run("h2load", &[&["--connect-to", &to], args, &[url]].concat()).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let n: usize = args[1].parse().unwrap();
        let all = format!(
            "requests: {n} total, {n} started, {n} done, {n} succeeded, 0 failed, 0 errored, 0 timeout"
        );
        let good = format!("status codes: {n} 2xx, 0 3xx, 0 4xx, 0 5xx");
        assert!(text.contains(&all) && text.contains(&good), "{args:?} {url}: {text}");
        asked += n;
    }
    assert_eq!(program.requests(), asked);
    println!("h2load: {asked} of {asked} succeeded");
    stand.ends().await;
}
