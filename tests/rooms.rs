//! Do the arrows between the rooms of the library point where they may, and does the library keep its vows?
//!
//! A room is a module of `src/`, or a part of one. It may name what `ROOMS` allows it and no more: so a frame never
//! learns of HTTP, and a new carrier touches no session. The arrows hold in unit tests too; a test that needs more
//! belongs under `tests/`. The vows: no sockets, threads, files, statics or clocks (but for `time`, which wraps one),
//! no `unsafe`, and nothing that panics on purpose. They hold outside of `#[cfg(test)]`.
//!
//! This reads tokens, not types: it looks at each path that starts with `crate`, `self`, `super` or `std`. One room
//! reaches another, or the system, by such a path only, as long as nobody imports the whole of `crate` or what `lib.rs`
//! shows of a room; both are faults.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and what it may use. A room can be a part of another (`deflate::params`); then both are named apart.
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("time", &[]),
    ("entropy", &[]),
    ("queue", &[]),
    // An event says which deadline ended a session.
    ("event", &["error", "time"]),
    ("frame", &["error"]),
    ("utf8", &["error"]),
    ("deflate::params", &["error"]),
    ("deflate", &["deflate::params", "error"]),
    // A configuration holds the pool that connections share.
    ("config", &["deflate", "deflate::params", "time", "error"]),
    (
        "websocket",
        &["frame", "utf8", "deflate", "deflate::params", "time", "entropy", "error", "event", "config", "queue"],
    ),
    ("handshake", &["deflate::params", "entropy", "error", "config"]),
    ("http1", &["handshake", "error", "time", "config"]),
    ("http2::hpack", &["error"]),
    // It shows what lies in the queues of sessions, and has one of its own.
    ("http2", &["http2::hpack", "handshake", "error", "time", "config", "queue"]),
    ("server", EVERYTHING),
    ("client", EVERYTHING),
    // The bodies of the fuzz targets.
    ("fuzzing", EVERYTHING),
];

const EVERYTHING: &[&str] = &["everything"];

/// Paths that no room may name, but for one file.
const FORBIDDEN_PATHS: &[(&str, &str)] = &[
    ("std::net", ""),
    ("std::thread", ""),
    ("std::fs", ""),
    ("std::time::Instant", "src/time.rs"),
    ("std::time::SystemTime", "src/time.rs"),
];

/// Runs of tokens that no room may hold.
const FORBIDDEN_TOKENS: &[&[&str]] = &[
    &["static"],
    &["unsafe"],
    &["todo", "!"],
    &["unimplemented", "!"],
    &["unreachable", "!"],
    &["panic", "!"],
    &[".", "unwrap", "("],
    &[".", "expect", "("],
];

#[test]
fn every_arrow_is_allowed() {
    let faults = sources().iter().flat_map(|(file, text)| forbidden_arrows(file, text)).collect();
    report(faults);
}

#[test]
fn every_vow_is_kept() {
    let faults = sources().iter().flat_map(|(file, text)| broken_vows(file, text)).collect();
    report(faults);
}

#[test]
fn the_table_of_rooms_has_no_circle() {
    report(circles(ROOMS));
}

// The checks.

