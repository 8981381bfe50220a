//! Does a browser get along with the echo example?
//!
//! Chromium, headless, loads the page and does what a person would: connects, types, sends text and binary, reads the log,
//! closes with a code. It is driven over its DevTools protocol by this crate's own client (see [`devtools`]), so the engine
//! stands on both ends of the browser.

mod devtools;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

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
}

impl Echo {
    fn start(flags: &[&str]) -> Echo {
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples/echo");
        let mut process = Command::new(path)
            .args(["--listen", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the echo example is built with the tests");
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let line = stdout.lines().map_while(Result::ok).find(|line| line.starts_with("listening on "));
        let line = line.expect("the echo example says where it listens");
        let port = line.split(|other: char| !other.is_ascii_digit()).rfind(|digits| !digits.is_empty());
        let page = format!("http://127.0.0.1:{}/", port.expect("a port"));
        Echo { process, page }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
