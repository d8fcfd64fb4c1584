//! What a host tells from its first breath on: its console, by way of AWS, and then its API. The console is how the
//! certificate becomes known without trusting the network: AWS's own connection brings it.

use std::time::Duration;

use kennel_known::hosts::ApiUrl;
use kennel_known::pin::Fingerprint;
use kennel_known::tls::{self, TlsError};
use kennel_known::{SafeLines, Sign, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{LaunchError, Site, api};
use crate::aws::Instance;
use crate::aws::pace::Looks;
use crate::time;

/// EC2 shows a console with a delay of its own.
const CONSOLE: Duration = Duration::from_secs(10 * 60);
/// A whole boot may be in it, and EC2 gives a system that is to be rebooted some minutes before it pulls the plug.
const API: Duration = Duration::from_secs(10 * 60);
/// From the request to the end of its answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Of an answer, its first line is enough.
const HEAD: u64 = 4096;
/// How the lines of the host's own programs begin.
const OWN: [&str; 3] = ["init: ", "control: ", "imds: "];

/// A console, made harmless to a terminal.
pub fn lines(console: &[u8]) -> Vec<String> {
    let mut safe = SafeLines::new(false);
    let mut lines = safe.push(console);
    lines.extend(safe.finish());
    lines
}

/// The lines that are new. A console holds the last 64 KiB only, so that what was the last line may have moved.
fn news<'a>(now: &'a [String], last: Option<&String>) -> &'a [String] {
    let seen = last.and_then(|last| now.iter().rposition(|line| line == last));
    seen.map_or(now, |at| &now[at + 1..])
}

/// Whether a line is one of the host's own: the kernel's are a thousand.
fn tells(line: &str) -> bool {
    OWN.iter().any(|own| line.starts_with(own)) || sign(line).is_some()
}

impl Site<'_> {
    /// Until a host's console tells its certificate; shows what the host's programs tell besides.
    pub(super) async fn certificate(&self, instance: &str) -> Result<Fingerprint, LaunchError> {
        let step = self.ui.step(&format!("{instance}: waiting for its console"));
        let mut looks = Looks::until(self.by(CONSOLE));
        let mut last = None;
        loop {
            // Only whole lines: the end of a console may be half of one.
            let now = SafeLines::new(false).push(&self.aws.console(instance).await?);
            for line in news(&now, last.as_ref()).iter().filter(|line| tells(line)) {
                self.ui.note(&format!("  | {line}"));
            }
            let signs = || now.iter().rev().filter_map(|line| sign(line));
            for sign in signs() {
                match sign {
                    Sign::Certificate(fingerprint) => {
                        step.done(&format!("its console tells the certificate {fingerprint}"));
                        return Ok(fingerprint);
                    }
                    Sign::Panic(what) => return Err(self.boot(format!("kernel panic: {what}"))),
                    Sign::Refused => {
                        return Err(
                            self.boot("its firmware, with Secure Boot on, refuses the image".to_owned())
                        );
                    }
                    Sign::Failed(_) | Sign::Ready(_) => {}
                }
            }
            let failed = signs().find_map(|sign| if let Sign::Failed(what) = sign { Some(what) } else { None });
            last = now.last().cloned().or(last);
            if !looks.again().await {
                let cause = failed.map_or_else(
                    || format!("its console told no certificate in {}", time::show(looks.waited())),
                    |what| format!("its console says FAILED {what}"),
                );
                return Err(self.boot(cause));
            }
        }
    }

    /// Whether somebody answers at a host's API, which is there only with its data volume. Nothing is sent.
    pub(super) async fn is_up(&self, instance: &Instance) -> bool {
        match instance.address {
            Some(address) => tls::fingerprint_of(&api(address)).await.is_ok(),
            None => false,
        }
    }

    /// Until a host's API answers with this certificate.
    pub(super) async fn answers(&self, url: &ApiUrl, expected: Fingerprint) -> Result<(), LaunchError> {
        let step = self.ui.step(&format!("{url}: waiting for its answer"));
        let mut looks = Looks::until(self.by(API));
        loop {
            let cause = match ping(url, expected).await {
                Ok(()) => {
                    step.done(&format!("{url} answers with this certificate"));
                    return Ok(());
                }
                Err(TlsError::WrongCertificate { shown, expected }) => {
                    return Err(LaunchError::Stranger { url: url.to_string(), shown, expected });
                }
                Err(TlsError::Unreachable(cause)) => cause,
            };
            if !looks.again().await {
                return Err(LaunchError::Late {
                    what: format!("{} does not answer at {url} ({cause})", self.host),
                    waited: looks.waited(),
                    hint: format!(
                        "its security group lets only one network reach the API: `kennel launch --name {}` with your \
                         present address (--api-from) adds that; `kennel host console {} --region {}` shows how it is",
                        self.host,
                        self.host,
                        self.aws.region()
                    ),
                });
            }
        }
    }

    fn boot(&self, cause: String) -> LaunchError {
        LaunchError::Boot {
            host: self.host.to_string(),
            cause,
            hint: format!(
                "`kennel host console {} --region {}` shows all of it; the instance is left as it is",
                self.host,
                self.aws.region()
            ),
        }
    }
}

/// Asks a host's API whether it is there, over a connection that is pinned to its certificate.
async fn ping(url: &ApiUrl, expected: Fingerprint) -> Result<(), TlsError> {
    let failed = |cause: std::io::Error| TlsError::Unreachable(cause.to_string());
    let mut stream = tls::connect(url, expected).await?;
    let request = format!("GET /v1/ping HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", url.host);
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // A server may end the connection without TLS's own goodbye; what it said before counts.
        match (&mut stream).take(HEAD).read_to_end(&mut answer).await {
            Err(cause) if answer.is_empty() => Err(cause),
            _ => Ok(answer),
        }
    };
    let answer = tokio::time::timeout(ANSWER, exchange)
        .await
        .map_err(|_| TlsError::Unreachable("no answer in time".to_owned()))?
        .map_err(failed)?;
    let head = String::from_utf8_lossy(&answer);
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    match status {
        "200" | "204" => Ok(()),
        _ => Err(TlsError::Unreachable(format!("it answers {:?}", head.lines().next().unwrap_or_default()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_told_once() {
        let of = |text: &str| lines(text.as_bytes());
        let first = of("one\ntwo\n");
        assert_eq!(news(&first, None), ["one", "two"]);
        let later = of("one\ntwo\nthree\n");
        assert_eq!(news(&later, first.last()), ["three"]);
        // The beginning has been pushed out, and what was last with it.
        assert_eq!(news(&of("four\nfive\n"), later.last()), ["four", "five"]);
    }

    #[test]
    fn a_console_cannot_move_the_cursor() {
        assert_eq!(lines(b"\x1b[2Jinit: here\r\nhal"), ["init: here", "hal"]);
    }
}