fn forbidden_arrows(file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    if module.is_empty() {
        return Vec::new(); // lib.rs, which stands above all rooms
    }
    let Some((room, uses)) = room_of(&module) else {
        return vec![format!("{file}: it belongs to no room")];
    };
    if *uses == EVERYTHING {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let tokens = tokens(text);
    for line in bare_crate(&tokens) {
        faults.push(format!("{file}:{line}: the whole crate has a name here"));
    }
    for NamedPath { segments, line } in paths(&module, &tokens) {
        let Some((first, target)) = segments.split_first() else {
            continue;
        };
        if first != "crate" {
            continue;
        }
        let path = segments.join("::");
        match room_of(target) {
            Some((to, _)) if to == room || uses.contains(to) => {}
            Some((to, _)) => faults.push(format!("{file}:{line}: {room} may not use {to}: {path}")),
            None => faults.push(format!("{file}:{line}: {path} names no room")),
        }
    }
    faults
}

fn broken_vows(file: &str, text: &str) -> Vec<String> {
    if module_of(file).iter().any(|name| name == "tests") {
        return Vec::new(); // the file of a `#[cfg(test)] mod tests;`
    }
    let tokens = without_tests(&tokens(text));
    let mut faults = Vec::new();
    for NamedPath { segments, line } in paths(&module_of(file), &tokens) {
        let path = segments.join("::");
        for (forbidden, _) in FORBIDDEN_PATHS.iter().filter(|(_, except)| *except != file) {
            // To import the module above is to have the forbidden name at hand.
            let parent = path.strip_suffix("::*").unwrap_or(&path);
            if is_below(&path, forbidden) || is_below(forbidden, parent) {
                faults.push(format!("{file}:{line}: {path} gives {forbidden}"));
            }
        }
    }
    for (start, token) in tokens.iter().enumerate() {
        for forbidden in FORBIDDEN_TOKENS {
            if starts(&tokens, start, forbidden) {
                faults.push(format!("{file}:{}: {}", token.line, forbidden.concat()));
            }
        }
    }
    faults
}

/// Rooms that use each other, over however many others, would be one room. Who may use everything stands on top.
fn circles(rooms: &[(&str, &[&str])]) -> Vec<String> {
    let mut faults = Vec::new();
    for (room, uses) in rooms.iter().filter(|(_, uses)| *uses != EVERYTHING) {
        let mut below = uses.to_vec();
        let mut seen = 0;
        while let Some(lower) = below.get(seen).copied() {
            seen += 1;
            match rooms.iter().find(|(name, _)| *name == lower) {
                _ if lower == *room => faults.push(format!("{room} is below itself")),
                Some((_, uses)) if *uses != EVERYTHING => {
                    let new: Vec<_> = uses.iter().filter(|room| !below.contains(room)).collect();
                    below.extend(new);
                }
                _ => faults.push(format!("{room} may not use {lower}")),
            }
        }
    }
    faults
}

// Modules and paths.

/// `src/frame/mask.rs` is the module `frame::mask`, `src/frame.rs` and `src/frame/mod.rs` are `frame`, `src/lib.rs` is
/// the root, which has no name.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let names = path.split('/').filter(|name| !["lib", "mod"].contains(name));
    names.map(str::to_owned).collect()
}

/// The innermost room that holds this path below the crate's root.
fn room_of(path: &[String]) -> Option<&'static (&'static str, &'static [&'static str])> {
    let path = path.join("::");
    ROOMS.iter().filter(|(room, _)| is_below(&path, room)).max_by_key(|(room, _)| room.len())
}

