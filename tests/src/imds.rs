//! A metadata service as EC2's, for tests: its second version only, and stricter than the real one. Whatever it is asked
//! without a good token is refused and remembered as a fault, so that a test can say that it never happened.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest life of a token, in seconds.
const LONGEST_LIFE: u64 = 21_600;
/// As EC2 has it, in another order each time; some of it is null.
const IDENTITY: &str = r#"{
  "accountId" : "123456789012", "architecture" : "x86_64", "availabilityZone" : "eu-west-1a", "billingProducts" : null,
  "devpayProductCodes" : null, "marketplaceProductCodes" : null, "imageId" : "ami-0fedcba9876543210",
  "instanceId" : "i-0123456789abcdef0", "instanceType" : "t3.small", "kernelId" : null,
  "pendingTime" : "2027-01-21T08:00:00Z", "privateIp" : "10.0.0.7", "ramdiskId" : null, "region" : "eu-west-1",
  "version" : "2017-09-30"
}"#;
/// Nobody of ours needs longer for a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service, on a port of this computer's loopback. It ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct Emulator {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    things: BTreeMap<String, Vec<u8>>,
    tokens: HashMap<String, Instant>,
    tokens_given: usize,
    asked: Vec<String>,
    faults: Vec<String>,
    switched_off: bool,
}

struct Request {
    method: String,
    path: String,
    fields: HashMap<String, String>,
}

struct Answer(u16, Option<u64>, Vec<u8>);

impl Emulator {
    /// Starts it with the facts that every instance has.
    ///
    /// # Errors
    /// No port.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let emulator = Self { address: listener.local_addr()?, state: Arc::default() };
        for (path, text) in [
            ("meta-data/instance-id", "i-0123456789abcdef0"),
            ("meta-data/instance-type", "t3.small"),
            ("meta-data/placement/region", "eu-west-1"),
            ("meta-data/placement/availability-zone", "eu-west-1a"),
            ("dynamic/instance-identity/document", IDENTITY),
            ("meta-data/local-hostname", "ip-10-0-0-7.eu-west-1.compute.internal"),
        ] {
            emulator.set(path, text);
        }
        let served = emulator.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // A client that breaks off is its own affair.
                std::thread::spawn(move || served.serve(&stream));
            }
        });
        Ok(emulator)
    }

    /// Where it is.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this is at `/latest/PATH`.
    pub(crate) fn set(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.state().things.insert(path.to_owned(), bytes.as_ref().to_owned());
    }

    /// From now on nothing is there.
    pub(crate) fn unset(&self, path: &str) {
        self.state().things.remove(path);
    }

    /// Every token ends at once.
    pub(crate) fn forget_tokens(&self) {
        self.state().tokens.clear();
    }

    /// Refuses everything, as where the instance's option says so; or no more.
    pub(crate) fn switch_off(&self, off: bool) {
        self.state().switched_off = off;
    }

    /// What was done that nobody may do.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.state().faults.clone()
    }

    /// How often `/latest/PATH` was asked for.
    pub(crate) fn times(&self, path: &str) -> usize {
        self.state().asked.iter().filter(|asked| *asked == path).count()
    }

    /// How many tokens it has given out.
    pub(crate) fn tokens_given(&self) -> usize {
        self.state().tokens_given
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let Answer(status, life, body) = match read(stream)? {
            Some(request) => self.state().answer(&request),
            None => Answer(400, None, Vec::new()),
        };
        let life = life.map_or_else(String::new, |s| format!("X-Aws-Ec2-Metadata-Token-Ttl-Seconds: {s}\r\n"));
        let head = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: text/plain\r\n{life}Connection: close\r\nServer: EC2ws\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.into_bytes(), body].concat())
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        let refuse = |status| Answer(status, None, Vec::new());
        let Some(path) = request.path.strip_prefix("/latest/") else { return refuse(404) };
        if !request.fields.contains_key("host") || request.fields.contains_key("x-forwarded-for") {
            self.faults.push(format!("{} {path}: not from the instance itself", request.method));
            return refuse(400);
        }
        if self.switched_off {
            return refuse(403);
        }
        match (request.method.as_str(), path) {
            ("PUT", "api/token") => self.give_token(request),
            ("GET", _) => self.tell(path, request.fields.get("x-aws-ec2-metadata-token")),
            (method, _) => {
                self.faults.push(format!("{method} {path}: nobody asks like that"));
                refuse(405)
            }
        }
    }

    fn give_token(&mut self, request: &Request) -> Answer {
        let life = request.fields.get("x-aws-ec2-metadata-token-ttl-seconds");
        let life = life.and_then(|life| life.parse().ok()).filter(|life| (1..=LONGEST_LIFE).contains(life));
        let Some(life) = life else {
            self.faults.push("a token was asked for without a life".to_owned());
            return Answer(400, None, Vec::new());
        };
        self.tokens_given += 1;
        let token = format!("AQAEAtoken{:046}==", self.tokens_given);
        self.tokens.insert(token.clone(), Instant::now() + Duration::from_secs(life));
        Answer(200, Some(life), token.into_bytes())
    }

    fn tell(&mut self, path: &str, token: Option<&String>) -> Answer {
        let Some(token) = token else {
            self.faults.push(format!("GET {path}: without a token"));
            return Answer(401, None, Vec::new());
        };
        // One that has ended is no fault: the service may forget it at any time.
        if self.tokens.get(token).is_none_or(|ends| *ends <= Instant::now()) {
            return Answer(401, None, Vec::new());
        }
        self.asked.push(path.to_owned());
        match self.things.get(path) {
            Some(bytes) => Answer(200, None, bytes.clone()),
            None => Answer(404, None, b"<?xml version=\"1.0\"?><html>404 - Not Found</html>".to_vec()),
        }
    }
}

/// The head of a request; none of ours has a body.
fn read(stream: &TcpStream) -> io::Result<Option<Request>> {
    let mut lines = Vec::new();
    for line in BufReader::new(stream).lines() {
        match line? {
            end if end.is_empty() => break,
            line => lines.push(line),
        }
    }
    let mut lines = lines.iter();
    let words: Vec<&str> = lines.next().map(|first| first.split(' ').collect()).unwrap_or_default();
    let [method, path, "HTTP/1.1"] = words[..] else { return Ok(None) };
    let field = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let Some(fields) = lines.map(field).collect() else { return Ok(None) };
    Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), fields }))
}
