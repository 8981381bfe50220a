//! How is Chromium driven? (Chrome DevTools Protocol: JSON over a WebSocket)
//!
//! One connection to the browser, over [`sockless::Client`] on a blocking socket; each page is a session on it. Clicks and
//! keys are sent as input events, so they take the way that a person's take. Conditions are polled, with a deadline.

use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant as Time};

use serde_json::{Value, json};
use sockless::{Client, ClientEvent, Clock, Config, Connect, Event, Limits, Message, Os, SessionId};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the tests ask of the page, and no page of ours has.
const HELPERS: &str = "
    globalThis.testing = {
        byId: id => document.getElementById(id),
        lastRow: (kind, type) => [...document.querySelectorAll('#log > [data-kind]')]
            .filter(row => row.dataset.kind === kind && (!type || row.dataset.type === type)).at(-1) ?? null,
    };
";

/// A running Chromium with a profile of its own.
pub struct Browser {
    process: Child,
    profile: PathBuf,
}

impl Browser {
    /// Starts the browser, headless.
    pub fn start(chromium: &str) -> Browser {
        Browser::with(chromium, &[])
    }

    /// Starts it with more flags.
    pub fn with(chromium: &str, flags: &[&str]) -> Browser {
        let unique = format!("sockless-browser-{}-{:?}", std::process::id(), std::thread::current().id());
        let profile = std::env::temp_dir().join(unique.replace(['(', ')'], ""));
        let _ = std::fs::remove_dir_all(&profile);
        let process = Command::new(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
            .arg("--remote-debugging-port=0")
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Chromium starts");
        Browser { process, profile }
    }

    /// Opens a page in a tab of its own, and waits until it is there.
    pub fn open(&self, url: &str) -> Page {
        let mut devtools = DevTools::connect(&self.address());
        let target = devtools.call(None, "Target.createTarget", json!({ "url": url }));
        let attached =
            devtools.call(None, "Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let mut page = Page { devtools, session };
        page.until(&format!("location.href === '{url}' && document.readyState === 'complete'"));
        page
    }

    /// The address of the DevTools, which the browser writes into its profile once it listens.
    fn address(&self) -> String {
        let file = self.profile.join("DevToolsActivePort");
        let deadline = Time::now() + PATIENCE;
        while Time::now() < deadline {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n') {
                return format!("ws://127.0.0.1:{port}{}", path.trim());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("Chromium wrote no DevToolsActivePort");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// A tab.
pub struct Page {
    devtools: DevTools,
    session: String,
}

impl Page {
    /// Evaluates an expression in the page; gives its value.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let expression = format!("{HELPERS} {expression}");
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let deadline = Time::now() + PATIENCE;
        loop {
            // While it loads a page, a tab has nothing to evaluate in.
            match self.devtools.try_call(Some(&self.session), "Runtime.evaluate", params.clone()) {
                Ok(reply) => {
                    assert!(reply.get("exceptionDetails").is_none(), "{expression}: {reply}");
                    return reply["result"]["value"].clone();
                }
                Err(error) => assert!(Time::now() < deadline, "{expression}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The value of an expression that is text.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.evaluate(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// Waits until a condition holds in the page.
    pub fn until(&mut self, condition: &str) {
        let deadline = Time::now() + PATIENCE;
        let guarded = format!("(() => {{ try {{ return !!({condition}); }} catch {{ return false; }} }})()");
        while self.evaluate(&guarded) != Value::Bool(true) {
            if Time::now() > deadline {
                let log = self.text("document.body.innerText");
                panic!("never came true: {condition}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clicks on the middle of an element with the mouse.
    pub fn click(&mut self, selector: &str) {
        let center = self.evaluate(&format!(
            "{{ const found = document.querySelector('{selector}'); found.scrollIntoView({{ block: 'center' }});
                const box = found.getBoundingClientRect(); [box.x + box.width / 2, box.y + box.height / 2] }}"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": center[0], "y": center[1], "button": "left", "clickCount": 1 });
            self.devtools.call(Some(&self.session), "Input.dispatchMouseEvent", params);
        }
    }

    /// Types text into what has the focus.
    pub fn insert_text(&mut self, text: &str) {
        self.devtools.call(Some(&self.session), "Input.insertText", json!({ "text": text }));
    }
}

/// The connection to the browser: a request at a time, events passed over.
struct DevTools {
    stream: TcpStream,
    clock: Clock,
    client: Client,
    session: SessionId,
    calls: u64,
}

impl DevTools {
    fn connect(url: &str) -> DevTools {
        let connect = Connect::to(url).unwrap();
        let stream = TcpStream::connect((connect.url().host(), connect.url().port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let clock = Clock::new();
        let limits = Limits { message: 64 << 20, frame: 64 << 20, ..Limits::default() };
        let config = Arc::new(Config { limits, ..Config::default() });
        let mut client = Client::new(config, Os, clock.now()).unwrap();
        let session = client.open(&connect, clock.now()).unwrap();
        let mut devtools = DevTools { stream, clock, client, session, calls: 0 };
        devtools.wait(|event| matches!(event, ClientEvent::Open(_)).then_some(()));
        devtools
    }

    fn call(&mut self, page: Option<&str>, method: &str, params: Value) -> Value {
        self.try_call(page, method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(&mut self, page: Option<&str>, method: &str, params: Value) -> Result<Value, String> {
        self.calls += 1;
        let id = self.calls;
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let Some(page) = page {
            request["sessionId"] = page.into();
        }
        let tx = self.client.tx(self.session, self.clock.now()).expect("an open session");
        tx.send(Message::Text(&request.to_string())).unwrap();
        let mut reply = self.wait(|event| match event {
            ClientEvent::Session(_, incoming) => match incoming.event {
                Event::Message(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(text).expect("JSON");
                    (value["id"] == id).then_some(value)
                }
                _ => None,
            },
            _ => None,
        });
        match reply.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(reply["result"].take()),
        }
    }

    /// Drives the connection until an event is what is waited for.
    fn wait<T>(&mut self, mut wanted: impl FnMut(ClientEvent<'_>) -> Option<T>) -> T {
        let mut buffer = vec![0; 64 << 10];
        let deadline = Time::now() + PATIENCE;
        loop {
            self.flush();
            assert!(Time::now() < deadline, "the browser did not answer in time");
            let count = self.stream.read(&mut buffer).expect("the browser answers");
            assert!(count > 0, "the browser hung up");
            let mut input = &mut buffer[..count];
            let mut found = None;
            while let Some(event) = self.client.receive(&mut input, self.clock.now()) {
                found = found.or(wanted(event));
            }
            if let Some(found) = found {
                self.flush();
                return found;
            }
        }
    }

    fn flush(&mut self) {
        loop {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = self.client.transmit(&mut slices);
            if count == 0 {
                return;
            }
            let written = self.stream.write_vectored(&slices[..count]).expect("the browser reads");
            self.client.transmitted(written, self.clock.now());
        }
    }
}