/// Whether a path is this module, or lies in it.
fn is_below(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A path from the crate's root (`crate::frame::Header`) or from `std`, with the line of its last name.
struct NamedPath {
    segments: Vec<String>,
    line: usize,
}

fn paths(module: &[String], tokens: &[Token<'_>]) -> Vec<NamedPath> {
    let mut paths = Vec::new();
    let mut depth: usize = 0;
    // The modules written inside of this file that are open here, with the depth of their braces.
    let mut inline: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_root = ["crate", "self", "super", "std"].contains(&token.text);
        match token.text {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.pop_if(|(opened, _)| *opened == depth);
            }
            "mod" if text(tokens, at + 2) == "{" => inline.push((depth, text(tokens, at + 1))),
            // What `pub(in path)` names is always an own ancestor.
            _ if is_root && text(tokens, at + 1) == "::" && !is_visibility(tokens, at) => {
                let mut here: Vec<&str> = module.iter().map(String::as_str).collect();
                here.extend(inline.iter().map(|(_, name)| name));
                let mut found = Vec::new();
                at = tree(tokens, at, &[], &mut found);
                let named = |(path, line): (Vec<&str>, usize)| NamedPath { segments: resolve(&here, &path), line };
                paths.extend(found.into_iter().map(named));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    paths
}

/// Follows a path, and all its branches where it has braces, as far as it consists of names. Returns the place behind
/// it.
fn tree<'t>(tokens: &[Token<'t>], at: usize, above: &[&'t str], found: &mut Vec<(Vec<&'t str>, usize)>) -> usize {
    if text(tokens, at) == "{" {
        let mut at = at + 1;
        loop {
            match text(tokens, at) {
                "" | "}" => return at + 1,
                "," => at += 1,
                "as" => at += 2,
                _ => at = tree(tokens, at, above, found),
            }
        }
    }
    let path = [above, &[text(tokens, at)]].concat();
    let next = text(tokens, at + 2);
    if text(tokens, at + 1) == "::" && (next == "{" || next == "*" || is_word(next)) {
        return tree(tokens, at + 2, &path, found);
    }
    found.push((path, tokens.get(at).map_or(0, |token| token.line)));
    at + 1
}

fn resolve(here: &[&str], path: &[&str]) -> Vec<String> {
    let mut resolved: Vec<&str> = Vec::new();
    for (nth, name) in path.iter().enumerate() {
        if nth == 0 && ["self", "super"].contains(name) {
            resolved = [&["crate"], here].concat();
        }
        match *name {
            "self" => {}
            "super" => drop(resolved.pop()),
            name => resolved.push(name),
        }
    }
    resolved.into_iter().map(str::to_owned).collect()
}

/// The lines where `crate` stands without a path behind it, other than in `pub(crate)` and `extern crate alloc`.
fn bare_crate(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut lines = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == "crate") {
        let (before, next) = (at.checked_sub(1).map_or("", |at| text(tokens, at)), text(tokens, at + 1));
        let other_crate = before == "extern" && next != "self";
        if next != "::" && next != ")" && !other_crate {
            lines.push(token.line);
        }
    }
    lines
}

fn is_visibility(tokens: &[Token<'_>], at: usize) -> bool {
    at.checked_sub(3).is_some_and(|start| starts(tokens, start, &["pub", "(", "in"]))
}

// Tokens.

#[derive(Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    line: usize,
}

fn text<'t>(tokens: &[Token<'t>], at: usize) -> &'t str {
    tokens.get(at).map_or("", |token| token.text)
}

fn starts(tokens: &[Token<'_>], at: usize, texts: &[&str]) -> bool {
    texts.iter().enumerate().all(|(nth, wanted)| text(tokens, at + nth) == *wanted)
}

fn is_word(text: &str) -> bool {
    text.starts_with(is_word_part)
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Cuts Rust into names, literals and single signs (and `::`). Comments and blanks vanish.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c| !is_word_part(c)).unwrap_or(rest.len());
        let (length, kept) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (comment(rest), false)
        } else if let Some(length) = string(rest) {
            (length, true)
        } else if first == '\'' {
            (character_or_lifetime(rest), true)
        } else if rest.starts_with("::") {
            (2, true)
        } else {
            (word.max(first.len_utf8()), !first.is_whitespace())
        };
        let (text, tail) = rest.split_at(length);
        if kept {
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = tail;
    }
    tokens
}

/// The length of a block comment, which may hold others.
fn comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut length = 0;
    while let Some(tail) = rest.get(length..).filter(|tail| !tail.is_empty()) {
        match tail.get(..2) {
            Some("/*") => (depth, length) = (depth + 1, length + 2),
            Some("*/") => (depth, length) = (depth - 1, length + 2),
            _ => length += tail.chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            break;
        }
    }
    length
}

/// The length of the string literal that stands here, if one does: plain, of bytes, for C, or raw.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c| !['b', 'c', 'r'].contains(&c))?;
    let (letters, tail) = rest.split_at(prefix);
    if !["", "b", "c", "r", "br", "cr"].contains(&letters) {
        return None;
    }
    if letters.ends_with('r') {
        let hashes = tail.len() - tail.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let content = tail.get(hashes..)?.strip_prefix('"')?;
        return Some(prefix + hashes + 1 + content.find(&end)? + end.len());
    }
    let mut escaped = false;
    let ends = |(_, c): &(usize, char)| {
        let end = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        end
    };
    let (end, _) = tail.strip_prefix('"')?.char_indices().find(ends)?;
    Some(prefix + end + 2)
}

