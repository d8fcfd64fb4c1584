//! `kennel-php FRONT`: serves the site whose front controller is FRONT, such as `public/index.php`; its folder is what visitors
//! see. Started in a slot, with the port in `PORT`.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use kennel_php::fpm::{self, Fpm};
use kennel_php::server;
use kennel_php::site::Site;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let run = || -> Result<(), Box<dyn Error>> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kennel-php: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [front] = arguments.as_slice() else { return Err("usage: kennel-php FRONT-CONTROLLER".into()) };
    let site = Site::of(Path::new(front)).map_err(|error| format!("{front}: {error}"))?;
    let port: u16 = std::env::var("PORT")?.parse()?;
    let workers = fpm::workers(std::env::var("WEB_CONCURRENCY").ok().as_deref())?;
    let mut end = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut fpm = Fpm::start(workers).await?;
    // Whoever waits for this port may be sent on to PHP at once.
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let asked = async move {
        tokio::select! { _ = end.recv() => (), _ = interrupt.recv() => () }
    };
    tokio::select! {
        () = server::serve(listener, site, fpm.socket().to_owned(), workers, asked) => {}
        ended = fpm.ended() => return Err(format!("php-fpm has ended: {}", ended?).into()),
    }
    Ok(())
}
