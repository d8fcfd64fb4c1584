//! `kennel top`: what tenants do and use, live. Looks at the host again and again; what two looks say together is `rows`',
//! the picture `frame`'s, the terminal `screen`'s.

mod frame;
mod rows;
mod screen;

use std::time::Duration;

use kennel_model::seeing::Top;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::frame::{Size, frame};
use self::rows::{Row, rows, sort};
use self::screen::Screen;
use super::Context;
use crate::args::{SortKey, Top as Args};
use crate::client::Client;
use crate::exit::Failure;
use crate::ui::OutputError;

const PATH: &str = "/v1/top";
/// Between the two looks of a table that is printed once.
const MOMENT: Duration = Duration::from_secs(1);
/// Lines are as long as they are where there is no terminal.
const PAPER: Size = Size { width: 1000, height: None };
/// What the keys do, on the last line.
const KEYS: &str = "q quits, sort by: n name, c cpu, m memory, s swap, w wakes, r requests, d denials";

pub(super) async fn top(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut client = context.client()?;
    let first: Top = client.get(PATH).await?;
    if args.once || context.ui.json() {
        tokio::time::sleep(MOMENT).await;
        let second: Top = client.get(PATH).await?;
        return once(context, client.name().as_str(), args.sort, [&first, &second]);
    }
    let every = Duration::from_secs(args.interval.into());
    match Screen::open().map_err(OutputError::from)? {
        Some(screen) => {
            let live = Live {
                screen,
                signals: Signals::new().map_err(OutputError::from)?,
                host: client.name().to_string(),
                color: context.ui.colours(),
                sort: args.sort,
                before: first.clone(),
                now: first,
                trouble: None,
            };
            live.run(client, every).await
        }
        None => print_for_ever(context, args.sort, first, client, every).await,
    }
}

/// One table, or one document.
fn once(context: &Context, host: &str, key: SortKey, looks: [&Top; 2]) -> Result<(), Failure> {
    let [before, now] = looks;
    let mut rows = rows(before, now);
    sort(&mut rows, key);
    if context.ui.json() {
        let document = serde_json::json!({
            "boot": now.boot,
            "uptime_ms": now.uptime_ms,
            "memory_total_bytes": now.memory_total_bytes,
            "memory_available_bytes": now.memory_available_bytes,
            "tenants": rows,
        });
        return Ok(context.ui.result(&document, |_| String::new())?);
    }
    Ok(context.ui.raw(text(&frame(host, now, &rows, key, PAPER, false)).as_bytes())?)
}

/// A table at each look, until Ctrl-C or until nobody reads on.
async fn print_for_ever(
    context: &Context,
    key: SortKey,
    mut before: Top,
    mut client: Client,
    every: Duration,
) -> Result<(), Failure> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let now: Top = client.get(PATH).await?;
        let mut rows = rows(&before, &now);
        sort(&mut rows, key);
        let lines = frame(client.name().as_str(), &now, &rows, key, PAPER, false);
        context.ui.raw(format!("{}\n", text(&lines)).as_bytes())?;
        before = now;
    }
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// On a terminal.
struct Live {
    screen: Screen,
    signals: Signals,
    host: String,
    color: bool,
    sort: SortKey,
    before: Top,
    now: Top,
    /// Why the last look saw nothing.
    trouble: Option<String>,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    resized: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            resized: signal(SignalKind::window_change())?,
        })
    }
}

/// What a person wants.
enum Wish {
    Quit,
    Redraw,
    Sort(SortKey),
}

impl Live {
    /// Until the person has seen enough.
    async fn run(mut self, mut client: Client, every: Duration) -> Result<(), Failure> {
        // The second look comes soon: without one before it there are no rates.
        let mut pause = MOMENT.min(every);
        loop {
            self.draw()?;
            if self.meanwhile(tokio::time::sleep(pause)).await?.is_none() {
                return Ok(());
            }
            pause = every;
            let Some(look) = self.meanwhile(client.get::<Top>(PATH)).await? else { return Ok(()) };
            match look {
                Ok(now) => {
                    self.before = std::mem::replace(&mut self.now, now);
                    self.trouble = None;
                }
                // A host that restarts is there again in a moment.
                Err(cause) => self.trouble = Some(format!("{cause}; trying again")),
            }
        }
    }

    /// Does something and what the person wants in the meantime; nothing when that is to quit.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<Option<T>, Failure> {
        let mut work = std::pin::pin!(work);
        loop {
            let wish = tokio::select! {
                done = &mut work => return Ok(Some(done)),
                key = self.screen.key() => wish(key),
                _ = self.signals.resized.recv() => Some(Wish::Redraw),
                _ = self.signals.interrupt.recv() => Some(Wish::Quit),
                _ = self.signals.terminate.recv() => Some(Wish::Quit),
            };
            match wish {
                Some(Wish::Quit) => return Ok(None),
                Some(Wish::Sort(key)) => self.sort = key,
                Some(Wish::Redraw) => {}
                None => continue,
            }
            self.draw()?;
        }
    }

    fn draw(&self) -> Result<(), Failure> {
        let mut rows: Vec<Row> = rows(&self.before, &self.now);
        sort(&mut rows, self.sort);
        let whole = Screen::size();
        let height = whole.height.map(|height| height.saturating_sub(2));
        let size = Size { height, ..whole };
        let mut lines = frame(&self.host, &self.now, &rows, self.sort, size, self.color);
        let last = self.trouble.as_deref().unwrap_or(KEYS);
        lines.extend([String::new(), last.chars().take(whole.width).collect()]);
        Ok(self.screen.show(&lines).map_err(OutputError::from)?)
    }
}

fn wish(key: u8) -> Option<Wish> {
    Some(match key {
        b'q' | b'Q' => Wish::Quit,
        b' ' | b'\n' => Wish::Redraw,
        b'n' => Wish::Sort(SortKey::Name),
        b'c' => Wish::Sort(SortKey::Cpu),
        b'm' => Wish::Sort(SortKey::Memory),
        b's' => Wish::Sort(SortKey::Swap),
        b'w' => Wish::Sort(SortKey::Wakes),
        b'r' => Wish::Sort(SortKey::Requests),
        b'd' => Wish::Sort(SortKey::Denials),
        _ => return None,
    })
}
