//! The terminal while `kennel top` runs: another screen, without echo, put back however the command ends. What is on it is
//! `frame`'s.

use std::io::{self, IsTerminal, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use super::frame::Size;

/// Standard output as a screen, and standard input as keys when it is a terminal.
pub(super) struct Screen {
    before: Option<Termios>,
    keys: mpsc::UnboundedReceiver<u8>,
}

impl Screen {
    /// Takes the terminal over; nothing when standard output is none.
    ///
    /// # Errors
    /// The terminal's.
    pub(super) fn open() -> io::Result<Option<Self>> {
        if !io::stdout().is_terminal() {
            return Ok(None);
        }
        let (press, keys) = mpsc::unbounded_channel();
        let mut before = None;
        if io::stdin().is_terminal() {
            let usual = tcgetattr(io::stdin())?;
            let mut quiet = usual.clone();
            // Key by key and unseen; Ctrl-C stays a signal.
            quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
            before = Some(usual);
            // It ends with the process: nothing else wakes a thread that reads a terminal.
            std::thread::spawn(move || {
                let bytes = io::stdin().lock().bytes();
                bytes.map_while(Result::ok).try_for_each(|key| press.send(key))
            });
        }
        let screen = Self { before, keys };
        // The other screen, without a cursor.
        screen.write("\x1b[?1049h\x1b[?25l")?;
        Ok(Some(screen))
    }

    /// The next key; never any when there is no keyboard.
    pub(super) async fn key(&mut self) -> u8 {
        match self.keys.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }

    /// Its size; that of old when it does not say.
    pub(super) fn size() -> Size {
        let (width, height) = tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
        let or = |n: u16, usual: usize| if n == 0 { usual } else { n.into() };
        Size { width: or(width, 80), height: Some(or(height, 24)) }
    }

    /// Shows a picture, in one write so that it does not flicker.
    ///
    /// # Errors
    /// The terminal's.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        // From the top; each line's rest and everything below is cleared.
        let picture: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        self.write(&format!("\x1b[H{}\x1b[J", picture.join("\r\n")))
    }

    #[expect(clippy::unused_self, reason = "only while the screen is ours")]
    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no putting back.
        let _ = self.write("\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
