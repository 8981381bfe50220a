//! What does the engine look like from a browser? A server for a page and the WebSocket that it talks to, which echoes.
//!
//! `cargo run --release --example echo`, then open <http://127.0.0.1:5000/>.

#[path = "../common/serving.rs"]
mod serving;

use std::error::Error;
use std::process::ExitCode;
use std::{io, sync::Arc, time::Duration};

use lexopt::prelude::*;
use serving::Handler;
use sockless::{
    Accept, Compression, Config, Event, KeepAlive, Offer, PlainRequest, Pool, Response, Sender, SessionId, WindowBits,
};
use tokio::net::TcpListener;

const HELP: &str = "\
An echo server: a page at /, its WebSocket at /ws.

  --listen ADDR              where to listen (127.0.0.1:5000); port 0 for any that is free
  --origin ORIGIN            let in pages of this origin, such as https://example.com, instead of this server's own;
                             more than once for several; any for all
  --keep-alive SECS          send a Pong whenever nothing was sent for so long; 0 to send nothing
  --keep-alive-timeout SECS  send a Ping instead whenever nothing was received for so long (30 s unless said), and end the
                             connection when nothing follows for SECS; without either option: 20
  --max-message BYTES        the longest message to take (1 MiB)
  --subprotocol NAME         speak this subprotocol; more than once for several
  --compression              compress messages (permessage-deflate) with clients that offer to; and, only with it:
  --window-bits N            keep to windows of 2^N bytes, 8 to 15 (15): ours, and theirs where they let us ask
  --no-context-takeover      begin every message with an empty window, ours and theirs
  --compression-threshold BYTES
                             send shorter messages plain (32, or 256 without context takeover)
  --help                     show this
";

fn main() -> ExitCode {
    match Options::parse().and_then(Options::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Options {
    listen: Option<String>,
    origins: Vec<String>,
    keep_alive: Option<Duration>,
    keep_alive_timeout: Option<Duration>,
    max_message: Option<u64>,
    subprotocols: Vec<String>,
    compression: bool,
    window_bits: Option<WindowBits>,
    no_context_takeover: bool,
    compression_threshold: Option<usize>,
    help: bool,
}

impl Options {
    fn parse() -> Result<Options, Box<dyn Error>> {
        let mut options = Options::default();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("listen") => options.listen = Some(arguments.value()?.string()?),
                Long("origin") => options.origins.push(arguments.value()?.string()?),
                Long("keep-alive") => options.keep_alive = Some(seconds(&mut arguments)?),
                Long("keep-alive-timeout") => options.keep_alive_timeout = Some(seconds(&mut arguments)?),
                Long("max-message") => options.max_message = Some(arguments.value()?.parse()?),
                Long("subprotocol") => options.subprotocols.push(arguments.value()?.string()?),
                Long("compression") => options.compression = true,
                Long("window-bits") => {
                    let bits = WindowBits::new(arguments.value()?.parse()?);
                    options.window_bits = Some(bits.ok_or("--window-bits is one of 8 to 15")?);
                }
                Long("no-context-takeover") => options.no_context_takeover = true,
                Long("compression-threshold") => options.compression_threshold = Some(arguments.value()?.parse()?),
                Short('h') | Long("help") => options.help = true,
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(options)
    }

    fn run(self) -> Result<(), Box<dyn Error>> {
        if self.help {
            print!("{HELP}");
            return Ok(());
        }
        let config = self.config()?;
        let page = Response::new(200)?
            .header("Content-Type", "text/html; charset=utf-8")?
            .header("Cache-Control", "no-cache")?
            .body(&include_bytes!("page.html")[..]);
        let site = Arc::new(Site {
            page,
            upgrade: serving::plain(426, "This is a WebSocket.\n")?,
            missing: serving::plain(404, "There is a page at / and a WebSocket at /ws.\n")?,
            method: serving::plain(405, "Only GET and HEAD are understood.\n")?.header("Allow", "GET, HEAD")?,
            subprotocols: self.subprotocols,
        });
        let listen = self.listen.unwrap_or_else(|| "127.0.0.1:5000".into());
        serving::run(async {
            let listener = TcpListener::bind(&listen).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
            match listener {
                Ok((address, listener)) => {
                    println!("a page for browsers: http://{address}/");
                    println!("listening on {address}");
                    serving::serve(listener, config, || Echo { site: Arc::clone(&site) }).await
                }
                Err(error) => io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}")),
            }
        })
    }

    fn config(&self) -> Result<Config, String> {
        let mut config = Config { compression: self.compression()?, ..Config::default() };
        if !self.origins.is_empty() {
            config.origin = serving::origin_policy(&self.origins);
        }
        if let Some(bytes) = self.max_message {
            config.limits.message = bytes;
        }
        config.keep_alive = match (self.keep_alive, self.keep_alive_timeout) {
            (None, None) => config.keep_alive,
            (Some(Duration::ZERO), _) => KeepAlive::Off,
            (Some(interval), None) => KeepAlive::Pong { interval },
            (interval, Some(timeout)) => {
                KeepAlive::Ping { interval: interval.unwrap_or(Duration::from_secs(30)), timeout }
            }
        };
        Ok(config)
    }

    fn compression(&self) -> Result<Option<Compression>, String> {
        if !self.compression {
            let details = [
                ("--window-bits", self.window_bits.is_some()),
                ("--no-context-takeover", self.no_context_takeover),
                ("--compression-threshold", self.compression_threshold.is_some()),
            ];
            let stray = details.into_iter().find(|(_, is_given)| *is_given);
            return stray.map_or(Ok(None), |(flag, _)| Err(format!("{flag} needs --compression")));
        }
        let window_bits = self.window_bits.unwrap_or_default();
        Ok(Some(Compression {
            server_max_window_bits: window_bits,
            client_max_window_bits: window_bits,
            server_no_context_takeover: self.no_context_takeover,
            client_no_context_takeover: self.no_context_takeover,
            threshold: self.compression_threshold,
            pool: Some(Arc::new(Pool::default())),
            ..Compression::default()
        }))
    }
}

fn seconds(arguments: &mut lexopt::Parser) -> Result<Duration, Box<dyn Error>> {
    Ok(Duration::try_from_secs_f64(arguments.value()?.parse()?)?)
}

/// What all connections share.
struct Site {
    page: Response,
    upgrade: Response,
    missing: Response,
    method: Response,
    subprotocols: Vec<String>,
}

struct Echo {
    site: Arc<Site>,
}

impl Handler for Echo {
    fn offer(&mut self, offer: Offer<'_>) -> Option<SessionId> {
        if serving::path(offer.target()) != "/ws" {
            offer.reject(&self.site.missing);
            return None;
        }
        let mine: Vec<&str> = self.site.subprotocols.iter().map(String::as_str).collect();
        let chosen = offer.select(&mine);
        Some(offer.accept(Accept::new().subprotocol(chosen)))
    }

    fn request(&mut self, request: PlainRequest<'_>) {
        let response = match (request.method(), serving::path(request.target())) {
            ("GET" | "HEAD", "/") => &self.site.page,
            ("GET" | "HEAD", "/ws") => &self.site.upgrade,
            (_, "/" | "/ws") => &self.site.method,
            _ => &self.site.missing,
        };
        request.respond(response);
    }

    fn event(&mut self, event: Event<'_>, tx: &mut Sender) {
        if let Event::Message(message) = event {
            // The queue has room, or this would not be asked to listen; and once we are closing, nobody waits for an echo.
            let _ = tx.send(message);
        }
    }
}