/// The length of `'a'`, `'\n'` or `'static`.
fn character_or_lifetime(rest: &str) -> usize {
    let mut signs = rest.char_indices().skip(1);
    let first = signs.next().map_or(' ', |(_, c)| c);
    let second = signs.next().map_or(' ', |(_, c)| c);
    if first == '\\' || second == '\'' {
        signs.find(|(_, c)| first == '\\' && *c == '\'').map_or(first.len_utf8() + 2, |(at, _)| at + 1)
    } else {
        let name = rest.char_indices().skip(1).find(|(_, c)| !is_word_part(*c));
        name.map_or(rest.len(), |(at, _)| at)
    }
}

/// The tokens that do not stand under `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn without_tests<'t>(tokens: &[Token<'t>]) -> Vec<Token<'t>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_test = |hash: &[&str]| {
            let condition = at + hash.len();
            starts(tokens, at, hash)
                && (starts(tokens, condition, &["[", "cfg", "(", "test", ")", "]"])
                    || starts(tokens, condition, &["[", "cfg", "(", "all", "(", "test", ","]))
        };
        if is_test(&["#", "!"]) {
            break;
        }
        if is_test(&["#"]) {
            at = item(tokens, at);
        } else {
            kept.push(*token);
            at += 1;
        }
    }
    kept
}

