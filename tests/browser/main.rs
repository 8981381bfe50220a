//! Does a browser get along with the echo example?
//!
//! Chromium, headless, loads the page and does what a person would: connects, types, sends text and binary, reads the log,
//! closes with a code. It is driven over its DevTools protocol by this crate's own client (see [`devtools`]), so the engine
//! stands on both ends of the browser.

mod devtools;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use devtools::{Browser, Page};

const CHROMIUM: &str = "/usr/bin/chromium";

#[test]
fn a_person_connects_sends_reads_and_closes() {
    if !Path::new(CHROMIUM).exists() {
        println!("skipped: there is no {CHROMIUM}");
        return;
    }
    let server = Echo::start(&["--subprotocol", "chat", "--max-message", "100000"]);
    let browser = Browser::start(CHROMIUM);
    let mut page = browser.open(&server.page);

    page.until("testing.byId('state').textContent === 'closed'");
    assert_eq!(page.text("testing.byId('url').value"), server.page.replace("http", "ws") + "ws");

    page.type_into("#subprotocol", "superchat, chat");
    page.click("#connect");
    page.until("testing.byId('state').textContent === 'open'");
    page.until("testing.lastRow('open').dataset.protocol === 'chat'");

    page.type_into("#message", "Grüße 🧦");
    page.click("#send-text");
    page.until("testing.lastRow('receive', 'text')?.querySelector('.text').textContent === 'Grüße 🧦'");
    page.until("testing.lastRow('receive', 'text').dataset.size === '12' && testing.lastRow('send', 'text').dataset.size === '12'");

    page.type_into("#message", "00 ff 48 65");
    page.click("#hex");
    page.click("#send-binary");
    page.until("testing.lastRow('receive', 'binary')?.querySelector('.hex').textContent.trim() === '00 ff 48 65'");

    // Longer than one read, and than the largest 16-bit length.
    page.evaluate("testing.byId('message').value = 'x'.repeat(70000)");
    page.click("#hex");
    page.click("#send-text");
    page.until("testing.lastRow('receive', 'text').dataset.size === '70000'");
    page.until("testing.byId('received-count').textContent === '3'");

    page.type_into("#close-code", "4321");
    page.type_into("#close-reason", "that is all");
    page.click("#close");
    page.until("testing.byId('state').textContent === 'closed'");
    page.until(
        "testing.lastRow('close').dataset.code === '4321' && testing.lastRow('close').dataset.wasClean === 'true'",
    );
}

#[test]
fn a_message_over_the_limit_is_refused_with_1009() {
    if !Path::new(CHROMIUM).exists() {
        println!("skipped: there is no {CHROMIUM}");
        return;
    }
    let server = Echo::start(&["--max-message", "1000"]);
    let browser = Browser::start(CHROMIUM);
    let mut page = browser.open(&server.page);
    page.click("#connect");
    page.until("testing.byId('state').textContent === 'open'");
    page.evaluate("testing.byId('message').value = 'x'.repeat(1001)");
    page.click("#send-text");
    page.until("testing.lastRow('close')?.dataset.code === '1009'");
}

#[test]
fn a_page_of_another_origin_is_kept_out() {
    if !Path::new(CHROMIUM).exists() {
        println!("skipped: there is no {CHROMIUM}");
        return;
    }
    let server = Echo::start(&[]);
    let other = Echo::start(&[]);
    let browser = Browser::start(CHROMIUM);
    let mut page = browser.open(&other.page);
    let target = server.page.replace("http", "ws") + "ws";
    page.evaluate(&format!("testing.byId('url').value = '{target}'"));
    page.click("#connect");
    page.until("testing.lastRow('close')?.dataset.code === '1006'");
    assert_eq!(page.text("String(testing.lastRow('open'))"), "null");
}

