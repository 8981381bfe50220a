//! What can a WebSocket test suite, of whatever client, ask of a server? One whose paths each do one thing, as httpbin does
//! for HTTP.
//!
//! `cargo run --release --example testbed -- --h1 5002`, then open <http://127.0.0.1:5002/> for the list of paths.

#[path = "../common/serving.rs"]
mod serving;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use lexopt::prelude::*;
use serving::{Door, Handler, Identity, Service};
use sockless::{
    Accept, BuildError, Close, CloseCode, Compress, Compression, Config, Event, HttpVersion, KeepAlive, Limits,
    Message, Offer, OriginPolicy, PlainRequest, Reason, Request, Response, Sender, SessionId, Shared,
};

const HELP: &str = "\
A server for anyone's WebSocket test suite, on 127.0.0.1. GET / lists the paths.

  --h1 PORT            serve HTTP/1.1 on this port; 0 for any that is free
  --h2c PORT           serve HTTP/2 without TLS, by prior knowledge
  --tls1 PORT          serve HTTP/1.1 with TLS
  --tls2 PORT          serve HTTP/2 and HTTP/1.1 with TLS, as the client wishes (ALPN)
  --cert FILE          the certificates for TLS, in PEM, and with
  --key FILE           their key; without both, a certificate is made at the start
  --max-message BYTES  the longest message to take (67108864)
  --max-fragments N    the most fragments in a message (131072)
  --origin ORIGIN      let in pages of this origin only, such as https://example.com; more than once for several.
                       Without it, or with any: all
  --no-compression     agree to no permessage-deflate; without it, to every offer, with all that it asks for
  --help               show this
";