/// The place behind an item with all its attributes: its `;` or closing brace, or the end of what it stands in.
fn item(tokens: &[Token<'_>], mut at: usize) -> usize {
    while starts(tokens, at, &["#", "["]) {
        at = group(tokens, at + 1);
    }
    loop {
        match text(tokens, at) {
            "" | "}" | ")" | "]" => return at,
            ";" => return at + 1,
            "{" => return group(tokens, at),
            "(" | "[" => at = group(tokens, at),
            _ => at += 1,
        }
    }
}

/// The place behind the bracket that closes the one here.
fn group(tokens: &[Token<'_>], mut at: usize) -> usize {
    let mut depth = 0;
    loop {
        match text(tokens, at) {
            "" => return at,
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
}

// Files and reports.

/// Every file under `src/`, named from the project's root, with its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files(&root.join("src"));
    assert!(!files.is_empty(), "no src/ found");
    let name = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    files.iter().map(|path| (name(path), read(path))).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file that cannot be read must not pass for an empty one.
fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    assert!(text.is_ok(), "{}: {text:?}", path.display());
    text.unwrap_or_default()
}

fn report(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

// The checks can fail.

#[cfg(test)]
mod proof {
    use super::*;

    #[track_caller]
    fn allowed(file: &str, source: &str) {
        assert_eq!(forbidden_arrows(file, source), [""; 0], "{source}");
    }

    #[track_caller]
    fn forbidden(file: &str, source: &str, line: usize) {
        let faults = forbidden_arrows(file, source);
        assert_eq!(faults.len(), 1, "{source}: {faults:?}");
        assert!(faults.concat().starts_with(&format!("{file}:{line}: ")), "{faults:?}");
    }

    #[test]
    fn allowed_arrows_pass() {
        allowed("src/error.rs", "use core::fmt; use std::error::Error; use bytes::Bytes;");
        allowed("src/frame/mask.rs", "use crate::error::Error; use super::Header; use super::*;");
        allowed("src/frame/mod.rs", "mod mask; use self::mask::Mask; use crate::{error::Error, frame::mask::A};");
        allowed("src/frame.rs", "use super::error; pub(crate) fn f() {} pub(super) fn g() { self.x::<u8>() }");
        allowed("src/config.rs", "use crate::deflate::params::Params;");
        allowed("src/http2/mod.rs", "use crate::http2::hpack::Decoder; use crate::{handshake, time::Instant};");
        allowed("src/http2/hpack/table.rs", "pub(in crate::http2) fn f() {} use super::{self, integer::*};");
        allowed("src/websocket/sender.rs", "use crate::{frame::{self, Header as H}, queue::Queue};");
        allowed("src/server.rs", "use crate::{client::Client, http1, http2::hpack, WebSocket};");
        allowed("src/lib.rs", "pub use crate::error::Error; use crate as sockless;");
        allowed("src/time.rs", "extern crate alloc; macro_rules! m { () => { $crate::time::f() } }");
    }

    #[test]
    fn forbidden_arrows_are_found() {
        forbidden("src/frame/mask.rs", "\n\nuse crate::config::Limits;", 3);
        forbidden("src/frame/mask.rs", "fn f() -> super::super::time::Instant {}", 1);
        forbidden("src/frame.rs", "use super::websocket::Sender;", 1);
        forbidden("src/frame.rs", "use self::super::websocket::Sender;", 1);
        forbidden("src/utf8.rs", "use crate::{\n    error::{Error, CloseCode},\n    frame::{self as f},\n};", 3);
        forbidden("src/utf8.rs", "use crate::{error::{Error, CloseCode}, frame as f, utf8::{self}};", 1);
        forbidden("src/utf8.rs", "fn f() { let a = crate::error::f(crate::frame::g()); }", 1);
        forbidden("src/utf8.rs", "mod a { use super::X; use super::super::time::Y; }", 1);
        forbidden("src/utf8.rs", "mod a { mod b {} } use super::time::Y;", 1);
        forbidden("src/utf8.rs", "macro_rules! m { () => { $crate::time::f() } }", 1);
        forbidden("src/handshake/request.rs", "use crate::deflate::Pool;", 1);
        forbidden("src/deflate/params.rs", "use super::codec::Codec;", 1);
        forbidden("src/http2/hpack/table.rs", "use super::super::stream::Stream;", 1);
        forbidden("src/http2/hpack.rs", "use crate::http2::Stream;", 1);
        forbidden("src/websocket/sender.rs", "use crate::server::Server;", 1);
        forbidden("src/http1.rs", "use crate::frame::Header;", 1);
    }

    #[test]
    fn arrows_hold_in_tests_too() {
        forbidden("src/frame.rs", "#[cfg(test)]\nmod tests { use super::*; use crate::server::Server; }", 2);
    }

    #[test]
    fn ways_round_the_rooms_are_found() {
        forbidden("src/frame.rs", "use crate::WebSocket;", 1);
        forbidden("src/frame.rs", "use crate::*;", 1);
        forbidden("src/frame.rs", "use super::*;", 1);
        forbidden("src/frame.rs", "use crate::{self as sockless};", 1);
        forbidden("src/frame.rs", "use crate as sockless;", 1);
        forbidden("src/frame.rs", "extern crate self as sockless;", 1);
        forbidden("src/error.rs", "use crate::errors::Error;", 1);
        assert_eq!(forbidden_arrows("src/cellar.rs", ""), ["src/cellar.rs: it belongs to no room"]);
    }

    #[test]
    fn circles_are_found() {
        assert_eq!(circles(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]), [""; 0]);
        assert_eq!(circles(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]).len(), 3);
        assert_eq!(circles(&[("a", &["a"])]), ["a is below itself"]);
        assert_eq!(circles(&[("a", &["b"])]), ["a may not use b"]);
        assert_eq!(circles(&[("a", &["b"]), ("b", EVERYTHING)]), ["a may not use b"]);
    }

    #[track_caller]
    fn kept(source: &str) {
        assert_eq!(broken_vows("src/frame.rs", source), [""; 0], "{source}");
    }

    #[track_caller]
    fn broken(source: &str, line: usize) {
        let faults = broken_vows("src/frame.rs", source);
        assert_eq!(faults.len(), 1, "{source}: {faults:?}");
        assert!(faults.concat().starts_with(&format!("src/frame.rs:{line}: ")), "{faults:?}");
    }

    #[test]
    fn forbidden_paths_are_found() {
        broken("\nfn f(s: std::net::TcpStream) {}", 2);
        broken("use std::{io, fs::{File as F}};", 1);
        broken("use ::std::thread;", 1);
        broken("use std::time::{Duration, Instant};", 1);
        broken("use std::time::SystemTime as S;", 1);
        kept("use std::{io::IoSlice, time::Duration}; use std::network; extern crate std;");
    }

    #[test]
    fn the_module_above_a_forbidden_name_is_found() {
        assert_eq!(broken_vows("src/frame.rs", "use std::time;").len(), 2, "both clocks");
        assert_eq!(broken_vows("src/frame.rs", "use std::time::{self, Duration};").len(), 2);
        assert_eq!(broken_vows("src/frame.rs", "use std::time::*;").len(), 2);
        assert_eq!(broken_vows("src/frame.rs", "use std::*;").len(), FORBIDDEN_PATHS.len());
        kept("use std::collections; use std::io::*;");
    }

    #[test]
    fn the_clock_is_for_time_only() {
        let source = "use std::time::Instant;";
        assert_eq!(broken_vows("src/time.rs", source), [""; 0]);
        assert_eq!(broken_vows("src/websocket/time.rs", source).len(), 1);
        assert_eq!(broken_vows("src/time.rs", "use std::net;").len(), 1);
    }

    #[test]
    fn forbidden_words_are_found() {
        broken("static X: u8 = 0;", 1);
        broken("thread_local! { static X: u8 = 0; }", 1);
        broken("fn f() {\n    unsafe { g() }\n}", 2);
        broken("fn f() { todo!() }", 1);
        broken("fn f() { unimplemented!(\"later\") }", 1);
        broken("fn f() { core::unreachable!() }", 1);
        broken("fn f() { panic!(\"{x}\") }", 1);
        broken("fn f() { x.unwrap() }", 1);
        broken("fn f() { x\n    .expect(\"it is there\")\n}", 2);
    }

    #[test]
    fn what_only_looks_forbidden_passes() {
        kept("#![forbid(unsafe_code)] #[expect(dead_code)] fn f(x: &'static str) -> u8 { x.unwrap_or(0) }");
        kept("/// `x.unwrap()`\n//! panic!()\n// static\n/* unsafe /* todo!() */ unsafe */");
        kept(r##"const A: &str = "x.unwrap() \" unsafe"; const B: &[u8] = br#"" static "#; const C: &str = r"\";"##);
        kept(r"const A: [char; 4] = ['\'', '\\', '\u{41}', 'a']; fn f<'a>(x: &'a u8, y: &'static u8) {}");
    }

    #[test]
    fn literals_do_not_hide_what_follows() {
        for before in [r#""\"""#, r#""\\""#, r##"r#"""#"##, r"'\''", r"'\\'", "'\"'", "'ä'", "b'\"'", "&'a", "/* \" */"]
        {
            broken(&format!("{before} unsafe"), 1);
        }
    }

    #[test]
    fn vows_end_where_tests_begin() {
        kept("#[cfg(test)]\n#[allow(x)]\nmod tests { fn f() { x.unwrap(); panic!() } }");
        kept("#[cfg(test)] use std::{fs, net};");
        kept("#[cfg(all(test, feature = \"std\"))] fn f(a: [u8; 2]) -> (A, B) { x.unwrap() }");
        kept("#![cfg(test)] fn f() { x.unwrap() } fn g() { x.unwrap() }");
        kept("struct A { a: u8, #[cfg(test)] b: std::net::TcpStream }");
        assert_eq!(broken_vows("src/websocket/tests.rs", "fn f() { x.unwrap() }"), [""; 0]);
    }

    #[test]
    fn vows_go_on_behind_tests() {
        broken("#[cfg(test)]\nuse std::fs;\nfn f() { x.unwrap() }", 3);
        broken("#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }\nfn f() { x.unwrap() }", 3);
        broken("#[cfg(not(test))] fn f() { x.unwrap() }", 1);
        broken("#[cfg(any(test, feature = \"std\"))] fn f() { x.unwrap() }", 1);
        broken("struct A { #[cfg(test)] b: u8 }\nfn f() { x.unwrap() }", 2);
    }
}