/// What the page says was agreed on is what goes over the wire: a mebibyte each way, in a fraction of the bytes.
#[test]
fn compression_is_agreed_on_and_used() {
    if !Path::new(CHROMIUM).exists() {
        println!("skipped: there is no {CHROMIUM}");
        return;
    }
    let browser = Browser::start(CHROMIUM);
    for (flags, extensions) in [
        (&[][..], "none"),
        (&["--compression"], "permessage-deflate"),
        (
            &["--compression", "--window-bits", "9", "--no-context-takeover"],
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; \
             client_max_window_bits=9",
        ),
    ] {
        let server = Echo::start(flags);
        let wire = Wire::to(&server.page);
        let mut page = browser.open(&wire.page);
        page.click("#connect");
        page.until("testing.byId('state').textContent === 'open'");
        let opened = page.text("testing.lastRow('open').querySelector('.text').textContent");
        assert_eq!(opened.lines().last(), Some(&*format!("extensions: {extensions}")));
        page.evaluate("socket.addEventListener('message', ({ data }) => globalThis.heard = data), 0");

        page.type_into("#message", "Grüße 🧦");
        page.click("#send-text");
        page.until("heard === 'Grüße 🧦'");
        page.click("#send-binary");
        page.until("testing.lastRow('receive', 'binary')?.dataset.size === '12'");
        assert_eq!(page.text("new TextDecoder().decode(heard)"), "Grüße 🧦");

        page.evaluate("testing.byId('message').value = '0123456789abcdef'.repeat(1 << 16)");
        for (button, is_echo) in [
            ("#send-text", "heard === testing.byId('message').value"),
            ("#send-binary", "new TextDecoder().decode(heard) === testing.byId('message').value"),
        ] {
            let before = wire.counted();
            page.click(button);
            page.until(is_echo);
            let after = wire.counted();
            for (way, (before, after)) in ["from the browser", "to it"].iter().zip(before.into_iter().zip(after)) {
                let (bytes, is_plain) = (after - before, flags.is_empty());
                assert!(if is_plain { bytes > 1 << 20 } else { bytes < 1 << 16 }, "{flags:?}: {bytes} bytes {way}");
            }
        }
        page.click("#close");
        page.until("testing.lastRow('close')?.dataset.wasClean === 'true'");
    }
}

/// The page and all its sockets come over one connection, as the server has it: many extended CONNECTs, and no handshake more.
#[test]
fn many_sockets_share_one_http2_connection() {
    if !Path::new(CHROMIUM).exists() {
        println!("skipped: there is no {CHROMIUM}");
        return;
    }
    let mut server = Echo::start(&["--tls", "127.0.0.1:0", "--compression", "--subprotocol", "chat"]);
    // The certificate is made at the start, and nobody vouches for it.
    let browser = Browser::with(CHROMIUM, &["--ignore-certificate-errors"]);
    let mut page = browser.open(server.secure_page.as_deref().expect("a page over TLS"));
    let loaded = page.text("performance.getEntriesByType('navigation')[0].nextHopProtocol");
    assert_eq!(loaded, "h2");

    page.type_into("#subprotocol", "superchat, chat");
    page.click("#connect");
    page.until("testing.lastRow('open')?.dataset.version === 'HTTP/2'");
    page.until("testing.lastRow('open').dataset.protocol === 'chat'");
    page.until("testing.lastRow('open').dataset.extensions.startsWith('permessage-deflate')");
    page.type_into("#message", "Grüße 🧦");
    page.click("#send-text");
    page.until("testing.lastRow('receive', 'text')?.querySelector('.text').textContent === 'Grüße 🧦'");
    page.click("#send-binary");
    page.until("testing.lastRow('receive', 'binary')?.dataset.size === '12'");

    // More beside it, each with something of its own, up to a mebibyte that compresses and one that does not.
    let echoes = page.evaluate(
        "(async () => {
            const noise = new Uint8Array(1 << 20);
            for (let at = 0; at < noise.length; at += 65536) crypto.getRandomValues(noise.subarray(at, at + 65536));
            const text = '0123456789abcdef'.repeat(1 << 16);
            const converse = async n => {
                const ws = new WebSocket(`wss://${location.host}/ws`);
                ws.binaryType = 'arraybuffer';
                await new Promise((resolve, reject) => { ws.onopen = resolve; ws.onerror = reject; });
                for (const said of [`I am ${n}`, '', noise, text, new Uint8Array([n])]) {
                    const heard = new Promise(resolve => ws.onmessage = ({ data }) => resolve(data));
                    ws.send(said);
                    const echo = await heard;
                    const isSame = typeof said === 'string' ? echo === said
                        : echo.byteLength === said.length && new Uint8Array(echo).every((byte, at) => byte === said[at]);
                    if (!isSame) return `socket ${n}: not the same`;
                }
                const closed = new Promise(resolve => ws.onclose = resolve);
                if (n === 0) ws.close();
                else ws.close(4000 + n, `reason ${n}`);
                const { code, wasClean } = await closed;
                return `${code} ${wasClean}`;
            };
            return (await Promise.all([...Array(8).keys()].map(converse))).join();
        })()",
    );
    assert_eq!(echoes, "1005 true,4001 true,4002 true,4003 true,4004 true,4005 true,4006 true,4007 true");

    // The first goes on, until the server closes it: with the largest message and one byte more.
    page.evaluate("testing.byId('message').value = 'x'.repeat((1 << 20) + 1)");
    page.click("#send-text");
    page.until(
        "testing.lastRow('close')?.dataset.code === '1009' && testing.lastRow('close').dataset.wasClean === 'true'",
    );

    let lines = server.lines();
    // Chromium may open a connection ahead and never use it.
    let sessions: Vec<_> = lines.iter().filter(|line| line.contains(", session ")).collect();
    assert_eq!(sessions.len(), 9, "{lines:#?}");
    let (number, _) = sessions[0].split_once(',').unwrap();
    assert!(lines.contains(&format!("{number}: TLS, ALPN h2")), "{lines:#?}");
    for session in sessions {
        let is_right = session.starts_with(&format!("{number}, ")) && session.contains(": HTTP/2, /ws");
        assert!(is_right && session.contains("extensions: permessage-deflate"), "{lines:#?}");
    }
}

