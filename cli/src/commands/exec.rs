//! `kennel exec`: something run beside a tenant's program. What is typed here goes to it, what it prints comes here as it is,
//! and its exit code is this command's.

use std::io::{self, IsTerminal, Read, Write};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use kennel_model::HostName;
use kennel_model::task::{Frame, FrameKind, Frames, Run, TaskEnd};
use tokio::sync::mpsc;

use super::{Context, tenant_path};
use crate::args::Exec;
use crate::client::{Body, BodySender, BrokenCause, ClientError};
use crate::exit::{Explain, Failure};
use crate::ui::{OutputError, SafeLines};

/// Read at a time of standard input.
const BLOCK: usize = 16 << 10;
/// As a shell says that Ctrl-C has ended something.
const INTERRUPTED: u8 = 130;

/// What the thread that sends is given.
type Typed = (FrameKind, Vec<u8>);

/// The command was left before its end.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("what the host sent of it makes no sense: {0}")]
    Malformed(String),
    #[error("the connection ended before the command did")]
    Cut,
}

impl Explain for Left {
    fn code(&self) -> String {
        "cut-off".to_owned()
    }

    fn hint(&self) -> Option<String> {
        Some(
            "the host ends a command whose caller is gone; `kennel logs` and `kennel host status` may say more"
                .to_owned(),
        )
    }
}

pub(super) async fn exec(context: &Context, args: &Exec) -> Result<(), Failure> {
    let mut client = context.client()?;
    // Sees to it that the session is good, and the tenant there, before anything is typed.
    let _: kennel_model::api::Tenant = client.get(&tenant_path(&args.name)).await?;
    let (sender, body) = Body::stream(std::sync::Arc::default());
    let (typed, queue) = mpsc::channel(4);
    let wish = serde_json::to_vec(&Run { command: args.command.clone() })
        .map_err(|e| Left::Malformed(e.to_string()))?;
    let _ = typed.send((FrameKind::Run, wish)).await;
    tokio::task::spawn_blocking(move || send(sender, queue));
    let answer = client.frames(&format!("{}/exec", tenant_path(&args.name)), body).await?;
    let keyboard = typed.clone();
    tokio::task::spawn_blocking(move || read(&keyboard));
    let end = attend(context, client.name(), answer, &typed).await?;
    match end {
        TaskEnd { code: 0, .. } => Ok(()),
        TaskEnd { code, why } => {
            // What it says itself is enough, but for an end that is not its own.
            if !why.starts_with("exited with code") {
                context.ui.note(&why);
            }
            Err(Failure::of_program(code))
        }
    }
}

/// Shows what comes until the command's end has come.
async fn attend(
    context: &Context,
    host: &HostName,
    mut answer: Incoming,
    typed: &mpsc::Sender<Typed>,
) -> Result<TaskEnd, Failure> {
    let (mut frames, mut shown) = (Frames::default(), Shown::new(context));
    let mut asked_to_end = false;
    loop {
        while let Some(Frame { kind, bytes }) = frames.take().map_err(|e| Left::Malformed(e.to_string()))? {
            match kind {
                FrameKind::Output => shown.output(&bytes)?,
                FrameKind::ErrorOutput => shown.errors(&bytes)?,
                FrameKind::End => {
                    shown.finish()?;
                    return Ok(serde_json::from_slice(&bytes).map_err(|e| Left::Malformed(e.to_string()))?);
                }
                other => return Err(Left::Malformed(format!("a frame of {other:?} came from it")).into()),
            }
        }
        let piece = tokio::select! {
            piece = answer.frame() => piece,
            _ = tokio::signal::ctrl_c() => {
                if asked_to_end {
                    return Err(Failure::of_program(INTERRUPTED));
                }
                asked_to_end = true;
                // Nobody listens when it has just ended.
                let _ = typed.send((FrameKind::Stop, vec![])).await;
                continue;
            }
        };
        let broken = |e| ClientError::Broken { host: host.clone(), cause: BrokenCause::from(e) };
        let piece = piece.ok_or(Left::Cut)?.map_err(broken)?;
        if let Ok(data) = piece.into_data() {
            frames.push(&data);
        }
    }
}

/// On a thread of its own: what is to be sent, one after the other. The body stays open until the command has ended, which is how
/// the host knows that somebody waits.
fn send(mut body: BodySender, mut queue: mpsc::Receiver<Typed>) {
    while let Some((kind, bytes)) = queue.blocking_recv() {
        if body.write_all(&Frame::encode(kind, &bytes)).and_then(|()| body.flush()).is_err() {
            return;
        }
    }
}

/// On a thread of its own, as reading a terminal cannot be given up: standard input until its end.
fn read(typed: &mpsc::Sender<Typed>) {
    let mut block = vec![0; BLOCK];
    loop {
        let (kind, bytes) = match io::stdin().read(&mut block) {
            Ok(n @ 1..) => (FrameKind::Input, block[..n].to_vec()),
            Ok(0) | Err(_) => (FrameKind::InputEnd, vec![]),
        };
        let is_over = kind == FrameKind::InputEnd;
        if typed.blocking_send((kind, bytes)).is_err() || is_over {
            return;
        }
    }
}

/// What is printed here: as it comes where a program reads it, and made harmless where that is a terminal.
struct Shown {
    output: Option<SafeLines>,
    errors: Option<SafeLines>,
}

impl Shown {
    fn new(context: &Context) -> Self {
        let safe = |is_terminal: bool| is_terminal.then(|| SafeLines::new(context.ui.colours()));
        Self { output: safe(io::stdout().is_terminal()), errors: safe(io::stderr().is_terminal()) }
    }

    fn output(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        Self::print(&mut self.output, &mut io::stdout(), bytes)
    }

    fn errors(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        Self::print(&mut self.errors, &mut io::stderr(), bytes)
    }

    fn print(safe: &mut Option<SafeLines>, to: &mut impl Write, bytes: &[u8]) -> Result<(), OutputError> {
        match safe {
            None => to.write_all(bytes)?,
            Some(safe) => {
                for line in safe.push(bytes) {
                    writeln!(to, "{line}")?;
                }
            }
        }
        Ok(to.flush()?)
    }

    /// What the last line has of it that never ended.
    fn finish(&mut self) -> Result<(), OutputError> {
        if let Some(line) = self.output.as_mut().and_then(SafeLines::finish) {
            writeln!(io::stdout(), "{line}")?;
        }
        if let Some(line) = self.errors.as_mut().and_then(SafeLines::finish) {
            writeln!(io::stderr(), "{line}")?;
        }
        Ok(())
    }
}