fn main() -> ExitCode {
    match Options::parse().and_then(Options::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    h1: Option<u16>,
    h2c: Option<u16>,
    tls1: Option<u16>,
    tls2: Option<u16>,
    cert: Option<String>,
    key: Option<String>,
    max_message: u64,
    max_fragments: u32,
    origins: Vec<String>,
    no_compression: bool,
    help: bool,
}

impl Options {
    fn parse() -> Result<Options, Box<dyn Error>> {
        let mut options = Options {
            h1: None,
            h2c: None,
            tls1: None,
            tls2: None,
            cert: None,
            key: None,
            max_message: 64 << 20,
            max_fragments: 128 << 10,
            origins: Vec::new(),
            no_compression: false,
            help: false,
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("h1") => options.h1 = Some(arguments.value()?.parse()?),
                Long("h2c") => options.h2c = Some(arguments.value()?.parse()?),
                Long("tls1") => options.tls1 = Some(arguments.value()?.parse()?),
                Long("tls2") => options.tls2 = Some(arguments.value()?.parse()?),
                Long("cert") => options.cert = Some(arguments.value()?.string()?),
                Long("key") => options.key = Some(arguments.value()?.string()?),
                Long("max-message") => options.max_message = arguments.value()?.parse()?,
                Long("max-fragments") => options.max_fragments = arguments.value()?.parse()?,
                Long("origin") => options.origins.push(arguments.value()?.string()?),
                Long("no-compression") => options.no_compression = true,
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
        let identity = Identity::new(self.cert.as_deref(), self.key.as_deref())?;
        // The plain one comes last: who waits for its line has seen the others.
        let ports = [
            ("with TLS, HTTP/1.1, ", self.tls1, Some(identity.acceptor(&["http/1.1"])?)),
            ("with TLS, HTTP/2, ", self.tls2, Some(identity.acceptor(&["h2", "http/1.1"])?)),
            ("by prior knowledge, HTTP/2, ", self.h2c, None),
            ("", self.h1, None),
        ];
        if ports.iter().all(|(_, port, _)| port.is_none()) {
            return Err("no port to listen on: give --h1 PORT, --h2c PORT, --tls1 PORT or --tls2 PORT".into());
        }
        let page = Response::new(200)?
            .header("Content-Type", "text/html; charset=utf-8")?
            .body(&include_bytes!("page.html")[..]);
        let site = Arc::new(Site {
            page,
            missing: serving::plain(404, "There is a page at / and WebSockets everywhere.\n")?,
            method: serving::plain(405, "Only GET and HEAD are understood.\n")?.header("Allow", "GET, HEAD")?,
            max_message: self.max_message,
        });
        let service = Service::new(self.config(), false, move || Testbed::new(Arc::clone(&site)));
        serving::run(async {
            let mut doors = Vec::new();
            for (how, port, tls) in ports {
                let Some(port) = port else { continue };
                match Door::open(&format!("127.0.0.1:{port}"), tls).await {
                    Ok((address, door)) => {
                        println!("listening {how}on {address}");
                        doors.push(door);
                    }
                    Err(error) => return error,
                }
            }
            service.serve(doors).await
        })
    }

    fn config(&self) -> Config {
        let limits = Limits { message: self.max_message, fragments: self.max_fragments, ..Limits::default() };
        let origin = if self.origins.is_empty() { OriginPolicy::Any } else { serving::origin_policy(&self.origins) };
        let compression = (!self.no_compression).then(Compression::default);
        // A test suite expects no Pings that it did not ask for.
        Config { limits, origin, keep_alive: KeepAlive::Off, compression, ..Config::default() }
    }
}

/// What all connections share.
struct Site {
    page: Response,
    missing: Response,
    method: Response,
    max_message: u64,
}

struct Testbed {
    site: Arc<Site>,
    plan: Plan,
    /// A message that goes back in fragments, and how much of it is gone.
    cutting: Option<(Body, usize)>,
}

/// What the path asks for.
#[derive(Default)]
enum Plan {
    #[default]
    Echo,
    Close {
        code: Option<CloseCode>,
        reason: String,
    },
    Fragments(usize),
    Ping {
        payload: String,
    },
    /// The Ping is sent.
    Pong {
        payload: String,
    },
    Push {
        count: u64,
        left: u64,
        body: Shared,
    },
    Abort,
    Info {
        members: String,
    },
    /// Whatever comes now means nothing.
    Deaf,
}

enum Body {
    Text(String),
    Binary(Vec<u8>),
}

impl Testbed {
    fn new(site: Arc<Site>) -> Testbed {
        Testbed { site, plan: Plan::Echo, cutting: None }
    }
}

impl Handler for Testbed {
    fn offer(&mut self, offer: Offer<'_>) -> Option<SessionId> {
        match Plan::of(&offer, self.site.max_message) {
            Ok(plan) => {
                self.plan = plan;
                let chosen = offer.select(&["chat", "superchat", "echo"]);
                Some(offer.accept(Accept::new().subprotocol(chosen)))
            }
            Err(status) => {
                // Left unanswered where that cannot be: the engine answers 503 in the end.
                if let Ok(refusal) = refusal(status) {
                    offer.reject(&refusal);
                }
                None
            }
        }
    }

    fn request(&mut self, request: PlainRequest<'_>) {
        let response = match (request.method(), serving::path(request.target())) {
            ("GET" | "HEAD", "/") => &self.site.page,
            (_, "/") => &self.site.method,
            _ => &self.site.missing,
        };
        request.respond(response);
    }

    fn event(&mut self, event: Event<'_>, tx: &mut Sender) {
        // Sending fails only when the session is closing already: the queue has room, or this would not listen. Who asks for
        // compression here wants to see it, even where it does not pay.
        match (event, &self.plan) {
            (Event::Message(message), Plan::Fragments(size)) if message.as_bytes().len() > *size => {
                self.cutting = tx.begin(message.kind(), Compress::Always).ok().map(|()| (Body::from(message), 0));
            }
            (Event::Message(_), Plan::Close { .. } | Plan::Push { .. } | Plan::Abort | Plan::Deaf) => {}
            (Event::Message(message), _) => {
                let _ = tx.send_with(message, Compress::Always);
            }
            (Event::Pong(answer), Plan::Pong { payload }) if answer == payload.as_bytes() => {
                let _ = tx.send(Message::Text(&format!("pong:{payload}")));
                self.plan = Plan::Echo;
            }
            _ => {}
        }
    }

    fn pump(&mut self, tx: &mut Sender) -> bool {
        match &mut self.plan {
            Plan::Echo | Plan::Pong { .. } | Plan::Deaf => {}
            Plan::Close { code, reason } => {
                tx.close(code.map_or(Close::Empty, |code| Close::With(code, Reason::truncated(reason))));
                self.plan = Plan::Deaf;
            }
            Plan::Fragments(size) => {
                if let Some((body, sent)) = &mut self.cutting
                    && send_fragments(body, sent, *size, tx)
                {
                    self.cutting = None;
                }
            }
            Plan::Ping { payload } => {
                let _ = tx.ping(payload.as_bytes());
                self.plan = Plan::Pong { payload: std::mem::take(payload) };
            }
            Plan::Push { count, left, body } => {
                while *left > 0 && tx.send_shared(body).is_ok() {
                    *left -= 1;
                }
                if *left == 0 && tx.send(Message::Text(&format!("end {count}"))).is_ok() {
                    self.plan = Plan::Echo;
                }
            }
            // The 101 is written by now; over HTTP/2, the 200 goes before the reset anyway.
            Plan::Abort if tx.queued() == 0 => tx.abort(),
            Plan::Abort => {}
            Plan::Info { members } => {
                if let Some(parameters) = tx.deflate() {
                    members.push_str(&format!(r#","extensions":"{parameters}""#));
                }
                let _ = tx.send(Message::Text(&format!("{{{members}}}")));
                self.plan = Plan::Echo;
            }
        }
        self.cutting.is_some() || matches!(self.plan, Plan::Push { .. } | Plan::Abort)
    }

    fn listens(&self, tx: &Sender) -> bool {
        match &self.plan {
            // What comes meanwhile is not answered, so it takes no room.
            Plan::Push { .. } | Plan::Deaf => true,
            _ => !tx.is_full() && self.cutting.is_none(),
        }
    }
}

impl Plan {
    /// What the path of a request asks for, or the status that refuses it.
    fn of(request: &Request<'_>, max_message: u64) -> Result<Plan, u16> {
        let path = serving::path(request.target());
        let mut parts = path.strip_prefix('/').unwrap_or(path).splitn(3, '/');
        match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
            ("close", code, reason) => Plan::close(code.unwrap_or_default(), reason.unwrap_or_default()),
            ("frag", Some(size), None) => match size.parse() {
                Ok(size @ 1..) => Ok(Plan::Fragments(size)),
                _ => Err(400),
            },
            ("ping", Some(rest), None) => match decode(rest).map(|rest| format!("hi-{rest}")) {
                Some(payload) if payload.len() <= 125 => Ok(Plan::Ping { payload }),
                _ => Err(400),
            },
            ("push", Some(count), Some(size)) => match (count.parse(), size.parse()) {
                (Ok(count), Ok(size)) if u64::try_from(size).is_ok_and(|size| size <= max_message) => {
                    Ok(Plan::Push { count, left: count, body: Shared::binary(vec![0; size]) })
                }
                _ => Err(400),
            },
            ("reject", Some(status), None) => Err(status.parse().unwrap_or(400)),
            ("frag" | "ping" | "push" | "reject", ..) => Err(400),
            ("abort", None, None) => Ok(Plan::Abort),
            ("info", None, None) => Ok(Plan::Info { members: info(request) }),
            _ => Ok(Plan::Echo),
        }
    }

    fn close(code: &str, reason: &str) -> Result<Plan, u16> {
        let reason = decode(reason).filter(|reason| reason.len() <= Reason::MAX).ok_or(400u16)?;
        let code = match code {
            "" if reason.is_empty() => None,
            code => Some(code.parse().ok().and_then(CloseCode::new).ok_or(400u16)?),
        };
        Ok(Plan::Close { code, reason })
    }
}

impl Body {
    fn from(message: Message<'_>) -> Body {
        match message {
            Message::Text(text) => Body::Text(text.to_owned()),
            Message::Binary(bytes) => Body::Binary(bytes.to_owned()),
        }
    }
}

/// Goes on with a message in fragments of `size` bytes at most, text cut between characters; whether that is done.
fn send_fragments(body: &Body, sent: &mut usize, size: usize, tx: &mut Sender) -> bool {
    while !tx.is_full() {
        let (part, length) = match body {
            Body::Text(text) => (Message::Text(prefix(text.get(*sent..).unwrap_or_default(), size)), text.len()),
            Body::Binary(bytes) => {
                let rest = bytes.get(*sent..).unwrap_or_default();
                (Message::Binary(rest.chunks(size).next().unwrap_or_default()), bytes.len())
            }
        };
        *sent += part.as_bytes().len();
        let is_last = *sent == length;
        let outcome = if is_last { tx.finish_with(part) } else { tx.append(part) };
        // It fails when a Close went out in between, and then there is no more to send.
        if is_last || outcome.is_err() {
            return true;
        }
    }
    false
}

/// As many whole characters as `size` bytes hold, but one at least.
fn prefix(text: &str, size: usize) -> &str {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let end = (first..=size.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(first);
    text.get(..end).unwrap_or_default()
}

fn refusal(status: u16) -> Result<Response, BuildError> {
    let refusal =
        serving::plain(status, "This path refuses.\n").or_else(|_| serving::plain(400, "No such status.\n"))?;
    // RFC 9110 §11.6.1
    if status == 401 { refusal.header("WWW-Authenticate", "Basic realm=\"testbed\"") } else { Ok(refusal) }
}

/// What the request looked like, as the members of a JSON object. A field that stands more than once is joined with commas.
fn info(request: &Request<'_>) -> String {
    let mut headers = BTreeMap::<String, String>::new();
    for field in request.fields().iter() {
        let value = String::from_utf8_lossy(field.value);
        headers
            .entry(field.name.to_ascii_lowercase())
            .and_modify(|others| {
                others.push_str(", ");
                others.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    let version = match request.version() {
        HttpVersion::Http2 => "2",
        HttpVersion::Http10 => "1.0",
        _ => "1.1",
    };
    let headers: serde_json::Map<_, _> = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    let (path, headers) = (serde_json::Value::from(request.target()), serde_json::Value::from(headers));
    format!(r#""version":"{version}","path":{path},"headers":{headers}"#)
}

/// Undoes percent-encoding; none where it is broken, or what it hides is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}