impl Page {
    /// Clears a field and types into it.
    fn type_into(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.evaluate("document.activeElement.select()");
        self.insert_text(text);
    }
}

/// The echo example, on a port of its own.
struct Echo {
    process: Child,
    page: String,
    secure_page: Option<String>,
    lines: mpsc::Receiver<String>,
}

impl Echo {
    fn start(flags: &[&str]) -> Echo {
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples/echo");
        let tls: &[&str] = if flags.contains(&"--tls") { &[] } else { &["--tls", "off"] };
        let mut process = Command::new(path)
            .args(["--listen", "127.0.0.1:0"])
            .args(tls)
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the echo example is built with the tests");
        let output = BufReader::new(process.stdout.take().unwrap());
        let (teller, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| teller.send(line)));
        let mut echo = Echo { process, page: String::new(), secure_page: None, lines };
        while echo.page.is_empty() {
            let line = echo.lines.recv().expect("the echo example says where it listens");
            if let Some((_, address)) = line.split_once("listening with TLS on ") {
                echo.secure_page = Some(format!("https://{address}/"));
            } else if let Some((_, address)) = line.split_once("listening on ") {
                echo.page = format!("http://{address}/");
            }
        }
        echo
    }

    /// What it has told since.
    fn lines(&mut self) -> Vec<String> {
        self.lines.try_iter().collect()
    }
}

/// The way to a server, where the bytes are counted.
struct Wire {
    page: String,
    /// From the browser, and to it.
    counts: [Arc<AtomicU64>; 2],
}

impl Wire {
    fn to(page: &str) -> Wire {
        let target = page.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let page = format!("http://{}/", listener.local_addr().unwrap());
        let wire = Wire { page, counts: Default::default() };
        let counts = wire.counts.clone();
        thread::spawn(move || {
            for browser in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&target).unwrap();
                for ((from, to), count) in [(&browser, &server), (&server, &browser)].into_iter().zip(&counts) {
                    let (from, to, count) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(count));
                    thread::spawn(move || carry(from, to, &count));
                }
            }
        });
        wire
    }

    fn counted(&self) -> [u64; 2] {
        [0, 1].map(|way| self.counts[way].load(Ordering::Relaxed))
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, carried: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        // Counted before anybody can have seen them.
        carried.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
