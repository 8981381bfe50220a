//! What does the engine look like from a browser? A server for a page and the WebSocket that it talks to, which echoes.
//!
//! `cargo run --release --example echo`, then open <http://127.0.0.1:5000/>; or <https://127.0.0.1:5001/>, if your
//! browser lets itself be told to trust a certificate that was just made: there it speaks HTTP/2.

#[path = "../common/serving.rs"]
mod serving;

use std::collections::VecDeque;
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lexopt::prelude::*;
use serving::{Door, Handler, Identity, Service};
use sockless::{
    Accept, Compression, Config, Event, HttpVersion, KeepAlive, Offer, PlainRequest, Pool, RequestHead, Response,
    Sender, SessionId, WindowBits,
};

const HELP: &str = "\
An echo server: a page at /, its WebSocket at /ws, over HTTP/1.1 and HTTP/2.

  --listen ADDR              where to listen (127.0.0.1:5000); port 0 for any that is free
  --tls ADDR                 where to listen with TLS (127.0.0.1:5001); off for nowhere
  --cert FILE, --key FILE    the certificates and the key for TLS, in PEM; without them, a certificate is made at the start
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
    tls: Option<String>,
    cert: Option<String>,
    key: Option<String>,
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
                Long("tls") => options.tls = Some(arguments.value()?.string()?),
                Long("cert") => options.cert = Some(arguments.value()?.string()?),
                Long("key") => options.key = Some(arguments.value()?.string()?),
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
            versions: Mutex::default(),
        });
        let service = Service::new(config, true, move || Echo { site: Arc::clone(&site) });
        let tls = Identity::new(self.cert.as_deref(), self.key.as_deref())?.acceptor(&["h2", "http/1.1"])?;
        serving::run(async {
            let mut doors = Vec::new();
            if self.tls.as_deref() != Some("off") {
                match Door::open(self.tls.as_deref().unwrap_or("127.0.0.1:5001"), Some(tls)).await {
                    Ok((address, door)) => {
                        println!("a page for browsers, over HTTP/2: https://{address}/");
                        println!("listening with TLS on {address}");
                        doors.push(door);
                    }
                    // Another may have it, which is no reason to serve nobody.
                    Err(error) if self.tls.is_none() => eprintln!("echo: no TLS: {error}"),
                    Err(error) => return error,
                }
            }
            match Door::open(self.listen.as_deref().unwrap_or("127.0.0.1:5000"), None).await {
                Ok((address, door)) => {
                    println!("a page for browsers: http://{address}/");
                    println!("listening on {address}");
                    doors.push(door);
                    service.serve(doors).await
                }
                Err(error) => error,
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
    /// The latest sockets that were given a name, and what carried each.
    versions: Mutex<VecDeque<(String, &'static str)>>,
}

/// How many names are remembered, and how long they may be.
const NAMES: (usize, usize) = (1000, 40);

impl Site {
    fn remember(&self, request: &RequestHead<'_>) {
        let Some(name) = name(request.target()).filter(|name| name.len() <= NAMES.1) else { return };
        let version = if request.version() == HttpVersion::Http2 { "HTTP/2" } else { "HTTP/1.1" };
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.push_front((name.to_owned(), version));
        versions.truncate(NAMES.0);
    }

    /// What carried the socket that the target of a request names.
    fn version(&self, target: &str) -> Option<Response> {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, version) = versions.iter().find(|(known, _)| Some(&**known) == name(target))?;
        serving::plain(200, version).ok()?.header("Cache-Control", "no-store").ok()
    }
}

fn name(target: &str) -> Option<&str> {
    target.split_once("?name=").map(|(_, name)| name)
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
        self.site.remember(&offer);
        let mine: Vec<&str> = self.site.subprotocols.iter().map(String::as_str).collect();
        let chosen = offer.select(&mine);
        Some(offer.accept(Accept::new().subprotocol(chosen)))
    }

    fn request(&mut self, request: PlainRequest<'_>) {
        let path = serving::path(request.target());
        let version = (path == "/version").then(|| self.site.version(request.target())).flatten();
        let response = match (request.method(), path) {
            ("GET" | "HEAD", "/") => &self.site.page,
            ("GET" | "HEAD", "/version") => version.as_ref().unwrap_or(&self.site.missing),
            ("GET" | "HEAD", "/ws") => &self.site.upgrade,
            (_, "/" | "/ws" | "/version") => &self.site.method,
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
